//! A block being written: shared memory that grows on demand, and becomes immutable when it is finished.

use std::io;
use std::os::fd::OwnedFd;

use super::layout::{Format, HEADER_BYTES, Layout, LayoutProblem};
use crate::sys::map::{Guard, Writable};
use crate::sys::memfd;

/// Granularity of growth: the kernel deals in pages anyway.
const PAGE_BYTES: u64 = 4096;

/// A block that is being written. Dropped before it is finished, it leaves nothing.
#[derive(Debug)]
pub struct Builder {
    file: OwnedFd,
    map: Writable,
    capacity: u64,
}

/// A finished block: nobody can change it any more.
#[derive(Debug)]
pub struct Finished {
    /// Its file.
    pub file: OwnedFd,
    /// The file's size.
    pub size: u64,
    /// Where the payload was written; faults when touched for as long as this is kept, so that a late writer harms
    /// only itself.
    pub guard: Guard,
}

/// Why a block cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum BuildProblem {
    /// It would be too large, or its metadata.
    #[error("{0}")]
    Layout(#[from] LayoutProblem),
    /// More was said to be written than there was room for.
    #[error("{length} bytes were said to be written into a buffer of {capacity}")]
    Length {
        /// What was said.
        length: u64,
        /// What there was.
        capacity: u64,
    },
    /// The system has no more memory, or refuses for another reason.
    #[error("cannot {attempt} {bytes} bytes of shared memory: {source}")]
    System {
        /// What was tried.
        attempt: &'static str,
        /// On how many bytes.
        bytes: u64,
        /// What the system said.
        source: io::Error,
    },
}

impl BuildProblem {
    fn system(attempt: &'static str, bytes: u64) -> impl FnOnce(io::Error) -> BuildProblem {
        move |source| BuildProblem::System { attempt, bytes, source }
    }
}

impl Builder {
    /// Memory for a payload of up to `capacity` bytes, all of it there: no later write can fault for want of memory.
    pub fn new(capacity: u64) -> Result<Builder, BuildProblem> {
        let size = file_size(capacity)?;
        let file = memfd::create("dagd-block", memfd::Purpose::Data)
            .map_err(BuildProblem::system("create a file for", size))?;
        memfd::reserve(&file, size).map_err(BuildProblem::system("reserve", size))?;
        let map = Writable::new(&file, map_size(size)?).map_err(BuildProblem::system("map", size))?;
        Ok(Builder { file, map, capacity: size - HEADER_BYTES as u64 })
    }

    /// How large a payload may become without growing.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// The memory the file takes now.
    pub fn size(&self) -> u64 {
        self.capacity + HEADER_BYTES as u64
    }

    /// Where the payload goes; aligned to 64 bytes, room for [`Builder::capacity`]. Valid until the builder grows, is
    /// finished, or dropped.
    pub fn payload(&self) -> *mut u8 {
        self.map.start().wrapping_add(HEADER_BYTES)
    }

    /// Makes room for `capacity` bytes; the payload may move. It never shrinks.
    pub fn grow(&mut self, capacity: u64) -> Result<(), BuildProblem> {
        if capacity <= self.capacity {
            return Ok(());
        }
        let size = file_size(capacity)?;
        memfd::reserve(&self.file, size).map_err(BuildProblem::system("reserve", size))?;
        self.map.resize(map_size(size)?).map_err(BuildProblem::system("map", size))?;
        self.capacity = size - HEADER_BYTES as u64;
        Ok(())
    }

    /// Copies bytes into the payload.
    pub fn write(&self, offset: usize, bytes: &[u8]) -> bool {
        offset.checked_add(HEADER_BYTES).is_some_and(|offset| self.map.write(offset, bytes))
    }

    /// Copies the first bytes of the payload out; nothing if there are not so many.
    pub fn read(&self, length: usize) -> Vec<u8> {
        self.map.read(HEADER_BYTES, length).unwrap_or_default()
    }

    /// Gives the memory back and keeps its addresses out of use until the guard is dropped. Without a guard (the
    /// system has too many mappings) the addresses are free at once.
    pub fn abandon(self) -> Option<Guard> {
        self.map.into_guard().ok()
    }

    /// The first `length` bytes of the payload become a block: header and metadata are written, the rest given back,
    /// the writable mapping removed, and all seals set.
    pub fn finish(mut self, length: u64, format: Format, metadata: &str) -> Result<Finished, BuildProblem> {
        if length > self.capacity {
            return Err(BuildProblem::Length { length, capacity: self.capacity });
        }
        let layout = Layout::new(format, length, metadata.len())?;
        let size = layout.size();
        self.grow(size - HEADER_BYTES as u64)?;
        let offset = map_size(layout.metadata_offset())?;
        if !(self.map.write(0, &layout.header()) && self.map.write(offset, metadata.as_bytes())) {
            return Err(BuildProblem::Length { length, capacity: self.capacity });
        }
        // In this order: nobody can write while the file is cut, and the kernel refuses to seal while anyone could.
        let guard = self.map.into_guard().map_err(BuildProblem::system("unmap", size))?;
        memfd::truncate(&self.file, size).map_err(BuildProblem::system("cut a file to", size))?;
        memfd::seal(&self.file, memfd::IMMUTABLE).map_err(BuildProblem::system("seal", size))?;
        Ok(Finished { file: self.file, size, guard })
    }
}

/// The file for a payload of this capacity: whole pages, so that small growth costs nothing.
fn file_size(capacity: u64) -> Result<u64, BuildProblem> {
    capacity
        .checked_add(HEADER_BYTES as u64)
        .and_then(|size| size.checked_next_multiple_of(PAGE_BYTES))
        .filter(|size| *size <= i64::MAX as u64)
        .ok_or(BuildProblem::Layout(LayoutProblem::TooLarge { length: capacity }))
}

fn map_size(size: u64) -> Result<usize, BuildProblem> {
    usize::try_from(size).map_err(|_| BuildProblem::Layout(LayoutProblem::TooLarge { length: size }))
}
