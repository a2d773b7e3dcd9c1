//! A worker's memory for blocks as the server knows it: which parts hold blocks that somebody may read, and which are given back.
//!
//! The counterpart of [`super::pool`]. Everything a worker says of its segments is a claim: files are looked at before they count, parts must
//! lie where its segments have parts, and a slot that holds a living block holds no second one.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::adopt::BlockProblem;
use super::held::Accounts;
use super::layout::{HEADER_BYTES, Layout, LayoutProblem};
use super::pool::PartClaim;
use crate::ipc::message::SegmentPlace;
use crate::ipc::returns::{Return, SLOTS, ServerReturns};
use crate::sys::{PAGE_BYTES, memfd};

/// So many segments of others a worker has mapped at once; what lies in further ones comes with a descriptor each time.
const PLACES_MAX: usize = 1024;

/// Decides how much memory may be kept that holds no block.
pub trait Spare: Send + Sync + std::fmt::Debug {
    /// Whether so many bytes more may be kept; if so they are counted.
    fn keep(&self, bytes: u64) -> bool;
    /// So many of them are not kept any more.
    fn give_up(&self, bytes: u64);
}

/// All segments of one worker.
#[derive(Debug)]
pub struct Segments {
    accounts: Arc<Accounts>,
    spare: Arc<dyn Spare>,
    returns: Mutex<ServerReturns>,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    segments: BTreeMap<u32, Arc<Segment>>,
    slots: BTreeMap<u32, Slot>,
    /// What the worker has mapped of others.
    places: Vec<Weak<Segment>>,
    is_closed: bool,
}

#[derive(Debug)]
struct Slot {
    segment: u32,
    usage: u32,
    bytes: u64,
    /// Given back, and kept by the worker.
    is_free: bool,
}

/// One segment: alive for as long as its worker has it, or somebody a block in it.
#[derive(Debug)]
pub struct Segment {
    file: File,
    size: u64,
    part_bytes: u64,
    /// The worker's number for it.
    number: u32,
    /// The server's.
    id: u32,
    owner: Weak<Segments>,
    /// Who has mapped it, and at which place.
    mapped: Mutex<Vec<(Weak<Segments>, u32)>>,
    accounts: Arc<Accounts>,
}

/// A block's place in a segment.
#[derive(Debug)]
pub struct Part {
    segment: Arc<Segment>,
    slot: u32,
    usage: u32,
    offset: u64,
    size: u64,
    payload_length: u64,
    /// Somebody may go on reading it when the server has forgotten it.
    is_lent: AtomicBool,
}

/// How to tell a worker of a segment.
#[derive(Debug)]
pub enum Introduction {
    /// It knows it as this.
    Known(SegmentPlace),
    /// It is to be sent the file first, and knows it as this from then on.
    New(SegmentPlace),
}

impl Segments {
    /// Those of a new worker; and what the worker needs to hear what it is given back.
    pub fn create(accounts: Arc<Accounts>, spare: Arc<dyn Spare>) -> io::Result<(Arc<Segments>, OwnedFd)> {
        let (returns, file) = ServerReturns::create()?;
        let (returns, table) = (Mutex::new(returns), Mutex::default());
        Ok((Arc::new(Segments { accounts, spare, returns, table }), file))
    }

    /// The worker has a new segment.
    pub fn announce(
        self: &Arc<Self>,
        number: u32,
        size: u64,
        part_bytes: u64,
        file: OwnedFd,
    ) -> Result<(), BlockProblem> {
        let seals = memfd::seals(&file).map_err(|problem| BlockProblem::Seals { found: problem.to_string() })?;
        if !seals.contains(memfd::OWNER_WRITES) {
            return Err(BlockProblem::Seals { found: format!("{seals:?}") });
        }
        let file = File::from(file);
        let status = file.metadata()?;
        if status.len() != size {
            return Err(BlockProblem::Size { found: status.len(), claimed: size });
        }
        let behind = status.blocks().saturating_mul(512);
        if behind < size {
            return Err(BlockProblem::Holes { found: behind, size });
        }
        let is_cut = part_bytes > 0
            && part_bytes.is_multiple_of(PAGE_BYTES as u64)
            && size > 0
            && size.is_multiple_of(part_bytes);
        let mut table = self.lock();
        if !is_cut || size / part_bytes > u64::from(SLOTS) || table.segments.len() >= SLOTS as usize {
            return Err(BlockProblem::Part("a segment is cut into too many parts, or none"));
        }
        if table.segments.contains_key(&number) {
            return Err(BlockProblem::Part("a segment of that number is there"));
        }
        let id = self.accounts.next_segment();
        let (owner, accounts) = (Arc::downgrade(self), Arc::clone(&self.accounts));
        let segment = Segment { file, size, part_bytes, number, id, owner, mapped: Mutex::default(), accounts };
        table.segments.insert(number, Arc::new(segment));
        Ok(())
    }

