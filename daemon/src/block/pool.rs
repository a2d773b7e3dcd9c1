//! A worker's own memory for blocks: segments that it fills, is given back, and fills again, so that their pages are faulted in once.
//!
//! A segment is a memory file of which only this process's first mapping can be written (`memfd::OWNER_WRITES`). It is cut into parts of
//! one size: many small ones, or a single large one. A part is one block at a time, and has a slot, by which server and worker
//! speak of it:
//!
//! ```text
//!            take             claim: read-only from now on
//!   Free ----------> Taken -------------------------------> Claimed
//!    ^  <-- dropped --'                                        |
//!    '----------------- the server gives it back --------------'
//! ```
//!
//! Only the server says when nobody reads a claimed part any more ([`crate::ipc::returns`]); with each use the slot's number of usages
//! grows, so that what is said of an earlier one is known to be late. A part that may be read for ever (a plugin keeps a view of
//! it) is retired instead; a segment goes when the server does not want one of its parts kept, or has retired one, and none is in use.
//! What others' segments this process has mapped is kept here, too, until the server says that it is not needed.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use memmap2::Mmap;

use crate::ipc::returns::{Return, SLOTS, WorkerReturns};
use crate::sys::map::{self, Writable};
use crate::sys::memfd;

/// Sizes of small parts, and how many of them make a segment.
const SMALL: [(u64, u64); 2] = [(16 << 10, 64), (128 << 10, 16)];
/// A large part is used for what is smaller only if no more than one in so many of its bytes are left over.
const SLACK: u64 = 5;
/// The thread that unmaps needs no more.
const STACK_BYTES: usize = 128 << 10;

/// Tells the server that a segment of this number is no more.
pub type Tell = Box<dyn Fn(u32) + Send + Sync>;

/// The memory of one worker. Clones are the same.
#[derive(Clone)]
pub struct Pool(Arc<Shared>);

struct Shared {
    returns: WorkerReturns,
    tell: Tell,
    state: Mutex<State>,
    has_thread: OnceLock<bool>,
}

#[derive(Default)]
struct State {
    last_segment: u32,
    segments: BTreeMap<u32, Segment>,
    slots: Vec<Slot>,
    vacant: Vec<u32>,
    /// Slots of free parts, by the parts' size.
    free: BTreeMap<u64, Vec<u32>>,
    /// What is mapped of other workers, by place.
    foreign: BTreeMap<u32, (u32, Arc<Mmap>)>,
}

struct Segment {
    map: Arc<Writable>,
    part_bytes: u64,
    slots: Vec<u32>,
    /// Until the server has been told of it.
    file: Option<OwnedFd>,
}

#[derive(Clone, Copy)]
struct Slot {
    segment: u32,
    /// Which of the segment's parts it is.
    index: u32,
    usage: u32,
    state: Use,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// No segment has it.
    Vacant,
    Free,
    Taken,
    Claimed,
    /// Not to be used again.
    Gone,
}

/// A segment that the server does not know.
#[derive(Debug)]
pub struct NewSegment {
    /// Its number.
    pub number: u32,
    /// Its size.
    pub size: u64,
    /// The size of its parts.
    pub part_bytes: u64,
    /// Its file.
    pub file: OwnedFd,
}

/// What the server is told of a part that holds a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartClaim {
    /// The segment.
    pub segment: u32,
    /// The part's slot.
    pub slot: u32,
    /// Which use of the slot it is.
    pub usage: u32,
    /// Where in the segment it begins.
    pub offset: u64,
}

/// Memory of one block. Dropped before it was claimed, it is free again.
pub struct Part {
    pool: Pool,
    map: Arc<Writable>,
    claim: PartClaim,
    offset: usize,
    length: usize,
    is_claimed: bool,
}

impl Pool {
    /// A pool without a segment.
    pub fn new(returns: WorkerReturns, tell: Tell) -> Pool {
        Pool(Arc::new(Shared { returns, tell, state: Mutex::default(), has_thread: OnceLock::new() }))
    }

