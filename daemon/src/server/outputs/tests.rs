#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use super::*;
use crate::block::Accounts;
use crate::block::layout::Format;

struct Stage {
    budget: Arc<Budget>,
    outputs: Arc<Outputs>,
}

impl Stage {
    fn new(limit: u64, bytes_max: u64) -> Stage {
        let (clock, budget) = (Clock::start(), Budget::new(limit));
        let alarm = Arc::new(Alarm::start(clock).unwrap());
        Stage { outputs: Outputs::new(clock, &alarm, &budget, 60_000_000, bytes_max), budget }
    }

    fn left(&self, name: &str, bytes: usize, is_saved: bool, is_wanted: bool) -> Left {
        let block = Block::of_payload(&Arc::new(Accounts::default()), Format::Text, "", vec![b'x'; bytes]).unwrap();
        let charge = self.budget.charge(block.size());
        Left { name: name.to_owned(), storage: None, block: Some((block, charge)), is_saved, is_wanted }
    }

    fn keep(&self, run: &str, left: Vec<Left>) {
        self.outputs.keep(run, left);
    }

    fn place(&self, run: &str, name: &str) -> &'static str {
        match self.outputs.find(run, name).flatten().and_then(|output| output.place) {
            None => "unknown",
            Some(Place::Memory(_)) => "memory",
            Some(Place::Saved) => "saved",
            Some(Place::Gone(_)) => "gone",
        }
    }
}

#[test]
fn what_is_saved_takes_no_memory_unless_somebody_wants_it() {
    let stage = Stage::new(1 << 20, 1 << 20);
    stage.keep("r", vec![stage.left("a", 10_000, true, false), stage.left("b", 10_000, true, true)]);
    assert_eq!((stage.place("r", "a"), stage.place("r", "b"), stage.place("x", "a")), ("saved", "memory", "unknown"));
    assert_eq!(stage.budget.usage().blocks, 1);
}

#[test]
fn the_oldest_that_nobody_asked_for_make_room() {
    let stage = Stage::new(1 << 20, 25_000);
    stage.keep("r1", vec![stage.left("a", 10_000, false, false), stage.left("b", 30_000, false, false)]);
    // One that is larger than all of them may be is not kept at all.
    assert_eq!((stage.place("r1", "a"), stage.place("r1", "b")), ("memory", "gone"));
    std::thread::yield_now();
    stage.keep("r2", vec![stage.left("a", 10_000, false, false), stage.left("b", 40_000, false, true)]);
    assert_eq!((stage.place("r1", "a"), stage.place("r2", "b")), ("memory", "memory"));
    stage.keep("r3", vec![stage.left("a", 10_000, false, false)]);
    assert_eq!((stage.place("r1", "a"), stage.place("r2", "a"), stage.place("r3", "a")), ("gone", "memory", "memory"));
}

#[test]
fn memory_that_is_needed_is_given_but_for_what_was_asked_for() {
    let stage = Stage::new(100_000, 100_000);
    stage.keep("r", vec![stage.left("a", 40_000, false, false), stage.left("b", 40_000, false, true)]);
    let charge = stage.budget.take(50_000).unwrap();
    assert_eq!((stage.place("r", "a"), stage.place("r", "b")), ("gone", "memory"));
    assert!(stage.budget.take(30_000).is_err());
    stage.outputs.fetched("r", "b");
    assert_eq!(stage.place("r", "b"), "memory");
    assert!(stage.budget.take(30_000).is_ok());
    assert_eq!(stage.place("r", "b"), "gone");
    drop(charge);
    assert_eq!(stage.budget.usage().bytes, 0);
}
