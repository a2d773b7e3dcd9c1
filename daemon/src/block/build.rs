//! A block being written: shared memory that grows on demand, and can be written by nobody when it is finished.

use std::io;
use std::os::fd::OwnedFd;

use super::layout::{Format, HEADER_BYTES, Layout, LayoutProblem};
use super::pool::{Part, Pool};
use crate::sys::map::{Guard, Writable};
use crate::sys::{PAGE_BYTES, memfd};

/// A block that is being written. Dropped before it is finished, it leaves nothing.
#[derive(Debug)]
pub struct Builder {
    memory: Memory,
    capacity: u64,
    /// Where a file of its own becomes a segment.
    pool: Option<Pool>,
    /// What it has moved out of.
    left: Left,
}

#[derive(Debug)]
enum Memory {
    File { file: OwnedFd, map: Writable },
    Part(Part),
}

/// A finished block: nobody can change it any more.
#[derive(Debug)]
pub struct Finished {
    /// Where it is.
    pub place: Place,
    /// Where it was written.
    pub left: Left,
}

/// Where a finished block is.
#[derive(Debug)]
pub enum Place {
    /// In a sealed file of its own.
    File {
        /// Its file.
        file: OwnedFd,
        /// The file's size.
        size: u64,
    },
    /// In a part of a segment, read-only until the server gives it back.
    Part {
        /// The part.
        part: Part,
        /// How much of it the block takes.
        size: u64,
    },
}

/// Memory that was handed out to be written, to be dropped when whoever wrote it is done: until then nothing else is there, and a late writer
/// faults and harms only itself.
#[derive(Debug, Default)]
pub struct Left {
    /// Addresses of what was, or is, a file of its own.
    pub guards: Vec<Guard>,
    /// Parts of segments.
    pub parts: Vec<Part>,
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

impl Memory {
    /// Memory for a block of this size: of the pool if it has some.
    fn new(pool: Option<&Pool>, size: u64) -> Result<Memory, BuildProblem> {
        match pool.and_then(|pool| pool.take(size)) {
            Some(part) => Ok(Memory::Part(part)),
            None => Memory::file(size),
        }
    }

    fn file(size: u64) -> Result<Memory, BuildProblem> {
        let file = memfd::create("dagd-block", memfd::Purpose::Data)
            .map_err(BuildProblem::system("create a file for", size))?;
        let length = map_size(size)?;
        memfd::truncate(&file, size).map_err(BuildProblem::system("reserve", size))?;
        let map = Writable::new(&file, length).map_err(BuildProblem::system("map", size))?;
        populate(&file, &map, 0).map_err(BuildProblem::system("reserve", size))?;
        Ok(Memory::File { file, map })
    }

    fn start(&self) -> *mut u8 {
        match self {
            Memory::File { map, .. } => map.start(),
            Memory::Part(part) => part.start(),
        }
    }

    fn size(&self) -> u64 {
        match self {
            Memory::File { map, .. } => map.size() as u64,
            Memory::Part(part) => part.length(),
        }
    }

    fn write(&self, offset: usize, bytes: &[u8]) -> bool {
        match self {
            Memory::File { map, .. } => map.write(offset, bytes),
            Memory::Part(part) => part.write(offset, bytes),
        }
    }

    fn read(&self, offset: usize, length: usize) -> Option<Vec<u8>> {
        match self {
            Memory::File { map, .. } => map.read(offset, length),
            Memory::Part(part) => part.read(offset, length),
        }
    }
}

impl Builder {
    /// Memory for a payload of up to `capacity` bytes, all of it there: no later write can fault for want of memory.
    pub fn new(capacity: u64) -> Result<Builder, BuildProblem> {
        Builder::in_pool(None, capacity)
    }

    /// The same, in a pool's memory if it has some; else the pool gets what is made now.
    pub fn in_pool(pool: Option<Pool>, capacity: u64) -> Result<Builder, BuildProblem> {
        let memory = Memory::new(pool.as_ref(), file_size(capacity)?)?;
        let capacity = memory.size() - HEADER_BYTES as u64;
        Ok(Builder { memory, capacity, pool, left: Left::default() })
    }

    /// How large a payload may become without growing.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// The memory it takes now.
    pub fn size(&self) -> u64 {
        self.capacity + HEADER_BYTES as u64
    }

    /// Where the payload goes; aligned to 64 bytes, room for [`Builder::capacity`]. Valid until the builder grows, is
    /// finished, or dropped.
    pub fn payload(&self) -> *mut u8 {
        self.memory.start().wrapping_add(HEADER_BYTES)
    }

    /// Makes room for `capacity` bytes; the payload may move. It never shrinks.
    pub fn grow(&mut self, capacity: u64) -> Result<(), BuildProblem> {
        if capacity <= self.capacity {
            return Ok(());
        }
        let size = file_size(capacity)?;
        match &mut self.memory {
            Memory::File { file, map } => {
                let (before, length) = (map.size(), map_size(size)?);
                memfd::truncate(&*file, size).map_err(BuildProblem::system("reserve", size))?;
                if map.extend(length) {
                    populate(file, map, before).map_err(BuildProblem::system("reserve", size))?;
                } else {
                    let larger = Writable::new(&*file, length).map_err(BuildProblem::system("map", size))?;
                    populate(file, &larger, 0).map_err(BuildProblem::system("reserve", size))?;
                    self.left.guards.extend(std::mem::replace(map, larger).into_guard().ok());
                }
            }
            Memory::Part(part) => {
                let larger = Memory::new(self.pool.as_ref(), size)?;
                let is_copied = map_size(part.length())
                    .is_ok_and(|length| part.read(0, length).is_some_and(|bytes| larger.write(0, &bytes)));
                if !is_copied {
                    return Err(BuildProblem::Length { length: part.length(), capacity: larger.size() });
                }
                if let Memory::Part(part) = std::mem::replace(&mut self.memory, larger) {
                    self.left.parts.push(part);
                }
            }
        }
        self.capacity = self.memory.size() - HEADER_BYTES as u64;
        Ok(())
    }