    /// Writable memory of at least `size` bytes; nothing if there is none to be had here, and it is to be made elsewhere.
    pub fn take(&self, size: u64) -> Option<Part> {
        let small = SMALL.into_iter().find(|(part_bytes, _)| size <= *part_bytes);
        let mut state = self.0.lock();
        let dropped = state.absorb(&self.0.returns);
        let found = match small {
            Some((part_bytes, count)) => {
                if state.free.get(&part_bytes).is_none_or(Vec::is_empty) && self.has_thread() {
                    // Without memory for a segment there may be enough for this one block.
                    let _ = state.add_small(part_bytes, count);
                }
                state.pop(part_bytes, part_bytes)
            }
            None => state.pop(size, size.saturating_add(size / (SLACK - 1))),
        };
        let part = found.and_then(|slot| state.part(self, slot));
        drop(state);
        self.0.tell(&dropped);
        let part = part?;
        part.allow_writing(true).ok()?;
        Some(part)
    }

    /// Whether one more segment of one part may be added.
    pub fn has_room(&self) -> bool {
        self.has_thread() && self.0.lock().room() > 0
    }

    /// Makes a written file of `size` bytes a segment of a single part, which is in use. The mapping, which may reach beyond the
    /// file's end, must be the only writable one. Nothing if the pool has no room.
    pub fn add(&self, file: OwnedFd, map: Writable, size: u64) -> io::Result<Option<Part>> {
        memfd::seal(&file, memfd::OWNER_WRITES)?;
        map.allow_writing(0, map.size(), false)?;
        let mut state = self.0.lock();
        let slot = state.add(size, 1, map, file, Use::Taken);
        Ok(slot.map(|slot| state.slot_part(self, slot)))
    }

    /// A segment to tell the server of before anything that lies in it.
    pub fn take_new(&self, number: u32) -> Option<NewSegment> {
        let mut state = self.0.lock();
        let segment = state.segments.get_mut(&number)?;
        let file = segment.file.take()?;
        let size = segment.part_bytes * segment.slots.len() as u64;
        Some(NewSegment { number, size, part_bytes: segment.part_bytes, file })
    }

    /// One of the pool's own segments, to be read.
    pub fn own(&self, segment: u32) -> Option<Arc<Writable>> {
        Some(Arc::clone(&self.0.lock().segments.get(&segment)?.map))
    }

    /// Another worker's segment that was mapped before.
    pub fn foreign(&self, place: u32, segment: u32) -> Option<Arc<Mmap>> {
        let state = self.0.lock();
        let (found, map) = state.foreign.get(&place)?;
        (*found == segment).then(|| Arc::clone(map))
    }

    /// Maps another worker's segment, in place of what was mapped there.
    pub fn map(&self, place: u32, segment: u32, file: &OwnedFd, size: u64) -> io::Result<()> {
        let size = usize::try_from(size).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        let map = Arc::new(map::of_owner(file, size)?);
        // Without it, a mapping that is not needed stays until the worker looks for memory.
        self.has_thread();
        let before = self.0.lock().foreign.insert(place, (segment, map));
        drop(before);
        Ok(())
    }

    /// Whether somebody listens for what is to be unmapped at once; starts it the first time.
    fn has_thread(&self) -> bool {
        *self.0.has_thread.get_or_init(|| {
            let shared = Arc::clone(&self.0);
            let thread = std::thread::Builder::new().name("dagd-returns".to_owned()).stack_size(STACK_BYTES);
            thread.spawn(move || shared.listen()).is_ok()
        })
    }
}

impl Shared {
    fn listen(&self) {
        loop {
            let calls = self.returns.calls();
            let dropped = self.lock().absorb(&self.returns);
            self.tell(&dropped);
            self.returns.sleep(calls);
        }
    }

