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
        Stage::with_runs(limit, bytes_max, 0)
    }

    fn with_runs(limit: u64, bytes_max: u64, runs_max: u64) -> Stage {
        let (clock, budget) = (Clock::start(), Budget::new(limit));
        let alarm = Arc::new(Alarm::start(clock).unwrap());
        Stage { outputs: Outputs::new(clock, &alarm, &budget, 60_000_000, bytes_max, runs_max), budget }
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

#[test]
fn of_so_many_runs_at_most_something_is_remembered_but_for_what_was_asked_for() {
    let stage = Stage::with_runs(1 << 20, 1 << 20, 2);
    stage.keep("wanted", vec![stage.left("a", 100, false, true), stage.left("b", 100, false, false)]);
    for run in ["r1", "r2", "r3"] {
        stage.keep(run, vec![stage.left("a", 100, false, false)]);
    }
    let places = |runs: &[&str]| runs.iter().map(|run| stage.place(run, "a")).collect::<Vec<_>>();
    assert_eq!(places(&["wanted", "r1", "r2", "r3"]), ["memory", "unknown", "memory", "memory"]);
    // Fetched, it is one like the others, and the oldest.
    stage.outputs.fetched("wanted", "a");
    stage.keep("r4", vec![stage.left("a", 100, false, false)]);
    assert_eq!(places(&["wanted", "r2", "r3", "r4"]), ["unknown", "unknown", "memory", "memory"]);
    // A run of no more outputs keeps no account.
    assert_eq!(stage.budget.usage().bytes, 2 * stage.outputs.blocks()[0].2.size());
}

#[test]
fn what_is_adopted_expires_when_it_would_have_whatever_came_before_and_after() {
    let mut table = table::Table::new(0);
    let output = || Output { storage: None, place: Some(Place::Saved), is_wanted: true };
    let now = Clock::start().now();
    table.adopt("late", now, now.after(900), "o".to_owned(), output());
    table.adopt("early", now, now.after(300), "o".to_owned(), output());
    table.insert("own", table::RunOutputs::new(now, now.after(600), vec![("o".to_owned(), output())]));
    let mut left = |at: u64| {
        drop(table.take_expired(now.after(at)));
        (table.iter().map(|(run, _)| run.to_owned()).collect::<Vec<_>>(), table.next_expiry())
    };
    assert_eq!(left(299), (vec!["late".to_owned(), "early".to_owned(), "own".to_owned()], Some(now.after(300))));
    assert_eq!(left(300), (vec!["late".to_owned(), "own".to_owned()], Some(now.after(600))));
    assert_eq!(left(600), (vec!["late".to_owned()], Some(now.after(900))));
    assert_eq!(left(900), (vec![], None));
}

#[test]
fn a_type_that_does_not_write_what_an_output_is_is_told_with_those_that_do() {
    use engine::signature::{DatasetTypeSignature, Manifest, PluginSignature, PortKind};
    let types = [("csv", "table"), ("bytes", "bytes"), ("text", "text"), ("npy", "array<f64>"), ("excel", "")];
    let dataset_types = types.map(|(name, saves)| {
        let saves = Some(saves).filter(|kind| !kind.is_empty()).into_iter().map(PortKind::parse).collect();
        DatasetTypeSignature { name: name.to_owned(), saves, ..DatasetTypeSignature::default() }
    });
    let plugin = PluginSignature { dataset_types: dataset_types.into(), ..PluginSignature::default() };
    let manifest = Manifest { plugins: vec![plugin] };
    let told = |kind, type_name| {
        super::fetch::unfit("m", &kind, type_name, &manifest).map(|problem| (problem.message, problem.hints.join("; ")))
    };
    let as_it_is = "leave `as` out to get it as it is";
    assert_eq!(
        told(PortKind::Text, "csv").unwrap(),
        (
            "output `m` is text, which `csv` does not write".to_owned(),
            format!("{as_it_is}; what writes text: `bytes` and `text`")
        )
    );
    assert_eq!(told(PortKind::Json, "excel").unwrap().1, as_it_is);
    assert_eq!(
        told(PortKind::Array(String::new()), "csv").unwrap().1,
        format!("{as_it_is}; what writes an array: `npy`")
    );
    assert!(told(PortKind::Array(String::new()), "npy").is_none());
    assert!(told(PortKind::Table, "csv").is_none() && told(PortKind::Text, "bytes").is_none());
}
