//! Answers as slots hold them: what came of a task, and the outputs that are small or lie in segments.

use super::block::{BLOCK, OWN_PART, format_number, write_block};
use super::reader::{Malformed, Reader, take_one};
use super::{Head, Lead, MESSAGE, Record, SmallBlock, Writer as _};
use crate::block::layout::Format;
use crate::block::pool::PartClaim;

/// An answer as a slot holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer<'a> {
    /// The task.
    pub head: Head,
    /// How long the worker was at it, as it says.
    pub took_ns: u64,
    /// A plugin goes on reading an input of it.
    pub keeps_inputs: bool,
    /// What came of it.
    pub outcome: Outcome<'a>,
}

/// What an answer says.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome<'a> {
    /// The task succeeded; its outputs are here.
    Done(Outputs<'a>),
    /// The task succeeded; some of its outputs are in segments.
    Shared(SharedOutputs<'a>),
    /// The answer is the last of the messages before this.
    Message,
    /// It was not begun: a task before it, which makes its input, failed; or a hook before it had more to say than nothing.
    NotBegun,
}

/// The outputs in an answer: a port and a block each.
#[derive(Clone, Debug, PartialEq)]
pub struct Outputs<'a>(&'a [u64]);

/// The outputs in an answer of which some are in segments.
#[derive(Clone, Debug, PartialEq)]
pub struct SharedOutputs<'a>(&'a [u64]);

/// An output of either kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Output<'a> {
    /// Here.
    Small(SmallBlock<'a>),
    /// In a segment.
    Part(MadePart),
}

/// An output that is in a segment of the worker's own, as it claims.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MadePart {
    /// The format it is said to have.
    pub format: Format,
    /// Where it is said to be.
    pub part: PartClaim,
    /// How much it is said to take.
    pub size: u64,
}

const DONE: u8 = 4;
const NOT_BEGUN: u8 = 5;
const SHARED: u8 = 6;
/// Beside the kind of an answer.
const KEEPS_INPUTS: u8 = 0x80;

impl Record {
    /// The beginning of a good answer; [`Record::output`] adds to it.
    pub fn done(&mut self, head: Head, took_ns: u64) {
        self.begin_answer(DONE, head, took_ns);
    }

    /// One more output; false if it does not fit, and all must go over the socket.
    #[inline]
    pub fn output(&mut self, port: u32, block: SmallBlock<'_>) -> bool {
        let port = self.short(port);
        write_block(self, port, block);
        !self.overflows
    }

    /// The beginning of a good answer of which some outputs are in segments; [`Record::shared_output`] adds to it.
    pub fn shared(&mut self, head: Head, took_ns: u64) {
        self.begin_answer(SHARED, head, took_ns);
    }

    /// One more output; false if it does not fit, and all must go over the socket.
    pub fn shared_output(&mut self, port: u32, output: Output<'_>) -> bool {
        match output {
            Output::Small(block) => self.output(port, block),
            Output::Part(MadePart { format, part, size }) => {
                let number = self.short(port);
                self.word(Lead { format: format_number(format), number, ..Lead::of(OWN_PART) }.word());
                self.pair(part.segment, part.slot);
                self.word(u64::from(part.usage));
                self.word(part.offset);
                self.word(size);
                !self.overflows
            }
        }
    }

    /// Adds to an answer that a plugin goes on reading an input.
    pub fn keeps_inputs(&mut self) {
        self.words[0] |= Lead::of(KEEPS_INPUTS).word();
    }

    /// An answer that came over the socket.
    pub fn answered_by_message(&mut self, head: Head, took_ns: u64) {
        self.begin_answer(MESSAGE, head, took_ns);
    }

    /// The answer to a task that could not be begun.
    pub fn not_begun(&mut self, head: Head) {
        self.begin_answer(NOT_BEGUN, head, 0);
    }

    #[inline]
    fn begin_answer(&mut self, kind: u8, head: Head, took_ns: u64) {
        self.begin(Lead::of(kind));
        self.head(head);
        self.word(took_ns);
    }

    /// Reads an answer.
    #[inline]
    pub fn as_answer(&self) -> Result<Answer<'_>, Malformed> {
        let mut reader = Reader(self.words());
        let kind = reader.lead()?.kind;
        let keeps_inputs = kind & KEEPS_INPUTS != 0;
        let head = reader.head()?;
        let took_ns = reader.word()?;
        let outcome = match kind & !KEEPS_INPUTS {
            DONE => Outcome::Done(Outputs(reader.0)),
            SHARED => Outcome::Shared(SharedOutputs(reader.0)),
            MESSAGE => Outcome::Message,
            NOT_BEGUN => Outcome::NotBegun,
            _ => return Err(Malformed("no answer is of that kind")),
        };
        Ok(Answer { head, took_ns, keeps_inputs, outcome })
    }
}

impl<'a> Iterator for Outputs<'a> {
    type Item = Result<(u32, SmallBlock<'a>), Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        take_one(&mut self.0, |reader| {
            let lead = reader.lead()?;
            match lead.kind {
                BLOCK => Ok((u32::from(lead.number), reader.block(lead)?)),
                _ => Err(Malformed("an output is no small block")),
            }
        })
    }
}

impl<'a> Iterator for SharedOutputs<'a> {
    type Item = Result<(u32, Output<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        take_one(&mut self.0, |reader| {
            let lead = reader.lead()?;
            let output = match lead.kind {
                BLOCK => Output::Small(reader.block(lead)?),
                OWN_PART => {
                    let format = lead.format()?;
                    let [segment, slot] = reader.pair()?;
                    let [usage, _] = reader.pair()?;
                    let part = PartClaim { segment, slot, usage, offset: reader.word()? };
                    Output::Part(MadePart { format, part, size: reader.word()? })
                }
                _ => return Err(Malformed("no output is of that kind")),
            };
            Ok((u32::from(lead.number), output))
        })
    }
}
