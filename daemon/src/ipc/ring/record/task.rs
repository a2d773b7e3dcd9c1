//! Tasks as slots hold them: calls, the parts of hook events, and words of one byte.

use super::block::{BLOCK, write_block, write_part};
use super::reader::{Malformed, Reader, take_one};
use super::{Head, Lead, MESSAGE, PartBlock, RECORD_WORDS, Record, SmallBlock, Writer as _};
use crate::ipc::message::Lasting;

/// So many words of a hook event fit into the record that tells its end: behind its lead and its head.
pub const EVENT_WORDS: usize = RECORD_WORDS - 3;

/// And so many into one that tells a part of it.
pub const PART_WORDS: usize = RECORD_WORDS - 1;

/// A task as a slot holds it.
#[derive(Clone, Debug, PartialEq)]
pub enum Task<'a> {
    /// Call a node.
    Call(Call<'a>),
    /// The task is the last of the messages before this.
    Message(Head),
    /// Words of the hook event that follows, which is too large for a slot: see [`event`](crate::ipc::ring::event).
    Part(&'a [u64]),
    /// The last words of a hook event, or all of them.
    Event(Head, &'a [u64]),
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
pub struct Inputs<'a>(pub(in crate::ipc::ring) &'a [u64]);

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
/// Before a hook event, or the end of one.
pub const EVENT: u8 = 8;
const GO_ON: u8 = 9;

/// Before an input that is nothing.
pub const ABSENT: u8 = 0;
const JSON: u8 = 1;
const MADE: u8 = 3;

impl Record {
    /// A task that is to leave.
    pub fn quit(&mut self) {
        self.begin(Lead::of(QUIT));
    }

    /// Some words of a hook event, as many as there is room for; the others.
    pub fn event_part<'w>(&mut self, words: &'w [u64]) -> &'w [u64] {
        self.begin(Lead::of(PART));
        let (these, others) = words.split_at(words.len().min(PART_WORDS));
        these.iter().for_each(|word| self.word(*word));
        others
    }

    /// The last words of a hook event; no more than [`EVENT_WORDS`].
    pub fn event(&mut self, head: Head, words: &[u64]) {
        self.begin(Lead::of(EVENT));
        self.head(head);
        words.iter().for_each(|word| self.word(*word));
    }

    /// A hook host is to go on.
    pub fn go_on(&mut self) {
        self.begin(Lead::of(GO_ON));
    }

    /// A task that came over the socket.
    pub fn message(&mut self, head: Head) {
        self.begin(Lead::of(MESSAGE));
        self.head(head);
    }

    /// A call; false if it does not fit, and must go over the socket. The inputs in `call` are not looked at: `inputs` are.
    pub fn call<'i>(&mut self, call: &Call<'_>, inputs: impl Iterator<Item = Input<'i>>) -> bool {
        // Before the record begins, which forgets what was refused.
        let (Ok(number), Ok(payload)) = (u16::try_from(call.inputs_count), u16::try_from(call.name.len())) else {
            return false;
        };
        self.begin(Lead { number, payload, ..Lead::of(CALL) });
        self.head(call.head);
        self.pair(call.plugin, call.node);
        self.pair(call.run, call.attempt);
        self.pair(call.outputs, call.lasting.bits());
        self.bytes(call.name.as_bytes());
        for input in inputs {
            match input {
                Input::Absent => self.word(Lead::of(ABSENT).word()),
                Input::Json(json) => {
                    let payload = self.short(json.len());
                    self.word(Lead { payload, ..Lead::of(JSON) }.word());
                    self.bytes(json.as_bytes());
                }
                Input::Block(block) => write_block(self, 0, block),
                Input::Part(block) => write_part(self, block),
                Input::Made { token, port } => {
                    let number = self.short(port);
                    self.word(Lead { number, ..Lead::of(MADE) }.word());
                    self.word(token);
                }
            }
        }
        !self.overflows
    }

    /// Reads a task.
    pub fn as_task(&self) -> Result<Task<'_>, Malformed> {
        let mut reader = Reader(self.words());
        let lead = reader.lead()?;
        match lead.kind {
            CALL => {
                let head = reader.head()?;
                let [[plugin, node], [run, attempt], [outputs, lasting]] =
                    [reader.pair()?, reader.pair()?, reader.pair()?];
                let lasting = Lasting::of_bits(lasting);
                let name = reader.text(usize::from(lead.payload))?;
                let (inputs_count, inputs) = (u32::from(lead.number), Inputs(reader.0));
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

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        take_one(&mut self.0, |reader| {
            let lead = reader.lead()?;
            Ok(match lead.kind {
                ABSENT => Input::Absent,
                JSON => Input::Json(reader.text(usize::from(lead.payload))?),
                BLOCK => Input::Block(reader.block(lead)?),
                MADE => Input::Made { token: reader.word()?, port: lead.number.into() },
                _ => Input::Part(reader.part(lead)?.ok_or(Malformed("no input is of that kind"))?),
            })
        })
    }
}
