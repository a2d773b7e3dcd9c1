//! Calls against a host without a plugin: what a plugin may do, and what it may do wrong.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::os::fd::AsFd as _;
use std::sync::{Arc, Mutex};

use super::*;
use crate::block::adopt::ClaimedBlock;
use crate::block::layout::Format;
use crate::block::{Accounts, Block};
use crate::ipc::message::{BlockClaim, BlockPlace, ClaimedBytes};

/// Grants up to a limit and remembers what it was asked for.
struct Bank {
    limit: u64,
    asked: Mutex<Vec<u64>>,
}

impl Reserve for Bank {
    fn reserve(&self, token: u64, bytes: u64) -> Result<(), String> {
        assert_eq!(token, 7);
        let mut asked = self.asked.lock().unwrap();
        asked.push(bytes);
        if asked.iter().sum::<u64>() > self.limit { Err("the budget is spent".to_owned()) } else { Ok(()) }
    }
}

fn with_call<R>(
    limit: u64,
    inputs: Vec<InputValue>,
    files: Vec<OwnedFd>,
    body: impl FnOnce(CallState<'_>) -> R,
) -> (R, Vec<u64>) {
    let (page, _file) = WorkerPage::create().unwrap();
    page.begin(7);
    let bank = Bank { limit, asked: Mutex::default() };
    let expected = Expected::all_of("node `p::n`".to_owned(), vec!["left".to_owned(), "right".to_owned()]);
    let spare = Spare::default();
    let setting = Setting::new(Argument::Given("{}"), 7, &page, &bank, &spare);
    let result = body(CallState::new(&setting, inputs, files, expected).unwrap());
    (result, bank.asked.into_inner().unwrap())
}

fn call<R>(body: impl FnOnce(CallState<'_>) -> R) -> R {
    with_call(u64::MAX, Vec::new(), Vec::new(), body).0
}

fn fill(state: &CallState<'_>, port: u32, length: u64) {
    let buffer = state.allocate(port, length).unwrap();
    state.commit(buffer.id(), length, "bytes", "").unwrap();
}

fn adopt(claims: Claims) -> Vec<Block> {
    let accounts = Arc::new(Accounts::default());
    claims
        .claims
        .into_iter()
        .map(|claim| {
            let bytes = match claim.bytes {
                ClaimedBytes::Inline(payload) => ClaimedBytes::Inline(payload),
                ClaimedBytes::Memfd { file, size } => {
                    ClaimedBytes::Memfd { file: claims.files[file as usize].try_clone().unwrap(), size }
                }
                ClaimedBytes::Part { .. } => panic!("there is no pool"),
            };
            let claim = ClaimedBlock { port: claim.port, format: claim.format, metadata: claim.metadata, bytes };
            claim.adopt(&accounts).unwrap()
        })
        .collect()
}

#[test]
fn small_outputs_travel_inline_and_large_ones_in_files_of_their_own() {
    let claims = call(|state| {
        fill(&state, 0, 4095);
        fill(&state, 1, 4096);
        state.finish().unwrap().into_claims(&Spare::default())
    });
    assert!(matches!(&claims.claims[0].bytes, ClaimedBytes::Inline(payload) if payload.len() == 4095));
    assert!(matches!(claims.claims[1].bytes, ClaimedBytes::Memfd { file: 0, size: 4160 }));
    let blocks = adopt(claims);
    assert_eq!((blocks[0].payload_length(), blocks[1].payload_length()), (4095, 4096));
}

#[test]
fn little_data_in_a_large_buffer_and_under_much_metadata() {
    let claims = call(|state| {
        let buffer = state.allocate(0, 1 << 16).unwrap();
        state.commit(buffer.id(), 10, "text", "{}").unwrap();
        let buffer = state.allocate(1, 10).unwrap();
        state.commit(buffer.id(), 10, "text", &"m".repeat(100_000)).unwrap();
        state.finish().unwrap().into_claims(&Spare::default())
    });
    let blocks = adopt(claims);
    assert!(blocks[0].small().is_some() && blocks[0].metadata() == "{}");
    assert!(blocks[1].small().is_none() && blocks[1].metadata().len() == 100_000);
}

#[test]
fn growing_goes_from_heap_to_shared_memory_and_asks_for_what_is_missing() {
    let ((), asked) = with_call(u64::MAX, Vec::new(), Vec::new(), |state| {
        let buffer = state.allocate(0, 1).unwrap();
        assert!(buffer.capacity() >= 1);
        let buffer = state.grow(buffer, 100_000).unwrap();
        assert!(buffer.capacity() >= 100_000);
        let buffer = state.grow(buffer, 2 << 20).unwrap();
        let buffer = state.grow(buffer, 3 << 20).unwrap();
        assert!(buffer.capacity() >= 3 << 20);
        state.discard(buffer.id());
        // What was granted to the discarded buffer serves the next one.
        let buffer = state.allocate(1, 4 << 20).unwrap();
        state.commit(buffer.id(), 4 << 20, "bytes", "").unwrap();
        fill(&state, 0, 0);
        assert_eq!(state.finish().unwrap().into_claims(&Spare::default()).claims.len(), 2);
    });
    assert_eq!(asked, [2 << 20, 1 << 20, 1 << 20]);
}

#[test]
fn a_refused_reservation_is_a_failure_with_the_figures() {
    let ((), asked) = with_call(1 << 20, Vec::new(), Vec::new(), |state| {
        let failure = state.allocate(0, 5 << 20).unwrap_err();
        assert_eq!(failure.kind, "output");
        assert!(failure.message.contains("`left` needs 5242880 bytes") && failure.message.contains("budget is spent"));
        assert!(failure.hint.contains("memory_budget_bytes"));
    });
    assert_eq!(asked, [5 << 20]);
}

#[test]
fn missing_surplus_and_repeated_outputs_are_named() {
    call(|state| {
        let failure = state.allocate(2, 10).unwrap_err();
        assert!(failure.message.contains("output port number 2, expected one of 2 ports (left, right)"), "{failure}");
        fill(&state, 0, 10);
        let failure = state.allocate(0, 10).unwrap_err();
        assert!(failure.message.contains("`left` was filled twice"), "{failure}");
        let failure = state.finish().err().unwrap();
        assert_eq!(failure.message, "node `p::n`: it ended without filling output `right`; expected 2 outputs, got 1");
    });
    call(|state| {
        let (one, other) = (state.allocate(0, 10).unwrap(), state.allocate(0, 5000).unwrap());
        state.commit(one.id(), 10, "text", "").unwrap();
        assert!(state.commit(other.id(), 10, "text", "").unwrap_err().message.contains("twice"));
        assert!(state.commit(one.id(), 10, "text", "").unwrap_err().message.contains("no output buffer number 1"));
        assert!(state.grow(other, 10).is_err());
        state.discard(99);
    });
}

#[test]
fn a_commit_that_cannot_be_is_refused() {
    call(|state| {
        for (length, format) in [(4097, "text"), (u64::MAX, "text"), (1, "parquet"), (1, "")] {
            let buffer = state.allocate(0, 10).unwrap();
            assert_eq!(state.commit(buffer.id(), length, format, "").unwrap_err().kind, "output");
        }
        let buffer = state.allocate(0, 10).unwrap();
        let metadata = "m".repeat(5 << 20);
        assert!(state.commit(buffer.id(), 1, "text", &metadata).unwrap_err().message.contains("metadata"));
        assert!(state.allocate(0, u64::MAX).is_err());
    });
}

#[test]
fn inputs_are_mapped_when_asked_for_and_are_the_very_pages() {
    let claims = call(|state| {
        fill(&state, 0, 100_000);
        fill(&state, 1, 5);
        state.finish().unwrap().into_claims(&Spare::default())
    });
    let blocks = adopt(claims);
    let mut borrowed = Vec::new();
    let inputs = vec![
        InputValue::Block(blocks[0].reference(&mut borrowed)),
        InputValue::Absent,
        InputValue::Json("{\"a\":1}".to_owned()),
        InputValue::Block(blocks[1].reference(&mut borrowed)),
    ];
    let inode = crate::sys::memfd::inode(borrowed[0]).unwrap().to_string();
    let mapped = || {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let ours =
            |line: &str| line.contains("/memfd:dagd-block") && line.split_whitespace().nth(4) == Some(inode.as_str());
        maps.lines().any(ours)
    };
    let files = borrowed.iter().map(|file| file.as_fd().try_clone_to_owned().unwrap()).collect();
    let (kept, _) = with_call(0, inputs, files, |state| {
        assert!(!mapped());
        let block = state.input(0).unwrap().unwrap();
        assert!(mapped());
        assert_eq!((block.bytes.len(), block.format.as_str()), (100_000, "bytes"));
        assert_eq!(state.input(0).unwrap().unwrap().bytes.as_ptr(), block.bytes.as_ptr());
        assert!(state.input(1).unwrap().is_none() && state.input(4).unwrap().is_none());
        assert_eq!(&*state.input(2).unwrap().unwrap().bytes, b"{\"a\":1}");
        assert_eq!(state.input(3).unwrap().unwrap().bytes.len(), 5);
        block.bytes
    });
    // Kept by its reader alone, and gone with it.
    assert!(mapped());
    drop(kept);
    assert!(!mapped());
}

#[test]
fn an_input_that_is_no_block_is_a_failure_of_the_call() {
    let file = crate::sys::memfd::create("test", crate::sys::memfd::Purpose::Data).unwrap();
    crate::sys::memfd::reserve(&file, 4096).unwrap();
    let reference = |descriptor| crate::ipc::message::BlockReference {
        id: 1,
        format: Format::Text.to_string(),
        metadata: String::new(),
        place: BlockPlace::Memfd { descriptor, size: 4096 },
    };
    with_call(0, vec![InputValue::Block(reference(0))], vec![file], |state| {
        let failure = state.input(0).unwrap_err();
        assert_eq!(failure.kind, "input");
        assert_eq!(state.input(0).unwrap_err(), failure);
    });
    let (page, _file) = WorkerPage::create().unwrap();
    let spare = Spare::default();
    let setting = Setting::new(Argument::Given("{}"), 7, &page, &Granted, &spare);
    let missing = Inputs::new(&setting, vec![InputValue::Block(reference(0))], Vec::new()).err().unwrap();
    assert_eq!(missing.kind, PROTOCOL);
}

#[test]
fn cancelling_and_progress_go_through_the_page() {
    let (page, file) = WorkerPage::create().unwrap();
    let server = WorkerPage::open(&file).unwrap();
    page.begin(7);
    let spare = Spare::default();
    let setting = Setting::new(Argument::Given("{}"), 7, &page, &Granted, &spare);
    let state = CallState::new(&setting, Vec::new(), Vec::new(), Expected::any_of(String::new(), 0)).unwrap();
    state.progress(1, 4);
    assert_eq!(server.progress(), Some((1, 4)));
    assert!(!state.is_cancelled());
    server.cancel(7);
    assert!(state.is_cancelled());
    assert_eq!(state.finish().unwrap().into_claims(&Spare::default()).claims.len(), 0);
}

#[test]
fn a_call_sees_nothing_of_the_one_before_whose_memory_it_has() {
    let (page, _file) = WorkerPage::create().unwrap();
    page.begin(7);
    let spare = Spare::default();
    let bank = Bank { limit: u64::MAX, asked: Mutex::default() };
    let setting = Setting::new(Argument::Given("{}"), 7, &page, &bank, &spare);
    let expected = || Expected::any_of(String::new(), 3);
    let new = || CallState::new(&setting, Vec::new(), Vec::new(), expected()).unwrap();

    let state = new();
    state.put(0, &[b's'; 4000], Format::Bytes, "").unwrap();
    let stale = state.allocate(1, 16).unwrap().id();
    state.discard(state.allocate(2, 2 << 20).unwrap().id());
    spare.give(state.finish().unwrap());

    let state = new();
    let failure = state.commit(stale, 6, "bytes", "").unwrap_err();
    assert!(failure.message.contains("no output buffer number"), "{failure:?}");
    let fresh = state.allocate(0, 4000).unwrap();
    assert_ne!(fresh.id(), stale);
    state.commit(fresh.id(), 4000, "bytes", "").unwrap();
    // What was granted to the call before was granted to that one.
    state.discard(state.allocate(2, 2 << 20).unwrap().id());
    let claims = state.finish().unwrap().into_claims(&spare).claims;
    assert!(matches!(&claims[..], [BlockClaim { bytes: ClaimedBytes::Inline(bytes), .. }] if *bytes == [0; 4000]));
    assert_eq!(bank.asked.into_inner().unwrap(), [2 << 20; 2]);
}
