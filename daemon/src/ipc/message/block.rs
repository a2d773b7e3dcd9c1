//! How messages speak of blocks: those that a process may read, and those that one claims to have made.

use serde::{Deserialize, Serialize};

use super::DescriptorIndex;
use crate::block::pool::PartClaim;

/// What an input port holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InputValue<Block = BlockReference> {
    /// Nothing: the port is optional and unbound.
    Absent,
    /// A parameter, JSON.
    Json(String),
    /// A dataset.
    Block(Block),
}

/// A block of the server, as told to a process that may read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockReference {
    /// The server's number for it.
    pub id: u64,
    /// Its format tag.
    pub format: String,
    /// Its metadata, a JSON object or empty.
    pub metadata: String,
    /// Where its bytes are.
    pub place: BlockPlace,
}

/// Where the bytes of a block are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BlockPlace {
    /// In the message itself.
    Inline(Vec<u8>),
    /// In a sealed memfd beside the message.
    Memfd {
        /// Which.
        descriptor: DescriptorIndex,
        /// The file's size.
        size: u64,
    },
    /// In a segment.
    Segment {
        /// Which.
        place: SegmentPlace,
        /// Where the block begins there.
        offset: u64,
        /// How much it takes.
        size: u64,
    },
}

/// Which output ports' blocks leave their run, and so must be in files of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lasting(u32);

impl Lasting {
    /// None of them.
    pub const NONE: Lasting = Lasting(0);
    /// All of them.
    pub const ALL: Lasting = Lasting(u32::MAX);

    /// Adds a port. Those from 31 on are all one.
    pub fn add(&mut self, port: usize) {
        self.0 |= 1 << port.min(31);
    }

    /// Whether a port is among them.
    pub fn contains(self, port: u32) -> bool {
        self.0 & (1 << port.min(31)) != 0
    }

    /// As a number.
    pub fn bits(self) -> u32 {
        self.0
    }

    /// From a number.
    pub fn of_bits(bits: u32) -> Lasting {
        Lasting(bits)
    }
}

/// A segment, as told to who is to read in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SegmentPlace {
    /// The worker's own.
    Own {
        /// The worker's number for it.
        segment: u32,
    },
    /// One that [`super::ToWorker::Segment`] brought.
    Foreign {
        /// Where the worker was to keep it.
        place: u32,
        /// The server's number for it.
        segment: u32,
    },
    /// One that is unknown to the reader.
    Descriptor(DescriptorIndex),
}

/// An output as a worker says it is; nothing of it is checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockClaim<File = DescriptorIndex> {
    /// The output port it is said to belong to. May be out of range.
    pub port: u32,
    /// The format it is said to have.
    pub format: String,
    /// Its metadata if inline. Elsewhere they lie beside the bytes, and this is empty.
    pub metadata: String,
    /// Its bytes.
    pub bytes: ClaimedBytes<File>,
}

/// Where a claimed block's bytes are said to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClaimedBytes<File = DescriptorIndex> {
    /// Here.
    Inline(Vec<u8>),
    /// In this file, which is said to be a sealed memfd of this size.
    Memfd {
        /// The file.
        file: File,
        /// Its size.
        size: u64,
    },
    /// In a part of one of the worker's segments, which [`super::WorkerMessage::Segment`] told of.
    Part {
        /// Which.
        part: PartClaim,
        /// How much of it the block takes.
        size: u64,
    },
}