    /// Copies bytes into the payload.
    pub fn write(&self, offset: usize, bytes: &[u8]) -> bool {
        offset.checked_add(HEADER_BYTES).is_some_and(|offset| self.memory.write(offset, bytes))
    }

    /// Copies the first bytes of the payload out; nothing if there are not so many.
    pub fn read(&self, length: usize) -> Vec<u8> {
        self.memory.read(HEADER_BYTES, length).unwrap_or_default()
    }

    /// Gives the memory back and keeps its addresses out of use until what is left of it is dropped. Where the
    /// system has too many mappings for that, the addresses are free at once.
    pub fn abandon(self) -> Left {
        let Builder { memory, mut left, .. } = self;
        match memory {
            Memory::File { map, .. } => left.guards.extend(map.into_guard().ok()),
            Memory::Part(part) => {
                // It faults from now on, as it does once it is dropped.
                let _ = part.allow_writing(false);
                left.parts.push(part);
            }
        }
        left
    }

    /// The first `length` bytes of the payload become a block: header and metadata are written, and nobody can write any more. A
    /// file is cut to the block's size, and all seals are set, unless a pool takes it.
    pub fn finish(mut self, length: u64, format: Format, metadata: &str) -> Result<Finished, BuildProblem> {
        if length > self.capacity {
            return Err(BuildProblem::Length { length, capacity: self.capacity });
        }
        let layout = Layout::new(format, length, metadata.len())?;
        let size = layout.size();
        self.grow(size - HEADER_BYTES as u64)?;
        let offset = map_size(layout.metadata_offset())?;
        if !(self.memory.write(0, &layout.header()) && self.memory.write(offset, metadata.as_bytes())) {
            return Err(BuildProblem::Length { length, capacity: self.capacity });
        }
        let Builder { memory, pool, mut left, .. } = self;
        let place = match memory {
            Memory::Part(part) => {
                part.allow_writing(false).map_err(BuildProblem::system("protect", size))?;
                Place::Part { part, size }
            }
            Memory::File { file, map } => match pool.filter(Pool::has_room) {
                Some(pool) => into_segment(&pool, file, map, size)?,
                None => {
                    let (place, guard) = into_sealed(file, map, size)?;
                    left.guards.push(guard);
                    place
                }
            },
        };
        Ok(Finished { place, left })
    }
}

/// A file of its own becomes the pool's. Its mapping stays as it is, so that whoever writes late faults, wherever.
fn into_segment(pool: &Pool, file: OwnedFd, map: Writable, size: u64) -> Result<Place, BuildProblem> {
    let whole = size.next_multiple_of(PAGE_BYTES as u64);
    memfd::truncate(&file, whole).map_err(BuildProblem::system("cut a file to", whole))?;
    let part = pool.add(file, map, whole).map_err(BuildProblem::system("protect", whole))?;
    let no_room =
        || BuildProblem::System { attempt: "number", bytes: size, source: io::ErrorKind::QuotaExceeded.into() };
    Ok(Place::Part { part: part.ok_or_else(no_room)?, size })
}

fn into_sealed(file: OwnedFd, map: Writable, size: u64) -> Result<(Place, Guard), BuildProblem> {
    // In this order: nobody can write while the file is cut, and the kernel refuses to seal while anyone could.
    let guard = map.into_guard().map_err(BuildProblem::system("unmap", size))?;
    memfd::truncate(&file, size).map_err(BuildProblem::system("cut a file to", size))?;
    memfd::seal(&file, memfd::IMMUTABLE).map_err(BuildProblem::system("seal", size))?;
    Ok((Place::File { file, size }, guard))
}

/// Puts memory behind a file and its mapping, from `from` on.
fn populate(file: &OwnedFd, map: &Writable, from: usize) -> io::Result<()> {
    match map.populate(from, map.size().saturating_sub(from)) {
        // Kernels before 5.14: the pages are there, and each is mapped when it is first touched.
        Err(problem) if problem.kind() == io::ErrorKind::InvalidInput => memfd::reserve(file, map.size() as u64),
        result => result,
    }
}

/// The file for a payload of this capacity: whole pages, so that small growth costs nothing.
fn file_size(capacity: u64) -> Result<u64, BuildProblem> {
    capacity
        .checked_add(HEADER_BYTES as u64)
        .and_then(|size| size.checked_next_multiple_of(PAGE_BYTES as u64))
        .filter(|size| *size <= i64::MAX as u64)
        .ok_or(BuildProblem::Layout(LayoutProblem::TooLarge { length: capacity }))
}

fn map_size(size: u64) -> Result<usize, BuildProblem> {
    usize::try_from(size).map_err(|_| BuildProblem::Layout(LayoutProblem::TooLarge { length: size }))
}
