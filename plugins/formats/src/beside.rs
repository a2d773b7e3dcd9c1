//! Writing a file so that nobody ever sees half of it.
//!
//! The content goes into a file beside the target, is brought to the disk, and only then takes the target's name. Where the
//! file system can do it, the new file has no name at all while it is written (`O_TMPFILE`), so that even a
//! killed worker leaves nothing behind; elsewhere it has a hidden one, removed when writing fails.
//!
//! A long file is brought to the disk while it is written, so that there is less to wait for at its end.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use nix::fcntl::{AT_FDCWD, AtFlags, OFlag};

use crate::compression::{Compression, Packer};
use crate::problem::{Problem, Result};

/// Replaces the file at `path` by what `write` produces, packed as the path's suffix says. Missing directories are made.
/// On failure the old file stands and nothing new is left.
///
/// A link is followed, and what is no file (a pipe, a device) is written to, not replaced.
pub fn replace(path: &Path, write: impl FnOnce(&mut (dyn Write + Send)) -> Result<()>) -> Result<()> {
    let mut new = Replacement::begin(path)?;
    write(&mut new).map_err(|problem| problem.while_writing(path))?;
    new.finish()
}

/// The same in pieces: what is written to it takes the place of the file at its path when it is finished. Dropped before, it
/// has failed, and the old file stands.
pub struct Replacement {
    path: PathBuf,
    /// The path with links followed.
    target: PathBuf,
    content: Packer<BufWriter<File>>,
    /// Nothing where what stands at the path is written to and not replaced.
    new: Option<NewFile>,
    /// Written since the disk was last given something to do.
    held_back: usize,
    /// Brings to the disk what was written so far; nothing as long as that is little.
    syncing: Option<Syncing>,
}

impl Replacement {
    /// So much is worth waking a disk for.
    const SYNC_BYTES: usize = 2 << 20;

    /// Begins to write what will stand at `path`.
    pub fn begin(path: &Path) -> Result<Self> {
        Self::open(path).map_err(|problem| problem.while_writing(path))
    }

    fn open(path: &Path) -> Result<Self> {
        let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let is_special = std::fs::metadata(&target).is_ok_and(|found| !found.is_file() && !found.is_dir());
        let (file, new) = if is_special {
            (OpenOptions::new().write(true).open(&target)?, None)
        } else {
            let directory = directory_of(&target);
            std::fs::create_dir_all(directory).map_err(|error| Problem::making_directory(&target, directory, error))?;
            if target.is_dir() {
                return Err(Problem::writing(&target, io::ErrorKind::IsADirectory.into()));
            }
            let new = NewFile::create(directory, &target)?;
            (new.file.try_clone()?, Some(new))
        };
        let content = Compression::of(&target).writer(BufWriter::with_capacity(1 << 16, file))?;
        Ok(Self { path: path.to_owned(), target, content, new, held_back: 0, syncing: None })
    }

    /// The path that was asked for.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Brings what was written to the disk, and puts it in the place of what was there.
    pub fn finish(self) -> Result<()> {
        let Self { path, target, content, new, syncing, .. } = self;
        let finished = || -> Result<()> {
            content.finish()?.flush()?;
            let Some(mut new) = new else { return Ok(()) };
            // The kernel tells of a failure to write once, and may have told it there.
            syncing.map_or(Ok(()), Syncing::finish)?;
            new.file.sync_all()?;
            new.take_name(&target)?;
            // The file is whole and has its name. That the name survives a loss of power as well is for the directory to
            // say; a file system that cannot say it is no reason to call the save a failure.
            let _ = File::open(directory_of(&target)).and_then(|directory| directory.sync_all());
            Ok(())
        };
        finished().map_err(|problem| problem.while_writing(&path))
    }
}

impl Write for Replacement {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.content.write(bytes)?;
        self.held_back += written;
        if self.held_back >= Self::SYNC_BYTES
            && let Some(new) = &self.new
        {
            self.held_back = 0;
            if self.syncing.is_none() {
                self.syncing = Syncing::start(&new.file);
            }
            if let Some(syncing) = &self.syncing {
                syncing.wake();
            }
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.content.flush()
    }
}

/// A thread that brings a file to the disk while it is written.
struct Syncing {
    calls: SyncSender<()>,
    thread: JoinHandle<io::Result<()>>,
}

