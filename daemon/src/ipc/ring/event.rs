//! A hook event as it travels through a ring: in as many slots as it takes.
//!
//! An event is larger than most tasks, as its text names all that it is about. So it is written into a buffer and cut: parts
//! first ([`Task::Part`](super::record::Task::Part)), the rest with the event's number
//! ([`Task::Event`](super::record::Task::Event)). Each slot has an answer of its own, and that of a part says nothing.

use super::record::{EVENT_BYTES, Head, Inputs, Malformed, PART_BYTES, Reader, Record, SmallBlock};
use crate::block::layout::Format;

/// An event that takes more slots travels as a message: it would keep others out of the ring.
const SLOTS_MAX: usize = 8;

/// An event for one hook.
#[derive(Clone, Debug, PartialEq)]
pub struct Event<'a> {
    /// Index into the generation's plugins.
    pub plugin: u32,
    /// Index into the plugin's hooks.
    pub hook: u32,
    /// Whether another hook hears of the same event next: what this one answers decides what that one is told, so the host stops
    /// when it is more than that all is well.
    pub has_more: bool,
    /// The event, JSON.
    pub argument: &'a str,
    /// The blocks that come with it.
    pub inputs: Inputs<'a>,
}

const BLOCK: u8 = 2;
const ABSENT: u8 = 0;

/// Writes an event to the end of nothing: whatever `into` held is gone. False if it is too large for a ring. The inputs in `event`
/// are not looked at: `blocks` are.
pub fn write<'b>(into: &mut Vec<u8>, event: &Event<'_>, blocks: impl Iterator<Item = Option<SmallBlock<'b>>>) -> bool {
    into.clear();
    into.push(u8::from(event.has_more));
    for number in [event.plugin, event.hook] {
        into.extend_from_slice(&number.to_le_bytes());
    }
    let Ok(length) = u32::try_from(event.argument.len()) else { return false };
    into.extend_from_slice(&length.to_le_bytes());
    into.extend_from_slice(event.argument.as_bytes());
    for block in blocks {
        let Some(SmallBlock { format, metadata, payload }) = block else {
            into.push(ABSENT);
            continue;
        };
        let format = Format::ALL.iter().position(|known| *known == format).unwrap_or(0);
        into.extend_from_slice(&[BLOCK, u8::try_from(format).unwrap_or(0)]);
        for bytes in [metadata.as_bytes(), payload] {
            let Ok(length) = u16::try_from(bytes.len()) else { return false };
            into.extend_from_slice(&length.to_le_bytes());
            into.extend_from_slice(bytes);
        }
    }
    slots(into) <= SLOTS_MAX
}

/// Gives the records of an event that was written one after the other: its parts, then the one that bears its number.
pub fn records(head: Head, mut bytes: &[u8], record: &mut Record, mut push: impl FnMut(&Record)) {
    while bytes.len() > EVENT_BYTES {
        bytes = record.event_part(bytes);
        push(record);
    }
    record.event(head, bytes);
    push(record);
}

/// How many slots an event takes that was written.
pub fn slots(bytes: &[u8]) -> usize {
    let mut left = bytes.len();
    let mut slots = 1;
    while left > EVENT_BYTES {
        left = left.saturating_sub(PART_BYTES);
        slots += 1;
    }
    slots
}

impl<'a> Event<'a> {
    /// Reads an event whose parts were put together.
    pub fn read(bytes: &'a [u8]) -> Result<Event<'a>, Malformed> {
        let mut reader = Reader(bytes);
        let has_more = reader.byte()? != 0;
        let [plugin, hook, length] = reader.numbers()?;
        let argument = reader.take(usize::try_from(length).unwrap_or(usize::MAX))?;
        let argument = std::str::from_utf8(argument).map_err(|_| Malformed("a text is not UTF-8"))?;
        Ok(Event { plugin, hook, has_more, argument, inputs: Inputs(reader.0) })
    }
}
