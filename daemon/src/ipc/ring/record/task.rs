//! Tasks as slots hold them: calls, the parts of hook events, and words of one byte.

use super::block::{FOREIGN_PART, OWN_PART};
use super::reader::{Malformed, Reader, take_one};
use super::{Head, MESSAGE, PartBlock, RECORD_BYTES, Record, SmallBlock};
use crate::ipc::message::Lasting;

/// So many bytes of a hook event fit into the record that tells its end.
pub const EVENT_BYTES: usize = RECORD_BYTES - 1 - 2 * size_of::<u64>();

/// And so many into one that tells a part of it.
pub const PART_BYTES: usize = RECORD_BYTES - 1;

/// A task as a slot holds it.
#[derive(Clone, Debug, PartialEq)]
pub enum Task<'a> {
    /// Call a node.
    Call(Call<'a>),
    /// The task is the last of the messages before this.
    Message(Head),
    /// Bytes of the hook event that follows, which is too large for a slot: see [`event`](crate::ipc::ring::event).
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
pub struct Inputs<'a>(pub(in crate::ipc::ring) &'a [u8]);

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

const CALL: u8 = 1;
const QUIT: u8 = 3;
const PART: u8 = 7;
const EVENT: u8 = 8;
const GO_ON: u8 = 9;

/// Before an input that is nothing.
pub const ABSENT: u8 = 0;
const JSON: u8 = 1;
/// Before an input that is a small block.
pub const BLOCK: u8 = 2;
const MADE: u8 = 3;

impl Record {
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
                MADE => Input::Made { token: reader.large()?, port: reader.number()? },
                _ => return Err(Malformed("no input is of that kind")),
            })
        })
    }
}