impl Syncing {
    /// Nothing if there is no thread to be had: then all is left for the end.
    fn start(file: &File) -> Option<Self> {
        let file = file.try_clone().ok()?;
        let (calls, called) = sync_channel(1);
        let sync = move || called.iter().try_for_each(|()| file.sync_data());
        let thread = std::thread::Builder::new().name("sync".to_owned()).spawn(sync).ok()?;
        Some(Self { calls, thread })
    }

    /// There is more; if it is at it, it goes on after that.
    fn wake(&self) {
        // Full: it knows. Closed: it has failed, which is told at the end.
        let _ = self.calls.try_send(());
    }

    /// Waits for it.
    fn finish(self) -> io::Result<()> {
        drop(self.calls);
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// A file that is not yet what it will be.
struct NewFile {
    file: File,
    directory: PathBuf,
    /// Its name for now; removed unless taken away.
    name: Option<PathBuf>,
}

impl NewFile {
    fn create(directory: &Path, path: &Path) -> io::Result<Self> {
        let nameless = OpenOptions::new().write(true).custom_flags(OFlag::O_TMPFILE.bits()).open(directory);
        let (file, name) = match nameless {
            Ok(file) => (file, None),
            // Not every file system has nameless files; these are the ways of saying so.
            Err(error) if matches!(error.raw_os_error(), Some(code) if is_unsupported(code)) => {
                let create = |name: &Path| OpenOptions::new().write(true).create_new(true).open(name);
                let (file, name) = with_free_name(directory, path, create)?;
                (file, Some(name))
            }
            Err(error) => return Err(error),
        };
        Ok(Self { file, directory: directory.to_owned(), name })
    }

    /// Puts the file in the place of the one at `path`.
    fn take_name(&mut self, path: &Path) -> io::Result<()> {
        if self.name.is_none() {
            // A link cannot replace a file, a rename can: so the file gets a name beside for the moment between.
            let nameless = PathBuf::from(format!("/proc/self/fd/{}", self.file.as_raw_fd()));
            let link =
                |name: &Path| Ok(nix::unistd::linkat(AT_FDCWD, &nameless, AT_FDCWD, name, AtFlags::AT_SYMLINK_FOLLOW)?);
            self.name = Some(with_free_name(&self.directory, path, link)?.1);
        }
        if let Some(name) = &self.name {
            std::fs::rename(name, path)?;
        }
        self.name = None;
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Some(name) = self.name.take() {
            // Writing has failed already and is being reported; a failure to tidy up adds nothing to that.
            let _ = std::fs::remove_file(name);
        }
    }
}

fn is_unsupported(code: i32) -> bool {
    use nix::errno::Errno;
    [Errno::EOPNOTSUPP, Errno::EISDIR, Errno::EINVAL, Errno::ENOENT].contains(&Errno::from_raw(code))
}

/// Makes something under a hidden name in `directory`. A name that is taken (by what a killed worker that had this process's
/// number left behind) makes way for the next.
fn with_free_name<T>(directory: &Path, path: &Path, make: impl Fn(&Path) -> io::Result<T>) -> io::Result<(T, PathBuf)> {
    loop {
        let name = beside(directory, path);
        match make(&name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => return Ok((made?, name)),
        }
    }
}

/// A hidden name in `directory` that no other save of this process uses.
fn beside(directory: &Path, path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}-{count}.part", std::process::id()));
    directory.join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(directory: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(directory).expect("directory");
        let mut names: Vec<_> =
            entries.map(|entry| entry.expect("entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    fn text(content: &str) -> impl FnOnce(&mut (dyn Write + Send)) -> Result<()> {
        move |out| Ok(out.write_all(content.as_bytes())?)
    }

    #[test]
    fn replaces_and_makes_directories() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("a/b/file.txt");
        for content in ["first", "second"] {
            replace(&path, text(content)).expect(content);
            assert_eq!(std::fs::read_to_string(&path).expect(content), content);
        }
        assert_eq!(listing(path.parent().expect("parent")), ["file.txt"]);
    }

    #[test]
    fn a_failed_save_leaves_the_old_file_alone() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("file.txt");
        replace(&path, text("old")).expect("old");
        let failed = replace(&path, |out| {
            out.write_all(&[b'x'; 1 << 20])?;
            Err(Problem::new("column `a` does not fit"))
        });
        let message = failed.expect_err("fails").to_string();
        assert_eq!(message, format!("cannot write `{}`: column `a` does not fit", path.display()));
        assert_eq!(std::fs::read_to_string(&path).expect("old"), "old");
        assert_eq!(listing(directory.path()), ["file.txt"]);
    }

    #[test]
    fn a_long_file_is_whole_and_a_long_one_that_fails_is_not_there() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("file.txt");
        let content: Vec<u8> = (0..5 * Replacement::SYNC_BYTES).map(|place| (place / 1000) as u8).collect();
        let mut new = Replacement::begin(&path).expect("begun");
        content.chunks(300_000).for_each(|piece| new.write_all(piece).expect("written"));
        assert!(new.syncing.is_some());
        new.finish().expect("finished");
        assert!(std::fs::read(&path).expect("file") == content);
        let failed = replace(&path, |out| {
            out.write_all(&content[7..])?;
            Err(Problem::new("column `a` does not fit"))
        });
        assert!(failed.is_err() && std::fs::read(&path).expect("file") == content);
        assert_eq!(listing(directory.path()), ["file.txt"]);
    }

