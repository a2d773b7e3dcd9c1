//! A hook event as it travels through a ring: in as many slots as it takes.
//!
//! An event is larger than most tasks, as its text names all that it is about. So it is written into a buffer and cut: parts
//! first ([`Task::Part`](super::record::Task::Part)), the rest with the event's number
//! ([`Task::Event`](super::record::Task::Event)). Each slot has an answer of its own, and that of a part says nothing.

use super::record::{
    ABSENT, BLOCK, EVENT_BYTES, Head, Inputs, Malformed, PART_BYTES, Reader, Record, SmallBlock, as_text, format_number,
};

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
        into.extend_from_slice(&[BLOCK, format_number(format)]);
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
        Ok(Event { plugin, hook, has_more, argument: as_text(argument)?, inputs: Inputs(reader.0) })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::super::record::{Input, Task};
    use super::*;
    use crate::block::layout::Format;

    /// The bytes of an event, through as many records as it takes; and how many those are.
    fn through_records(bytes: &[u8]) -> (Vec<u8>, usize) {
        let (mut found, mut count) = (Vec::new(), 0);
        records(Head { token: 5, messages: 6 }, bytes, &mut Record::default(), |record| {
            count += 1;
            match record.as_task().unwrap() {
                Task::Part(part) => found.extend_from_slice(part),
                Task::Event(head, rest) => {
                    assert_eq!(head, Head { token: 5, messages: 6 });
                    found.extend_from_slice(rest);
                }
                other => panic!("{other:?}"),
            }
        });
        (found, count)
    }

    proptest! {
        #[test]
        fn an_event_comes_as_it_was_sent_in_as_many_slots_as_were_foretold(
            argument in ".{0,1500}",
            has_more: bool,
            blocks in proptest::collection::vec(
                proptest::option::of((0_usize..Format::ALL.len(), ".{0,20}", proptest::collection::vec(any::<u8>(), 0..300))), 0..4),
        ) {
            let small = blocks.iter().map(|block| {
                block.as_ref().map(|(format, metadata, payload)| SmallBlock { format: Format::ALL[*format], metadata, payload })
            });
            let sent = Event { plugin: 1, hook: 2, has_more, argument: &argument, inputs: Inputs::default() };
            let mut bytes = vec![1, 2, 3];
            prop_assume!(write(&mut bytes, &sent, small.clone()));
            let (found, count) = through_records(&bytes);
            prop_assert_eq!(count, slots(&bytes));
            let read = Event::read(&found).unwrap();
            prop_assert_eq!((read.plugin, read.hook, read.has_more, read.argument), (1, 2, has_more, argument.as_str()));
            let inputs: Vec<Input<'_>> = read.inputs.map(Result::unwrap).collect();
            let expected: Vec<Input<'_>> = small.map(|block| block.map_or(Input::Absent, Input::Block)).collect();
            prop_assert_eq!(inputs, expected);
        }

        #[test]
        fn any_bytes_are_an_event_or_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(event) = Event::read(&bytes) {
                prop_assert!(event.inputs.take(1_000).count() <= bytes.len());
            }
        }
    }
}
