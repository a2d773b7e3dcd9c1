//! The server's ends of the channels, in the server's terms: blocks instead of descriptor indices, and events in which
//! every descriptor has its place. None of this names a plugin.
//!
//! What arrives is resolved and shape-checked here (a descriptor index that is out of range or used twice is a
//! [`ChannelError::Protocol`]); whether it is true is for the caller to check: ports against the plan, claims by
//! [`ClaimedBlock::adopt`]. Texts that are told to people are cut to a size that the server can keep.
//!
//! Workers and hook hosts run what plugins contain, so the server never waits for one to read: what finds no room is
//! [`ChannelError::Behind`].

mod hook_host;
mod worker;
mod zygote;

use std::os::fd::{BorrowedFd, OwnedFd};

pub use hook_host::{HookChannel, HookEvent};
pub use worker::{TaskOperation, TaskRequest, WorkerChannel, WorkerEvent};
pub use zygote::{StartDescriptors, ZygoteChannel, ZygoteEvent};

use super::channel::ChannelError;
use super::message::{BlockClaim, ClaimPlace, InputValue, SegmentPlace};
use crate::block::Block;
use crate::block::adopt::{ClaimedBlock, ClaimedBytes};
use crate::block::pool::PartClaim;
use crate::block::segment::Part;

/// What a port is given.
#[derive(Clone, Debug)]
pub enum Input {
    /// Nothing: optional and unbound.
    Absent,
    /// A parameter, JSON.
    Json(String),
    /// A dataset.
    Block(Block),
}

impl Input {
    /// Somebody goes on reading it: its memory is not used again.
    pub fn lend(&self) {
        let Input::Block(block) = self else { return };
        block.part().into_iter().for_each(Part::lend);
    }

    /// For one who says when it keeps what it reads.
    fn value<'a>(&'a self, descriptors: &mut Vec<BorrowedFd<'a>>) -> InputValue {
        match self {
            Input::Absent => InputValue::Absent,
            Input::Json(json) => InputValue::Json(json.clone()),
            Input::Block(block) => InputValue::Block(block.reference_at(SegmentPlace::Descriptor(0), descriptors)),
        }
    }

    /// The same, for a worker that knows the block's segment as `place`.
    fn value_at<'a>(&'a self, place: Option<&SegmentPlace>, descriptors: &mut Vec<BorrowedFd<'a>>) -> InputValue {
        match self {
            Input::Block(block) => match place {
                Some(place @ (SegmentPlace::Own { .. } | SegmentPlace::Foreign { .. })) => {
                    InputValue::Block(block.reference_at(*place, descriptors))
                }
                Some(SegmentPlace::Descriptor(_)) | None => InputValue::Block(block.reference(descriptors)),
            },
            Input::Absent | Input::Json(_) => self.value(descriptors),
        }
    }
}

/// Gives each claim the descriptor it names; each descriptor can be named once.
fn resolve(claims: Vec<BlockClaim>, descriptors: Vec<OwnedFd>) -> Result<Vec<ClaimedBlock>, ChannelError> {
    let count = descriptors.len();
    let mut descriptors: Vec<_> = descriptors.into_iter().map(Some).collect();
    claims
        .into_iter()
        .map(|BlockClaim { port, format, metadata, place }| {
            let bytes = match place {
                ClaimPlace::Inline(payload) => ClaimedBytes::Inline(payload),
                ClaimPlace::Part { segment, slot, usage, offset, size } => {
                    ClaimedBytes::Part { part: PartClaim { segment, slot, usage, offset }, size }
                }
                ClaimPlace::Memfd { descriptor, size } => {
                    let slot = usize::try_from(descriptor).ok().and_then(|index| descriptors.get_mut(index));
                    let file = slot.and_then(Option::take).ok_or_else(|| {
                        ChannelError::Protocol(format!(
                            "the output of port {port} names descriptor {descriptor} of {count}, which is not there or was named before"
                        ))
                    })?;
                    ClaimedBytes::Memfd { file, size }
                }
            };
            Ok(ClaimedBlock { port, format, metadata, bytes })
        })
        .collect()
}
