//! The private copy of a library: what is loaded is what was there when we looked, whatever is built over it later.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::ipc::message::LibraryCopy;
use crate::sys::memfd;

/// A library in a sealed memory file.
#[derive(Debug)]
pub struct Library {
    /// Where it was found.
    pub path: PathBuf,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    file: OwnedFd,
}

impl Library {
    /// Copies and hashes a library. The hash is taken of the copy, so it names the very bytes that are loaded.
    pub fn copy(path: &Path) -> io::Result<Library> {
        let file = File::from(memfd::immutable_copy(path, memfd::Purpose::Library)?);
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 256 * 1024];
        let mut offset = 0;
        loop {
            let length = file.read_at(&mut buffer, offset)?;
            if length == 0 {
                break;
            }
            hash.update(&buffer[..length]);
            offset += length as u64;
        }
        let sha256 = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Library { path: path.to_owned(), sha256, file: file.into() })
    }

    /// The file's name, for messages.
    pub fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// How the zygote is told of it.
    pub fn to_message(&self) -> (LibraryCopy, BorrowedFd<'_>) {
        let copy = LibraryCopy {
            name: self.name(),
            path: self.path.to_string_lossy().into_owned(),
            sha256: self.sha256.clone(),
        };
        (copy, self.file.as_fd())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn the_hash_is_that_of_the_bytes() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "abc").unwrap();
        let library = Library::copy(file.path()).unwrap();
        assert_eq!(library.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert!(Library::copy(Path::new("/nonexistent")).is_err());
    }
}
