//! A block as the server holds it: checked, counted, and released with its last handle.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use smallvec::SmallVec;

use super::build::{Builder, Place};
use super::layout::{Format, HEADER_BYTES, INLINE_BELOW};
use super::segment::Part;
use crate::ipc::message::{BlockPlace, BlockReference, SegmentPlace};
use crate::ipc::ring::record::SmallBlock;

/// Counts the blocks that are alive, and numbers them. One for the whole server.
#[derive(Debug, Default)]
pub struct Accounts {
    last_id: AtomicU64,
    blocks: AtomicU64,
    files: AtomicU64,
    shared_bytes: AtomicU64,
    inline_bytes: AtomicU64,
    last_segment: AtomicU32,
}

/// What is alive at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockUsage {
    /// Blocks of either kind.
    pub blocks: u64,
    /// Files, each with a descriptor: of single blocks, and of segments.
    pub files: u64,
    /// Bytes in files.
    pub shared_bytes: u64,
    /// Bytes on the server's heap.
    pub inline_bytes: u64,
}

impl BlockUsage {
    /// Bytes of either kind.
    pub fn bytes(&self) -> u64 {
        self.shared_bytes.saturating_add(self.inline_bytes)
    }
}

impl Accounts {
    /// Counts one more segment; its number.
    pub(super) fn next_segment(&self) -> u32 {
        self.files.fetch_add(1, Ordering::Relaxed);
        self.last_segment.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }

    pub(super) fn segment_gone(&self) {
        self.files.fetch_sub(1, Ordering::Relaxed);
    }

    /// What is alive now.
    pub fn usage(&self) -> BlockUsage {
        BlockUsage {
            blocks: self.blocks.load(Ordering::Relaxed),
            files: self.files.load(Ordering::Relaxed),
            shared_bytes: self.shared_bytes.load(Ordering::Relaxed),
            inline_bytes: self.inline_bytes.load(Ordering::Relaxed),
        }
    }
}

/// A block. Clones share it; the last one to go gives its memory back.
#[derive(Clone, Debug)]
pub struct Block(Arc<Held>);

#[derive(Debug)]
struct Held {
    id: u64,
    format: Format,
    metadata: String,
    bytes: Bytes,
    /// Nothing for one that its holder counts.
    accounts: Option<Arc<Accounts>>,
}

/// Where a block's bytes are.
#[derive(Debug)]
pub(super) enum Bytes {
    /// On the heap: the payload, beside the rest where it is as short as a number.
    Inline(SmallVec<[u8; 24]>),
    /// In a sealed file of this size, checked to hold a payload of this length.
    Shared { file: File, size: u64, payload_length: u64 },
    /// In memory that its producer uses again when nobody reads it any more.
    Part(Part),
}

impl Block {
    /// A small block made by the server itself.
    pub fn inline(accounts: &Arc<Accounts>, format: Format, metadata: String, payload: Vec<u8>) -> Block {
        Block::new(accounts, format, metadata, Bytes::Inline(payload.into()))
    }

    /// A small block that its holder counts, and that needs no number: there are many of them, and one counter for all would be
    /// what every driver waits for.
    pub fn uncounted(small: SmallBlock<'_>) -> Block {
        Block(Arc::new(Held {
            id: 0,
            format: small.format,
            metadata: small.metadata.to_owned(),
            bytes: Bytes::Inline(SmallVec::from_slice(small.payload)),
            accounts: None,
        }))
    }

    pub(super) fn new(accounts: &Arc<Accounts>, format: Format, metadata: String, bytes: Bytes) -> Block {
        let id = accounts.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        accounts.blocks.fetch_add(1, Ordering::Relaxed);
        match &bytes {
            Bytes::Inline(payload) => {
                accounts.inline_bytes.fetch_add(payload.len() as u64, Ordering::Relaxed);
            }
            Bytes::Shared { size, .. } => {
                accounts.files.fetch_add(1, Ordering::Relaxed);
                accounts.shared_bytes.fetch_add(*size, Ordering::Relaxed);
            }
            Bytes::Part(part) => {
                accounts.shared_bytes.fetch_add(part.size(), Ordering::Relaxed);
            }
        }
        Block(Arc::new(Held { id, format, metadata, bytes, accounts: Some(Arc::clone(accounts)) }))
    }

    /// Its number, never given twice.
    pub fn id(&self) -> u64 {
        self.0.id
    }

    /// How its payload is to be understood.
    pub fn format(&self) -> Format {
        self.0.format
    }

    /// Its metadata, a JSON object or empty, as its producer wrote them.
    pub fn metadata(&self) -> &str {
        &self.0.metadata
    }

    /// Length of the payload.
    pub fn payload_length(&self) -> u64 {
        match &self.0.bytes {
            Bytes::Inline(payload) => payload.len() as u64,
            Bytes::Shared { payload_length, .. } => *payload_length,
            Bytes::Part(part) => part.payload_length(),
        }
    }