    #[test]
    fn a_reader_never_sees_half_a_file() {
        use std::sync::atomic::{AtomicBool, Ordering};

        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("file.txt");
        // Written in pieces far apart, so that a reader of a file under way would see fewer of them, or two kinds.
        let save = |letter: u8| {
            replace(&path, |out| {
                for _ in 0..8 {
                    out.write_all(&[letter; 4096])?;
                    out.flush()?;
                    std::thread::yield_now();
                }
                Ok(())
            })
        };
        save(b'a').expect("the first");
        let saving = AtomicBool::new(true);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for n in 0..200 {
                    save(b'a' + n % 26).expect("saved");
                }
                saving.store(false, Ordering::Relaxed);
            });
            while saving.load(Ordering::Relaxed) {
                let seen = std::fs::read(&path).expect("always there");
                assert_eq!(seen.len(), 8 * 4096);
                assert!(seen.iter().all(|letter| *letter == seen[0]), "two files in one");
            }
        });
    }

    #[test]
    fn a_named_new_file_goes_away_when_writing_fails() {
        let directory = tempfile::tempdir().expect("directory");
        let name = beside(directory.path(), Path::new("file.txt"));
        let file = File::create(&name).expect("file");
        drop(NewFile { file, directory: directory.path().to_owned(), name: Some(name) });
        assert!(listing(directory.path()).is_empty());
    }

    #[test]
    fn what_a_killed_worker_left_is_not_in_the_way() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("file.txt");
        let next = beside(directory.path(), &path).display().to_string();
        let (stem, count) = next.trim_end_matches(".part").rsplit_once('-').expect("a count");
        let count: u64 = count.parse().expect("a count");
        // Other tests count on meanwhile.
        let left: Vec<String> = (count + 1..count + 50).map(|count| format!("{stem}-{count}.part")).collect();
        left.iter().for_each(|name| std::fs::write(name, "left").expect("left"));
        replace(&path, text("new")).expect("replaced");
        assert_eq!(std::fs::read_to_string(&path).expect("file"), "new");
        let create = |name: &Path| OpenOptions::new().write(true).create_new(true).open(name);
        let (_, name) = with_free_name(directory.path(), &path, create).expect("a free name");
        assert!(!left.contains(&name.display().to_string()));
        assert!(left.iter().all(|name| std::fs::read(name).is_ok_and(|content| content == b"left")));
    }

    #[test]
    fn a_full_disk_is_called_so() {
        let problem = replace(Path::new("/dev/full"), text("content")).expect_err("full");
        assert_eq!(problem.to_string(), "cannot write `/dev/full`: the disk is full");
        assert!(Path::new("/dev/full").metadata().is_ok_and(|found| !found.is_file()));
    }

    #[test]
    fn names_what_is_in_the_way() {
        let directory = tempfile::tempdir().expect("directory");
        let file = directory.path().join("file");
        replace(&file, text("")).expect("file");
        let below = replace(&file.join("below"), text("")).expect_err("a file is no directory");
        assert!(below.to_string().ends_with("cannot be made: a part of its path is a file"), "{below}");
        assert!(below.hint_text().is_some());
        let onto = replace(directory.path(), text("")).expect_err("a directory");
        assert!(onto.to_string().contains("is a directory"), "{onto}");
    }

    #[test]
    fn follows_a_link() {
        let directory = tempfile::tempdir().expect("directory");
        let (file, link) = (directory.path().join("file"), directory.path().join("link"));
        replace(&file, text("old")).expect("file");
        std::os::unix::fs::symlink(&file, &link).expect("link");
        replace(&link, text("new")).expect("through the link");
        assert_eq!(std::fs::read_to_string(&file).expect("file"), "new");
        assert!(link.is_symlink());
    }
}