    /// The worker has let go of a segment.
    pub fn dropped(&self, number: u32) {
        let mut table = self.lock();
        let segment = table.segments.remove(&number);
        let mut spare = 0;
        table.slots.retain(|_, slot| {
            let goes = slot.segment == number && slot.is_free;
            spare += if goes { slot.bytes } else { 0 };
            !goes
        });
        drop(table);
        self.give_up(spare);
        // Not under the lock: it tells others who have it mapped.
        drop(segment);
    }

    /// Checks a claim that a part holds a block of this size. What it reads it has copied first; the layout is that of the copy.
    pub(super) fn adopt(&self, claim: PartClaim, size: u64) -> Result<(Part, Layout, String), BlockProblem> {
        let PartClaim { segment, slot, usage, offset } = claim;
        let mut table = self.lock();
        let segment =
            table.segments.get(&segment).map(Arc::clone).ok_or(BlockProblem::Part("there is no such segment"))?;
        let part_bytes = segment.part_bytes;
        let is_there = offset % part_bytes == 0 && offset < segment.size && size <= part_bytes && slot < SLOTS;
        if !is_there {
            return Err(BlockProblem::Part("the segment has no such part"));
        }
        if table.slots.get(&slot).is_some_and(|slot| !slot.is_free) {
            return Err(BlockProblem::Part("the slot holds another block"));
        }
        let (layout, metadata) = read_layout(&segment.file, offset, size)?;
        let held = Slot { segment: segment.number, usage, bytes: part_bytes, is_free: false };
        let before = table.slots.insert(slot, held);
        drop(table);
        self.give_up(before.map_or(0, |slot| slot.bytes));
        let payload_length = layout.payload_length();
        let part = Part { segment, slot, usage, offset, size, payload_length, is_lent: AtomicBool::new(false) };
        Ok((part, layout, metadata))
    }

