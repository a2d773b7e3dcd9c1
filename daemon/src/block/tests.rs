//! A block's whole life: built, sealed, adopted, read.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use proptest::prelude::*;

use super::adopt::{ClaimedBlock, ClaimedBytes};
use super::build::{BuildProblem, Builder, Finished, Place};
use super::layout::Format;
use super::view::{View, ViewProblem};
use super::{Accounts, Block};
use crate::ipc::message::BlockPlace;
use crate::sys::{map, memfd};

fn adopt(done: Finished, format: Format) -> Block {
    let (file, size) = file(done);
    let bytes = ClaimedBytes::Memfd { file, size };
    let claim = ClaimedBlock { port: 0, format: format.to_string(), metadata: String::new(), bytes };
    claim.adopt(&Arc::new(Accounts::default())).unwrap()
}

fn file(done: Finished) -> (OwnedFd, u64) {
    let Place::File { file, size, .. } = done.place else { panic!("a file of its own") };
    (file, size)
}

fn view(block: &Block) -> View {
    let mut descriptors = Vec::new();
    let BlockPlace::Memfd { descriptor, size } = block.reference(&mut descriptors).place else { panic!("a file") };
    View::open(descriptors[descriptor as usize].try_clone_to_owned().unwrap(), size).unwrap()
}

#[test]
fn readers_see_the_pages_the_writer_wrote() {
    let builder = Builder::new(100_000).unwrap();
    assert!(builder.write(0, &[7; 100_000]));
    assert_eq!(builder.payload() as usize % 64, 0);
    let done = builder.finish(100_000, Format::Bytes, "{\"rows\":1}").unwrap();
    let block = adopt(done, Format::Bytes);
    let (one, other) = (view(&block), view(&block));
    // The same pages, not copies: what one mapping faulted in, the other finds.
    assert_ne!(one.as_ref().as_ptr(), other.as_ref().as_ptr());
    assert_eq!(one.as_ref(), [7; 100_000]);
    assert_eq!((block.metadata(), block.format()), ("{\"rows\":1}", Format::Bytes));
    // A view outlives the block: the mapping keeps the pages.
    drop(block);
    assert_eq!(other.as_ref()[99_999], 7);
}

#[test]
fn a_finished_block_is_never_written_or_resized() {
    let builder = Builder::new(5000).unwrap();
    let done = builder.finish(5000, Format::Text, "").unwrap();
    let file = File::from(file(done).0);
    assert!(file.write_at(b"x", 64).is_err());
    assert!(file.set_len(1 << 20).is_err() && file.set_len(10).is_err());
    assert!(map::Writable::new(&file, 4096).is_err());
    assert!(memfd::reserve(&file, 1 << 20).is_err());
}

#[test]
fn growing_keeps_what_is_written_and_finishing_gives_the_rest_back() {
    let mut builder = Builder::new(10).unwrap();
    assert!(builder.capacity() >= 10 && builder.write(0, b"0123456789"));
    builder.grow(5 << 20).unwrap();
    assert!(builder.size() >= 5 << 20);
    assert!(!builder.write(usize::MAX, b"x") && !builder.write(builder.capacity() as usize, b"x"));
    let done = builder.finish(10, Format::Text, &"m".repeat(5000)).unwrap();
    let block = adopt(done, Format::Text);
    assert_eq!(block.read(10).unwrap(), b"0123456789");
    assert_eq!(block.metadata().len(), 5000);
    assert_eq!(block.size(), 5074);
}

#[test]
fn impossible_sizes_are_errors() {
    assert!(matches!(Builder::new(u64::MAX), Err(BuildProblem::Layout(_))));
    let mut builder = Builder::new(10).unwrap();
    assert!(builder.grow(u64::MAX - 70).is_err());
    let length = builder.capacity() + 1;
    assert!(matches!(builder.finish(length, Format::Text, ""), Err(BuildProblem::Length { .. })));
}

#[test]
fn an_unsealed_or_foreign_file_is_not_mapped() {
    let file = memfd::create("test", memfd::Purpose::Data).unwrap();
    memfd::reserve(&file, 4096).unwrap();
    assert!(matches!(View::open(file.try_clone().unwrap(), 4096), Err(ViewProblem::Map { .. })));
    assert!(matches!(View::open(file.try_clone().unwrap(), 4095), Err(ViewProblem::Size { .. })));
    memfd::seal(&file, memfd::IMMUTABLE).unwrap();
    assert!(matches!(View::open(file, 4096), Err(ViewProblem::Layout(_))));
    let empty = memfd::create("test", memfd::Purpose::Data).unwrap();
    memfd::seal(&empty, memfd::IMMUTABLE).unwrap();
    assert!(View::open(empty, 0).is_err());
}

proptest! {
    #[test]
    fn any_payload_and_metadata_come_back(
        payload in prop::collection::vec(any::<u8>(), 0..9000), metadata in ".{0,300}", spare in 0..9000_u64
    ) {
        let builder = Builder::new(payload.len() as u64 + spare).unwrap();
        prop_assert!(builder.write(0, &payload));
        let done = builder.finish(payload.len() as u64, Format::Json, &metadata).unwrap();
        let block = adopt(done, Format::Json);
        prop_assert_eq!(block.metadata(), &metadata);
        let view = view(&block);
        prop_assert_eq!(view.as_ref(), &payload[..]);
    }
}
