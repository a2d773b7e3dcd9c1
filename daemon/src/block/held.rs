//! A block as the server holds it: checked, counted, and released with its last handle.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::layout::{Format, HEADER_BYTES};
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
pub struct Block(Inner);

#[derive(Clone, Debug)]
enum Inner {
    Tiny(Tiny),
    Held(Arc<Held>),
}

/// As long as a number in words: such a block is its handle, and nothing is shared or given back.
#[derive(Clone, Copy, Debug)]
struct Tiny {
    format: Format,
    length: u8,
    payload: [u8; Tiny::BYTES_MAX],
}

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
    /// In memory that its producer uses again when nobody reads it any more.
    Part(Part),
}

/// Where a block's bytes are, for those who look at it.
pub(super) enum BytesView<'a> {
    Inline(&'a [u8]),
    Shared { file: &'a File, size: u64, payload_length: u64 },
    Part(&'a Part),
}

impl Tiny {
    /// A handle has no more room.
    const BYTES_MAX: usize = 22;

    /// A block that has no metadata, and is short enough.
    fn of(small: SmallBlock<'_>) -> Option<Tiny> {
        let mut payload = [0; Tiny::BYTES_MAX];
        payload.get_mut(..small.payload.len()).filter(|_| small.metadata.is_empty())?.copy_from_slice(small.payload);
        Some(Tiny { format: small.format, length: u8::try_from(small.payload.len()).ok()?, payload })
    }

    fn payload(&self) -> &[u8] {
        &self.payload[..usize::from(self.length)]
    }
}

impl Block {
    /// A small block made by the server itself.
    pub fn inline(accounts: &Arc<Accounts>, format: Format, metadata: String, payload: Vec<u8>) -> Block {
        Block::new(accounts, format, metadata, Bytes::Inline(payload))
    }

    /// A small block that its holder counts, and that needs no number: there are many of them, and one counter for all would be
    /// what every driver waits for.
    pub fn uncounted(small: SmallBlock<'_>) -> Block {
        Block(match Tiny::of(small) {
            Some(tiny) => Inner::Tiny(tiny),
            None => Inner::Held(Arc::new(Held {
                id: 0,
                format: small.format,
                metadata: small.metadata.to_owned(),
                bytes: Bytes::Inline(small.payload.to_vec()),
                accounts: None,
            })),
        })
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
        Block(Inner::Held(Arc::new(Held { id, format, metadata, bytes, accounts: Some(Arc::clone(accounts)) })))
    }

    pub(super) fn bytes(&self) -> BytesView<'_> {
        match &self.0 {
            Inner::Tiny(tiny) => BytesView::Inline(tiny.payload()),
            Inner::Held(held) => match &held.bytes {
                Bytes::Inline(payload) => BytesView::Inline(payload),
                Bytes::Shared { file, size, payload_length } => {
                    BytesView::Shared { file, size: *size, payload_length: *payload_length }
                }
                Bytes::Part(part) => BytesView::Part(part),
            },
        }
    }

    /// Its number, never given twice; 0 where it is not counted.
    pub fn id(&self) -> u64 {
        match &self.0 {
            Inner::Tiny(_) => 0,
            Inner::Held(held) => held.id,
        }
    }

    /// Whether [`Accounts`] count it; if not, its holder does.
    pub fn is_counted(&self) -> bool {
        match &self.0 {
            Inner::Tiny(_) => false,
            Inner::Held(held) => held.accounts.is_some(),
        }
    }

    /// How its payload is to be understood.
    pub fn format(&self) -> Format {
        match &self.0 {
            Inner::Tiny(tiny) => tiny.format,
            Inner::Held(held) => held.format,
        }
    }

    /// Its metadata, a JSON object or empty, as its producer wrote them.
    pub fn metadata(&self) -> &str {
        match &self.0 {
            Inner::Tiny(_) => "",
            Inner::Held(held) => &held.metadata,
        }
    }

    /// Length of the payload.
    pub fn payload_length(&self) -> u64 {
        match self.bytes() {
            BytesView::Inline(payload) => payload.len() as u64,
            BytesView::Shared { payload_length, .. } => payload_length,
            BytesView::Part(part) => part.payload_length(),
        }
    }

    /// The memory it takes.
    pub fn size(&self) -> u64 {
        match self.bytes() {
            BytesView::Inline(payload) => payload.len() as u64,
            BytesView::Shared { size, .. } => size,
            BytesView::Part(part) => part.size(),
        }
    }

    /// Where in a segment it is, if it is in one.
    pub fn part(&self) -> Option<&Part> {
        match self.bytes() {
            BytesView::Part(part) => Some(part),
            BytesView::Inline(_) | BytesView::Shared { .. } => None,
        }
    }

    /// How to tell another process of it, which may keep what it reads. A descriptor that must go along is added to `descriptors`.
    pub fn reference<'a>(&'a self, descriptors: &mut Vec<BorrowedFd<'a>>) -> BlockReference {
        if let BytesView::Part(part) = self.bytes() {
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
        let place = match self.bytes() {
            BytesView::Inline(payload) => BlockPlace::Inline(payload.to_vec()),
            BytesView::Shared { file, size, .. } => BlockPlace::Memfd { descriptor: descriptor(file.as_fd()), size },
            BytesView::Part(part) => {
                let place = match place {
                    SegmentPlace::Descriptor(_) => SegmentPlace::Descriptor(descriptor(part.segment().as_fd())),
                    known => known,
                };
                BlockPlace::Segment { place, offset: part.offset(), size: part.size() }
            }
        };
        BlockReference { id: self.id(), format: self.format().to_string(), metadata: self.metadata().to_owned(), place }
    }

    /// What there is of it, if it is small enough to travel in a record.
    pub fn small(&self) -> Option<SmallBlock<'_>> {
        match self.bytes() {
            BytesView::Inline(payload) => {
                Some(SmallBlock { format: self.format(), metadata: self.metadata(), payload })
            }
            BytesView::Shared { .. } | BytesView::Part(_) => None,
        }
    }

    /// Copies the payload out. For small ones, such as an answer in JSON; `limit` guards against the others.
    pub fn read(&self, limit: usize) -> io::Result<Vec<u8>> {
        let length = usize::try_from(self.payload_length()).unwrap_or(usize::MAX);
        if length > limit {
            return Err(io::Error::other(format!("a block of {length} bytes, at most {limit} are read")));
        }
        self.read_at(0, length)
    }

    /// Copies up to `length` bytes of the payload out, from `offset` on; fewer at its end, none beyond.
    pub fn read_at(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let left = self.payload_length().saturating_sub(offset);
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(length);
        match self.bytes() {
            BytesView::Inline(payload) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX).min(payload.len());
                Ok(payload[start..start + length].to_vec())
            }
            BytesView::Shared { file, .. } => {
                let mut bytes = vec![0; length];
                file.read_exact_at(&mut bytes, HEADER_BYTES as u64 + offset)?;
                Ok(bytes)
            }
            BytesView::Part(part) => {
                let mut bytes = vec![0; length];
                part.read_exact_at(&mut bytes, offset)?;
                Ok(bytes)
            }
        }
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
