//! Shared mappings: of files for reading, of a file being written, and of atomics.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _};
use std::ptr::NonNull;

use memmap2::{MmapOptions, MmapRaw};
use nix::errno::Errno;
use nix::fcntl::SealFlag;
use nix::libc::c_void;
use nix::sys::mman::ProtFlags;

use super::region::Region;
use super::{memfd, populate};

/// Maps the first `size` bytes of a file, to be read and written by all who map it.
pub fn shared(file: impl AsFd, size: usize) -> io::Result<MmapRaw> {
    MmapOptions::new().len(size).map_raw(file.as_fd().as_raw_fd())
}

/// A mapping of a file for reading.
#[derive(Debug)]
pub struct Readable(Region);

impl Readable {
    /// Maps a file that nobody can change any more. The seals are checked here, on the very file that is mapped; without them the bytes
    /// could change, or vanish with a SIGBUS, under the reader.
    pub fn immutable(file: impl AsFd, size: usize) -> io::Result<Readable> {
        Readable::new(file, size, memfd::IMMUTABLE)
    }

    /// Maps a file that only its owner can write to, through the mapping it has already. The seals are checked here; what the owner does
    /// to bytes that somebody reads is for the caller's protocol to rule out.
    pub fn of_owner(file: impl AsFd, size: usize) -> io::Result<Readable> {
        Readable::new(file, size, memfd::OWNER_WRITES)
    }

    fn new(file: impl AsFd, size: usize, expected: SealFlag) -> io::Result<Readable> {
        let (found, seals) = (memfd::size(&file)?, memfd::seals(&file)?);
        if !seals.contains(expected) || found != size as u64 {
            return Err(io::Error::other(format!(
                "{found} bytes with seals {seals:?}, expected {size} with {expected:?}"
            )));
        }
        Ok(Readable(Region::of_file(file, size, ProtFlags::PROT_READ)?))
    }

    /// How many bytes it spans.
    pub fn size(&self) -> usize {
        self.0.length()
    }

    /// The bytes from `offset` on; none if there are not so many.
    ///
    /// # Safety
    ///
    /// Nobody writes to them for as long as the slice lives.
    pub unsafe fn slice(&self, offset: usize, length: usize) -> &[u8] {
        // SAFETY: it is mapped for reading, and the file cannot shrink (sealed, checked when it was mapped), so no access faults; the rest
        // is the caller's promise.
        unsafe { self.0.slice(offset, length) }
    }
}

/// A writable shared mapping of a file that is being built. Its memory is reached by pointer only, since whoever is
/// told the address (a plugin) may write to it at any time.
#[derive(Debug)]
pub struct Writable(Region);

impl Writable {
    /// Maps the first `size` bytes of a file, which must have them: memory beyond the end of a file faults.
    pub fn new(file: impl AsFd, size: usize) -> io::Result<Writable> {
        Ok(Writable(Region::of_file(file, size, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE)?))
    }

    /// Where it begins.
    pub fn start(&self) -> *mut u8 {
        self.0.start().as_ptr().cast()
    }

    /// How many bytes it spans.
    pub fn size(&self) -> usize {
        self.0.length()
    }

    /// Maps more of the file, if there is room behind what is mapped, and says whether it has. Nothing moves. The same condition as for
    /// [`Writable::new`] applies.
    pub fn extend(&mut self, size: usize) -> bool {
        self.0.extend(size)
    }

    /// Puts memory behind `length` bytes from `offset` on, in one go: no later access to them faults, neither for want of memory nor one
    /// page after the other. Huge pages where they are cheap.
    pub fn populate(&self, offset: usize, length: usize) -> io::Result<()> {
        let place = self.page(offset, length)?;
        // SAFETY: the range lies within the live mapping, which is of a file, shared, and to be written.
        unsafe { populate::populate(place, length) }
    }

    /// Takes away, or gives back, the right to write to `length` bytes from `offset` on. Whoever writes without it faults.
    pub fn allow_writing(&self, offset: usize, length: usize, is_allowed: bool) -> io::Result<()> {
        let place = self.page(offset, length)?;
        let write = if is_allowed { ProtFlags::PROT_WRITE } else { ProtFlags::empty() };
        // SAFETY: the range lies within the live mapping, which is reached through raw pointers only: no reference relies on it.
        unsafe { nix::sys::mman::mprotect(place, length, ProtFlags::PROT_READ | write)? };
        Ok(())
    }

