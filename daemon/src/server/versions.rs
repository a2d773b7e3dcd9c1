//! Versions of datasets on the file system: `path/VERSION/file`.
//!
//! A run saves all its versioned datasets under one version, the moment it was accepted. It takes that version by making the
//! folders, which exactly one of two runs can do, whichever daemons they belong to; the other one takes the next
//! millisecond. Folders that were made and hold nothing in the end are removed again. A daemon that is killed may leave some:
//! they are no versions, as only what holds the file is one.
#![forbid(unsafe_code)]

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use engine::id::DatasetId;
use engine::plan::{Plan, TaskKind};
use engine::problem::{Problem, nearest};
use engine::version;

use super::runs::version_of_time;

/// So many milliseconds are tried; each that is taken is another run's.
const MOMENTS_MAX: i64 = 10_000;
/// A folder may go away between the making of it and of one in it, when another run cleans up.
const TRIES_MAX: u32 = 100;

/// The folders of one save version, taken for one run.
#[derive(Debug)]
pub struct Reservation {
    version: String,
    /// Those of the version and those above that were made for them, deepest first.
    folders: Vec<PathBuf>,
}

/// Decides which version of each versioned dataset a plan loads and saves.
///
/// # Errors
/// Every version that is asked for and not there, or there and asked to be saved; a folder that cannot be made.
pub fn assign(plan: &mut Plan, wanted: Option<&str>, now_us: i64) -> Result<Option<Reservation>, Vec<Problem>> {
    if let Some(wanted) = wanted.filter(|wanted| !version::is_safe(wanted)) {
        return Err(vec![
            Problem::new("bad-version", format!("--save-version: {wanted:?} is no version"))
                .hint("a version is the name of a folder: letters, digits, `.`, `-`, `_` and `+`"),
        ]);
    }
    let loads = loads(plan)?;
    let is_save = |dataset: &DatasetId| plan.producer(*dataset).is_some();
    let versioned = plan.datasets().map(|dataset| dataset.id).filter(|&id| versioned_path(plan, id).is_some());
    let saves: Vec<DatasetId> = versioned.filter(is_save).collect();
    let loads_again = plan.datasets().map(|dataset| dataset.id).filter(|&id| is_saved_here(plan, id));
    let loads_again: Vec<DatasetId> = loads_again.collect();
    let folders: Vec<&Path> = saves.iter().filter_map(|&id| versioned_path(plan, id)).map(Path::new).collect();
    let reservation = match folders.is_empty() {
        true => None,
        false => Some(reserve(&folders, wanted, now_us).map_err(|problem| vec![problem])?),
    };
    for (dataset, version) in loads {
        plan.set_version(dataset, &version);
    }
    if let Some(reservation) = &reservation {
        for dataset in saves.into_iter().chain(loads_again) {
            plan.set_version(dataset, &reservation.version);
        }
    }
    Ok(reservation)
}