    /// The memory it takes.
    pub fn size(&self) -> u64 {
        match &self.0.bytes {
            Bytes::Inline(payload) => payload.len() as u64,
            Bytes::Shared { size, .. } => *size,
            Bytes::Part(part) => part.size(),
        }
    }

    /// Where in a segment it is, if it is in one.
    pub fn part(&self) -> Option<&Part> {
        match &self.0.bytes {
            Bytes::Part(part) => Some(part),
            Bytes::Inline(_) | Bytes::Shared { .. } => None,
        }
    }

    /// How to tell another process of it, which may keep what it reads. A descriptor that must go along is added to `descriptors`.
    pub fn reference<'a>(&'a self, descriptors: &mut Vec<BorrowedFd<'a>>) -> BlockReference {
        if let Bytes::Part(part) = &self.0.bytes {
            part.lend();
        }
        self.reference_at(SegmentPlace::Descriptor(0), descriptors)
    }

    /// How to tell a worker of it that knows its segment, if it has one, as `place`, and says when it keeps what it reads.
    pub fn reference_at<'a>(&'a self, place: SegmentPlace, descriptors: &mut Vec<BorrowedFd<'a>>) -> BlockReference {
        // No message takes as many descriptors as u32 counts; the channel refuses long before.
        let mut descriptor = |file: BorrowedFd<'a>| {
            descriptors.push(file);
            descriptors.len() as u32 - 1
        };
        let place = match &self.0.bytes {
            Bytes::Inline(payload) => BlockPlace::Inline(payload.to_vec()),
            Bytes::Shared { file, size, .. } => BlockPlace::Memfd { descriptor: descriptor(file.as_fd()), size: *size },
            Bytes::Part(part) => {
                let place = match place {
                    SegmentPlace::Descriptor(_) => SegmentPlace::Descriptor(descriptor(part.segment().as_fd())),
                    known => known,
                };
                BlockPlace::Segment { place, offset: part.offset(), size: part.size() }
            }
        };
        BlockReference { id: self.0.id, format: self.0.format.to_string(), metadata: self.0.metadata.clone(), place }
    }

    /// What there is of it, if it is small enough to travel in a record.
    pub fn small(&self) -> Option<SmallBlock<'_>> {
        match &self.0.bytes {
            Bytes::Inline(payload) => Some(SmallBlock { format: self.0.format, metadata: &self.0.metadata, payload }),
            Bytes::Shared { .. } | Bytes::Part(_) => None,
        }
    }

    /// Copies the payload out. For small ones, such as an answer in JSON; `limit` guards against the others.
    pub fn read(&self, limit: usize) -> io::Result<Vec<u8>> {
        let length = usize::try_from(self.payload_length()).unwrap_or(usize::MAX);
        if length > limit {
            return Err(io::Error::other(format!("a block of {length} bytes, at most {limit} are read")));
        }
        match &self.0.bytes {
            Bytes::Inline(payload) => Ok(payload.to_vec()),
            Bytes::Shared { file, .. } => {
                let mut payload = vec![0; length];
                file.read_exact_at(&mut payload, HEADER_BYTES as u64)?;
                Ok(payload)
            }
            Bytes::Part(part) => {
                let mut payload = vec![0; length];
                part.read_exact_at(&mut payload, 0)?;
                Ok(payload)
            }
        }
    }
}

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
        match &self.0.bytes {
            Bytes::Inline(payload) => write_file(self.0.format, &self.0.metadata, payload),
            Bytes::Shared { file, size, .. } => Ok((file.try_clone()?.into(), *size)),
            Bytes::Part(part) => copy_part(part, self.0.format, &self.0.metadata),
        }
    }

    /// Copies up to `length` bytes of the payload out, from `offset` on; fewer at its end, none beyond.
    pub fn read_at(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let left = self.payload_length().saturating_sub(offset);
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(length);
        match &self.0.bytes {
            Bytes::Inline(payload) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX).min(payload.len());
                Ok(payload[start..start + length].to_vec())
            }
            Bytes::Shared { file, .. } => {
                let mut bytes = vec![0; length];
                file.read_exact_at(&mut bytes, HEADER_BYTES as u64 + offset)?;
                Ok(bytes)
            }
            Bytes::Part(part) => {
                let mut bytes = vec![0; length];
                part.read_exact_at(&mut bytes, offset)?;
                Ok(bytes)
            }
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

impl Drop for Held {
    fn drop(&mut self) {
        let Some(accounts) = &self.accounts else { return };
        accounts.blocks.fetch_sub(1, Ordering::Relaxed);
        match &self.bytes {
            Bytes::Inline(payload) => {
                accounts.inline_bytes.fetch_sub(payload.len() as u64, Ordering::Relaxed);
            }
            Bytes::Shared { size, .. } => {
                accounts.files.fetch_sub(1, Ordering::Relaxed);
                accounts.shared_bytes.fetch_sub(*size, Ordering::Relaxed);
            }
            Bytes::Part(part) => {
                accounts.shared_bytes.fetch_sub(part.size(), Ordering::Relaxed);
            }
        }
    }
}
