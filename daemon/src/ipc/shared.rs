//! A value made of atomics, in memory that two processes share.

use std::io;
use std::marker::PhantomData;
use std::ops::Deref;
use std::os::fd::{AsFd, OwnedFd};

use memmap2::MmapRaw;

use crate::sys::{map, memfd};

/// What may lie in shared memory.
///
/// # Safety
///
/// The type consists of atomics and nothing else: every bit pattern is valid, and all access through a reference is atomic. Its layout is
/// fixed (`repr(C)`, or an array), as two builds may share it, and its alignment no more than a page's.
pub unsafe trait Atomics: Send + Sync {}

/// The mapping of such a value.
pub struct SharedMemory<T> {
    map: MmapRaw,
    kind: PhantomData<T>,
}

impl<T: Atomics> SharedMemory<T> {
    /// How much it takes.
    pub const BYTES: usize = size_of::<T>();

    /// New memory, all zeroes, and the descriptor that another process can open it by. The name shows up in `/proc/PID/maps`.
    pub fn create(name: &str) -> io::Result<(SharedMemory<T>, OwnedFd)> {
        let file = memfd::create(name, memfd::Purpose::Data)?;
        memfd::reserve(&file, Self::BYTES as u64)?;
        memfd::seal(&file, memfd::FIXED_SIZE)?;
        Ok((Self::map(&file)?, file))
    }

    /// The memory behind a descriptor, which is to be `what`.
    pub fn open(file: impl AsFd, what: &str) -> io::Result<SharedMemory<T>> {
        let (size, seals) = (memfd::size(&file)?, memfd::seals(&file)?);
        if size != Self::BYTES as u64 || !seals.contains(memfd::FIXED_SIZE) {
            return Err(io::Error::other(format!(
                "not {what}: {size} bytes and seals {seals:?}, expected {} bytes and {:?}",
                Self::BYTES,
                memfd::FIXED_SIZE
            )));
        }
        Self::map(file)
    }

    fn map(file: impl AsFd) -> io::Result<SharedMemory<T>> {
        Ok(SharedMemory { map: map::shared(file, Self::BYTES)?, kind: PhantomData })
    }
}

impl<T: Atomics> Deref for SharedMemory<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the mapping spans `BYTES` bytes, lives as long as `self`, is page-aligned, and its file cannot shrink (FIXED_SIZE
        // seals, set or checked before it was mapped). By `Atomics` every bit pattern is valid and all access from this process is
        // atomic; that of the other process is atomic, or its own harm.
        unsafe { &*self.map.as_ptr().cast::<T>() }
    }
}

impl<T> std::fmt::Debug for SharedMemory<T> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("SharedMemory").finish_non_exhaustive()
    }
}