/// The version of each versioned dataset that is loaded and was there before the run.
///
/// # Errors
/// Every version that is not there.
pub fn loads(plan: &Plan) -> Result<Vec<(DatasetId, String)>, Vec<Problem>> {
    let (mut loads, mut problems) = (Vec::new(), Vec::new());
    for (_, task) in plan.tasks() {
        let TaskKind::Load(dataset) = task else { continue };
        let Some(path) = versioned_path(plan, dataset).filter(|_| !is_saved_here(plan, dataset)) else { continue };
        match version_to_load(plan, dataset, path) {
            Ok(version) => loads.push((dataset, version)),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(loads) } else { Err(problems) }
}

fn versioned_path(plan: &Plan, dataset: DatasetId) -> Option<&str> {
    plan.dataset(dataset)?.storage.filter(|storage| storage.versioned).map(|storage| &*storage.path)
}

/// Whether what a load reads is the version that this run saves.
fn is_saved_here(plan: &Plan, dataset: DatasetId) -> bool {
    plan.load_version(dataset).is_none()
        && plan.origin(dataset).is_some_and(|saved| versioned_path(plan, saved).is_some())
}

/// What a person ought to know: versions that are asked for of datasets that the run makes itself.
pub fn warnings(plan: &Plan) -> Vec<String> {
    let made = plan.datasets().filter(|dataset| dataset.producer.is_some());
    made.filter_map(|dataset| {
        let wanted = plan.load_version(dataset.id)?;
        let saved = dataset.storage.map_or("", |storage| &storage.version);
        let name = dataset.name;
        Some(match plan.again(dataset.id) {
            [] => format!(
                "version `{wanted}` of dataset `{name}` was asked for, but this run saves version `{saved}` of it and hands \
                 that on; `reread = true` in its catalog entry has readers load `{wanted}`"
            ),
            _ => format!("version `{wanted}` of dataset `{name}` is loaded, this run saves version `{saved}`"),
        })
    })
    .collect()
}

fn version_to_load(plan: &Plan, dataset: DatasetId, path: &str) -> Result<String, Problem> {
    let name = plan.dataset(dataset).map_or("", |dataset| dataset.name);
    let cannot_look = |error: io::Error| {
        Problem::new(
            "unreadable-versions",
            format!("the versions of dataset `{name}` cannot be listed: {path}: {error}"),
        )
    };
    let versions = list(path).map_err(cannot_look)?;
    let file = version::file_name(path).unwrap_or_default();
    match plan.load_version(dataset) {
        Some(wanted) if versions.iter().any(|version| version == wanted) => Ok(wanted.to_owned()),
        Some(wanted) => {
            let near =
                nearest(wanted, versions.iter().map(String::as_str)).map(|near| format!("did you mean `{near}`?"));
            let latest = versions.first().map(|latest| format!("the latest is `{latest}`"));
            Err(Problem::new("no-version", format!("dataset `{name}` has no version `{wanted}`"))
                .cause(format!("there is no {path}/{wanted}/{file}"))
                .hint_if(near.or(latest)))
        }
        None => versions.into_iter().next().ok_or_else(|| {
            let problem = Problem::new("no-version", format!("dataset `{name}` has no version yet"))
                .cause(format!("there is no {path}/VERSION/{file}"));
            match Path::new(path).is_file() {
                true => {
                    problem.hint(format!("{path} is a file: move it to {path}/VERSION/{file}, or remove `versioned`"))
                }
                false => problem.hint("run first what makes it, or put a file there"),
            }
        }),
    }
}

/// The versions below a path that really hold the file, latest first.
pub fn list(path: &str) -> io::Result<Vec<String>> {
    let Some(file) = version::file_name(path) else { return Ok(Vec::new()) };
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut versions = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().into_string().ok().filter(|name| version::is_safe(name));
        if let Some(name) = name
            && entry.path().join(file).exists()
        {
            versions.push(name);
        }
    }
    versions.sort_unstable_by(|one, other| other.cmp(one));
    Ok(versions)
}

/// Where the latest version is; nothing where there is none.
pub fn latest_path(path: &str) -> io::Result<Option<String>> {
    Ok(list(path)?.first().map(|latest| version::path_of(path, latest)))
}

fn reserve(paths: &[&Path], wanted: Option<&str>, now_us: i64) -> Result<Reservation, Problem> {
    for n in 0..MOMENTS_MAX {
        let version = wanted.map_or_else(|| version_of_time(now_us.saturating_add(n * 1000)), str::to_owned);
        let mut reservation = Reservation { version, folders: Vec::new() };
        match reservation.take(paths) {
            Ok(()) => return Ok(reservation),
            // Dropped here: what it had made of this version goes again.
            Err((_, error)) if error.kind() == ErrorKind::AlreadyExists && wanted.is_none() => {}
            Err((folder, error)) if error.kind() == ErrorKind::AlreadyExists => {
                return Err(Problem::new(
                    "version-exists",
                    format!("version `{}` is there already", reservation.version),
                )
                .cause(format!("{} exists; a version is never overwritten", folder.display()))
                .hint("give another --save-version, or none: then it is the moment of the run"));
            }
            Err((folder, error)) => {
                return Err(Problem::new("unwritable-versions", format!("{} cannot be made: {error}", folder.display()))
                    .hint("a versioned dataset is kept as PATH/VERSION/FILE, so PATH must be a folder that the daemon may write"));
            }
        }
    }
    Err(Problem::new("version-exists", format!("{MOMENTS_MAX} versions from this moment on are taken"))
        .hint("is the clock right?"))
}

