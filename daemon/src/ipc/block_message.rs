//! How messages speak of blocks: those that a process may read, and those that one claims to have made.

use serde::{Deserialize, Serialize};

/// What an input port holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InputValue {
    /// Nothing: the port is optional and unbound.
    Absent,
    /// A parameter, JSON.
    Json(String),
    /// A dataset.
    Block(BlockReference),
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
        /// Index among the message's descriptors.
        descriptor: u32,
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
    /// One that [`super::message::ToWorker::Segment`] brought.
    Foreign {
        /// Where the worker was to keep it.
        place: u32,
        /// The server's number for it.
        segment: u32,
    },
    /// One that is unknown to the reader: index among the message's descriptors.
    Descriptor(u32),
}

/// Where a claimed block is said to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClaimPlace {
    /// In the message itself.
    Inline(Vec<u8>),
    /// In a sealed memfd beside the message.
    Memfd {
        /// Index among the message's descriptors.
        descriptor: u32,
        /// The file's size.
        size: u64,
    },
    /// In a part of a segment that [`super::message::FromWorker::Segment`] told of.
    Part {
        /// The worker's number for the segment.
        segment: u32,
        /// The part's slot.
        slot: u32,
        /// Which use of the slot it is.
        usage: u32,
        /// Where in the segment the part begins.
        offset: u64,
        /// How much the block takes.
        size: u64,
    },
}

/// An output, as a worker claims it to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockClaim {
    /// The output port.
    pub port: u32,
    /// Its format tag.
    pub format: String,
    /// Its metadata if inline. Elsewhere they lie beside the bytes, and this is empty.
    pub metadata: String,
    /// Where its bytes are.
    pub place: ClaimPlace,
}
