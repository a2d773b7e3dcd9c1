//! What the server gives back to a worker: parts of its memory that nobody reads any more, and mappings that it can close.
//!
//! A ring in shared memory that the server writes and the worker reads when it likes, at no cost to a worker that is at a task: most of
//! what is given back is looked at when memory is next needed. Only what frees memory wakes the worker's thread for that, by a
//! futex on the count of such calls: it looks at the ring after reading the count and sleeps only while the count is the same, so none is missed.
//!
//! The server never waits: where the worker does not read, the ring is full at some time, and what does not fit is forgotten, which costs
//! that worker the use of its own memory. The worker's index is a claim, from which nothing but that fullness is taken.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::shared::{Atomics, SharedMemory};
use crate::sys::futex;

/// As many as there may be slots twice over: each is given back once, and once more to be let go.
const ENTRIES: u32 = 32 * 1024;

/// How many parts of its memory a worker can tell apart.
pub const SLOTS: u32 = ENTRIES / 2;

/// Something that is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Return {
    /// Nobody reads this slot any more, as it was used for the time of this number: it may be used again.
    Free {
        /// Which of the worker's slots.
        slot: u32,
        /// The use.
        usage: u32,
    },
    /// The same, and it had better not be kept.
    Unwanted {
        /// Which of the worker's slots.
        slot: u32,
        /// The use.
        usage: u32,
    },
    /// Somebody may read it for ever: it must not be used again.
    Retired {
        /// Which of the worker's slots.
        slot: u32,
        /// The use.
        usage: u32,
    },
    /// This place of what the worker has mapped of others is not needed any more, if it holds that segment.
    Unmap {
        /// The place.
        place: u32,
        /// The server's number for the segment.
        segment: u32,
    },
}

impl Return {
    fn word(self) -> u64 {
        let (kind, number, of) = match self {
            Return::Free { slot, usage } => (0, slot, usage),
            Return::Unwanted { slot, usage } => (1, slot, usage),
            Return::Retired { slot, usage } => (2, slot, usage),
            Return::Unmap { place, segment } => (3, place, segment),
        };
        (kind << 62) | (u64::from(number & 0x3fff_ffff) << 32) | u64::from(of)
    }

    fn of_word(word: u64) -> Return {
        // Both parts fit by their masks.
        let (number, of) = ((word >> 32) as u32 & 0x3fff_ffff, word as u32);
        match word >> 62 {
            0 => Return::Free { slot: number, usage: of },
            1 => Return::Unwanted { slot: number, usage: of },
            2 => Return::Retired { slot: number, usage: of },
            _ => Return::Unmap { place: number, segment: of },
        }
    }

    fn is_urgent(self) -> bool {
        !matches!(self, Return::Free { .. })
    }
}

/// An index with a cache line of its own.
#[repr(C, align(64))]
struct Index(AtomicU32);

#[repr(C)]
struct Shared {
    /// Server: how many entries were written.
    written: Index,
    /// Worker: how many were read.
    read: Index,
    /// Server: how often the worker's thread was called.
    calls: Index,
    entries: [AtomicU64; ENTRIES as usize],
}

// SAFETY: `repr(C)`, of atomics and arrays of them; aligned to a cache line.
unsafe impl Atomics for Shared {}

/// The server's side.
#[derive(Debug)]
pub struct ServerReturns {
    memory: SharedMemory<Shared>,
    written: u32,
}

impl ServerReturns {
    /// A new ring, and the descriptor that the worker opens it by.
    pub fn create() -> io::Result<(ServerReturns, OwnedFd)> {
        let (memory, file) = SharedMemory::create("dagd-returns")?;
        Ok((ServerReturns { memory, written: 0 }, file))
    }