impl Reservation {
    /// The version.
    pub fn version(&self) -> &str {
        &self.version
    }

    fn take(&mut self, paths: &[&Path]) -> Result<(), (PathBuf, io::Error)> {
        let paths: BTreeSet<&Path> = paths.iter().copied().collect();
        let mut parents = Vec::new();
        for path in paths {
            let folder = path.join(&self.version);
            // The folder of the versions is there for them alone; those above go only if they are made here.
            parents.push(path.to_path_buf());
            parents.extend(path.ancestors().skip(1).take_while(|above| !above.exists()).map(Path::to_path_buf));
            let made = make(path, &folder);
            if made.is_ok() {
                self.folders.push(folder.clone());
            }
            if let Err(error) = made {
                self.folders.append(&mut parents);
                return Err((folder, error));
            }
        }
        self.folders.append(&mut parents);
        self.folders.sort_by_key(|folder| Reverse(folder.components().count()));
        Ok(())
    }

    /// Removes the folders that hold nothing: to be called when nothing is saved any more.
    pub fn settle(&self) {
        for folder in &self.folders {
            // Only an empty folder can be removed so; one that holds data, or is gone, stays as it is.
            let _ = std::fs::remove_dir(folder);
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.settle();
    }
}

fn make(path: &Path, folder: &Path) -> io::Result<()> {
    let mut tries = 0;
    loop {
        tries += 1;
        let made = std::fs::create_dir_all(path).and_then(|()| std::fs::create_dir(folder));
        match made {
            Err(error) if error.kind() == ErrorKind::NotFound && tries < TRIES_MAX => {}
            // That `path` is a file is told as "exists", too.
            Err(error) if error.kind() == ErrorKind::AlreadyExists && !path.is_dir() => {
                return Err(io::Error::new(ErrorKind::NotADirectory, format!("{} is no folder", path.display())));
            }
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn two_reservations_of_one_moment_never_share_a_version() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out/model.json");
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let path = path.clone();
                std::thread::spawn(move || reserve(&[&path], None, 1_000_000).unwrap())
            })
            .collect();
        let reservations: Vec<Reservation> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        let versions: BTreeSet<&str> = reservations.iter().map(Reservation::version).collect();
        assert_eq!(versions.len(), 8);
        assert!(versions.contains("1970-01-01T00.00.01.000Z") && versions.contains("1970-01-01T00.00.01.007Z"));
        let kept = path.join(reservations[3].version()).join("model.json");
        std::fs::write(&kept, "{}").unwrap();
        let version = reservations[3].version().to_owned();
        drop(reservations);
        assert_eq!(list(path.to_str().unwrap()).unwrap(), [version]);
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 1, "folders that hold nothing are gone");
    }

    #[test]
    fn what_is_taken_in_one_place_is_given_back_in_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (folder.path().join("a/one.txt"), folder.path().join("b/other.txt"));
        let first = reserve(&[&other], None, 0).unwrap();
        let second = reserve(&[&one, &other], None, 0).unwrap();
        assert_eq!((first.version(), second.version()), ("1970-01-01T00.00.00.000Z", "1970-01-01T00.00.00.001Z"));
        assert!(!one.join(first.version()).exists());
        let problem = reserve(&[&other], Some(first.version()), 0).unwrap_err();
        assert_eq!(problem.code, "version-exists");
        drop((first, second));
        assert!(!one.exists() && !other.exists(), "nothing was saved, nothing is left");
    }

    #[test]
    fn a_version_is_what_holds_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.json");
        for (version, file) in [("2024", "model.json"), ("2023", "model.json"), ("2025", "other.json")] {
            std::fs::create_dir_all(path.join(version)).unwrap();
            std::fs::write(path.join(version).join(file), "").unwrap();
        }
        std::fs::create_dir(path.join("2026")).unwrap();
        let path = path.to_str().unwrap();
        assert_eq!(list(path).unwrap(), ["2024", "2023"]);
        assert_eq!(latest_path(path).unwrap(), Some(format!("{path}/2024/model.json")));
        assert_eq!(list("/no/such/place").unwrap(), [""; 0]);
    }
}
