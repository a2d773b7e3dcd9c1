//! What a call has made, on its way to the server or to another call.

use std::os::fd::OwnedFd;

use plugin_api::abi::Failure;

use super::buffers::Buffers;
use super::{PROTOCOL, Spare};
use crate::block::layout::Format;
use crate::block::pool::{NewSegment, Part, Pool};
use crate::ipc::message::{BlockClaim, BlockPlace, BlockReference, ClaimedBytes, InputValue};
use crate::ipc::ring::record::{Head, MadePart, Output, Record, SmallBlock};
use crate::sys::map::Guard;

/// An output that nobody can change any more.
pub(super) struct Committed {
    pub(super) format: Format,
    pub(super) bytes: CommittedBytes,
    /// As it was given; a file or a part has it, too.
    pub(super) metadata: String,
    /// How many of its bytes were granted by the server.
    pub(super) charged: u64,
}

pub(super) enum CommittedBytes {
    Inline(Vec<u8>),
    File { file: OwnedFd, size: u64 },
    Part { part: Part, size: u64 },
}

/// One of many pieces of an output, taken from its port.
pub struct Chunk {
    format: Format,
    metadata: String,
    charged: u64,
    place: ChunkPlace,
}

enum ChunkPlace {
    Inline(Vec<u8>),
    File { file: OwnedFd, size: u64 },
}

impl Chunk {
    pub(super) fn of(committed: Committed) -> Result<Chunk, Failure> {
        let Committed { format, bytes, metadata, charged } = committed;
        let place = match bytes {
            CommittedBytes::Inline(payload) => ChunkPlace::Inline(payload),
            CommittedBytes::File { file, size } => ChunkPlace::File { file, size },
            // Ports that are given in chunks get no memory of the pool.
            CommittedBytes::Part { .. } => return Err(Failure::new(PROTOCOL, "a chunk was made in the pool's memory")),
        };
        Ok(Chunk { format, metadata, charged, place })
    }

    /// How many of its bytes were granted by the server.
    pub fn charged(&self) -> u64 {
        self.charged
    }

    /// How large it is as a block.
    pub fn size(&self) -> u64 {
        match &self.place {
            ChunkPlace::Inline(payload) => payload.len() as u64,
            ChunkPlace::File { size, .. } => *size,
        }
    }

    /// What the server is told of it, and the file that the claim names, if it names one.
    pub fn claim(&self, port: u32) -> (BlockClaim, Option<&OwnedFd>) {
        let format = self.format.to_string();
        match &self.place {
            ChunkPlace::Inline(payload) => {
                let bytes = ClaimedBytes::Inline(payload.clone());
                (BlockClaim { port, format, metadata: self.metadata.clone(), bytes }, None)
            }
            ChunkPlace::File { file, size } => {
                let bytes = ClaimedBytes::Memfd { file: 0, size: *size };
                (BlockClaim { port, format, metadata: String::new(), bytes }, Some(file))
            }
        }
    }

    /// The chunk as the input of another call, and the file that it names, if it names one.
    pub fn into_input(self) -> (InputValue, Vec<OwnedFd>) {
        let Chunk { format, metadata, place, .. } = self;
        let (place, files) = match place {
            ChunkPlace::Inline(payload) => (BlockPlace::Inline(payload), Vec::new()),
            ChunkPlace::File { file, size } => (BlockPlace::Memfd { descriptor: 0, size }, vec![file]),
        };
        (InputValue::Block(BlockReference { id: 0, format: format.to_string(), metadata, place }), files)
    }
}

/// What a call has made, ready to be told.
#[derive(Debug, Default)]
pub struct Claims {
    /// One for each output.
    pub claims: Vec<BlockClaim>,
    /// The files they name by index.
    pub files: Vec<OwnedFd>,
    /// Parts that are claimed. Until they are told, they are this side's to free.
    parts: Vec<Part>,
    /// To be dropped when the call is over for good.
    pub guards: Vec<Guard>,
}

/// All that a call has made. Few of either kind, so they are looked for one by one.
pub struct Made(pub(super) Box<Buffers>);

impl Made {
    /// The segments that something of it lies in and the server does not know, to be told before it.
    pub fn new_segments(&self, pool: &Pool) -> Vec<NewSegment> {
        self.parts().filter_map(|part| pool.take_new(part.segment())).collect()
    }

    /// As claims for a message. The memory of the call goes back to where it came from.
    pub fn into_claims(mut self, spare: &Spare) -> Claims {
        let mut made = Claims { guards: self.guards().collect(), ..Claims::default() };
        for (port, Committed { format, bytes, metadata, .. }) in self.0.committed.drain(..) {
            let (metadata, bytes) = match bytes {
                CommittedBytes::Inline(payload) => (metadata, ClaimedBytes::Inline(payload)),
                CommittedBytes::File { file, size } => {
                    made.files.push(file);
                    // There are fewer files than ports, and ports are counted in u32.
                    (String::new(), ClaimedBytes::Memfd { file: made.files.len() as u32 - 1, size })
                }
                CommittedBytes::Part { part, size } => {
                    let claim = part.place();
                    made.parts.push(part);
                    (String::new(), ClaimedBytes::Part { part: claim, size })
                }
            };
            made.claims.push(BlockClaim { port, format: format.to_string(), metadata, bytes });
        }
        spare.give(self);
        made
    }

    /// Writes it as the answer; false if it does not fit there, or needs descriptors.
    pub fn write(&mut self, answer: &mut Record, head: Head, took_ns: u64) -> bool {
        let is_shared = self.parts().next().is_some();
        if is_shared {
            answer.shared(head, took_ns);
        } else {
            answer.done(head, took_ns);
        }
        let is_written = self.0.committed.iter().all(|(port, Committed { format, bytes, metadata, .. })| match bytes {
            CommittedBytes::Inline(payload) => {
                let small = SmallBlock { format: *format, metadata, payload };
                match is_shared {
                    true => answer.shared_output(*port, Output::Small(small)),
                    false => answer.output(*port, small),
                }
            }
            CommittedBytes::Part { part, size } => {
                let made = MadePart { format: *format, part: part.place(), size: *size };
                answer.shared_output(*port, Output::Part(made))
            }
            CommittedBytes::File { .. } => false,
        });
        if is_written && is_shared {
            self.0.committed.iter_mut().for_each(|(_, committed)| {
                if let CommittedBytes::Part { part, .. } = &mut committed.bytes {
                    part.claim();
                }
            });
        }
        is_written
    }

    /// What must stay out of use for a while after the call.
    pub fn guards(&mut self) -> impl Iterator<Item = Guard> {
        self.0.guards.drain(..)
    }

    fn parts(&self) -> impl Iterator<Item = &Part> {
        self.0.committed.iter().filter_map(|(_, committed)| match &committed.bytes {
            CommittedBytes::Part { part, .. } => Some(part),
            CommittedBytes::Inline(_) | CommittedBytes::File { .. } => None,
        })
    }
}

impl Claims {
    /// The server has been told, or is about to be: what was claimed is its.
    pub fn claim(&mut self) {
        self.parts.iter_mut().for_each(Part::claim);
    }
}
