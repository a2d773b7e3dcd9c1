//! Memory that is used again: both sides of it in one process, the worker's and the server's.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::block::Block;
use crate::block::adopt::{ClaimedBlock, ClaimedBytes};
use crate::block::build::{Builder, Place};
use crate::block::layout::Format;
use crate::block::pool::{self, NewSegment, Pool};
use crate::block::view::View;
use crate::ipc::message::BlockPlace;
use crate::ipc::returns::WorkerReturns;
use crate::sys::map;

/// Keeps up to a limit.
#[derive(Debug, Default)]
struct Shelf {
    limit: AtomicU64,
    kept: AtomicU64,
}

impl Spare for Shelf {
    fn keep(&self, bytes: u64) -> bool {
        let fits = self.kept.load(Ordering::SeqCst) + bytes <= self.limit.load(Ordering::SeqCst);
        if fits {
            self.kept.fetch_add(bytes, Ordering::SeqCst);
        }
        fits
    }

    fn give_up(&self, bytes: u64) {
        self.kept.fetch_sub(bytes, Ordering::SeqCst);
    }
}

/// A worker's pool, and what the server knows of it.
struct Stage {
    accounts: Arc<Accounts>,
    shelf: Arc<Shelf>,
    segments: Arc<Segments>,
    pool: Pool,
    dropped: Receiver<u32>,
}

impl Stage {
    fn new() -> Stage {
        let (accounts, shelf) = (Arc::new(Accounts::default()), Arc::new(Shelf::default()));
        shelf.limit.store(u64::MAX, Ordering::SeqCst);
        let (segments, file) = Segments::create(Arc::clone(&accounts), shelf.clone()).unwrap();
        let (teller, dropped) = channel();
        let tell = Box::new(move |number| teller.send(number).unwrap_or_default());
        let pool = Pool::new(WorkerReturns::open(&file).unwrap(), tell);
        Stage { accounts, shelf, segments, pool, dropped }
    }

    fn build(&self, bytes: &[u8]) -> pool::Part {
        let builder = Builder::in_pool(Some(self.pool.clone()), bytes.len() as u64).unwrap();
        assert!(builder.write(0, bytes));
        let done = builder.finish(bytes.len() as u64, Format::Bytes, "{}").unwrap();
        let Place::Part { part, size } = done.place else { panic!("a part") };
        assert_eq!(size, size_of(bytes));
        part
    }

    /// Tells the server of a part, as a worker does.
    fn tell(&self, part: &mut pool::Part, size: u64) -> Result<Block, BlockProblem> {
        if let Some(NewSegment { number, size, part_bytes, file }) = self.pool.take_new(part.segment()) {
            self.segments.announce(number, size, part_bytes, file).unwrap();
        }
        part.claim();
        self.claim(part.place(), size)
    }

    fn claim(&self, part: pool::PartClaim, size: u64) -> Result<Block, BlockProblem> {
        let bytes = ClaimedBytes::Part { part, size };
        let claim = ClaimedBlock { port: 0, format: "bytes".to_owned(), metadata: String::new(), bytes };
        claim.adopt_of(&self.accounts, Some(&self.segments))
    }

    fn make(&self, bytes: &[u8]) -> Block {
        self.tell(&mut self.build(bytes), size_of(bytes)).unwrap()
    }

    /// The block as the worker that made it reads it.
    fn view(&self, block: &Block) -> View {
        let part = block.part().unwrap();
        let Introduction::Known(SegmentPlace::Own { segment }) = self.segments.introduce(part) else { panic!() };
        View::own(self.pool.own(segment).unwrap(), part.offset(), part.size()).unwrap()
    }
}

/// The block as another worker reads it, which is told of the segment if need be.
fn read_by(other: &Stage, block: &Block) -> View {
    let part = block.part().unwrap();
    let place = match other.segments.introduce(part) {
        Introduction::Known(place) => place,
        Introduction::New(place) => {
            let SegmentPlace::Foreign { place: at, segment } = place else { panic!() };
            assert_eq!(segment, part.segment().id());
            let file = part.segment().as_fd().try_clone_to_owned().unwrap();
            other.pool.map(at, segment, &file, part.segment().size()).unwrap();
            place
        }
    };
    let SegmentPlace::Foreign { place, segment } = place else { panic!("it is another's") };
    View::foreign(other.pool.foreign(place, segment).unwrap(), part.offset(), part.size()).unwrap()
}

fn size_of(bytes: &[u8]) -> u64 {
    HEADER_BYTES as u64 + bytes.len() as u64 + 2
}

