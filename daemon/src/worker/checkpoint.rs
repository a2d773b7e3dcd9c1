//! How far an incremental dataset was processed: a file with the name of the last partition that was confirmed, and nothing else.
//!
//! The file is replaced whole, so a reader finds one name or the other. Runs at the same time may confirm in any order: it never goes
//! back, which a lock on its directory sees to. There is no file for the lock.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use plugin_api::abi::{Failure, failure_kind};

use crate::ipc::message::CheckpointFile;

/// Which partitions are new.
pub(super) struct Since {
    last: Option<String>,
    inclusive: bool,
}

impl Since {
    /// Reads how far a dataset was processed; without a checkpoint every partition is new.
    pub(super) fn read(dataset: &str, checkpoint: Option<&CheckpointFile>) -> Result<Since, Failure> {
        let Some(checkpoint) = checkpoint else { return Ok(Since { last: None, inclusive: false }) };
        let last = match &checkpoint.from {
            Some(from) => Some(from.clone()).filter(|from| !from.is_empty()),
            None => read(&checkpoint.path).map_err(|error| failed("read", dataset, &checkpoint.path, &error))?,
        };
        Ok(Since { last, inclusive: checkpoint.inclusive })
    }

    pub(super) fn is_new(&self, partition: &str) -> bool {
        match &self.last {
            Some(last) => partition > last.as_str() || (self.inclusive && partition == last),
            None => true,
        }
    }
}

/// Notes that all partitions up to this one were processed, unless more of them were confirmed meanwhile. Where there was none (its name
/// is empty), nothing is to be noted.
pub(super) fn confirm(dataset: &str, partition: &str, path: &str) -> Result<(), Failure> {
    if partition.is_empty() {
        return Ok(());
    }
    write(partition, Path::new(path)).map_err(|error| failed("write", dataset, path, &error))
}

fn write(partition: &str, path: &Path) -> std::io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    // Until this is dropped.
    let locked = File::open(directory)?;
    locked.lock()?;
    if read(&path.to_string_lossy())?.is_some_and(|last| last.as_str() >= partition) {
        return Ok(());
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // Hidden, so it is no partition either.
    let beside = directory.join(format!(".{name}.{}.part", std::process::id()));
    let written = File::create(&beside).and_then(|mut file| {
        file.write_all(partition.as_bytes())?;
        file.sync_all()
    });
    written.and_then(|()| fs::rename(&beside, path)).inspect_err(|_| {
        // It says nothing that the error does not.
        let _ = fs::remove_file(&beside);
    })
}

/// Reads the name in a checkpoint; nothing where there is none yet. People may have written it, with a line end.
fn read(path: &str) -> std::io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()).filter(|name| !name.is_empty())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn failed(verb: &str, dataset: &str, path: &str, error: &std::io::Error) -> Failure {
    Failure::new(failure_kind::ERROR, format!("cannot {verb} the checkpoint of `{dataset}`, `{path}`: {error}")).with_hint(
        "it is a file with the name of the last partition that was processed; `incremental = { checkpoint = \"…\" }` puts it elsewhere",
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn since(path: &str, from: Option<&str>, inclusive: bool) -> Since {
        let checkpoint = CheckpointFile { path: path.to_owned(), from: from.map(str::to_owned), inclusive };
        Since::read("readings", Some(&checkpoint)).unwrap_or_else(|failure| panic!("{}", failure.message))
    }

    #[test]
    fn parity_c6_what_comes_after_the_checkpoint_is_new() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("below/CHECKPOINT");
        let path = path.to_str().unwrap();
        assert!(since(path, None, false).is_new("a"));
        confirm("readings", "2024-02", path).unwrap_or_else(|failure| panic!("{}", failure.message));
        assert_eq!(fs::read_to_string(path).unwrap(), "2024-02");
        let news = |since: Since| ["2024-01", "2024-02", "2024-03"].map(|name| since.is_new(name));
        assert_eq!(news(since(path, None, false)), [false, false, true]);
        assert_eq!(news(since(path, None, true)), [false, true, true]);
        assert_eq!(news(since(path, Some("2024-01"), false)), [false, true, true]);
        assert_eq!(news(since(path, Some(""), false)), [true; 3]);
        fs::write(path, "2024-01\n").unwrap();
        assert_eq!(news(since(path, None, false)), [false, true, true]);
    }

    #[test]
    fn parity_r19_a_checkpoint_never_goes_back_and_leaves_nothing_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("CHECKPOINT");
        let told = path.to_str().unwrap();
        std::thread::scope(|scope| {
            for name in ["2024-03", "2024-01", "2024-02"] {
                scope.spawn(move || assert!(confirm("readings", name, told).is_ok()));
            }
        });
        assert_eq!(fs::read_to_string(&path).unwrap(), "2024-03");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_checkpoint_that_is_none_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_str().unwrap();
        let failure = confirm("readings", "a", path).unwrap_err();
        assert!(failure.message.contains(path) && !failure.hint.is_empty(), "{}", failure.message);
    }
}