    fn tell(&self, dropped: &[u32]) {
        dropped.iter().for_each(|segment| (self.tell)(*segment));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes note of everything that was given back; the segments that are no more, of which the server knows.
    fn absorb(&mut self, returns: &WorkerReturns) -> Vec<u32> {
        let mut suspects = Vec::new();
        while let Some(given) = returns.take() {
            match given {
                Return::Free { slot, usage } => {
                    if self.is(slot, usage, Use::Claimed) {
                        self.set_free(slot);
                        suspects.push(self.slots[slot as usize].segment);
                    }
                }
                Return::Unwanted { slot, usage } | Return::Retired { slot, usage } => {
                    if self.is(slot, usage, Use::Free) {
                        self.forget_free(slot);
                    } else if !self.is(slot, usage, Use::Claimed) {
                        continue;
                    }
                    let slot = &mut self.slots[slot as usize];
                    slot.state = Use::Gone;
                    suspects.push(slot.segment);
                }
                Return::Unmap { place, segment } => {
                    if self.foreign.get(&place).is_some_and(|(found, _)| *found == segment) {
                        self.foreign.remove(&place);
                    }
                }
            }
        }
        suspects.sort_unstable();
        suspects.dedup();
        suspects.retain(|segment| self.drop_unused(*segment));
        suspects
    }

    /// Drops a segment that has a part which must go, and none in use; says whether it did and the server knew of it.
    fn drop_unused(&mut self, number: u32) -> bool {
        let Some(segment) = self.segments.get(&number) else { return false };
        let state = |slot: &u32| self.slots[*slot as usize].state;
        let is_needed = segment.slots.iter().any(|slot| matches!(state(slot), Use::Taken | Use::Claimed));
        let must_go = segment.slots.iter().any(|slot| state(slot) == Use::Gone);
        if is_needed || !must_go {
            return false;
        }
        let Some(segment) = self.segments.remove(&number) else { return false };
        for slot in segment.slots {
            if self.slots[slot as usize].state == Use::Free {
                self.forget_free_of(segment.part_bytes, slot);
            }
            self.slots[slot as usize].state = Use::Vacant;
            self.vacant.push(slot);
        }
        segment.file.is_none()
    }

    fn is(&self, slot: u32, usage: u32, state: Use) -> bool {
        self.slots.get(slot as usize).is_some_and(|found| found.usage == usage && found.state == state)
    }

    fn set_free(&mut self, slot: u32) {
        let found = &mut self.slots[slot as usize];
        found.state = Use::Free;
        if let Some(segment) = self.segments.get(&found.segment) {
            self.free.entry(segment.part_bytes).or_default().push(slot);
        }
    }

    fn forget_free(&mut self, slot: u32) {
        if let Some(segment) = self.segments.get(&self.slots[slot as usize].segment) {
            self.forget_free_of(segment.part_bytes, slot);
        }
    }

    fn forget_free_of(&mut self, part_bytes: u64, slot: u32) {
        if let Some(free) = self.free.get_mut(&part_bytes) {
            free.retain(|other| *other != slot);
            if free.is_empty() {
                self.free.remove(&part_bytes);
            }
        }
    }

    /// Takes the smallest free part of a size within these bounds; what was used last is taken first, for it is still in the caches.
    fn pop(&mut self, least: u64, most: u64) -> Option<u32> {
        let (size, free) = self.free.range_mut(least..=most).next()?;
        let (size, slot) = (*size, free.pop());
        if free.is_empty() {
            self.free.remove(&size);
        }
        slot
    }

    /// Makes a segment of small parts, all of them free.
    fn add_small(&mut self, part_bytes: u64, count: u64) -> io::Result<()> {
        let size = part_bytes * count;
        let file = memfd::create("dagd-segment", memfd::Purpose::Data)?;
        memfd::truncate(&file, size)?;
        let bytes = usize::try_from(size).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        let map = Writable::new(&file, bytes)?;
        map.populate(0, bytes)?;
        memfd::seal(&file, memfd::OWNER_WRITES)?;
        map.allow_writing(0, bytes, false)?;
        self.add(part_bytes, count, map, file, Use::Free);
        Ok(())
    }

    /// How many parts more can be told apart.
    fn room(&self) -> u64 {
        (u64::from(SLOTS) + self.vacant.len() as u64).saturating_sub(self.slots.len() as u64)
    }

    /// Enters a segment; the slot of its last part. Nothing if there are no slots left to tell its parts apart by.
    fn add(&mut self, part_bytes: u64, count: u64, map: Writable, file: OwnedFd, state: Use) -> Option<u32> {
        if self.room() < count {
            return None;
        }
        self.last_segment = self.last_segment.wrapping_add(1);
        let number = self.last_segment;
        let mut slots = Vec::new();
        // Neither the parts of a segment nor the slots are as many as u32 counts.
        for index in 0..count as u32 {
            let slot = self.vacant.pop().unwrap_or_else(|| {
                self.slots.push(Slot { segment: 0, index: 0, usage: 0, state: Use::Vacant });
                self.slots.len() as u32 - 1
            });
            let usage = self.slots[slot as usize].usage;
            self.slots[slot as usize] = Slot { segment: number, index, usage, state };
            slots.push(slot);
        }
        let last = slots.last().copied().unwrap_or_default();
        let free = slots.clone();
        self.segments.insert(number, Segment { map: Arc::new(map), part_bytes, slots, file: Some(file) });
        if state == Use::Free {
            self.free.entry(part_bytes).or_default().extend(free);
        }
        Some(last)
    }

    fn part(&mut self, pool: &Pool, slot: u32) -> Option<Part> {
        self.segments.contains_key(&self.slots[slot as usize].segment).then(|| self.slot_part(pool, slot))
    }

    fn slot_part(&mut self, pool: &Pool, slot: u32) -> Part {
        let found = &mut self.slots[slot as usize];
        found.usage = found.usage.wrapping_add(1);
        found.state = Use::Taken;
        let segment = &self.segments[&found.segment];
        let offset = u64::from(found.index) * segment.part_bytes;
        let claim = PartClaim { segment: found.segment, slot, usage: found.usage, offset };
        // Both lie within a mapping, so they fit.
        let (offset, length) = (offset as usize, segment.part_bytes as usize);
        Part { pool: pool.clone(), map: Arc::clone(&segment.map), claim, offset, length, is_claimed: false }
    }
}

impl Part {
    /// Where it begins.
    pub fn start(&self) -> *mut u8 {
        self.map.start().wrapping_add(self.offset)
    }