fn address(view: &View) -> usize {
    view.as_ref().as_ptr() as usize
}

/// What may be done at an address, as in `/proc/self/maps`.
fn rights_at(address: usize) -> String {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let found = maps.lines().find_map(|line| {
        let (range, rest) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let range = usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?;
        range.contains(&address).then(|| rest[..4].to_owned())
    });
    found.unwrap_or_default()
}

/// Whether a memory file is mapped, by its inode: addresses are soon used by somebody else.
fn is_mapped(inode: u64) -> bool {
    let (maps, inode) = (std::fs::read_to_string("/proc/self/maps").unwrap(), inode.to_string());
    maps.lines().any(|line| line.contains("/memfd:") && line.split_whitespace().nth(4) == Some(inode.as_str()))
}

#[test]
fn memory_that_nobody_reads_is_used_again() {
    let (maker, reader) = (Stage::new(), Stage::new());
    for length in [5000, 100_000, 3 << 20] {
        let first = maker.make(&vec![1; length]);
        assert_eq!((first.metadata(), first.payload_length()), ("{}", length as u64));
        let place = address(&maker.view(&first));
        assert_eq!(read_by(&reader, &first).as_ref(), vec![1; length]);
        // While somebody has it, the next one lies elsewhere.
        let second = maker.make(&vec![2; length]);
        assert_ne!(address(&maker.view(&second)), place);
        assert_eq!(first.read(length).unwrap(), vec![1; length]);
        drop(first);
        assert!(maker.shelf.kept.load(Ordering::SeqCst) >= length as u64);
        let third = maker.make(&vec![3; length]);
        assert_eq!(address(&maker.view(&third)), place);
        assert_eq!(maker.shelf.kept.load(Ordering::SeqCst), 0);
        // Its reader has the segment mapped already.
        assert!(matches!(reader.segments.introduce(third.part().unwrap()), Introduction::Known(_)));
        assert_eq!(read_by(&reader, &third).as_ref(), vec![3; length]);
        assert_eq!(second.read(length).unwrap(), vec![2; length]);
        drop((second, third));
        maker.segments.reclaim(u64::MAX);
    }
}

#[test]
fn nobody_can_write_what_was_handed_out() {
    let maker = Stage::new();
    for length in [5000, 3 << 20] {
        let mut part = maker.build(&vec![1; length]);
        assert_eq!(rights_at(part.start() as usize), "r--s");
        let block = maker.tell(&mut part, size_of(&vec![1; length])).unwrap();
        let file = File::from(block.part().unwrap().segment().as_fd().try_clone_to_owned().unwrap());
        assert!(map::Writable::new(&file, 4096).is_err());
        assert!(file.write_at(b"x", 64).is_err());
        assert!(file.set_len(0).is_err() && file.set_len(1 << 30).is_err());
        assert_eq!(block.read(length).unwrap(), vec![1; length]);
        drop(part);
        assert_eq!(rights_at(address(&maker.view(&block))), "r--s");
        // A sealed copy for those who keep it beyond the run.
        let (copy, size) = block.to_file().unwrap();
        assert_eq!(View::open(copy, size).unwrap().as_ref(), vec![1; length]);
    }
}

#[test]
fn what_somebody_goes_on_reading_is_never_written_again() {
    let (maker, reader) = (Stage::new(), Stage::new());
    for length in [5000, 3 << 20] {
        let block = maker.make(&vec![1; length]);
        let (kept, seen) = (read_by(&reader, &block), maker.view(&block));
        block.part().unwrap().lend();
        let place = address(&seen);
        drop(block);
        for round in 2..20 {
            let next = maker.make(&vec![round; length]);
            assert_ne!(address(&maker.view(&next)), place);
        }
        assert_eq!((kept.as_ref(), seen.as_ref()), (&*vec![1; length], &*vec![1; length]));
    }
}

#[test]
fn whoever_is_sent_the_file_may_keep_what_he_reads() {
    let maker = Stage::new();
    let (before, block) = (maker.make(&[1; 5000]), maker.make(&[2; 6000]));
    let place = address(&maker.view(&block));
    let mut descriptors = Vec::new();
    let reference = block.reference(&mut descriptors);
    let BlockPlace::Segment { place: SegmentPlace::Descriptor(0), offset, size } = reference.place else { panic!() };
    assert_eq!((reference.format.as_str(), reference.metadata.as_str()), ("bytes", "{}"));
    let file = descriptors[0].try_clone_to_owned().unwrap();
    let view = View::in_file(&file, offset, size).unwrap();
    assert_eq!((view.as_ref(), view.metadata()), (&[2; 6000][..], Some("{}")));
    assert!(View::in_file(&file, offset, size + 1).is_err() && View::in_file(&file, u64::MAX, size).is_err());
    drop(descriptors);
    drop((before, block));
    for round in 3..70 {
        let next = maker.make(&[round; 6000]);
        assert_ne!(address(&maker.view(&next)), place);
    }
    assert_eq!(view.as_ref(), [2; 6000]);
}