    /// How to tell this worker of a segment.
    pub fn introduce(self: &Arc<Self>, part: &Part) -> Introduction {
        let segment = &part.segment;
        if segment.owner.ptr_eq(&Arc::downgrade(self)) {
            return Introduction::Known(SegmentPlace::Own { segment: segment.number });
        }
        let foreign = |place| SegmentPlace::Foreign { place, segment: segment.id };
        let mut mapped = segment.mapped.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, place)) = mapped.iter().find(|(who, _)| std::ptr::eq(who.as_ptr(), Arc::as_ptr(self))) {
            return Introduction::Known(foreign(*place));
        }
        let mut table = self.lock();
        let vacant = table.places.iter().position(|known| known.strong_count() == 0);
        let place = match vacant {
            Some(place) => place,
            None if table.places.len() < PLACES_MAX => {
                table.places.push(Weak::new());
                table.places.len() - 1
            }
            None => return Introduction::Known(SegmentPlace::Descriptor(0)),
        };
        table.places[place] = Arc::downgrade(segment);
        // There are few places.
        let place = place as u32;
        mapped.retain(|(who, _)| who.strong_count() > 0);
        mapped.push((Arc::downgrade(self), place));
        Introduction::New(foreign(place))
    }

    /// Whether the worker has kept memory in which so many bytes fit.
    pub fn has_spare(&self, bytes: u64) -> bool {
        self.lock().slots.values().any(|slot| slot.is_free && slot.bytes >= bytes)
    }

    /// Lets parts go that hold no block, about so many bytes; says how many. They are not counted any more.
    pub fn reclaim(&self, bytes: u64) -> u64 {
        let mut table = self.lock();
        let mut reclaimed = 0;
        let mut returns = self.returns.lock().unwrap_or_else(PoisonError::into_inner);
        table.slots.retain(|number, slot| {
            let goes = slot.is_free && reclaimed < bytes;
            if goes {
                reclaimed += slot.bytes;
                returns.give(Return::Unwanted { slot: *number, usage: slot.usage });
            }
            !goes
        });
        drop((returns, table));
        self.give_up(reclaimed);
        reclaimed
    }

    /// The worker is no more: what it kept is free. Blocks that somebody holds stay.
    pub fn close(&self) {
        let mut table = self.lock();
        table.is_closed = true;
        let slots = std::mem::take(&mut table.slots);
        let segments = std::mem::take(&mut table.segments);
        drop(table);
        self.give_up(slots.values().filter(|slot| slot.is_free).map(|slot| slot.bytes).sum());
        drop(segments);
    }

    /// The server needs the block in this slot no more.
    fn release(&self, slot: u32, usage: u32, is_lent: bool) {
        let mut table = self.lock();
        let Some(held) = table.slots.get_mut(&slot).filter(|held| held.usage == usage && !held.is_free) else { return };
        let bytes = held.bytes;
        let given = if is_lent {
            Return::Retired { slot, usage }
        } else if self.spare.keep(bytes) {
            Return::Free { slot, usage }
        } else {
            Return::Unwanted { slot, usage }
        };
        let is_given = self.returns.lock().unwrap_or_else(PoisonError::into_inner).give(given);
        let is_kept = matches!(given, Return::Free { .. });
        held.is_free = is_kept;
        if is_kept && is_given {
            return;
        }
        table.slots.remove(&slot);
        drop(table);
        if is_kept {
            self.give_up(bytes);
        }
    }

    fn give_up(&self, bytes: u64) {
        if bytes > 0 {
            self.spare.give_up(bytes);
        }
    }

    fn unmap(&self, place: u32, segment: u32) {
        self.returns.lock().unwrap_or_else(PoisonError::into_inner).give(Return::Unmap { place, segment });
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Segment {
    /// The server's number for it.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Its size.
    pub fn size(&self) -> u64 {
        self.size
    }
}

impl AsFd for Segment {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        self.accounts.segment_gone();
        for (who, place) in self.mapped.get_mut().unwrap_or_else(PoisonError::into_inner).drain(..) {
            if let Some(who) = who.upgrade() {
                who.unmap(place, self.id);
            }
        }
    }
}

impl Part {
    /// The segment it lies in.
    pub fn segment(&self) -> &Segment {
        &self.segment
    }

    /// Where in the segment the block begins.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// How much the block takes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Length of the payload.
    pub fn payload_length(&self) -> u64 {
        self.payload_length
    }

    /// Somebody may read the block for as long as he likes: its memory is not used again.
    pub fn lend(&self) {
        self.is_lent.store(true, Ordering::Release);
    }

    /// Reads bytes of the payload.
    pub fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.segment.file.read_exact_at(bytes, self.offset + HEADER_BYTES as u64 + offset)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if let Some(owner) = self.segment.owner.upgrade() {
            owner.release(self.slot, self.usage, self.is_lent.load(Ordering::Acquire));
        }
    }
}

/// Reads and checks the header and the metadata of a block of this size at `offset`.
fn read_layout(file: &File, offset: u64, size: u64) -> Result<(Layout, String), BlockProblem> {
    if size < HEADER_BYTES as u64 {
        return Err(LayoutProblem::Magic { found: [0; 8] }.into());
    }
    let mut header = [0; HEADER_BYTES];
    file.read_exact_at(&mut header, offset)?;
    let layout = Layout::parse(&header, size)?;
    let mut metadata = vec![0; layout.metadata_length() as usize];
    file.read_exact_at(&mut metadata, offset + layout.metadata_offset())?;
    let metadata = String::from_utf8(metadata).map_err(|_| BlockProblem::MetadataEncoding)?;
    Ok((layout, metadata))
}

#[cfg(test)]
#[path = "segment_tests.rs"]
mod tests;
