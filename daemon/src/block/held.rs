//! A block as the server holds it: checked, counted, and released with its last handle.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::build::Builder;
use super::layout::{Format, HEADER_BYTES, INLINE_BELOW};
use crate::ipc::message::{BlockPlace, BlockReference};
use crate::ipc::ring::record::SmallBlock;
use crate::sys::memfd;

/// Counts the blocks that are alive, and numbers them. One for the whole server.
#[derive(Debug, Default)]
pub struct Accounts {
    last_id: AtomicU64,
    blocks: AtomicU64,
    files: AtomicU64,
    shared_bytes: AtomicU64,
    inline_bytes: AtomicU64,
}

/// What is alive at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockUsage {
    /// Blocks of either kind.
    pub blocks: u64,
    /// Blocks with a file, and so a descriptor, of their own.
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
    /// On the heap: the payload.
    Inline(Vec<u8>),
    /// In a sealed file of this size, checked to hold a payload of this length.
    Shared { file: File, size: u64, payload_length: u64 },
}

impl Block {
    /// A small block made by the server itself.
    pub fn inline(accounts: &Arc<Accounts>, format: Format, metadata: String, payload: Vec<u8>) -> Block {
        Block::new(accounts, format, metadata, Bytes::Inline(payload))
    }

    /// A small block that its holder counts, and that needs no number: there are many of them, and one counter for all would be
    /// what every driver waits for.
    pub fn uncounted(small: SmallBlock<'_>) -> Block {
        Block(Arc::new(Held {
            id: 0,
            format: small.format,
            metadata: small.metadata.to_owned(),
            bytes: Bytes::Inline(small.payload.to_vec()),
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
        }
    }

    /// The memory it takes.
    pub fn size(&self) -> u64 {
        match &self.0.bytes {
            Bytes::Inline(payload) => payload.len() as u64,
            Bytes::Shared { size, .. } => *size,
        }
    }

    /// The inode of its file if it has one; whoever maps a file with this inode sees these very pages.
    pub fn inode(&self) -> Option<u64> {
        match &self.0.bytes {
            Bytes::Inline(_) => None,
            Bytes::Shared { file, .. } => memfd::inode(file).ok(),
        }
    }

    /// How to tell another process of it. A descriptor that must go along is added to `descriptors`.
    pub fn reference<'a>(&'a self, descriptors: &mut Vec<BorrowedFd<'a>>) -> BlockReference {
        let place = match &self.0.bytes {
            Bytes::Inline(payload) => BlockPlace::Inline(payload.clone()),
            Bytes::Shared { file, size, .. } => {
                descriptors.push(file.as_fd());
                // No message takes as many descriptors as u32 counts; the channel refuses long before.
                BlockPlace::Memfd { descriptor: descriptors.len() as u32 - 1, size: *size }
            }
        };
        BlockReference { id: self.0.id, format: self.0.format.to_string(), metadata: self.0.metadata.clone(), place }
    }

    /// What there is of it, if it is small enough to travel in a record.
    pub fn small(&self) -> Option<SmallBlock<'_>> {
        match &self.0.bytes {
            Bytes::Inline(payload) => Some(SmallBlock { format: self.0.format, metadata: &self.0.metadata, payload }),
            Bytes::Shared { .. } => None,
        }
    }

    /// Copies the payload out. For small ones, such as an answer in JSON; `limit` guards against the others.
    pub fn read(&self, limit: usize) -> io::Result<Vec<u8>> {
        let length = usize::try_from(self.payload_length()).unwrap_or(usize::MAX);
        if length > limit {
            return Err(io::Error::other(format!("a block of {length} bytes, at most {limit} are read")));
        }
        match &self.0.bytes {
            Bytes::Inline(payload) => Ok(payload.clone()),
            Bytes::Shared { file, .. } => {
                let mut payload = vec![0; length];
                file.read_exact_at(&mut payload, HEADER_BYTES as u64)?;
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

    /// A descriptor of the block's sealed file, and the file's size; a small block is written into a new one.
    pub fn to_file(&self) -> io::Result<(OwnedFd, u64)> {
        match &self.0.bytes {
            Bytes::Inline(payload) => write_file(self.0.format, &self.0.metadata, payload),
            Bytes::Shared { file, size, .. } => Ok((file.try_clone()?.into(), *size)),
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
    let finished = builder.finish(length, format, metadata).map_err(io::Error::other)?;
    Ok((finished.file, finished.size))
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
        }
    }
}
