//! What a slot of a ring holds: a task or an answer that is small, in few bytes and without a copy more than needed.
//!
//! Written and read by hand, for this is the one encoding that costs as much as the work it carries. Reading never
//! panics and never trusts: what does not parse is [`Malformed`].

use crate::block::layout::Format;
use crate::block::pool::PartClaim;
use crate::ipc::message::{Lasting, SegmentPlace};

/// Bytes of a record, no more.
pub const RECORD_BYTES: usize = 504;

/// So many bytes of a hook event fit into the record that tells its end.
pub const EVENT_BYTES: usize = RECORD_BYTES - 1 - 2 * size_of::<u64>();

/// And so many into one that tells a part of it.
pub const PART_BYTES: usize = RECORD_BYTES - 1;

/// The bytes of one record.
#[derive(Clone, Debug)]
pub struct Record {
    bytes: [u8; RECORD_BYTES],
    length: usize,
    /// Something did not fit.
    overflows: bool,
}

/// Why a record cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record in the ring is malformed: {0}")]
pub struct Malformed(pub &'static str);

/// A task's number, and what has come over the socket before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The task.
    pub token: u64,
    /// So many messages were sent over the socket before this record: they come first.
    pub messages: u64,
}

/// A task as a slot holds it.
#[derive(Clone, Debug, PartialEq)]
pub enum Task<'a> {
    /// Call a node.
    Call(Call<'a>),
    /// The task is the last of the messages before this.
    Message(Head),
    /// Bytes of the hook event that follows, which is too large for a slot: see [`super::event`].
    Part(&'a [u8]),
    /// The last bytes of a hook event, or all of them.
    Event(Head, &'a [u8]),
    /// A hook host that answers nothing until it is told to go on is to go on.
    GoOn,
    /// Leave, with exit code 0.
    Quit,
}

/// A call of a node.
#[derive(Clone, Debug, PartialEq)]
pub struct Call<'a> {
    /// Its number.
    pub head: Head,
    /// Index into the generation's plugins.
    pub plugin: u32,
    /// Index into the plugin's nodes.
    pub node: u32,
    /// The number of its run; the worker was told of it over the socket.
    pub run: u32,
    /// Which attempt it is.
    pub attempt: u32,
    /// How many output ports there are.
    pub outputs: u32,
    /// The outputs that leave the run, and so must be in files of their own.
    pub lasting: Lasting,
    /// The node's name in the pipeline.
    pub name: &'a str,
    /// How many inputs follow.
    pub inputs_count: u32,
    /// The inputs, as written: see [`Inputs`].
    pub inputs: Inputs<'a>,
}

/// The inputs of a call, one after the other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inputs<'a>(pub(super) &'a [u8]);

/// What an input port is given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Input<'a> {
    /// Nothing: the port is optional and unbound.
    Absent,
    /// A parameter, JSON.
    Json(&'a str),
    /// A dataset.
    Block(SmallBlock<'a>),
    /// A dataset in a segment that the worker knows.
    Part(PartBlock),
    /// What the task of this number made on this port: it ran on this worker before.
    Made {
        /// The task.
        token: u64,
        /// Its output port.
        port: u32,
    },
}

/// A small block.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SmallBlock<'a> {
    /// How to understand its payload.
    pub format: Format,
    /// A JSON object, or nothing.
    pub metadata: &'a str,
    /// Its bytes.
    pub payload: &'a [u8],
}

/// A block in a segment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PartBlock {
    /// How to understand its payload.
    pub format: Format,
    /// The segment; never a descriptor.
    pub place: SegmentPlace,
    /// Where the block begins there.
    pub offset: u64,
    /// How much it takes.
    pub size: u64,
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

/// An output of either kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Output<'a> {
    /// Here.
    Small(SmallBlock<'a>),
    /// In a segment.
    Part(MadePart),
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

/// The outputs in an answer: a port and a block each.
#[derive(Clone, Debug, PartialEq)]
pub struct Outputs<'a>(&'a [u8]);

/// The outputs in an answer of which some are in segments.
#[derive(Clone, Debug, PartialEq)]
pub struct SharedOutputs<'a>(&'a [u8]);

