//! A block as its reader sees it: checked once more, then mapped read-only for as long as anyone holds it.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use memmap2::Mmap;

use super::layout::{HEADER_BYTES, Layout, LayoutProblem};
use crate::sys::{map, memfd};

/// A mapped block; its bytes are the payload.
#[derive(Debug)]
pub struct View {
    map: Mmap,
    layout: Layout,
    inode: u64,
}

/// Why a block cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ViewProblem {
    /// It is not what it should be.
    #[error("{0}")]
    Layout(#[from] LayoutProblem),
    /// Its size is not as announced.
    #[error("the block's file has {found} bytes, {announced} were announced")]
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
        let map = map::immutable(file.as_fd(), length).map_err(|source| ViewProblem::Map { size: found, source })?;
        let header = map.first_chunk::<HEADER_BYTES>().ok_or(LayoutProblem::Magic { found: [0; 8] })?;
        let layout = Layout::parse(header, found)?;
        let inode = memfd::inode(&file).map_err(|source| ViewProblem::Map { size: found, source })?;
        Ok(View { map, layout, inode })
    }

    /// How the payload is laid out.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The inode whose pages these are.
    pub fn inode(&self) -> u64 {
        self.inode
    }
}

impl AsRef<[u8]> for View {
    fn as_ref(&self) -> &[u8] {
        // The layout was checked against the size of the map, so neither conversion nor range can fail.
        let end = usize::try_from(self.layout.metadata_offset()).unwrap_or(HEADER_BYTES);
        self.map.get(HEADER_BYTES..end).unwrap_or_default()
    }
}
