//! What a slot of a ring holds: a task or an answer that is small, in few bytes and without a copy more than needed.
//!
//! Written and read by hand, for this is the one encoding that costs as much as the work it carries. Reading never
//! panics and never trusts: what does not parse is [`Malformed`]. Each file here writes and reads what it is named by.

mod answer;
mod block;
mod reader;
mod task;

#[cfg(test)]
mod tests;

pub use answer::{Answer, MadePart, Outcome, Output, Outputs, SharedOutputs};
pub(super) use block::format_number;
pub use block::{PartBlock, SmallBlock};
pub use reader::Malformed;
pub(super) use reader::{Reader, as_text};
pub(super) use task::{ABSENT, BLOCK};
pub use task::{Call, EVENT_BYTES, Input, Inputs, PART_BYTES, Task};

/// Bytes of a record, no more.
pub const RECORD_BYTES: usize = 504;

/// The task or the answer came over the socket: the first byte of either's record.
const MESSAGE: u8 = 2;

/// The bytes of one record.
#[derive(Clone, Debug)]
pub struct Record {
    bytes: [u8; RECORD_BYTES],
    length: usize,
    /// Something did not fit.
    overflows: bool,
}

/// A task's number, and what has come over the socket before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The task.
    pub token: u64,
    /// So many messages were sent over the socket before this record: they come first.
    pub messages: u64,
}

impl Default for Record {
    fn default() -> Record {
        Record { bytes: [0; RECORD_BYTES], length: 0, overflows: false }
    }
}

impl Record {
    /// What was written.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Room for bytes from elsewhere.
    pub fn for_length(&mut self, length: usize) -> &mut [u8] {
        self.length = length.min(RECORD_BYTES);
        self.overflows = false;
        &mut self.bytes[..self.length]
    }

    #[inline]
    fn begin(&mut self, kind: u8) {
        (self.length, self.overflows) = (0, false);
        self.put(&[kind]);
    }

    #[inline]
    fn head(&mut self, head: Head) {
        self.put(&head.token.to_le_bytes());
        self.put(&head.messages.to_le_bytes());
    }

    #[inline]
    fn short(&mut self, bytes: &[u8]) {
        match u16::try_from(bytes.len()) {
            Ok(length) => {
                self.put(&length.to_le_bytes());
                self.put(bytes);
            }
            Err(_) => self.overflows = true,
        }
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        match self.bytes.get_mut(self.length..self.length + bytes.len()) {
            Some(room) if !self.overflows => {
                room.copy_from_slice(bytes);
                self.length += bytes.len();
            }
            _ => self.overflows = true,
        }
    }
}