    /// How many bytes it has.
    pub fn length(&self) -> u64 {
        self.length as u64
    }

    /// Copies bytes into it; false if they do not fit. It must be writable.
    pub fn write(&self, offset: usize, bytes: &[u8]) -> bool {
        let fits = offset.checked_add(bytes.len()).is_some_and(|end| end <= self.length);
        fits && self.map.write(self.offset + offset, bytes)
    }

    /// Copies bytes out of it; nothing if there are not so many.
    pub fn read(&self, offset: usize, length: usize) -> Option<Vec<u8>> {
        let fits = offset.checked_add(length).is_some_and(|end| end <= self.length);
        fits.then(|| self.map.read(self.offset + offset, length)).flatten()
    }

    /// Lets it be written, or makes whoever writes to it fault.
    pub fn allow_writing(&self, is_allowed: bool) -> io::Result<()> {
        self.map.allow_writing(self.offset, self.length, is_allowed)
    }

    /// What the server is to be told of it.
    pub fn place(&self) -> PartClaim {
        self.claim
    }

    /// The server is told. From now on the part is its, whatever becomes of this.
    pub fn claim(&mut self) {
        if !self.is_claimed {
            self.is_claimed = true;
            self.pool.0.lock().slots[self.claim.slot as usize].state = Use::Claimed;
        }
    }

    /// The segment it lies in.
    pub fn segment(&self) -> u32 {
        self.claim.segment
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.is_claimed {
            // What writes there late faults, until it is somebody else's.
            let _ = self.allow_writing(false);
            let mut state = self.pool.0.lock();
            state.set_free(self.claim.slot);
            let is_dropped = state.drop_unused(self.claim.segment);
            drop(state);
            if is_dropped {
                self.pool.0.tell(&[self.claim.segment]);
            }
        }
    }
}

impl std::fmt::Debug for Part {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Part").field("claim", &self.claim).field("length", &self.length).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.0.lock();
        let (segments, foreign) = (state.segments.len(), state.foreign.len());
        formatter.debug_struct("Pool").field("segments", &segments).field("foreign", &foreign).finish_non_exhaustive()
    }
}