#[test]
fn a_block_that_was_never_told_leaves_its_memory_to_the_next() {
    let maker = Stage::new();
    let part = maker.build(&[1; 5000]);
    let place = part.start();
    drop(part);
    assert_eq!(maker.build(&[2; 5000]).start(), place);
}

#[test]
fn a_block_that_grows_moves_from_part_to_part() {
    let maker = Stage::new();
    let mut builder = Builder::in_pool(Some(maker.pool.clone()), 5000).unwrap();
    assert!(builder.write(0, &[7; 5000]));
    for capacity in [20_000, 200_000, 2_000_000] {
        builder.grow(capacity).unwrap();
        assert!(builder.capacity() >= capacity);
    }
    let done = builder.finish(5000, Format::Bytes, &"m".repeat(9000)).unwrap();
    assert_eq!(done.left.parts.len(), 2);
    let Place::Part { mut part, size } = done.place else { panic!() };
    let block = maker.tell(&mut part, size).unwrap();
    assert_eq!((block.read(5000).unwrap(), block.metadata().len()), (vec![7; 5000], 9000));
}

#[test]
fn nobody_can_write_where_a_file_was_before_it_grew() {
    let mut builder = Builder::new(5000).unwrap();
    assert!(builder.write(0, &[7; 5000]));
    let mut places = vec![builder.payload() as usize];
    for capacity in [3 << 20, 9 << 20, 90 << 20] {
        builder.grow(capacity).unwrap();
        places.push(builder.payload() as usize);
    }
    assert_eq!(builder.read(5000), [7; 5000]);
    // It stays where it is if there is room behind it.
    places.dedup();
    let last = places.pop().unwrap();
    assert!(places.iter().all(|place| rights_at(*place) == "---p"), "{places:x?}");
    assert_eq!(rights_at(last), "rw-s");
    let done = builder.finish(5000, Format::Bytes, "").unwrap();
    assert_eq!((rights_at(last).as_str(), done.left.guards.len()), ("---p", places.len() + 1));
}

#[test]
fn memory_that_is_not_wanted_goes_everywhere() {
    let (maker, reader) = (Stage::new(), Stage::new());
    let block = maker.make(&vec![1; 3 << 20]);
    drop(read_by(&reader, &block));
    let inode = memfd::inode(block.part().unwrap().segment()).unwrap();
    assert!(is_mapped(inode));
    assert_eq!(maker.accounts.usage().files, 1);
    maker.shelf.limit.store(0, Ordering::SeqCst);
    drop(block);
    // The worker's thread hears of it by itself, and tells the server.
    let number = maker.dropped.recv_timeout(Duration::from_secs(60)).unwrap();
    maker.segments.dropped(number);
    assert_eq!(maker.accounts.usage().files, 0);
    // The other one unmaps it, too.
    while reader.pool.foreign(0, 1).is_some() || is_mapped(inode) {
        std::thread::yield_now();
    }
    // Small parts go when all of their segment may.
    maker.shelf.limit.store(u64::MAX, Ordering::SeqCst);
    let (one, other) = (maker.make(&[1; 5000]), maker.make(&[2; 5000]));
    drop(one);
    assert!(maker.segments.reclaim(1) > 0);
    assert!(maker.dropped.recv_timeout(Duration::from_millis(20)).is_err());
    drop(other);
    assert!(maker.segments.reclaim(1) > 0);
    assert!(maker.dropped.recv_timeout(Duration::from_secs(60)).is_ok());
    assert_eq!(maker.shelf.kept.load(Ordering::SeqCst), 0);
}

#[test]
fn a_worker_that_ends_leaves_its_blocks_and_nothing_else() {
    let maker = Stage::new();
    let (kept, gone) = (maker.make(&[1; 5000]), maker.make(&[2; 5000]));
    drop(gone);
    maker.segments.close();
    assert_eq!(maker.shelf.kept.load(Ordering::SeqCst), 0);
    assert_eq!(kept.read(5000).unwrap(), [1; 5000]);
    drop(kept);
    assert_eq!(maker.shelf.kept.load(Ordering::SeqCst), 0);
    assert_eq!(maker.accounts.usage(), crate::block::BlockUsage::default());
}

