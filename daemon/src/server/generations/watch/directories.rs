//! The plugin directories under inotify, also those that are not there yet.
//!
//! Of a directory that is there, what happens to its libraries is told. Of one that is not, the nearest folder above it is
//! watched for the next part of its path, and so is the folder of every symbolic link on the way: deployments swap those.
//! What happens to folders above that, such as a rename, is not seen.
#![forbid(unsafe_code)]

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};

use super::super::find::is_library_name;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Somebody writes to a library.
    Begun(PathBuf),
    /// A library was written, renamed to this name, linked, or its mode changed.
    Finished(PathBuf),
    /// A library was removed or renamed to another name.
    Gone(PathBuf),
    /// A directory came, went or was replaced, or events were lost: all must be looked at again.
    Directory,
}

/// The directories.
#[derive(Debug)]
pub struct Directories {
    inotify: Inotify,
    wanted: Vec<PathBuf>,
    watches: HashMap<WatchDescriptor, Watch>,
}

#[derive(Debug, Default)]
struct Watch {
    folder: PathBuf,
    /// Whether its libraries are of interest.
    libraries: bool,
    /// Entries that are parts of paths to directories.
    parts: BTreeSet<OsString>,
}

impl Directories {
    /// Watches these.
    pub fn watch(wanted: Vec<PathBuf>) -> std::io::Result<Directories> {
        let mut directories = Directories { inotify: init()?, wanted, watches: HashMap::new() };
        directories.add_all();
        Ok(directories)
    }

    /// Watches these instead; says whether they are others.
    pub fn follow(&mut self, wanted: Vec<PathBuf>) -> bool {
        let are_others = wanted != self.wanted;
        if are_others {
            self.wanted = wanted;
            self.look_again();
        }
        are_others
    }

    /// Finds out anew where they are. What happened in between is to be looked for by the caller.
    pub fn look_again(&mut self) {
        match init() {
            Ok(inotify) => {
                self.inotify = inotify;
                self.watches.clear();
                self.add_all();
            }
            Err(error) => log::warn!("plugin directories that came or went are not watched: {error}"),
        }
    }

    /// What has happened; does not wait.
    pub fn read(&self) -> Vec<Change> {
        let mut changes = Vec::new();
        loop {
            match self.inotify.read_events() {
                Ok(events) if events.is_empty() => break,
                Ok(events) => changes.extend(events.into_iter().filter_map(|event| self.change(event))),
                Err(Errno::EINTR) => {}
                Err(_) => break,
            }
        }
        changes.dedup();
        changes
    }

    fn add_all(&mut self) {
        for directory in self.wanted.clone() {
            self.add(&directory);
        }
    }

    fn add(&mut self, directory: &Path) {
        let Ok(directory) = std::path::absolute(directory) else { return };
        let mut here = PathBuf::new();
        for part in directory.components() {
            let above = here.clone();
            here.push(part);
            if above.as_os_str().is_empty() {
                continue;
            }
            if std::fs::symlink_metadata(&here).is_ok_and(|metadata| metadata.is_symlink()) {
                self.add_watch(&above, Some(part.as_os_str().to_owned()));
            }
            if !here.exists() {
                self.add_watch(&above, Some(part.as_os_str().to_owned()));
                // It may have come before it was watched for.
                if !here.exists() {
                    return;
                }
            }
        }
        self.add_watch(&directory, None);
    }