    /// Gives something back; false if the worker has not read for so long that there is no room.
    pub fn give(&mut self, given: Return) -> bool {
        let shared = &*self.memory;
        let unread = self.written.wrapping_sub(shared.read.0.load(Ordering::Acquire));
        if unread >= ENTRIES {
            return false;
        }
        shared.entries[(self.written % ENTRIES) as usize].store(given.word(), Ordering::Relaxed);
        self.written = self.written.wrapping_add(1);
        shared.written.0.store(self.written, Ordering::Release);
        if given.is_urgent() {
            shared.calls.0.fetch_add(1, Ordering::SeqCst);
            futex::wake(&shared.calls.0);
        }
        true
    }
}

/// The worker's side.
#[derive(Debug)]
pub struct WorkerReturns {
    memory: SharedMemory<Shared>,
}

impl WorkerReturns {
    /// The ring behind a descriptor.
    pub fn open(file: impl AsFd) -> io::Result<WorkerReturns> {
        Ok(WorkerReturns { memory: SharedMemory::open(file, "a ring of returns")? })
    }

    /// Whether there is something to take; costs one look.
    pub fn has_any(&self) -> bool {
        let shared = &*self.memory;
        shared.written.0.load(Ordering::Acquire) != shared.read.0.load(Ordering::Relaxed)
    }

    /// The next that was given back. One caller at a time: whoever takes holds the lock of what it is about.
    pub fn take(&self) -> Option<Return> {
        let shared = &*self.memory;
        let read = shared.read.0.load(Ordering::Relaxed);
        if shared.written.0.load(Ordering::Acquire) == read {
            return None;
        }
        let word = shared.entries[(read % ENTRIES) as usize].load(Ordering::Relaxed);
        shared.read.0.store(read.wrapping_add(1), Ordering::Release);
        Some(Return::of_word(word))
    }

    /// How often the worker was called so far; to be read before looking at what was given back.
    pub fn calls(&self) -> u32 {
        self.memory.calls.0.load(Ordering::SeqCst)
    }

    /// Sleeps while it was called no more often than that.
    pub fn sleep(&self, calls: u32) {
        futex::wait(&self.memory.calls.0, calls, None);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::sys::memfd;

    #[test]
    fn what_is_given_is_taken_in_order_and_more_than_fits_is_refused() {
        let (mut server, file) = ServerReturns::create().unwrap();
        let worker = WorkerReturns::open(&file).unwrap();
        assert!(!worker.has_any() && worker.take().is_none());
        let all = [
            Return::Free { slot: 0, usage: u32::MAX },
            Return::Unwanted { slot: SLOTS - 1, usage: 0 },
            Return::Retired { slot: 5, usage: 7 },
            Return::Unmap { place: 1023, segment: u32::MAX },
        ];
        assert!(all.into_iter().all(|one| server.give(one)));
        assert_eq!(std::array::from_fn(|_| worker.take().unwrap()), all);
        assert_eq!(worker.calls(), 3);
        for slot in 0..ENTRIES {
            assert!(server.give(Return::Free { slot, usage: 1 }));
        }
        assert!(!server.give(Return::Free { slot: 1, usage: 2 }));
        assert_eq!(worker.take(), Some(Return::Free { slot: 0, usage: 1 }));
        assert!(server.give(Return::Free { slot: 1, usage: 2 }));
    }

    #[test]
    fn who_sleeps_hears_of_what_frees_memory() {
        let (mut server, file) = ServerReturns::create().unwrap();
        let worker = WorkerReturns::open(&file).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                loop {
                    let calls = worker.calls();
                    if let Some(given) = worker.take() {
                        return assert_eq!(given, Return::Unwanted { slot: 1, usage: 1 });
                    }
                    worker.sleep(calls);
                }
            });
            assert!(server.give(Return::Unwanted { slot: 1, usage: 1 }));
        });
    }

    #[test]
    fn a_foreign_file_is_no_ring() {
        let file = memfd::create("test", memfd::Purpose::Data).unwrap();
        assert!(WorkerReturns::open(&file).is_err());
    }
}