    /// The bytes from `offset` on; none if there are not so many.
    ///
    /// # Safety
    ///
    /// Nobody writes to them for as long as the slice lives.
    pub unsafe fn slice(&self, offset: usize, length: usize) -> &[u8] {
        // SAFETY: it is mapped for reading, and memory lies behind it, as `new` demands; the rest is the caller's promise.
        unsafe { self.0.slice(offset, length) }
    }

    fn page(&self, offset: usize, length: usize) -> io::Result<NonNull<c_void>> {
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
    /// and can be sealed. The addresses are free again when the guard is dropped, or at once where the system has too many mappings to
    /// keep them.
    pub fn into_guard(self) -> io::Result<Guard> {
        // SAFETY: no reference into the mapping exists: this type hands out raw pointers, whose holders are told that they end here, and
        // slices that borrow it.
        Ok(Guard { _range: unsafe { self.0.evict()? } })
    }
}

/// Addresses that nobody may touch any more.
#[derive(Debug)]
pub struct Guard {
    _range: Region,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::sys::memfd::{self, Purpose};
    use crate::sys::region::HUGE_BYTES;

    #[test]
    fn only_an_immutable_file_is_mapped_for_reading() {
        let file = memfd::create("test", Purpose::Data).unwrap();
        memfd::reserve(&file, 4096).unwrap();
        assert!(Readable::immutable(&file, 4096).is_err());
        memfd::seal(&file, memfd::IMMUTABLE).unwrap();
        assert!(Readable::immutable(&file, 8192).is_err() && Readable::immutable(&file, 4000).is_err());
        assert_eq!(Readable::immutable(&file, 4096).unwrap().size(), 4096);
        let owned = memfd::create("test", Purpose::Data).unwrap();
        memfd::reserve(&owned, 4096).unwrap();
        assert!(Readable::of_owner(&owned, 4096).is_err());
        memfd::seal(&owned, memfd::OWNER_WRITES).unwrap();
        assert!(Readable::of_owner(&owned, 4096).is_ok() && Readable::immutable(&owned, 4096).is_err());
    }

    #[test]
    fn a_file_with_a_writable_mapping_cannot_be_sealed_and_a_guard_lets_it() {
        let file = memfd::create("test", Purpose::Data).unwrap();
        memfd::reserve(&file, 4096).unwrap();
        let map = Writable::new(&file, 4096).unwrap();
        assert!(map.write(4093, b"abc"));
        assert!(!map.write(4094, b"abc"));
        assert!(memfd::seal(&file, memfd::IMMUTABLE).is_err());
        let guard = map.into_guard().unwrap();
        memfd::seal(&file, memfd::IMMUTABLE).unwrap();
        drop(guard);
        let view = Readable::immutable(&file, 4096).unwrap();
        // SAFETY: nobody can write to the file.
        let slice = |length: usize| unsafe { view.slice(4093, length) };
        assert_eq!((slice(3), slice(4)), (&b"abc"[..], &b""[..]));
    }

    #[test]
    fn memory_is_put_behind_any_part_of_a_mapping_and_changes_nothing() {
        let file = memfd::create("test", Purpose::Data).unwrap();
        let sizes = [HUGE_BYTES - 4096, 3 * HUGE_BYTES, 7 * HUGE_BYTES + 8192];
        let mut before = 0;
        for (number, size) in sizes.into_iter().enumerate() {
            memfd::truncate(&file, size as u64).unwrap();
            let map = Writable::new(&file, size).unwrap();
            map.populate(before, size - before).unwrap();
            assert!(map.write(size - 1, &[number as u8 + 1]));
            for (number, size) in sizes.iter().enumerate().take(number + 1) {
                assert_eq!(map.read(size - 2, 2).unwrap(), [0, number as u8 + 1]);
            }
            assert!(map.populate(HUGE_BYTES, size).is_err());
            before = size;
        }
        let blocks = nix::sys::stat::fstat(&file).unwrap().st_blocks;
        assert!(blocks as usize * 512 >= before, "only {blocks} blocks of 512 bytes lie behind {before} bytes");
    }
}