const CALL: u8 = 1;
const MESSAGE: u8 = 2;
const QUIT: u8 = 3;
const DONE: u8 = 4;
const NOT_BEGUN: u8 = 5;
const SHARED: u8 = 6;
const PART: u8 = 7;
const EVENT: u8 = 8;
const GO_ON: u8 = 9;
/// Beside the kind of an answer.
const KEEPS_INPUTS: u8 = 0x80;

const ABSENT: u8 = 0;
const JSON: u8 = 1;
const BLOCK: u8 = 2;
const MADE: u8 = 3;
const OWN_PART: u8 = 4;
const FOREIGN_PART: u8 = 5;

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

    /// A task that is to leave.
    pub fn quit(&mut self) {
        self.begin(QUIT);
    }

    /// Some bytes of a hook event, as many as there is room for; the others.
    pub fn event_part<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        self.begin(PART);
        let (these, others) = bytes.split_at(bytes.len().min(PART_BYTES));
        self.put(these);
        others
    }

    /// The last bytes of a hook event; no more than [`EVENT_BYTES`].
    pub fn event(&mut self, head: Head, bytes: &[u8]) {
        self.begin(EVENT);
        self.head(head);
        self.put(bytes);
    }

    /// A hook host is to go on.
    pub fn go_on(&mut self) {
        self.begin(GO_ON);
    }

    /// A task that came over the socket.
    pub fn message(&mut self, head: Head) {
        self.begin(MESSAGE);
        self.head(head);
    }

    /// A call; false if it does not fit, and must go over the socket. The inputs in `call` are not looked at: `inputs` are.
    pub fn call<'i>(&mut self, call: &Call<'_>, inputs: impl Iterator<Item = Input<'i>>) -> bool {
        self.begin(CALL);
        self.head(call.head);
        let lasting = call.lasting.bits();
        for number in [call.plugin, call.node, call.run, call.attempt, call.outputs, lasting, call.inputs_count] {
            self.put(&number.to_le_bytes());
        }
        self.short(call.name.as_bytes());
        for input in inputs {
            match input {
                Input::Absent => self.put(&[ABSENT]),
                Input::Json(json) => {
                    self.put(&[JSON]);
                    self.short(json.as_bytes());
                }
                Input::Block(block) => {
                    self.put(&[BLOCK]);
                    self.block(block);
                }
                Input::Part(block) => self.part(block),
                Input::Made { token, port } => {
                    self.put(&[MADE]);
                    self.put(&token.to_le_bytes());
                    self.put(&port.to_le_bytes());
                }
            }
        }
        !self.overflows
    }

    /// The beginning of a good answer; [`Record::output`] adds to it.
    pub fn done(&mut self, head: Head, took_ns: u64) {
        self.begin(DONE);
        self.head(head);
        self.put(&took_ns.to_le_bytes());
    }

    /// One more output; false if it does not fit, and all must go over the socket.
    pub fn output(&mut self, port: u32, block: SmallBlock<'_>) -> bool {
        self.put(&port.to_le_bytes());
        self.block(block);
        !self.overflows
    }

    /// The beginning of a good answer of which some outputs are in segments; [`Record::shared_output`] adds to it.
    pub fn shared(&mut self, head: Head, took_ns: u64) {
        self.begin(SHARED);
        self.head(head);
        self.put(&took_ns.to_le_bytes());
    }

    /// One more output; false if it does not fit, and all must go over the socket.
    pub fn shared_output(&mut self, port: u32, output: Output<'_>) -> bool {
        self.put(&port.to_le_bytes());
        match output {
            Output::Small(block) => {
                self.put(&[BLOCK]);
                self.block(block);
            }
            Output::Part(MadePart { format, part, size }) => {
                self.put(&[OWN_PART]);
                self.format(format);
                for number in [part.segment, part.slot, part.usage] {
                    self.put(&number.to_le_bytes());
                }
                self.put(&part.offset.to_le_bytes());
                self.put(&size.to_le_bytes());
            }
        }
        !self.overflows
    }

    /// Adds to an answer that a plugin goes on reading an input.
    pub fn keeps_inputs(&mut self) {
        self.bytes[0] |= KEEPS_INPUTS;
    }

    /// An answer that came over the socket.
    pub fn answered_by_message(&mut self, head: Head, took_ns: u64) {
        self.begin(MESSAGE);
        self.head(head);
        self.put(&took_ns.to_le_bytes());
    }

    /// The answer to a task that could not be begun.
    pub fn not_begun(&mut self, head: Head) {
        self.begin(NOT_BEGUN);
        self.head(head);
        self.put(&0_u64.to_le_bytes());
    }

    fn begin(&mut self, kind: u8) {
        (self.length, self.overflows) = (0, false);
        self.put(&[kind]);
    }

    fn head(&mut self, head: Head) {
        self.put(&head.token.to_le_bytes());
        self.put(&head.messages.to_le_bytes());
    }

    fn part(&mut self, block: PartBlock) {
        let (kind, place, segment) = match block.place {
            SegmentPlace::Own { segment } => (OWN_PART, 0, segment),
            SegmentPlace::Foreign { place, segment } => (FOREIGN_PART, place, segment),
            // No record brings a descriptor.
            SegmentPlace::Descriptor(_) => return self.overflows = true,
        };
        self.put(&[kind]);
        self.format(block.format);
        self.put(&place.to_le_bytes());
        self.put(&segment.to_le_bytes());
        self.put(&block.offset.to_le_bytes());
        self.put(&block.size.to_le_bytes());
    }

    fn format(&mut self, format: Format) {
        let format = Format::ALL.iter().position(|known| *known == format).unwrap_or(0);
        self.put(&[u8::try_from(format).unwrap_or(0)]);
    }

    fn block(&mut self, block: SmallBlock<'_>) {
        self.format(block.format);
        self.short(block.metadata.as_bytes());
        self.short(block.payload);
    }

    fn short(&mut self, bytes: &[u8]) {
        match u16::try_from(bytes.len()) {
            Ok(length) => {
                self.put(&length.to_le_bytes());
                self.put(bytes);
            }
            Err(_) => self.overflows = true,
        }
    }

    fn put(&mut self, bytes: &[u8]) {
        match self.bytes.get_mut(self.length..self.length + bytes.len()) {
            Some(room) if !self.overflows => {
                room.copy_from_slice(bytes);
                self.length += bytes.len();
            }
            _ => self.overflows = true,
        }
    }

    /// Reads a task.
    pub fn as_task(&self) -> Result<Task<'_>, Malformed> {
        let mut reader = Reader(self.bytes());
        match reader.byte()? {
            CALL => {
                let head = reader.head()?;
                let [plugin, node, run, attempt, outputs, lasting, inputs_count] = reader.numbers()?;
                let lasting = Lasting::of_bits(lasting);
                let name = reader.text()?;
                let inputs = Inputs(reader.0);
                Ok(Task::Call(Call { head, plugin, node, run, attempt, outputs, lasting, name, inputs_count, inputs }))
            }
            MESSAGE => Ok(Task::Message(reader.head()?)),
            PART => Ok(Task::Part(reader.0)),
            EVENT => Ok(Task::Event(reader.head()?, reader.0)),
            GO_ON => Ok(Task::GoOn),
            QUIT => Ok(Task::Quit),
            _ => Err(Malformed("no task is of that kind")),
        }
    }

    /// Reads an answer.
    pub fn as_answer(&self) -> Result<Answer<'_>, Malformed> {
        let mut reader = Reader(self.bytes());
        let kind = reader.byte()?;
        let keeps_inputs = kind & KEEPS_INPUTS != 0;
        let head = reader.head()?;
        let took_ns = u64::from_le_bytes(reader.array()?);
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

