//! Notices when a file changes that a plugin is built from, or that a run reads.
//!
//! Runs write files too, often into the same folder, so only what can matter counts: Rust sources and manifests, what cargo
//! says the library was built from, and the files of the pipeline.

use std::collections::{BTreeSet, HashMap};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::error::Error;

/// Files that are saved together come within this.
const TOGETHER: Duration = Duration::from_millis(30);
/// More folders than this are not looked into.
const FOLDERS_MAX: usize = 10_000;

/// What changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Changed {
    /// A file that only runs read.
    Inputs,
    /// A file that the plugin is built from.
    Sources,
}

/// The files being watched.
#[derive(Debug)]
pub struct Sources {
    inotify: AsyncFd<Watched>,
    folders: HashMap<WatchDescriptor, PathBuf>,
    built_from: BTreeSet<PathBuf>,
    inputs: BTreeSet<PathBuf>,
    /// Noticed, and not handed out yet.
    noticed: Option<Changed>,
}

#[derive(Debug)]
struct Watched(Inotify);

impl AsRawFd for Watched {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Sources {
    /// Watches a crate's folder, the files its library was last built from, and those that runs read.
    pub fn watch(
        crate_folder: &Path,
        built_from: &BTreeSet<PathBuf>,
        inputs: impl IntoIterator<Item = PathBuf>,
    ) -> Result<Sources, Error> {
        let cannot = |problem: std::io::Error| Error::internal("cannot watch for changes", problem);
        let inotify =
            Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC).map_err(|error| cannot(error.into()))?;
        let mut sources = Sources {
            inotify: waited_for(Watched(inotify)).map_err(cannot)?,
            folders: HashMap::new(),
            built_from: built_from.iter().map(|file| absolute(file)).collect(),
            inputs: inputs.into_iter().map(|file| absolute(&file)).collect(),
            noticed: None,
        };
        let outside: BTreeSet<PathBuf> = sources
            .built_from
            .iter()
            .chain(&sources.inputs)
            .filter_map(|file| Some(file.parent()?.to_owned()))
            .collect();
        outside.iter().for_each(|folder| sources.add(folder));
        sources.add_tree(&absolute(crate_folder));
        Ok(sources)
    }

    /// Waits until something changed, and until what was saved with it has been. Nothing is lost if it is dropped before.
    pub async fn changed(&mut self) -> Changed {
        loop {
            self.notice();
            if self.noticed.is_some() {
                tokio::time::sleep(TOGETHER).await;
            }
            if let Some(changed) = self.take() {
                return changed;
            }
            match self.inotify.readable().await {
                Ok(mut ready) => ready.clear_ready(),
                // It cannot be waited for: then nothing ever changes, and the user says when to end.
                Err(_) => std::future::pending().await,
            }
        }
    }

    /// What has changed so far.
    pub fn take(&mut self) -> Option<Changed> {
        self.notice();
        self.noticed.take()
    }

    fn notice(&mut self) {
        while let Ok(events) = self.inotify.get_ref().0.read_events() {
            if events.is_empty() {
                break;
            }
            for event in events {
                let Some(folder) = self.folders.get(&event.wd) else { continue };
                let Some(name) = event.name else { continue };
                let path = folder.join(name);
                let new = if event.mask.contains(AddWatchFlags::IN_ISDIR) {
                    // Files may have come with it, or before it was watched.
                    let came = event.mask.intersects(AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO);
                    (came && self.add_tree(&path)).then_some(Changed::Sources)
                } else if event.mask.contains(AddWatchFlags::IN_CREATE) {
                    // It is written next.
                    None
                } else {
                    self.matters(&path)
                };
                self.noticed = self.noticed.max(new);
            }
        }
    }

    fn matters(&self, path: &Path) -> Option<Changed> {
        if self.built_from.contains(path) || is_source(path) {
            Some(Changed::Sources)
        } else {
            self.inputs.contains(path).then_some(Changed::Inputs)
        }
    }

    /// Watches a folder and those in it; says whether there is a source among the files.
    fn add_tree(&mut self, root: &Path) -> bool {
        let mut found = false;
        let mut left = vec![root.to_owned()];
        while let Some(folder) = left.pop() {
            if self.folders.len() >= FOLDERS_MAX || folder.join("CACHEDIR.TAG").exists() {
                continue;
            }
            self.add(&folder);
            for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
                let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() && !is_hidden => left.push(entry.path()),
                    Ok(kind) if kind.is_file() => found |= is_source(&entry.path()),
                    _ => {}
                }
            }
        }
        found
    }

    fn add(&mut self, folder: &Path) {
        let flags = AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_MOVED_FROM
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_ONLYDIR;
        // A folder that went away, or one too many for the system's limit: its changes are missed, the others are not.
        if let Ok(descriptor) = self.inotify.get_ref().0.add_watch(folder, flags) {
            self.folders.insert(descriptor, folder.to_owned());
        }
    }
}

/// Lets the runtime wait for it.
fn waited_for(watched: Watched) -> std::io::Result<AsyncFd<Watched>> {
    #[expect(
        deprecated,
        reason = "its successor is unsafe; this descriptor is the watch's own and stays open as long as it"
    )]
    AsyncFd::with_interest(watched, Interest::READABLE)
}

/// Rust's own: sources and manifests. Editors keep their own beside them under other names. `Cargo.lock` is cargo's to write.
fn is_source(path: &Path) -> bool {
    let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    let is_rust = path.extension().is_some_and(|extension| extension == "rs");
    !is_hidden && (is_rust || path.file_name().is_some_and(|name| name == "Cargo.toml"))
}

/// As inotify's events are put together: by the folder's real place.
fn absolute(path: &Path) -> PathBuf {
    path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use std::fs;

    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn only_what_matters_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("src")).unwrap();
        fs::create_dir_all(path("out")).unwrap();
        for file in ["src/lib.rs", "table.csv", "pipeline.toml"] {
            fs::write(path(file), "").unwrap();
        }
        let built_from = BTreeSet::from([path("table.csv")]);
        let mut sources = Sources::watch(folder.path(), &built_from, [path("pipeline.toml")]).unwrap();
        let mut after = |file: &str| {
            fs::write(path(file), "x").unwrap();
            sources.take()
        };
        assert_eq!(after("out/result.json"), None);
        assert_eq!(after("src/.lib.rs.swp"), None);
        assert_eq!(after("Cargo.lock"), None);
        assert_eq!(after("pipeline.toml"), Some(Changed::Inputs));
        assert_eq!(after("table.csv"), Some(Changed::Sources));
        assert_eq!(after("src/lib.rs"), Some(Changed::Sources));
        // As editors save: written beside, renamed over.
        assert_eq!(after("src/lib.rs~"), None);
        fs::rename(path("src/lib.rs~"), path("src/lib.rs")).unwrap();
        assert_eq!(sources.take(), Some(Changed::Sources));
        // A module of its own folder.
        fs::create_dir(path("src/deep")).unwrap();
        fs::write(path("src/deep/mod.rs"), "x").unwrap();
        assert_eq!(sources.take(), Some(Changed::Sources));
        fs::write(path("src/deep/mod.rs"), "y").unwrap();
        // Who waits may look away just when something has been noticed, and wait again.
        tokio::select! {
            biased;
            _ = sources.changed() => panic!("what is saved together has not been waited for"),
            () = tokio::task::yield_now() => {}
        }
        assert_eq!(sources.changed().await, Changed::Sources);
    }
}