    /// Watches a folder for an entry, or for libraries.
    fn add_watch(&mut self, folder: &Path, part: Option<OsString>) {
        type Flags = AddWatchFlags;
        let mut flags = Flags::IN_CREATE | Flags::IN_MOVED_TO | Flags::IN_MOVED_FROM | Flags::IN_DELETE;
        flags |= Flags::IN_DELETE_SELF | Flags::IN_MOVE_SELF | Flags::IN_ONLYDIR;
        // A folder may be watched for both; the flags of the first stay. nix does not name this one.
        flags |= Flags::from_bits_retain(nix::libc::IN_MASK_ADD);
        if part.is_none() {
            flags |= Flags::IN_CLOSE_WRITE | Flags::IN_MODIFY | Flags::IN_ATTRIB;
        }
        match self.inotify.add_watch(folder, flags) {
            Ok(descriptor) => {
                let watch = self.watches.entry(descriptor).or_default();
                folder.clone_into(&mut watch.folder);
                watch.libraries |= part.is_none();
                watch.parts.extend(part);
            }
            // Gone since, or not ours to read: there is nothing to load from it either.
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::EACCES) => {}
            Err(error) => {
                log::warn!("{} is not watched: {error} (fs.inotify.max_user_watches bounds it)", folder.display())
            }
        }
    }

    fn change(&self, event: InotifyEvent) -> Option<Change> {
        type Flags = AddWatchFlags;
        if event.mask.contains(Flags::IN_Q_OVERFLOW) {
            return Some(Change::Directory);
        }
        let watch = self.watches.get(&event.wd)?;
        let gone = Flags::IN_DELETE_SELF | Flags::IN_MOVE_SELF | Flags::IN_IGNORED | Flags::IN_UNMOUNT;
        let Some(name) = event.name else {
            // The folder itself: it went, or its mode changed.
            let matters = event.mask.intersects(gone) || watch.libraries;
            return matters.then_some(Change::Directory);
        };
        if watch.parts.contains(&name) {
            return Some(Change::Directory);
        }
        if !watch.libraries || !is_library_name(&name) || event.mask.contains(Flags::IN_ISDIR) {
            return None;
        }
        let file = watch.folder.join(&name);
        if event.mask.contains(Flags::IN_MODIFY) {
            return Some(Change::Begun(file));
        }
        if event.mask.contains(Flags::IN_CREATE) && is_about_to_be_written(&file) {
            return Some(Change::Begun(file));
        }
        if event.mask.intersects(Flags::IN_DELETE | Flags::IN_MOVED_FROM) {
            return Some(Change::Gone(file));
        }
        Some(Change::Finished(file))
    }
}

impl AsFd for Directories {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

fn init() -> std::io::Result<Inotify> {
    Ok(Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?)
}

/// Of a new entry: a file that was opened to be made, and no link to something that is there already.
fn is_about_to_be_written(file: &Path) -> bool {
    std::fs::symlink_metadata(file).is_ok_and(|metadata| metadata.is_file() && metadata.nlink() == 1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use std::fs;
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_library_is_begun_while_it_is_written_and_finished_when_it_is_closed_renamed_linked_or_gone() {
        let root = tempfile::tempdir().unwrap();
        let library = root.path().join("liba.so");
        let directories = Directories::watch(vec![root.path().to_owned()]).unwrap();
        let (begun, finished) = (Change::Begun(library.clone()), Change::Finished(library.clone()));

        let mut file = fs::File::create(&library).unwrap();
        file.write_all(b"half").unwrap();
        let changes = directories.read();
        assert!(changes.contains(&begun) && !changes.contains(&finished), "{changes:?}");
        drop(file);
        assert_eq!(directories.read(), std::slice::from_ref(&finished));

        fs::write(root.path().join("notes.txt"), "").unwrap();
        fs::write(root.path().join("libnew.so.part"), "").unwrap();
        assert_eq!(directories.read(), []);
        fs::rename(root.path().join("libnew.so.part"), &library).unwrap();
        assert_eq!(directories.read().last(), Some(&finished));
        fs::remove_file(&library).unwrap();
        assert_eq!(directories.read().last(), Some(&Change::Gone(library.clone())));
        fs::hard_link(root.path().join("notes.txt"), &library).unwrap();
        assert_eq!(directories.read().last(), Some(&finished));
    }

    #[test]
    fn a_directory_is_found_when_it_comes_and_when_it_is_swapped() {
        let root = tempfile::tempdir().unwrap();
        let wanted = root.path().join("current/lib/plugins");
        let mut directories = Directories::watch(vec![wanted.clone()]).unwrap();
        fs::create_dir_all(root.path().join("one/lib")).unwrap();
        assert_eq!(directories.read(), [], "nothing on the way to it");
        std::os::unix::fs::symlink("one", root.path().join("current")).unwrap();
        assert_eq!(directories.read(), [Change::Directory]);
        directories.look_again();
        fs::create_dir(&wanted).unwrap();
        assert_eq!(directories.read(), [Change::Directory]);
        directories.look_again();
        fs::write(wanted.join("liba.so"), "").unwrap();
        assert!(directories.read().contains(&Change::Finished(wanted.join("liba.so"))));
        // Another release takes its place.
        fs::create_dir_all(root.path().join("two/lib/plugins")).unwrap();
        std::os::unix::fs::symlink("two", root.path().join("next")).unwrap();
        fs::rename(root.path().join("next"), root.path().join("current")).unwrap();
        assert!(directories.read().contains(&Change::Directory));
        directories.look_again();
        fs::write(wanted.join("libb.so"), "").unwrap();
        assert!(directories.read().contains(&Change::Finished(wanted.join("libb.so"))));
    }
}