impl<'a> Iterator for Inputs<'a> {
    type Item = Result<Input<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        take_one(&mut self.0, |reader| {
            Ok(match reader.byte()? {
                ABSENT => Input::Absent,
                JSON => Input::Json(reader.text()?),
                BLOCK => Input::Block(reader.block()?),
                kind @ (OWN_PART | FOREIGN_PART) => Input::Part(reader.part(kind)?),
                MADE => Input::Made {
                    token: u64::from_le_bytes(reader.array()?),
                    port: u32::from_le_bytes(reader.array()?),
                },
                _ => return Err(Malformed("no input is of that kind")),
            })
        })
    }
}

impl<'a> Iterator for Outputs<'a> {
    type Item = Result<(u32, SmallBlock<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        take_one(&mut self.0, |reader| Ok((u32::from_le_bytes(reader.array()?), reader.block()?)))
    }
}

impl<'a> Iterator for SharedOutputs<'a> {
    type Item = Result<(u32, Output<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        take_one(&mut self.0, |reader| {
            let port = u32::from_le_bytes(reader.array()?);
            let output = match reader.byte()? {
                BLOCK => Output::Small(reader.block()?),
                OWN_PART => {
                    let format = reader.format()?;
                    let [segment, slot, usage] = reader.numbers()?;
                    let offset = u64::from_le_bytes(reader.array()?);
                    let part = PartClaim { segment, slot, usage, offset };
                    Output::Part(MadePart { format, part, size: u64::from_le_bytes(reader.array()?) })
                }
                _ => return Err(Malformed("no output is of that kind")),
            };
            Ok((port, output))
        })
    }
}

