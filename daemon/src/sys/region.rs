//! Ranges of addresses that a file is mapped to, placed so that the kernel can back them with huge pages.

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::ptr::NonNull;

use nix::errno::Errno;
use nix::libc::c_void;
use nix::sys::mman::{self, MRemapFlags, MapFlags, ProtFlags};

/// What a huge page holds where other pages hold 4 KiB.
pub(super) const HUGE_BYTES: usize = 2 << 20;

/// A range of addresses, unmapped when dropped. If it is as long as a huge page, it begins at a multiple of one wherever that can be
/// had: huge pages lie so in a file, too, and are mapped as such only if both fit. (Where the kernel chooses the place it cares for
/// that only if it is set up to give huge pages to all shared memory.)
#[derive(Debug)]
pub(super) struct Region {
    start: NonNull<c_void>,
    length: usize,
}

// SAFETY: addresses belong to the whole process. What lies there is reached through raw pointers only; what may be done with it, and by
// which thread, is for whoever follows them to know.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

impl Region {
    /// Maps the first `length` bytes of a file, shared with everybody who maps it.
    pub(super) fn of_file(file: impl AsFd, length: usize, protection: ProtFlags) -> io::Result<Region> {
        let length = NonZeroUsize::new(length).ok_or(Errno::EINVAL)?;
        let map = |place: Option<NonZeroUsize>, flags: MapFlags| {
            // SAFETY: a new mapping, where nothing is mapped: the kernel chooses the place, or refuses one that has been taken.
            unsafe { mman::mmap(place, length, protection, MapFlags::MAP_SHARED | flags, file.as_fd(), 0) }
        };
        let place = if length.get() < HUGE_BYTES { None } else { vacant(length.get()) };
        // Another thread may have been quicker to take the place.
        let start = place.and_then(|place| map(Some(place), MapFlags::MAP_FIXED_NOREPLACE).ok());
        let start = start.map_or_else(|| map(None, MapFlags::empty()), Ok)?;
        Ok(Region { start, length: length.get() })
    }

    /// Takes out what is mapped, and leaves the addresses inaccessible. Where the system has too many mappings for that they are free
    /// at once: it refuses before it has changed anything.
    ///
    /// # Safety
    ///
    /// No reference points there.
    pub(super) unsafe fn evict(self) -> io::Result<Region> {
        let length = NonZeroUsize::new(self.length).ok_or(Errno::EINVAL)?;
        let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE | MapFlags::MAP_FIXED;
        // SAFETY: the addresses are the region's own; the caller promises that no reference points there.
        unsafe { mman::mmap_anonymous(Some(self.start.addr()), length, ProtFlags::PROT_NONE, flags)? };
        Ok(self)
    }

    /// Maps more of the same file behind what is mapped already, if there is room, and says whether it has. Nothing moves.
    pub(super) fn extend(&mut self, length: usize) -> bool {
        if length < self.length || (length >= HUGE_BYTES && self.start.align_offset(HUGE_BYTES) != 0) {
            return false;
        }
        // SAFETY: the addresses are the region's own; without flags they are neither moved nor, as there are to be more, unmapped.
        let result = unsafe { mman::mremap(self.start, self.length, length, MRemapFlags::empty(), None) };
        if result.is_ok() {
            self.length = length;
        }
        result.is_ok()
    }

    /// The bytes from `offset` on; none if there are not so many.
    ///
    /// # Safety
    ///
    /// They are mapped so that they can be read, memory lies behind them, and nobody writes to them for as long as the slice lives.
    pub(super) unsafe fn slice(&self, offset: usize, length: usize) -> &[u8] {
        if offset.checked_add(length).is_none_or(|end| end > self.length) {
            return &[];
        }
        // SAFETY: offset <= length, so the result stays within the region or at its end.
        let place = unsafe { self.start.cast::<u8>().add(offset) };
        // SAFETY: the range lies within the region, which lives as long as `self`; the rest is promised by the caller.
        unsafe { std::slice::from_raw_parts(place.as_ptr(), length) }
    }

    pub(super) fn start(&self) -> NonNull<c_void> {
        self.start
    }

    pub(super) fn length(&self) -> usize {
        self.length
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the addresses are the region's own, and nobody refers to them when it is dropped. Where it fails they stay as they are.
        let _ = unsafe { mman::munmap(self.start, self.length) };
    }
}

/// Where so many bytes can begin at a multiple of a huge page: free a moment ago.
fn vacant(length: usize) -> Option<NonZeroUsize> {
    let whole = NonZeroUsize::new(length.checked_add(HUGE_BYTES)?)?;
    let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE;
    // SAFETY: a new mapping, wherever the kernel has room.
    let start = unsafe { mman::mmap_anonymous(None, whole, ProtFlags::PROT_NONE, flags).ok()? };
    // SAFETY: what was mapped just now, and nobody knows of.
    unsafe { mman::munmap(start, whole.get()).ok()? };
    start.addr().get().checked_next_multiple_of(HUGE_BYTES).and_then(NonZeroUsize::new)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::sys::memfd::{self, Purpose};

    fn mappings() -> usize {
        std::fs::read_to_string("/proc/self/maps").unwrap().lines().filter(|line| line.contains("region-test")).count()
    }

    #[test]
    fn a_refused_mapping_leaves_nothing_and_one_that_grows_keeps_its_place_or_stays_as_it_is() {
        let file = memfd::create("region-test", Purpose::Data).unwrap();
        memfd::truncate(&file, 8 * HUGE_BYTES as u64).unwrap();
        let both = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let mut region = Region::of_file(&file, HUGE_BYTES, both).unwrap();
        let start = region.start();
        assert_eq!(start.addr().get() % HUGE_BYTES, 0);
        assert!(!region.extend(HUGE_BYTES - 1), "it never gets shorter");
        // What lies right behind it is in the way, whoever has it.
        let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_FIXED_NOREPLACE;
        let (behind, page) = (NonZeroUsize::new(start.addr().get() + HUGE_BYTES), NonZeroUsize::new(4096).unwrap());
        // SAFETY: a new mapping, where nothing is.
        let wall = unsafe { mman::mmap_anonymous(behind, page, ProtFlags::PROT_NONE, flags) };
        assert!(!region.extend(2 * HUGE_BYTES));
        if let Ok(wall) = wall {
            // SAFETY: the mapping made above.
            unsafe { mman::munmap(wall, page.get()).unwrap() };
            assert!(region.extend(2 * HUGE_BYTES));
            assert_eq!((region.start(), region.length()), (start, 2 * HUGE_BYTES));
        }
        assert_eq!(mappings(), 1);
        drop(region);
        memfd::seal(&file, memfd::IMMUTABLE).unwrap();
        let before = std::fs::read_to_string("/proc/self/maps").unwrap().lines().count();
        for _ in 0..1000 {
            assert!(Region::of_file(&file, 3 * HUGE_BYTES, both).is_err());
            assert!(Region::of_file(&file, 4096, both).is_err());
        }
        // Other tests map things meanwhile, but not hundreds.
        let after = std::fs::read_to_string("/proc/self/maps").unwrap().lines().count();
        assert!(after < before + 500, "{before} mappings before, {after} after");
        assert_eq!(mappings(), 0);
        assert!(Region::of_file(&file, 0, ProtFlags::PROT_READ).is_err());
    }
}
