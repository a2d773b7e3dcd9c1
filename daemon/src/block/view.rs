//! A block as its reader sees it: checked once more, then mapped read-only for as long as anyone holds it.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::layout::{HEADER_BYTES, Layout, LayoutProblem};
use crate::sys::map::{Readable, Writable};
use crate::sys::memfd;

/// A mapped block; its bytes are the payload.
#[derive(Debug)]
pub struct View {
    place: Place,
    layout: Layout,
}

/// Where a block is in this process.
#[derive(Debug)]
enum Place {
    /// In a segment of another worker, or all of a sealed file.
    Foreign { memory: Arc<Readable>, offset: usize, size: usize },
    /// In a segment of this worker.
    Own { segment: Arc<Writable>, offset: usize, size: usize },
}

/// Why a block cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ViewProblem {
    /// It is not what it should be.
    #[error("{0}")]
    Layout(#[from] LayoutProblem),
    /// Its size is not as announced.
    #[error("there are {found} bytes of shared memory, and the block was said to end at {announced}")]
    Size {
        /// What it has.
        found: u64,
        /// What was announced.
        announced: u64,
    },
    /// It cannot be mapped: it is not sealed, or there are too many mappings.
    #[error("cannot map the block's file of {size} bytes: {source}")]
    Map {
        /// Its size.
        size: u64,
        /// What the system said.
        source: io::Error,
    },
}

impl View {
    /// Maps the block in a file. The descriptor is closed again: a mapping needs none.
    pub fn open(file: OwnedFd, announced: u64) -> Result<View, ViewProblem> {
        let found = memfd::size(&file).map_err(|source| ViewProblem::Map { size: announced, source })?;
        if found != announced {
            return Err(ViewProblem::Size { found, announced });
        }
        let length = usize::try_from(found).map_err(|_| LayoutProblem::TooLarge { length: found })?;
        // Seals are checked inside, on the way.
        let memory = Readable::immutable(&file, length).map_err(|source| ViewProblem::Map { size: found, source })?;
        View::foreign(Arc::new(memory), 0, found)
    }

    /// A block in a segment that is mapped for it alone.
    pub fn in_file(segment: &OwnedFd, offset: u64, size: u64) -> Result<View, ViewProblem> {
        let problem = |source| ViewProblem::Map { size, source };
        let whole = memfd::size(segment).map_err(problem)?;
        let length = usize::try_from(whole).map_err(|_| LayoutProblem::TooLarge { length: whole })?;
        View::foreign(Arc::new(Readable::of_owner(segment, length).map_err(problem)?), offset, size)
    }

    /// A block in another worker's segment.
    pub fn foreign(memory: Arc<Readable>, offset: u64, size: u64) -> Result<View, ViewProblem> {
        let (offset, size) = within(offset, size, memory.size())?;
        View::checked(Place::Foreign { memory, offset, size }, size as u64)
    }

    /// A block in a segment of this worker.
    pub fn own(segment: Arc<Writable>, offset: u64, size: u64) -> Result<View, ViewProblem> {
        let (offset, size) = within(offset, size, segment.size())?;
        View::checked(Place::Own { segment, offset, size }, size as u64)
    }

    fn checked(place: Place, size: u64) -> Result<View, ViewProblem> {
        let header = *place.bytes().first_chunk::<HEADER_BYTES>().ok_or(LayoutProblem::Magic { found: [0; 8] })?;
        let layout = Layout::parse(&header, size)?;
        Ok(View { place, layout })
    }

    /// How the payload is laid out.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The metadata; nothing if they are no text.
    pub fn metadata(&self) -> Option<&str> {
        let offset = usize::try_from(self.layout.metadata_offset()).ok()?;
        let end = offset.checked_add(self.layout.metadata_length() as usize)?;
        std::str::from_utf8(self.place.bytes().get(offset..end)?).ok()
    }
}

impl Place {
    /// The whole block: header, payload, metadata.
    fn bytes(&self) -> &[u8] {
        match self {
            // SAFETY: nobody can write to a sealed file. A segment is written by its owner alone, and the server named this part for a task to
            // read, so it was claimed, and is read-only until the server gives it back. It does not before the task has ended, and
            // never if a view outlives the task, which the worker tells it.
            Place::Foreign { memory, offset, size } => unsafe { memory.slice(*offset, *size) },
            // SAFETY: as above; the owner is this worker.
            Place::Own { segment, offset, size } => unsafe { segment.slice(*offset, *size) },
        }
    }
}

/// A range within `length` bytes.
fn within(offset: u64, size: u64, length: usize) -> Result<(usize, usize), ViewProblem> {
    let end = offset.checked_add(size).and_then(|end| usize::try_from(end).ok()).filter(|end| *end <= length);
    match (end, usize::try_from(offset), usize::try_from(size)) {
        (Some(_), Ok(offset), Ok(size)) => Ok((offset, size)),
        _ => Err(ViewProblem::Size { found: length as u64, announced: offset.saturating_add(size) }),
    }
}

impl AsRef<[u8]> for View {
    fn as_ref(&self) -> &[u8] {
        // The layout was checked against the size of the map, so neither conversion nor range can fail.
        let end = usize::try_from(self.layout.metadata_offset()).unwrap_or(HEADER_BYTES);
        self.place.bytes().get(HEADER_BYTES..end).unwrap_or_default()
    }
}
