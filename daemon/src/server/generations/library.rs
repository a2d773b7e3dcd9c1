//! The private copy of a library: what is loaded is what was there when we looked, whatever is built over it later.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use sha2::{Digest as _, Sha256};

use crate::ipc::message::LibraryCopy;
use crate::sys::memfd;

/// A library in a sealed memory file.
#[derive(Debug)]
pub struct Library {
    /// Where it was found.
    pub path: PathBuf,
    file: File,
    sha256: OnceLock<String>,
}

impl Library {
    /// Copies a library.
    pub fn copy(path: &Path) -> io::Result<Library> {
        let file = File::from(memfd::immutable_copy(path, memfd::Purpose::Library)?);
        Ok(Library { path: path.to_owned(), file, sha256: OnceLock::new() })
    }

    /// SHA-256 of the copy in hexadecimal: it names the very bytes that are loaded, since they cannot change any more.
    ///
    /// Taken when somebody first asks, for people do and runs do not: hashing would be most of the time a private daemon
    /// takes to start.
    pub fn sha256(&self) -> &str {
        self.sha256.get_or_init(|| hash(&self.file).unwrap_or_default())
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
}

fn hash(file: &File) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
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
        assert_eq!(library.sha256(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert!(Library::copy(Path::new("/nonexistent")).is_err());
    }
}
