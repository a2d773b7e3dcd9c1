//! What a slot of a ring holds: a task or an answer that is small, in few words and without a copy more than needed.
//!
//! Written and read by hand, for this is the one encoding that costs as much as the work it carries. A record is a list of whole
//! words, each written once, as a whole, and read as such: a processor hands on what it has just stored only to a load of the same
//! bytes, and else waits until the store has left for the cache, behind the stores into the ring. Reading never panics and
//! never trusts: what does not parse is [`Malformed`]. Each file here writes and reads what it is named by.

mod answer;
mod block;
mod lead;
mod reader;
mod task;
mod writer;

#[cfg(test)]
mod tests;

pub use answer::{Answer, MadePart, Outcome, Output, Outputs, SharedOutputs};
pub(super) use block::write_block;
pub use block::{PartBlock, SmallBlock};
pub(super) use lead::Lead;
pub use reader::Malformed;
pub(super) use reader::Reader;
pub(super) use task::{ABSENT, EVENT};
pub use task::{Call, EVENT_WORDS, Input, Inputs, PART_WORDS, Task};
pub(super) use writer::Writer;

/// Words of a record, no more.
pub const RECORD_WORDS: usize = 63;

/// The task or the answer came over the socket: the kind of either's record.
const MESSAGE: u8 = 2;

/// The words of one record.
#[derive(Clone, Debug)]
pub struct Record {
    words: [u64; RECORD_WORDS],
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
        Record { words: [0; RECORD_WORDS], length: 0, overflows: false }
    }
}

impl Record {
    /// What was written.
    pub fn words(&self) -> &[u64] {
        &self.words[..self.length]
    }

    /// Room for words from elsewhere.
    pub fn for_length(&mut self, length: usize) -> &mut [u64] {
        self.length = length.min(RECORD_WORDS);
        self.overflows = false;
        &mut self.words[..self.length]
    }

    #[inline]
    fn begin(&mut self, lead: Lead) {
        (self.length, self.overflows) = (0, false);
        self.word(lead.word());
    }

    #[inline]
    fn head(&mut self, head: Head) {
        self.word(head.token);
        self.word(head.messages);
    }
}

impl Writer for Record {
    #[inline]
    fn word(&mut self, word: u64) {
        match self.words.get_mut(self.length) {
            Some(room) if !self.overflows => {
                *room = word;
                self.length += 1;
            }
            _ => self.overflows = true,
        }
    }

    fn refuse(&mut self) {
        self.overflows = true;
    }
}
