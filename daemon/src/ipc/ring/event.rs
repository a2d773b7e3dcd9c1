//! A hook event as it travels through a ring: in as many slots as it takes.
//!
//! An event is larger than most tasks, as its text names all that it is about. So it is written into a buffer and cut: parts
//! first ([`Task::Part`](super::record::Task::Part)), the rest with the event's number
//! ([`Task::Event`](super::record::Task::Event)). Each slot has an answer of its own, and that of a part says nothing.

use super::record::{
    ABSENT, EVENT, EVENT_WORDS, Head, Inputs, Lead, Malformed, PART_WORDS, Reader, Record, SmallBlock, Writer,
    write_block,
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

/// An event as it is written. An empty one is to be had by default, and may be used again.
#[derive(Debug, Default)]
pub struct Written {
    words: Vec<u64>,
    is_refused: bool,
}

impl Writer for Written {
    fn word(&mut self, word: u64) {
        self.words.push(word);
    }

    fn refuse(&mut self) {
        self.is_refused = true;
    }
}

impl Written {
    /// Writes an event in place of what was here. False if it is too large for a ring. The inputs in `event` are not looked at: `blocks`
    /// are.
    pub fn write<'b>(&mut self, event: &Event<'_>, blocks: impl Iterator<Item = Option<SmallBlock<'b>>>) -> bool {
        self.words.clear();
        self.is_refused = false;
        let payload = self.short(event.argument.len());
        self.word(Lead { number: u16::from(event.has_more), payload, ..Lead::of(EVENT) }.word());
        self.pair(event.plugin, event.hook);
        self.bytes(event.argument.as_bytes());
        for block in blocks {
            match block {
                Some(block) => write_block(self, 0, block),
                None => self.word(Lead::of(ABSENT).word()),
            }
        }
        !self.is_refused && self.slots() <= SLOTS_MAX
    }

    /// How many slots it takes.
    pub fn slots(&self) -> usize {
        let mut left = self.words.len();
        let mut slots = 1;
        while left > EVENT_WORDS {
            left = left.saturating_sub(PART_WORDS);
            slots += 1;
        }
        slots
    }

    /// Gives its records one after the other: its parts, then the one that bears its number.
    pub fn records(&self, head: Head, record: &mut Record, mut push: impl FnMut(&Record)) {
        let mut words = &self.words[..];
        while words.len() > EVENT_WORDS {
            words = record.event_part(words);
            push(record);
        }
        record.event(head, words);
        push(record);
    }
}

impl<'a> Event<'a> {
    /// Reads an event whose parts were put together.
    pub fn read(words: &'a [u64]) -> Result<Event<'a>, Malformed> {
        let mut reader = Reader(words);
        let lead = reader.lead()?;
        let [plugin, hook] = reader.pair()?;
        let argument = reader.text(usize::from(lead.payload))?;
        Ok(Event { plugin, hook, has_more: lead.number != 0, argument, inputs: Inputs(reader.0) })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::super::record::{Input, Task};
    use super::*;
    use crate::block::layout::Format;

    /// The words of an event, through as many records as it takes; and how many those are.
    fn through_records(event: &Written) -> (Vec<u64>, usize) {
        let (mut found, mut count) = (Vec::new(), 0);
        event.records(Head { token: 5, messages: 6 }, &mut Record::default(), |record| {
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
            let mut written = Written { words: vec![1, 2, 3], is_refused: true };
            prop_assume!(written.write(&sent, small.clone()));
            let (found, count) = through_records(&written);
            prop_assert_eq!(count, written.slots());
            let read = Event::read(&found).unwrap();
            prop_assert_eq!((read.plugin, read.hook, read.has_more, read.argument), (1, 2, has_more, argument.as_str()));
            let inputs: Vec<Input<'_>> = read.inputs.map(Result::unwrap).collect();
            let expected: Vec<Input<'_>> = small.map(|block| block.map_or(Input::Absent, Input::Block)).collect();
            prop_assert_eq!(inputs, expected);
        }

        #[test]
        fn any_words_are_an_event_or_are_refused(words in proptest::collection::vec(0..0x2_0000_0010_u64, 0..60)) {
            if let Ok(event) = Event::read(&words) {
                prop_assert!(event.inputs.take(1_000).count() <= words.len());
            }
        }
    }
}