/// Reads one thing off the front of `bytes`; after a malformed one there are no more.
fn take_one<'a, T>(
    bytes: &mut &'a [u8],
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, Malformed>,
) -> Option<Result<T, Malformed>> {
    if bytes.is_empty() {
        return None;
    }
    let mut reader = Reader(bytes);
    let result = read(&mut reader);
    *bytes = if result.is_ok() { reader.0 } else { &[] };
    Some(result)
}

pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed("it ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(Malformed("it ends too early"))?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Malformed> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn numbers<const N: usize>(&mut self) -> Result<[u32; N], Malformed> {
        let mut numbers = [0; N];
        for number in &mut numbers {
            *number = u32::from_le_bytes(self.array()?);
        }
        Ok(numbers)
    }

    fn head(&mut self) -> Result<Head, Malformed> {
        Ok(Head { token: u64::from_le_bytes(self.array()?), messages: u64::from_le_bytes(self.array()?) })
    }

    fn short(&mut self) -> Result<&'a [u8], Malformed> {
        let length = u16::from_le_bytes(self.array()?);
        self.take(usize::from(length))
    }

    fn text(&mut self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.short()?).map_err(|_| Malformed("a text is not UTF-8"))
    }

    fn format(&mut self) -> Result<Format, Malformed> {
        Format::ALL.get(usize::from(self.byte()?)).copied().ok_or(Malformed("no format has that number"))
    }

    fn part(&mut self, kind: u8) -> Result<PartBlock, Malformed> {
        let format = self.format()?;
        let [place, segment] = self.numbers()?;
        let place = match kind {
            OWN_PART => SegmentPlace::Own { segment },
            _ => SegmentPlace::Foreign { place, segment },
        };
        let [offset, size] = [u64::from_le_bytes(self.array()?), u64::from_le_bytes(self.array()?)];
        Ok(PartBlock { format, place, offset, size })
    }

    fn block(&mut self) -> Result<SmallBlock<'a>, Malformed> {
        Ok(SmallBlock { format: self.format()?, metadata: self.text()?, payload: self.short()? })
    }
}
