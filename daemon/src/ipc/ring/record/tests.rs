//! Records that come back as they were written, and hostile bytes.
#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;
use crate::block::layout::Format;
use crate::block::pool::PartClaim;
use crate::ipc::message::{Lasting, SegmentPlace};

const HEAD: Head = Head { token: 7, messages: 3 };

fn call<'a>(name: &'a str, inputs_count: u32) -> Call<'a> {
    Call {
        head: HEAD,
        plugin: 1,
        node: 2,
        run: 3,
        attempt: 4,
        outputs: 5,
        lasting: Lasting::ALL,
        name,
        inputs_count,
        inputs: Inputs::default(),
    }
}

#[test]
fn a_call_is_read_as_it_was_written() {
    let block = SmallBlock { format: Format::Array, metadata: "{}", payload: &[1, 2, 3] };
    let part = |place| PartBlock { format: Format::Text, place, offset: 1 << 40, size: 5000 };
    let inputs = [
        Input::Absent,
        Input::Json("{\"a\":1}"),
        Input::Block(block),
        Input::Part(part(SegmentPlace::Own { segment: 7 })),
        Input::Part(part(SegmentPlace::Foreign { place: 9, segment: u32::MAX })),
        Input::Made { token: 6, port: 1 },
    ];
    let mut record = Record::default();
    assert!(record.call(&call("a node", 6), inputs.into_iter()));
    let Task::Call(read) = record.as_task().unwrap() else { panic!() };
    assert_eq!((read.head, read.plugin, read.node, read.run), (HEAD, 1, 2, 3));
    assert_eq!(read.lasting, Lasting::ALL);
    assert_eq!((read.attempt, read.outputs, read.name, read.inputs_count), (4, 5, "a node", 6));
    assert_eq!(read.inputs.map(Result::unwrap).collect::<Vec<_>>(), inputs);
    // No descriptor travels in a ring.
    assert!(!record.call(&call("a node", 1), std::iter::once(Input::Part(part(SegmentPlace::Descriptor(0))))));
}

#[test]
fn outputs_in_segments_are_read_as_they_were_written() {
    let small = SmallBlock { format: Format::Json, metadata: "{}", payload: b"42" };
    let place = PartClaim { segment: 1, slot: 2, usage: u32::MAX, offset: 1 << 33 };
    let outputs = [Output::Small(small), Output::Part(MadePart { format: Format::Arrow, part: place, size: 77 })];
    let mut record = Record::default();
    record.shared(HEAD, 9);
    assert!((0..).zip(outputs).all(|(port, output)| record.shared_output(port, output)));
    record.keeps_inputs();
    let answer = record.as_answer().unwrap();
    let Outcome::Shared(read) = answer.outcome else { panic!() };
    assert!(answer.keeps_inputs);
    assert_eq!(read.map(|output| output.unwrap().1).collect::<Vec<_>>(), outputs);
}

#[test]
fn an_answer_is_read_as_it_was_written_and_what_does_not_fit_says_so() {
    let mut record = Record::default();
    record.done(HEAD, 9);
    let block = SmallBlock { format: Format::Json, metadata: "", payload: b"42" };
    assert!(record.output(0, block) && record.output(1, SmallBlock { metadata: "{\"x\":2}", ..block }));
    let Answer { head, took_ns, keeps_inputs: false, outcome: Outcome::Done(outputs) } = record.as_answer().unwrap()
    else {
        panic!()
    };
    assert_eq!((head, took_ns), (HEAD, 9));
    let ports: Vec<u32> = outputs.map(|output| output.unwrap().0).collect();
    assert_eq!(ports, [0, 1]);
    assert!(!record.output(2, SmallBlock { payload: &[0; RECORD_WORDS * 8], ..block }));
    assert!(!record.call(&call(&"n".repeat(600), 0), std::iter::empty()));
    assert!(!record.call(&call("n", 1), std::iter::once(Input::Json(&"x".repeat(1 << 17)))));
    record.not_begun(HEAD);
    assert_eq!(record.as_answer().unwrap().outcome, Outcome::NotBegun);
    record.quit();
    assert_eq!(record.as_task(), Ok(Task::Quit));
    assert_eq!(record.as_answer(), Err(Malformed("it ends too early")));
}

/// What leads are made of more often than chance would, and anything.
fn any_word() -> impl Strategy<Value = u64> {
    let lead = (0..10_u8, 0..7_u8, 0..4_u16, 0..20_u16, 0..40_u16)
        .prop_map(|(kind, format, number, metadata, payload)| Lead { kind, format, number, metadata, payload }.word());
    prop_oneof![lead, any::<u64>()]
}

proptest! {
    /// Whatever the words are, reading them ends, and what is read lies within them.
    #[test]
    fn any_words_are_read_without_harm(words in prop::collection::vec(any_word(), 0..RECORD_WORDS)) {
        let mut record = Record::default();
        record.for_length(words.len()).copy_from_slice(&words);
        let bytes = 8 * words.len();
        match record.as_answer().map(|answer| answer.outcome) {
            Ok(Outcome::Done(outputs)) => {
                let total: usize = outputs.flatten().map(|(_, block)| block.payload.len() + block.metadata.len()).sum();
                prop_assert!(total <= bytes);
            }
            Ok(Outcome::Shared(outputs)) => prop_assert!(outputs.count() <= words.len()),
            _ => {}
        }
        if let Ok(Task::Call(call)) = record.as_task() {
            prop_assert!(call.name.len() <= bytes);
            prop_assert!(call.inputs.count() <= words.len());
        }
    }

    /// A text of any length comes as it was, and nothing of what was in its place before.
    #[test]
    fn bytes_end_where_they_should(long in ".{0,60}", text in ".{0,60}") {
        let mut record = Record::default();
        for name in [&long, &text] {
            prop_assert!(record.call(&call(name, 1), std::iter::once(Input::Json(name))));
            let Ok(Task::Call(read)) = record.as_task() else { panic!() };
            prop_assert_eq!(read.name, name);
            prop_assert_eq!(read.inputs.flatten().collect::<Vec<_>>(), [Input::Json(name)]);
        }
    }
}
