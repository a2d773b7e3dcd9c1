//! What a port is given, in the server's terms.

use std::os::fd::BorrowedFd;

use crate::block::Block;
use crate::block::segment::Part;
use crate::ipc::message::{InputValue, SegmentPlace};

/// What a port is given.
pub type Input = InputValue<Block>;

impl Input {
    /// Somebody goes on reading it: its memory is not used again.
    pub fn lend(&self) {
        let Input::Block(block) = self else { return };
        block.part().into_iter().for_each(Part::lend);
    }

    /// For one who says when it keeps what it reads.
    pub(super) fn value<'a>(&'a self, descriptors: &mut Vec<BorrowedFd<'a>>) -> InputValue {
        match self {
            Input::Absent => InputValue::Absent,
            Input::Json(json) => InputValue::Json(json.clone()),
            Input::Block(block) => InputValue::Block(block.reference_at(SegmentPlace::Descriptor(0), descriptors)),
        }
    }

    /// The same, for a worker that knows the block's segment as `place`.
    pub(super) fn value_at<'a>(
        &'a self,
        place: Option<&SegmentPlace>,
        descriptors: &mut Vec<BorrowedFd<'a>>,
    ) -> InputValue {
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
