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
const PAGE_BYTES: usize = 4 << 10;

/// A range of addresses, unmapped when dropped. If it is as long as a huge page, it begins at a multiple of one, as files do: `memmap2`
/// leaves the place to the kernel, which cares for that only where it is set up to give huge pages to all shared memory.
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
        Region::inaccessible(length)?.replace(|place, length| {
            let flags = MapFlags::MAP_SHARED | MapFlags::MAP_FIXED;
            // SAFETY: the addresses are the region's own, and nothing refers to them yet.
            unsafe { mman::mmap(Some(place.addr()), length, protection, flags, file, 0) }
        })
    }

    /// Takes out what is mapped, and leaves the addresses inaccessible.
    ///
    /// # Safety
    ///
    /// No reference points there.
    pub(super) unsafe fn evict(self) -> io::Result<Region> {
        self.replace(|place, length| {
            let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE | MapFlags::MAP_FIXED;
            // SAFETY: the addresses are the region's own; the caller promises that no reference points there.
            unsafe { mman::mmap_anonymous(Some(place.addr()), length, ProtFlags::PROT_NONE, flags) }
        })
    }

    /// Maps more or less of the same file; the addresses change.
    ///
    /// # Safety
    ///
    /// No reference points there.
    pub(super) unsafe fn resize(&mut self, length: usize) -> io::Result<()> {
        let (from, before) = (self.start, self.length);
        let moved = Region::inaccessible(length)?.replace(|place, _| {
            let flags = MRemapFlags::MREMAP_MAYMOVE | MRemapFlags::MREMAP_FIXED;
            // SAFETY: both ranges are a region's own; the caller promises that no reference points to the first, and nobody knows
            // of the second.
            unsafe { mman::mremap(from, before, length, flags, Some(place)) }
        })?;
        // The kernel has unmapped the first range, which may be somebody else's by now.
        std::mem::forget(std::mem::replace(self, moved));
        Ok(())
    }

    /// Maps something else to the addresses. They are never free in between; where that fails they stay out of use for good, for it is
    /// not known what is there.
    fn replace(
        self,
        map: impl FnOnce(NonNull<c_void>, NonZeroUsize) -> nix::Result<NonNull<c_void>>,
    ) -> io::Result<Region> {
        let length = NonZeroUsize::new(self.length).ok_or(Errno::EINVAL)?;
        match map(self.start, length) {
            Ok(_) => Ok(self),
            Err(problem) => {
                std::mem::forget(self);
                Err(problem.into())
            }
        }
    }

    /// Addresses that nobody can do anything with.
    fn inaccessible(length: usize) -> io::Result<Region> {
        let slack = if length < HUGE_BYTES { 0 } else { HUGE_BYTES };
        let whole = length.checked_add(slack).and_then(NonZeroUsize::new).ok_or(Errno::EINVAL)?;
        let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE;
        // SAFETY: a new mapping, wherever the kernel has room.
        let start = unsafe { mman::mmap_anonymous(None, whole, ProtFlags::PROT_NONE, flags)? };
        let mut region = Region { start, length: whole.get() };
        if slack > 0 {
            region = region.split_off(start.align_offset(HUGE_BYTES).min(slack));
            region.split_off(length.next_multiple_of(PAGE_BYTES));
            region.length = length;
        }
        Ok(region)
    }

    /// What lies `offset` bytes after the start, or nothing; the region ends there.
    fn split_off(&mut self, offset: usize) -> Region {
        let offset = offset.min(self.length);
        // SAFETY: at most the region's end.
        let start = unsafe { self.start.byte_add(offset) };
        let length = self.length - offset;
        self.length = offset;
        Region { start, length }
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
        if self.length > 0 {
            // SAFETY: the addresses are the region's own, and nobody refers to them when it is dropped. Where it fails they stay as they are.
            let _ = unsafe { mman::munmap(self.start, self.length) };
        }
    }
}
