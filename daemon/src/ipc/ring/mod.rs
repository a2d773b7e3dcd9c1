//! A pair of rings in shared memory: tasks from a driver to its worker, answers back, without a system call while both
//! are awake.
//!
//! What fits into a slot travels here ([`record`]); what does not, and whatever needs a descriptor, travels over the socket, and a
//! small record says when it is its turn. [`indices`] is who may do what; `README.md` beside it, why that is right.
//!
//! The worker's indices and bytes are claims: indices are checked against what the driver knows by itself, bytes are
//! copied out once and parsed from the copy. Slots are words of atomics, so that a worker that goes on writing
//! to one spoils its own answer and nothing else.

pub mod event;
pub mod indices;
pub mod record;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use nix::sys::eventfd::{EfdFlags, EventFd};

use self::indices::{Control, DriverEnd, Impossible, SLOTS, WorkerEnd};
use self::record::{RECORD_BYTES, Record};
use crate::sys::map::Writable;
use crate::sys::{futex, memfd, wait};

const WORD_BYTES: usize = size_of::<u64>();

/// One record: its length, then its bytes.
#[repr(C, align(64))]
struct Slot {
    length: AtomicU64,
    words: [AtomicU64; RECORD_BYTES / WORD_BYTES],
}

/// All that two processes share.
#[repr(C)]
struct Shared {
    control: Control<AtomicU32>,
    tasks: [Slot; SLOTS as usize],
    answers: [Slot; SLOTS as usize],
}

/// The mapping of it.
#[derive(Debug)]
struct Memory(Writable);

impl Memory {
    const BYTES: usize = size_of::<Shared>();

    fn shared(&self) -> &Shared {
        // SAFETY: the mapping spans `BYTES` bytes, lives as long as `self`, is page-aligned, and its file cannot shrink (it
        // has its FIXED_SIZE seals before either side maps it, and both check). All fields are atomics, for which every bit
        // pattern is valid; all access from this process is atomic, and that of the other one is atomic or its own harm.
        unsafe { &*self.0.start().cast::<Shared>() }
    }
}

// SAFETY: the mapping is only reached through `shared`, as atomics.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Slot {
    fn write(&self, record: &Record) {
        for (word, bytes) in self.words.iter().zip(record.bytes().chunks(WORD_BYTES)) {
            let mut whole = [0; WORD_BYTES];
            whole[..bytes.len()].copy_from_slice(bytes);
            word.store(u64::from_le_bytes(whole), Ordering::Relaxed);
        }
        self.length.store(record.bytes().len() as u64, Ordering::Relaxed);
    }

    fn read(&self, record: &mut Record) {
        // Whatever it says: no more than there is.
        let length = usize::try_from(self.length.load(Ordering::Relaxed)).unwrap_or(usize::MAX).min(RECORD_BYTES);
        let room = record.for_length(length);
        for (word, bytes) in self.words.iter().zip(room.chunks_mut(WORD_BYTES)) {
            bytes.copy_from_slice(&word.load(Ordering::Relaxed).to_le_bytes()[..bytes.len()]);
        }
    }
}

fn slot(slots: &[Slot; SLOTS as usize], index: u32) -> &Slot {
    &slots[(index % SLOTS) as usize]
}

/// The driver's side.
#[derive(Debug)]
pub struct DriverRings {
    memory: Memory,
    end: DriverEnd,
    bell: EventFd,
}

/// What the worker is given to open its side with.
#[derive(Debug)]
pub struct WorkerDescriptors {
    /// The memory.
    pub memory: OwnedFd,
    /// What it writes to when the driver is to be woken.
    pub bell: OwnedFd,
}

impl DriverRings {
    /// New rings, and what the worker needs of them.
    pub fn create() -> io::Result<(DriverRings, WorkerDescriptors)> {
        let memory = memfd::create("dagd-rings", memfd::Purpose::Data)?;
        memfd::reserve(&memory, Memory::BYTES as u64)?;
        memfd::seal(&memory, memfd::FIXED_SIZE)?;
        let bell = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        let theirs = WorkerDescriptors { bell: bell.as_fd().try_clone_to_owned()?, memory };
        let map = Writable::new(&theirs.memory, Memory::BYTES)?;
        Ok((DriverRings { memory: Memory(map), end: DriverEnd::default(), bell }, theirs))
    }

    /// Tasks that were pushed and neither answered nor taken back.
    pub fn unanswered(&self) -> u32 {
        self.end.unanswered()
    }

