//! Outputs given chunk by chunk.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{cell::Cell, rc::Rc};

use plugin_api::{abi::failure_kind, prelude::*, testing};

/// Two outputs that count together, and one that is whole.
#[node(outputs = ["left", "count", "right"])]
fn turns(left: i64, right: i64) -> (Chunks<impl Iterator<Item = Text>>, i64, Chunks<impl Iterator<Item = Text>>) {
    let next = Rc::new(Cell::new(0));
    let numbers = |next: Rc<Cell<i64>>, count| {
        (0..count).map(move |_| {
            next.set(next.get() + 1);
            Text::from(next.get().to_string())
        })
    };
    (Chunks(numbers(Rc::clone(&next), left)), left + right, Chunks(numbers(next, right)))
}

fn test(left: i64, right: i64) -> testing::NodeTest {
    testing::node::<turns>().input("left", left).input("right", right)
}

#[test]
fn outputs_take_turns_in_memory_and_chunk_by_chunk() {
    let outputs = test(3, 2).run().unwrap();
    let text = |name| outputs.get::<Text>(name).unwrap().to_string();
    assert_eq!((text("left"), text("right")), ("135".to_owned(), "24".to_owned()));
    assert_eq!(outputs.get::<i64>("count").unwrap(), 5);

    let outputs = test(3, 2).chunked("left").run().unwrap();
    let chunks: Vec<_> = outputs.chunks().iter().map(|(name, chunk)| (name.as_str(), &chunk.bytes[..])).collect();
    assert_eq!(chunks, [("left", &b"1"[..]), ("left", b"3"), ("left", b"5")]);
    assert_eq!(&*outputs.get::<Text>("right").unwrap(), "24");
}

#[test]
fn no_chunks_are_an_empty_text() {
    assert_eq!(&*test(0, 1).run().unwrap().get::<Text>("left").unwrap(), "");
    assert!(test(0, 1).chunked("left").run().unwrap().chunks().is_empty());
}

#[test]
fn only_what_comes_in_chunks_is_given_in_chunks() {
    let manifest = testing::node::<turns>().manifest().clone();
    assert_eq!(manifest.outputs.iter().map(|port| port.chunks).collect::<Vec<_>>(), [true, false, true]);
    let failure = test(1, 1).chunked("count").run().unwrap_err();
    assert_eq!(failure.kind, failure_kind::OUTPUT);
}