#[test]
fn each_lie_about_a_segment_is_named() {
    let maker = Stage::new();
    let file = |size: u64, seals| {
        let file = memfd::create("test", memfd::Purpose::Data).unwrap();
        memfd::reserve(&file, size).unwrap();
        memfd::seal(&file, seals).unwrap();
        file
    };
    let refused = |number, size, part_bytes, file| maker.segments.announce(number, size, part_bytes, file).unwrap_err();
    let unsealed = file(8192, memfd::FIXED_SIZE);
    assert!(matches!(refused(1, 8192, 4096, unsealed), BlockProblem::Seals { .. }));
    assert!(matches!(refused(1, 8191, 4096, file(8192, memfd::OWNER_WRITES)), BlockProblem::Size { .. }));
    for part_bytes in [0, 1, 5000, 12288] {
        assert!(matches!(refused(1, 8192, part_bytes, file(8192, memfd::OWNER_WRITES)), BlockProblem::Part(_)));
    }
    let hole = memfd::create("test", memfd::Purpose::Data).unwrap();
    memfd::truncate(&hole, 8192).unwrap();
    memfd::seal(&hole, memfd::OWNER_WRITES).unwrap();
    assert!(matches!(refused(1, 8192, 4096, hole), BlockProblem::Holes { .. }));
    maker.segments.announce(1, 8192, 4096, file(8192, memfd::OWNER_WRITES)).unwrap();
    assert!(matches!(refused(1, 8192, 4096, file(8192, memfd::OWNER_WRITES)), BlockProblem::Part(_)));

    let claim = |segment, slot, offset, size| maker.claim(pool::PartClaim { segment, slot, usage: 1, offset }, size);
    for (segment, slot, offset, size) in [
        (2, 0, 0, 100),
        (1, 0, 64, 100),
        (1, 0, 8192, 100),
        (1, 0, u64::MAX - 4095, 100),
        (1, 0, 0, 4097),
        (1, 0, 0, u64::MAX),
        (1, SLOTS, 0, 100),
    ] {
        assert!(matches!(claim(segment, slot, offset, size), Err(BlockProblem::Part(_))));
    }
    // Zeroes are no block.
    assert!(matches!(claim(1, 0, 4096, 100), Err(BlockProblem::Layout(_))));
    assert!(matches!(claim(1, 0, 4096, 3), Err(BlockProblem::Layout(_))));
}

#[test]
fn a_slot_holds_one_block() {
    let maker = Stage::new();
    let mut part = maker.build(&[1; 5000]);
    let block = maker.tell(&mut part, size_of(&[1; 5000])).unwrap();
    assert!(matches!(maker.claim(part.place(), size_of(&[1; 5000])), Err(BlockProblem::Part(_))));
    drop(block);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever is made, dropped, lent and reclaimed in whatever order: each living block keeps its bytes, for every reader.
    #[test]
    fn living_blocks_keep_their_bytes(
        steps in prop::collection::vec((0..5_u8, 0..8_usize, 1..200_000_usize), 1..60)
    ) {
        let (maker, reader) = (Stage::new(), Stage::new());
        let mut blocks: Vec<(Block, Vec<u8>)> = Vec::new();
        let mut kept: Vec<(View, Vec<u8>)> = Vec::new();
        for (number, (step, which, length)) in (0..).zip(steps) {
            match step {
                0 | 1 => {
                    let bytes = vec![number; length];
                    blocks.push((maker.make(&bytes), bytes));
                }
                2 if !blocks.is_empty() => drop(blocks.swap_remove(which % blocks.len())),
                3 if !blocks.is_empty() => {
                    let (block, bytes) = &blocks[which % blocks.len()];
                    block.part().unwrap().lend();
                    kept.push((read_by(&reader, block), bytes.clone()));
                }
                _ => drop(maker.segments.reclaim(length as u64)),
            }
            while let Ok(segment) = maker.dropped.try_recv() {
                maker.segments.dropped(segment);
            }
        }
        for (block, bytes) in &blocks {
            prop_assert_eq!(&block.read(bytes.len()).unwrap(), bytes);
            let (own, foreign) = (maker.view(block), read_by(&reader, block));
            prop_assert_eq!((own.as_ref(), foreign.as_ref()), (&bytes[..], &bytes[..]));
        }
        for (view, bytes) in &kept {
            prop_assert_eq!(view.as_ref(), &bytes[..]);
        }
        blocks.clear();
        maker.segments.reclaim(u64::MAX);
        prop_assert_eq!(maker.shelf.kept.load(Ordering::SeqCst), 0);
    }
}
