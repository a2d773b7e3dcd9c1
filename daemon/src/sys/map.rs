//! Shared mappings: of immutable files for reading, of a file being written, and of a page of atomics.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _};
use std::ptr::NonNull;

use memmap2::{Mmap, MmapOptions, MmapRaw, RemapOptions};
use nix::errno::Errno;
use nix::libc;
use nix::sys::mman::{MmapAdvise, ProtFlags};

use super::memfd;

/// Maps an immutable file for reading. The check that it is sealed is made here, by `memmap2`, on the very file that
/// is mapped; without it the bytes could change, or vanish with a SIGBUS, under the reader.
pub fn immutable(file: impl AsFd, size: usize) -> io::Result<Mmap> {
    MmapOptions::new().len(size).map_if_safe(file.as_fd().as_raw_fd()).map_err(io::Error::other)
}

/// Maps a file for reading that only its owner can write to, through the mapping it has already. The seals are checked here;
/// what the owner does to bytes that somebody reads is for the caller's protocol to rule out.
pub fn of_owner(file: impl AsFd, size: usize) -> io::Result<Mmap> {
    let seals = memfd::seals(&file)?;
    let found = memfd::size(&file)?;
    if !seals.contains(memfd::OWNER_WRITES) || found < size as u64 {
        return Err(io::Error::other(format!(
            "{found} bytes with seals {seals:?}, expected {size} with {:?}",
            memfd::OWNER_WRITES
        )));
    }
    // SAFETY: the file cannot shrink (sealed, checked above), so no access faults. Nobody can write to it but its owner, whose
    // pages are read-only from the moment it hands out a part of them until the server gives that part back to it; the server does
    // so when nobody reads it any more (`block::segment`). Bytes outside of parts that were handed out are not looked at.
    unsafe { MmapOptions::new().len(size).map(file.as_fd().as_raw_fd()) }
}

/// A writable shared mapping of a file that is being built. Its memory is reached by pointer only, since whoever is
/// told the address (a plugin) may write to it at any time.
#[derive(Debug)]
pub struct Writable(MmapRaw);

impl Writable {
    /// Maps the first `size` bytes of a file, which must have them: memory beyond the end of a file faults.
    pub fn new(file: impl AsFd, size: usize) -> io::Result<Writable> {
        Ok(Writable(MmapOptions::new().len(size).map_raw(file.as_fd().as_raw_fd())?))
    }

    /// Where it begins.
    pub fn start(&self) -> *mut u8 {
        self.0.as_mut_ptr()
    }

    /// How many bytes it spans.
    pub fn size(&self) -> usize {
        self.0.len()
    }

    /// Changes the size; the mapping may move. The same condition as for [`Writable::new`] applies.
    pub fn resize(&mut self, size: usize) -> io::Result<()> {
        // SAFETY: no reference into the mapping exists: this type hands out raw pointers only, whose holders are told
        // that they end here; the mapping itself is exclusively borrowed.
        unsafe { self.0.remap(size, RemapOptions::new().may_move(true)) }
    }

    /// Puts memory behind `length` bytes from `offset` on, in one go: no later access to them faults, neither for want of memory nor one
    /// page after the other.
    pub fn populate(&self, offset: usize, length: usize) -> io::Result<()> {
        let place = self.page(offset, length)?;
        // Where the kernel gives huge pages to shared memory it is asked for them; where it does not, this says so and nothing else.
        // SAFETY: the range lies within the live mapping; the advice changes what backs it, never what it holds.
        let _ = unsafe { nix::sys::mman::madvise(place, length, MmapAdvise::MADV_HUGEPAGE) };
        // SAFETY: as above; the call touches pages as a write would, without changing their contents.
        let result = unsafe { libc::madvise(place.as_ptr(), length, libc::MADV_POPULATE_WRITE) };
        match Errno::result(result) {
            Ok(_) => Ok(()),
            // The file could not get the pages.
            Err(Errno::EFAULT) => Err(io::ErrorKind::StorageFull.into()),
            Err(problem) => Err(problem.into()),
        }
    }

    /// Takes away, or gives back, the right to write to `length` bytes from `offset` on. Whoever writes without it faults.
    pub fn allow_writing(&self, offset: usize, length: usize, is_allowed: bool) -> io::Result<()> {
        let place = self.page(offset, length)?;
        let write = if is_allowed { ProtFlags::PROT_WRITE } else { ProtFlags::empty() };
        // SAFETY: the range lies within the live mapping, which is reached through raw pointers only: no reference relies on it.
        unsafe { nix::sys::mman::mprotect(place, length, ProtFlags::PROT_READ | write)? };
        Ok(())
    }

