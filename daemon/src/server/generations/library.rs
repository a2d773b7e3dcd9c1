//! The private copy of a library: what is loaded is what was there when we looked, whatever is built over it later.
//!
//! A reload copies only what differs from the copies there are: a file that is the same by inode, size and times is not
//! even read, one of the same bytes is compared and its copy dropped. So generations share the libraries they share.
#![forbid(unsafe_code)]

use std::fs::{File, Metadata};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sha2::{Digest as _, Sha256};

use crate::ipc::message::LibraryCopy;
use crate::sys::memfd;

/// A file that changed this recently may change again without its times showing it: they move in the kernel's ticks.
const TIMES_SETTLE: Duration = Duration::from_millis(200);
/// How much is read at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// A library in a sealed memory file.
#[derive(Debug)]
pub struct Library {
    /// Where it was found.
    pub path: PathBuf,
    file: File,
    bytes: u64,
    identity: Option<Identity>,
    sha256: OnceLock<String>,
}

/// What tells a file from itself with other contents, without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Identity {
    fn of(metadata: &Metadata) -> Identity {
        Identity {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// What a write to it, or another file in its place, would change.
    fn content(&self) -> (u64, u64, u64, (i64, i64)) {
        (self.device, self.inode, self.size, self.modified)
    }

    /// Whether another change could not look the same.
    fn is_settled(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let (seconds, nanoseconds) = self.changed;
        let changed = Duration::new(u64::try_from(seconds).unwrap_or(0), u32::try_from(nanoseconds).unwrap_or(0));
        now.checked_sub(changed).is_some_and(|age| age >= TIMES_SETTLE)
    }
}

impl Library {
    /// Copies a library.
    pub fn copy(path: &Path) -> io::Result<Library> {
        let before = Identity::of(&std::fs::metadata(path)?);
        let file = File::from(memfd::immutable_copy(path, memfd::Purpose::Library)?);
        let after = Identity::of(&std::fs::metadata(path)?);
        let bytes = memfd::size(&file)?;
        // Not by the time of its last change of any kind: a further link to it changes that, and no byte.
        if before.content() != after.content() || bytes != after.size {
            return Err(io::Error::other("it changed while it was copied"));
        }
        let identity = Some(after).filter(Identity::is_settled);
        Ok(Library { path: path.to_owned(), file, bytes, identity, sha256: OnceLock::new() })
    }

    /// Takes the copy there is if the file has not changed since, and copies it if it has.
    pub fn copy_or_share(path: &Path, copies: &[Arc<Library>]) -> io::Result<Arc<Library>> {
        let here = || copies.iter().filter(|copy| copy.path == path);
        let now = Identity::of(&std::fs::metadata(path)?);
        if let Some(same) = here().find(|copy| copy.identity == Some(now)) {
            return Ok(Arc::clone(same));
        }
        let copy = Library::copy(path)?;
        for other in here() {
            if other.has_bytes_of(&copy)? {
                return Ok(Arc::clone(other));
            }
        }
        Ok(Arc::new(copy))
    }

    /// SHA-256 of the copy in hexadecimal: it names the very bytes that are loaded, since they cannot change any more.
    ///
    /// Taken when somebody first asks, for people do and runs do not: hashing would be most of the time a private daemon
    /// takes to start.
    pub fn sha256(&self) -> &str {
        self.sha256.get_or_init(|| hash(&self.file).unwrap_or_default())
    }

    /// The same if it was taken already.
    pub fn sha256_if_known(&self) -> Option<&str> {
        self.sha256.get().map(String::as_str)
    }

    /// Size of the copy.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The file's name, for messages.
    pub fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// How the zygote is told of it.
    pub fn to_message(&self) -> (LibraryCopy, BorrowedFd<'_>) {
        let sha256 = self.sha256.get().cloned().unwrap_or_default();
        let copy = LibraryCopy { name: self.name(), path: self.path.to_string_lossy().into_owned(), sha256 };
        (copy, self.file.as_fd())
    }

    fn has_bytes_of(&self, other: &Library) -> io::Result<bool> {
        if self.bytes != other.bytes {
            return Ok(false);
        }
        let (mut mine, mut theirs) = (vec![0; CHUNK_BYTES], vec![0; CHUNK_BYTES]);
        let mut offset = 0;
        while offset < self.bytes {
            let length = usize::try_from(self.bytes - offset).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
            self.file.read_exact_at(&mut mine[..length], offset)?;
            other.file.read_exact_at(&mut theirs[..length], offset)?;
            if mine[..length] != theirs[..length] {
                return Ok(false);
            }
            offset += length as u64;
        }
        Ok(true)
    }
}

fn hash(file: &File) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut offset = 0;
    loop {
        let length = file.read_at(&mut buffer, offset)?;
        if length == 0 {
            return Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect());
        }
        hash.update(&buffer[..length]);
        offset += length as u64;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn the_hash_is_that_of_the_bytes_that_were_copied() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "abc").unwrap();
        let library = Library::copy(file.path()).unwrap();
        std::fs::write(file.path(), "xyz").unwrap();
        assert_eq!(library.sha256_if_known(), None);
        assert_eq!(library.sha256(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert!(Library::copy(Path::new("/nonexistent")).is_err());
    }

    #[test]
    fn a_copy_is_shared_as_long_as_the_bytes_are_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("liba.so");
        std::fs::write(&path, "abc").unwrap();
        let first = Library::copy_or_share(&path, &[]).unwrap();
        let copies = [Arc::clone(&first)];
        let shares = || Arc::ptr_eq(&first, &Library::copy_or_share(&path, &copies).unwrap());
        assert!(shares());
        // Another file of the same bytes, and then other bytes of the same length within the same tick of the clock.
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "abc").unwrap();
        assert!(shares());
        std::fs::write(&path, "abd").unwrap();
        assert!(!shares());
    }

    #[test]
    fn a_file_that_has_just_changed_is_not_known_by_its_times() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let identity = |seconds: u64| {
            let changed = (i64::try_from(seconds).unwrap(), 0);
            Identity { device: 1, inode: 1, size: 1, modified: changed, changed }
        };
        assert!(identity(now.as_secs() - 2).is_settled());
        assert!(!identity(now.as_secs() + 2).is_settled());
    }
}
