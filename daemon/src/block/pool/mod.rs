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

mod part;
mod state;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use serde::{Deserialize, Serialize};

pub use self::part::Part;

use self::state::{SMALL, State, Use};
use crate::ipc::returns::WorkerReturns;
use crate::sys::map::{Readable, Writable};
use crate::sys::memfd;

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

/// A segment that the server does not know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewSegment<File = OwnedFd> {
    /// Its number.
    pub number: u32,
    /// Its size.
    pub size: u64,
    /// The size of its parts.
    pub part_bytes: u64,
    /// Its file.
    pub file: File,
}

/// What the server is told of a part that holds a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
                state.pop_small(part_bytes)
            }
            None => state.pop_large(size),
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
    pub fn foreign(&self, place: u32, segment: u32) -> Option<Arc<Readable>> {
        let state = self.0.lock();
        let (found, map) = state.foreign.get(&place)?;
        (*found == segment).then(|| Arc::clone(map))
    }

    /// Maps another worker's segment, in place of what was mapped there.
    pub fn map(&self, place: u32, segment: u32, file: &OwnedFd, size: u64) -> io::Result<()> {
        let size = usize::try_from(size).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        let map = Arc::new(Readable::of_owner(file, size)?);
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

impl std::fmt::Debug for Pool {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.0.lock();
        let (segments, foreign) = (state.segments.len(), state.foreign.len());
        formatter.debug_struct("Pool").field("segments", &segments).field("foreign", &foreign).finish_non_exhaustive()
    }
}