    /// The bytes from `offset` on.
    ///
    /// # Safety
    ///
    /// Nobody writes to them for as long as the slice lives.
    pub unsafe fn slice(&self, offset: usize, length: usize) -> &[u8] {
        if offset.checked_add(length).is_none_or(|end| end > self.size()) {
            return &[];
        }
        // `wrapping_add` within the mapping is as good as `add`, and safe.
        let place = self.start().wrapping_add(offset);
        // SAFETY: the range lies within the mapping, which lives as long as `self`; the caller promises that nobody writes to it.
        unsafe { std::slice::from_raw_parts(place, length) }
    }

    fn page(&self, offset: usize, length: usize) -> io::Result<NonNull<libc::c_void>> {
        let is_within = offset.checked_add(length).is_some_and(|end| end <= self.size());
        NonNull::new(self.start().wrapping_add(offset).cast()).filter(|_| is_within).ok_or_else(|| Errno::EINVAL.into())
    }

    /// Copies bytes into the mapping at `offset`; false if they do not fit.
    pub fn write(&self, offset: usize, bytes: &[u8]) -> bool {
        if offset.checked_add(bytes.len()).is_none_or(|end| end > self.size()) {
            return false;
        }
        // SAFETY: offset <= size, so the result stays within the mapping or at its end.
        let place = unsafe { self.start().add(offset) };
        // SAFETY: `place` has room for bytes.len() bytes as checked above; `bytes` is a Rust slice, so it does not
        // overlap with a mapping that is only ever reached through raw pointers.
        unsafe { place.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        true
    }

    /// Copies bytes out of the mapping; `None` if there are not so many.
    pub fn read(&self, offset: usize, length: usize) -> Option<Vec<u8>> {
        if offset.checked_add(length).is_none_or(|end| end > self.size()) {
            return None;
        }
        let mut bytes = vec![0; length];
        // SAFETY: offset <= size, so the result stays within the mapping or at its end.
        let place = unsafe { self.start().add(offset) };
        // SAFETY: `length` bytes lie within the mapping as checked above, and within `bytes`, which is new and so apart.
        unsafe { bytes.as_mut_ptr().copy_from_nonoverlapping(place, length) };
        Some(bytes)
    }

    /// Takes the file out of the mapping and leaves its addresses inaccessible. A late write through a pointer that
    /// was given out faults instead of hitting whatever is mapped there next; the file has no writable mapping left
    /// and can be sealed. The addresses are free again when the guard is dropped.
    pub fn into_guard(self) -> io::Result<Guard> {
        // SAFETY: the range is exactly one live mapping owned by `self`, replaced at once by a private one without
        // access; no reference into it exists (see `resize`); `self` goes on owning, and later unmaps, the range.
        let result = unsafe {
            libc::mmap(
                self.start().cast(),
                self.size(),
                libc::PROT_NONE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED,
                -1,
                0,
            )
        };
        if result == libc::MAP_FAILED {
            return Err(Errno::last().into());
        }
        Ok(Guard { _range: self.0 })
    }
}

/// Addresses that nobody may touch any more.
#[derive(Debug)]
pub struct Guard {
    _range: MmapRaw,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::sys::memfd::{self, Purpose};

    #[test]
    fn only_an_immutable_file_is_mapped_for_reading() {
        let file = memfd::create("test", Purpose::Data).unwrap();
        memfd::reserve(&file, 4096).unwrap();
        assert!(immutable(&file, 4096).is_err());
        memfd::seal(&file, memfd::IMMUTABLE).unwrap();
        assert!(immutable(&file, 8192).is_err());
        assert_eq!(immutable(&file, 4096).unwrap().len(), 4096);
    }

    #[test]
    fn a_file_with_a_writable_mapping_cannot_be_sealed_and_a_guard_lets_it() {
        let file = memfd::create("test", Purpose::Data).unwrap();
        memfd::reserve(&file, 4096).unwrap();
        let mut map = Writable::new(&file, 4096).unwrap();
        assert!(map.write(4093, b"abc"));
        assert!(!map.write(4094, b"abc"));
        memfd::reserve(&file, 1 << 20).unwrap();
        map.resize(1 << 20).unwrap();
        assert!(memfd::seal(&file, memfd::IMMUTABLE).is_err());
        let guard = map.into_guard().unwrap();
        memfd::seal(&file, memfd::IMMUTABLE).unwrap();
        drop(guard);
        let view = immutable(&file, 1 << 20).unwrap();
        assert_eq!(&view[4093..4096], b"abc");
    }
}
