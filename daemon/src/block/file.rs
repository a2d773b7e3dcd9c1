//! Blocks in sealed files of their own: those that the server makes, and those that leave their run.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::build::{Builder, Place};
use super::held::{Accounts, Block, Bytes, BytesView};
use super::layout::{Format, INLINE_BELOW};
use super::segment::Part;

impl Block {
    /// A block made by the server itself, of whatever size: a large one gets a sealed file as a worker's does.
    pub fn of_payload(accounts: &Arc<Accounts>, format: Format, metadata: &str, payload: Vec<u8>) -> io::Result<Block> {
        if payload.len() < INLINE_BELOW {
            return Ok(Block::inline(accounts, format, metadata.to_owned(), payload));
        }
        let (file, size) = write_file(format, metadata, &payload)?;
        let bytes = Bytes::Shared { file: file.into(), size, payload_length: payload.len() as u64 };
        Ok(Block::new(accounts, format, metadata.to_owned(), bytes))
    }

    /// A descriptor of the block's sealed file, and the file's size; a block that has none is written into a new one.
    pub fn to_file(&self) -> io::Result<(OwnedFd, u64)> {
        match self.bytes() {
            BytesView::Inline(payload) => write_file(self.format(), self.metadata(), payload),
            BytesView::Shared { file, size, .. } => Ok((file.try_clone()?.into(), size)),
            BytesView::Part(part) => copy_part(part, self.format(), self.metadata()),
        }
    }
}

/// Writes a block's file and seals it.
fn write_file(format: Format, metadata: &str, payload: &[u8]) -> io::Result<(OwnedFd, u64)> {
    let length = payload.len() as u64;
    let builder = Builder::new(length).map_err(io::Error::other)?;
    if !builder.write(0, payload) {
        return Err(io::Error::other(format!("{length} bytes did not fit into memory made for them")));
    }
    sealed(builder, length, format, metadata)
}

/// Copies a block out of its segment into a sealed file of its own.
fn copy_part(part: &Part, format: Format, metadata: &str) -> io::Result<(OwnedFd, u64)> {
    const STEP_BYTES: u64 = 1 << 20;
    let length = part.payload_length();
    let builder = Builder::new(length).map_err(io::Error::other)?;
    let mut step = Vec::new();
    let mut offset = 0;
    while offset < length {
        // No more than the step, which fits.
        step.resize(STEP_BYTES.min(length - offset) as usize, 0);
        part.read_exact_at(&mut step, offset)?;
        let is_written = usize::try_from(offset).is_ok_and(|offset| builder.write(offset, &step));
        if !is_written {
            return Err(io::Error::other(format!("{length} bytes did not fit into memory made for them")));
        }
        offset += step.len() as u64;
    }
    sealed(builder, length, format, metadata)
}

fn sealed(builder: Builder, length: u64, format: Format, metadata: &str) -> io::Result<(OwnedFd, u64)> {
    match builder.finish(length, format, metadata).map_err(io::Error::other)?.place {
        Place::File { file, size, .. } => Ok((file, size)),
        Place::Part { .. } => Err(io::Error::other("a block without a pool was built in one")),
    }
}