    /// Pushes a task if there is room; its index. It goes out with [`DriverRings::publish`]. `oldest` is the index of the oldest
    /// task that has not been answered.
    pub fn push(&mut self, record: &Record, oldest: Option<u32>) -> Option<u32> {
        let index = self.end.room(oldest)?;
        slot(&self.memory.shared().tasks, index).write(record);
        self.end.push();
        Some(index)
    }

    /// Forgets the task that was pushed last, which was not published.
    pub fn unpush(&mut self) {
        self.end.unpush();
    }

    /// Shows the worker what was pushed, and wakes it if it sleeps.
    pub fn publish(&mut self) {
        let control = &self.memory.shared().control;
        if self.end.publish(control) {
            futex::wake(control.worker_bed());
        }
    }

    /// Takes the task that was pushed last back, if the worker has not begun with it; its index.
    pub fn take_back(&mut self) -> Result<Option<u32>, Impossible> {
        self.publish();
        self.end.take_back(&self.memory.shared().control)
    }

    /// For how long the worker may look for a task before it sleeps.
    pub fn set_patience_ns(&self, patience_ns: u32) {
        self.memory.shared().control.set_patience_ns(patience_ns);
    }

    /// How many answers there are.
    pub fn answers(&self) -> Result<u32, Impossible> {
        self.end.answers(&self.memory.shared().control)
    }

    /// Takes the next answer, if there is one.
    pub fn take_answer(&mut self, record: &mut Record) -> Result<bool, Impossible> {
        if self.answers()? == 0 {
            return Ok(false);
        }
        slot(&self.memory.shared().answers, self.end.next_answer()).read(record);
        self.end.answer_taken();
        Ok(true)
    }

    /// Declares that the driver is about to wait for its bell until so many answers are there. False if they are, and then it must
    /// not. [`DriverRings::get_up`] follows in any case.
    pub fn lie_down(&self, answers: u32) -> Result<bool, Impossible> {
        self.end.lie_down(&self.memory.shared().control, answers)
    }

    /// The driver is awake; silences the bell if it was `rung`.
    pub fn get_up(&self, rung: bool) {
        self.end.get_up(&self.memory.shared().control);
        if rung {
            // Empty if the worker took the ring back: it may.
            let _ = wait::drain_event(self.bell.as_fd());
        }
    }
}

/// Readable when the worker has rung.
impl AsFd for DriverRings {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

/// The worker's side.
#[derive(Debug)]
pub struct WorkerRings {
    memory: Memory,
    end: WorkerEnd,
    bell: OwnedFd,
}

impl WorkerRings {
    /// The rings behind what the driver gave.
    pub fn open(descriptors: WorkerDescriptors) -> io::Result<WorkerRings> {
        let WorkerDescriptors { memory, bell } = descriptors;
        let (size, seals) = (memfd::size(&memory)?, memfd::seals(&memory)?);
        if size != Memory::BYTES as u64 || !seals.contains(memfd::FIXED_SIZE) {
            return Err(io::Error::other(format!("no rings: {size} bytes and seals {seals:?}")));
        }
        Ok(WorkerRings { memory: Memory(Writable::new(&memory, Memory::BYTES)?), end: WorkerEnd::default(), bell })
    }

    /// Takes the next task, if there is one.
    pub fn take(&self, record: &mut Record) -> bool {
        let Some(index) = self.end.take(&self.memory.shared().control) else { return false };
        slot(&self.memory.shared().tasks, index).read(record);
        true
    }

    /// Pushes the answer to the oldest task that has none; wakes the driver if it wants to know.
    pub fn answer(&mut self, record: &Record) {
        let shared = self.memory.shared();
        slot(&shared.answers, self.end.next_answer()).write(record);
        if self.end.answer(&shared.control) {
            // Full means rung already.
            let _ = nix::unistd::write(&self.bell, &1_u64.to_ne_bytes());
        }
    }

    /// For how long to look for a task before sleeping.
    pub fn patience_ns(&self) -> u32 {
        self.memory.shared().control.patience_ns()
    }

    /// Whether there may be a task.
    pub fn has_task(&self) -> bool {
        self.memory.shared().control.has_task()
    }

    /// Sleeps until there may be a task, and no longer than `patience` where there is one.
    pub fn sleep(&self, patience: Option<Duration>) {
        let control = &self.memory.shared().control;
        if let Some(bed) = self.end.lie_down(control) {
            futex::wait(bed, 1, patience);
            self.end.get_up(control);
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("control", &self.control).finish_non_exhaustive()
    }
}
