//! Which parts of which segments are free, taken and claimed; the pool holds it under its lock.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::part::Part;
use super::{PartClaim, Pool};
use crate::ipc::returns::{Return, SLOTS, WorkerReturns};
use crate::sys::map::{Readable, Writable};
use crate::sys::memfd;

/// Sizes of small parts, and how many of them make a segment: 1 MiB, less than a huge page. One that lies behind several parts is taken apart
/// as soon as one of them becomes writable alone, and each small page faults anew.
pub(super) const SMALL: [(u64, u64); 2] = [(16 << 10, 64), (128 << 10, 8)];
/// A large part is used for what is smaller only if no more than one in so many of its bytes are left over.
const SLACK: u64 = 5;

#[derive(Default)]
pub(super) struct State {
    pub(super) last_segment: u32,
    pub(super) segments: BTreeMap<u32, Segment>,
    pub(super) slots: Vec<Slot>,
    pub(super) vacant: Vec<u32>,
    /// Slots of free parts, by the parts' size.
    pub(super) free: BTreeMap<u64, Vec<u32>>,
    /// What is mapped of other workers, by place.
    pub(super) foreign: BTreeMap<u32, (u32, Arc<Readable>)>,
}

pub(super) struct Segment {
    pub(super) map: Arc<Writable>,
    pub(super) part_bytes: u64,
    pub(super) slots: Vec<u32>,
    /// Until the server has been told of it.
    pub(super) file: Option<OwnedFd>,
}

#[derive(Clone, Copy)]
pub(super) struct Slot {
    pub(super) segment: u32,
    /// Which of the segment's parts it is.
    pub(super) index: u32,
    pub(super) usage: u32,
    pub(super) state: Use,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// No segment has it.
    Vacant,
    Free,
    Taken,
    Claimed,
    /// Not to be used again.
    Gone,
}

impl State {
    /// Takes note of everything that was given back; the segments that are no more, of which the server knows.
    pub(super) fn absorb(&mut self, returns: &WorkerReturns) -> Vec<u32> {
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
    pub(super) fn drop_unused(&mut self, number: u32) -> bool {
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

    pub(super) fn set_free(&mut self, slot: u32) {
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

    /// Takes a free part of a small size.
    pub(super) fn pop_small(&mut self, part_bytes: u64) -> Option<u32> {
        self.pop(part_bytes, part_bytes)
    }

    /// Takes a free part that is large enough, and not much larger.
    pub(super) fn pop_large(&mut self, size: u64) -> Option<u32> {
        self.pop(size, size.saturating_add(size / (SLACK - 1)))
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
    pub(super) fn add_small(&mut self, part_bytes: u64, count: u64) -> io::Result<()> {
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
    pub(super) fn room(&self) -> u64 {
        (u64::from(SLOTS) + self.vacant.len() as u64).saturating_sub(self.slots.len() as u64)
    }

    /// Enters a segment; the slot of its last part. Nothing if there are no slots left to tell its parts apart by.
    pub(super) fn add(&mut self, part_bytes: u64, count: u64, map: Writable, file: OwnedFd, state: Use) -> Option<u32> {
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

    pub(super) fn part(&mut self, pool: &Pool, slot: u32) -> Option<Part> {
        self.segments.contains_key(&self.slots[slot as usize].segment).then(|| self.slot_part(pool, slot))
    }

    pub(super) fn slot_part(&mut self, pool: &Pool, slot: u32) -> Part {
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
