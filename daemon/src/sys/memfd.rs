//! Memory files without a name: create, reserve, seal, inspect.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd as _, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, FcntlArg, SealFlag, fallocate, fcntl};
use nix::libc;
use nix::sys::stat::fstat;
use nix::unistd::ftruncate;

/// What a memory file is for; the kernel logs one that could be executed and need not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Data: never executable.
    Data,
    /// The private copy of a shared library.
    Library,
}

/// Every seal: neither shrunk, nor grown, nor written, nor unsealed, by anyone, ever.
pub const IMMUTABLE: SealFlag =
    SealFlag::F_SEAL_SHRINK.union(SealFlag::F_SEAL_GROW).union(SealFlag::F_SEAL_WRITE).union(SealFlag::F_SEAL_SEAL);

/// Seals of a file whose size is fixed and whose contents stay writable: a page of atomics.
pub const FIXED_SIZE: SealFlag = SealFlag::F_SEAL_SHRINK.union(SealFlag::F_SEAL_GROW).union(SealFlag::F_SEAL_SEAL);

/// Seals of a file that only the mapping its owner has already can write to: no other process, and no later mapping, ever can.
pub const OWNER_WRITES: SealFlag = FIXED_SIZE.union(SealFlag::F_SEAL_FUTURE_WRITE);

/// Creates an empty memory file that can be sealed. The name shows up in `/proc/PID/maps` and nowhere else.
pub fn create(name: &str, purpose: Purpose) -> io::Result<OwnedFd> {
    let name = CString::new(name)?;
    let base = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    let executable = match purpose {
        Purpose::Data => libc::MFD_NOEXEC_SEAL,
        Purpose::Library => libc::MFD_EXEC,
    };
    match memfd_create(&name, base | executable) {
        // Kernels before 6.3 do not know the second kind of flag.
        Err(problem) if problem.raw_os_error() == Some(libc::EINVAL) => memfd_create(&name, base),
        result => result,
    }
}

/// `memfd_create` itself; nix's flag type lacks the `EXEC` and `NOEXEC_SEAL` flags.
fn memfd_create(name: &CString, flags: libc::c_uint) -> io::Result<OwnedFd> {
    // SAFETY: `name` is a string that ends in NUL and lives until the call returns; the kernel copies it.
    let raw = unsafe { libc::memfd_create(name.as_ptr(), flags) };
    let raw = Errno::result(raw)?;
    // SAFETY: the call succeeded, so `raw` is a new open descriptor that nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Makes the file at least `size` bytes long with memory behind every byte, so that touching it can never fault.
pub fn reserve(file: impl AsFd, size: u64) -> io::Result<()> {
    let size = libc::off_t::try_from(size).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    loop {
        match fallocate(&file, FallocateFlags::empty(), 0, size) {
            Err(Errno::EINTR) => {}
            result => return Ok(result?),
        }
    }
}

/// Cuts the file to `size` bytes; what lies beyond goes back to the system.
pub fn truncate(file: impl AsFd, size: u64) -> io::Result<()> {
    let size = libc::off_t::try_from(size).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    Ok(ftruncate(file, size)?)
}

/// Adds seals. `EBUSY` means that a writable map of the file still exists somewhere.
pub fn seal(file: impl AsFd, seals: SealFlag) -> io::Result<()> {
    fcntl(file, FcntlArg::F_ADD_SEALS(seals))?;
    Ok(())
}

/// The seals of a file; `EINVAL` if it cannot have any.
pub fn seals(file: impl AsFd) -> io::Result<SealFlag> {
    let bits = fcntl(file, FcntlArg::F_GET_SEALS)?;
    Ok(SealFlag::from_bits_truncate(bits))
}

/// Size in bytes.
pub fn size(file: impl AsFd) -> io::Result<u64> {
    Ok(u64::try_from(fstat(file)?.st_size).unwrap_or(0))
}

/// The inode: two descriptors with the same one share the very same pages.
pub fn inode(file: impl AsFd) -> io::Result<u64> {
    Ok(fstat(file)?.st_ino)
}

/// A private copy of a file that nobody can change any more, whatever happens to the original.
pub fn immutable_copy(path: &Path, purpose: Purpose) -> io::Result<OwnedFd> {
    let mut original = File::open(path)?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    // The kernel refuses names of 250 bytes and more.
    let name: String = name.chars().filter(|c| *c != '\0').take(60).collect();
    let mut copy = File::from(create(&name, purpose)?);
    io::copy(&mut original, &mut copy)?;
    seal(&copy, IMMUTABLE)?;
    Ok(copy.into())
}

/// The path under which this process, and only this process, can open the file again.
pub fn path(file: BorrowedFd<'_>) -> String {
    use std::os::fd::AsRawFd as _;
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::io::Write as _;
    use std::os::unix::fs::FileExt as _;

    use super::*;

    #[test]
    fn a_sealed_file_can_be_read_and_nothing_else() {
        let mut file = File::from(create("test", Purpose::Data).unwrap());
        file.write_all(b"hello").unwrap();
        seal(&file, IMMUTABLE).unwrap();
        assert_eq!(seals(&file).unwrap() & IMMUTABLE, IMMUTABLE);
        assert!(file.write_at(b"x", 0).is_err());
        assert!(truncate(&file, 0).is_err());
        assert!(reserve(&file, 4096).is_err());
        assert!(seal(&file, SealFlag::F_SEAL_FUTURE_WRITE).is_err());
        // Opening it anew does not help either.
        let again = File::options().read(true).write(true).open(path(file.as_fd())).unwrap();
        assert!(again.write_at(b"x", 0).is_err());
        let mut text = [0; 5];
        file.read_exact_at(&mut text, 0).unwrap();
        assert_eq!(&text, b"hello");
    }

    #[test]
    fn a_copy_survives_a_change_of_the_original() {
        let mut original = tempfile::NamedTempFile::new().unwrap();
        original.write_all(b"first").unwrap();
        let copy = File::from(immutable_copy(original.path(), Purpose::Library).unwrap());
        original.as_file().write_at(b"other", 0).unwrap();
        let mut text = [0; 5];
        copy.read_exact_at(&mut text, 0).unwrap();
        assert_eq!(&text, b"first");
    }

    #[test]
    fn reserving_more_than_the_kernel_can_count_is_an_error() {
        let file = create("test", Purpose::Data).unwrap();
        assert!(reserve(&file, u64::MAX).is_err());
        assert_eq!(size(&file).unwrap(), 0);
    }
}
