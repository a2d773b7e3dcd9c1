//! Whether somebody is writing to a file, asked of the kernel.

use std::fs::File;
use std::os::fd::AsRawFd as _;

use nix::errno::Errno;
use nix::libc;

/// `fcntl`'s command that chooses the signal; the `libc` crate lacks it for glibc.
const F_SETSIG: libc::c_int = 10;

/// Whether any process has the file open for writing. Nothing where this process may not know: the file is another user's.
///
/// A read lease is given only on a file that nobody writes to; it is given back at once.
pub fn has_writer(file: &File) -> Option<bool> {
    let descriptor = file.as_raw_fd();
    // SAFETY: takes numbers only. Who opens the file for writing while the lease is held makes the kernel send a signal, by
    // default one that would end this process; this one is ignored unless somebody handles it.
    let prepared = unsafe { libc::fcntl(descriptor, F_SETSIG, libc::SIGURG) };
    if prepared != 0 {
        return None;
    }
    // SAFETY: takes numbers only, and `descriptor` is open for as long as `file` is borrowed.
    let taken = unsafe { libc::fcntl(descriptor, libc::F_SETLEASE, libc::F_RDLCK) };
    match Errno::result(taken) {
        Ok(_) => {
            // SAFETY: as above.
            let _ = unsafe { libc::fcntl(descriptor, libc::F_SETLEASE, libc::F_UNLCK) };
            Some(false)
        }
        Err(Errno::EAGAIN) => Some(true),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn a_writer_is_seen_until_it_has_closed_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let writer = File::create(&path).unwrap();
        let reader = File::open(&path).unwrap();
        let Some(seen) = has_writer(&reader) else { return println!("skipped: this file system knows no leases") };
        assert!(seen);
        drop(writer);
        assert_eq!(has_writer(&reader), Some(false));
    }
}
