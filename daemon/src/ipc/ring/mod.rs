//! A pair of rings in shared memory: tasks from a driver to its worker, answers back, without a system call while both
//! are awake.
//!
//! What fits into a slot travels here ([`record`]); what does not, and whatever needs a descriptor, travels over the socket, and a
//! small record says when it is its turn. [`indices`] is who may do what; `README.md` beside it, why that is right.
//!
//! The worker's indices and words are claims: indices are checked against what the driver knows by itself, words are
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
use std::time::{Duration, Instant};

use nix::sys::eventfd::{EfdFlags, EventFd};

use self::indices::{Control, DriverEnd, Impossible, SLOTS, WorkerEnd};
use self::record::{RECORD_WORDS, Record};
use super::shared::{Atomics, SharedMemory};
use crate::sys::{futex, prefetch, processor, wait};

/// So often is looked for a task between two looks at the clock, which costs as much.
const LOOKS: usize = 16;

/// Cache lines of a slot that a short task fills, and a short answer.
const TASK_LINES: usize = 2;
/// See [`TASK_LINES`].
const ANSWER_LINES: usize = 1;
/// So many answers are on their way to the driver while it reads one.
const ANSWERS_AHEAD: u32 = 3;

/// One record: how many words it has, then those.
#[repr(C, align(64))]
struct Slot {
    length: AtomicU64,
    words: [AtomicU64; RECORD_WORDS],
}

/// All that two processes share.
#[repr(C)]
struct Shared {
    control: Control<AtomicU32>,
    tasks: [Slot; SLOTS as usize],
    answers: [Slot; SLOTS as usize],
}

// SAFETY: `repr(C)`, of atomics and arrays of them; aligned to a cache line.
unsafe impl Atomics for Shared {}

impl Slot {
    fn write(&self, record: &Record) {
        for (word, value) in self.words.iter().zip(record.words()) {
            word.store(*value, Ordering::Relaxed);
        }
        self.length.store(record.words().len() as u64, Ordering::Relaxed);
    }

    fn read(&self, record: &mut Record) {
        // Whatever it says: no more than there is.
        let length = usize::try_from(self.length.load(Ordering::Relaxed)).unwrap_or(usize::MAX).min(RECORD_WORDS);
        for (value, word) in record.for_length(length).iter_mut().zip(&self.words) {
            *value = word.load(Ordering::Relaxed);
        }
    }
}

fn slot(slots: &[Slot; SLOTS as usize], index: u32) -> &Slot {
    &slots[(index % SLOTS) as usize]
}

/// Looks again and again for so long whether something is there, without sleeping.
fn look_for(patience: Duration, is_there: impl Fn() -> bool) -> bool {
    if patience.is_zero() {
        return false;
    }
    let until = Instant::now() + patience;
    while Instant::now() < until {
        for _ in 0..LOOKS {
            if is_there() {
                return true;
            }
            std::hint::spin_loop();
        }
        // The other side may be on this very processor, and waiting for it.
        std::thread::yield_now();
    }
    false
}

/// The driver's side.
#[derive(Debug)]
pub struct DriverRings {
    memory: SharedMemory<Shared>,
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
        let (memory, file) = SharedMemory::create("dagd-rings")?;
        let bell = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        let theirs = WorkerDescriptors { bell: bell.as_fd().try_clone_to_owned()?, memory: file };
        Ok((DriverRings { memory, end: DriverEnd::default(), bell }, theirs))
    }

    /// Tasks that were pushed and neither answered nor taken back.
    pub fn unanswered(&self) -> u32 {
        self.end.unanswered()
    }

    /// The index that the next task will have, if there is room for it. `oldest` is that of the oldest task that has not been answered.
    pub fn room(&self, oldest: Option<u32>) -> Option<u32> {
        self.end.room(oldest)
    }

    /// Pushes a task if there is [room](DriverRings::room); its index. It goes out with [`DriverRings::publish`].
    pub fn push(&mut self, record: &Record, oldest: Option<u32>) -> Option<u32> {
        let index = self.room(oldest)?;
        slot(&self.memory.tasks, index).write(record);
        prefetch::to_write(slot(&self.memory.tasks, index.wrapping_add(1)), TASK_LINES);
        self.end.push();
        Some(index)
    }

    /// Forgets the task that was pushed last, which was not published.
    pub fn unpush(&mut self) {
        self.end.unpush();
    }

    /// Shows the worker what was pushed, and wakes it if it sleeps.
    pub fn publish(&mut self) {
        let control = &self.memory.control;
        if self.end.publish(control) {
            futex::wake(control.worker_bed());
        }
    }

    /// Takes the task that was pushed last back, if the worker has not begun with it; its index.
    pub fn take_back(&mut self) -> Result<Option<u32>, Impossible> {
        self.publish();
        self.end.take_back(&self.memory.control)
    }

    /// For how long the worker may look for a task before it sleeps.
    pub fn set_patience_ns(&self, patience_ns: u32) {
        self.memory.control.set_patience_ns(patience_ns);
    }

    /// Says where this thread is, for a worker that would not share a processor with it.
    pub fn say_where(&self) {
        if let Some(processor) = processor::current() {
            self.memory.control.set_driver_processor(processor);
        }
    }

    /// Whether the worker is awake and was on this processor when it last answered, or woke up; by what it says.
    pub fn is_worker_on(&self, processor: u32) -> bool {
        self.memory.control.worker_processor() == processor
    }

    /// How many answers there are.
    pub fn answers(&self) -> Result<u32, Impossible> {
        self.end.answers(&self.memory.control)
    }

    /// Looks for an answer again and again for so long; says whether there may be one.
    pub fn look_for_answer(&self, patience: Duration) -> bool {
        // An index that cannot be is found out where answers are taken.
        look_for(patience, || self.answers() != Ok(0))
    }

    /// Takes the next answer, if there is one.
    pub fn take_answer(&mut self, record: &mut Record) -> Result<bool, Impossible> {
        let count = self.answers()?;
        if count == 0 {
            return Ok(false);
        }
        for next in 1..count.min(ANSWERS_AHEAD) {
            prefetch::to_read(slot(&self.memory.answers, self.end.next_answer().wrapping_add(next)), ANSWER_LINES);
        }
        slot(&self.memory.answers, self.end.next_answer()).read(record);
        self.end.answer_taken();
        Ok(true)
    }

    /// Declares that the driver is about to wait for its bell until so many answers are there. False if they are, and then it must
    /// not. [`DriverRings::get_up`] follows in any case.
    pub fn lie_down(&self, answers: u32) -> Result<bool, Impossible> {
        self.end.lie_down(&self.memory.control, answers)
    }

    /// The driver is awake; silences the bell if it was `rung`.
    pub fn get_up(&self, rung: bool) {
        self.end.get_up(&self.memory.control);
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
    memory: SharedMemory<Shared>,
    end: WorkerEnd,
    bell: OwnedFd,
}

impl WorkerRings {
    /// The rings behind what the driver gave.
    pub fn open(descriptors: WorkerDescriptors) -> io::Result<WorkerRings> {
        let WorkerDescriptors { memory, bell } = descriptors;
        Ok(WorkerRings { memory: SharedMemory::open(memory, "rings")?, end: WorkerEnd::default(), bell })
    }

    /// Takes the next task, if there is one.
    pub fn take(&self, record: &mut Record) -> bool {
        let Some(index) = self.end.take(&self.memory.control) else { return false };
        slot(&self.memory.tasks, index).read(record);
        // While this task runs. One that is not there yet is left to the driver, which may be writing it.
        if self.memory.control.has_task() {
            prefetch::to_read(slot(&self.memory.tasks, index.wrapping_add(1)), TASK_LINES);
        }
        prefetch::to_write(slot(&self.memory.answers, self.end.next_answer()), ANSWER_LINES);
        true
    }

    /// Pushes the answer to the oldest task that has none; wakes the driver if it wants to know.
    pub fn answer(&mut self, record: &Record) {
        let shared = &*self.memory;
        slot(&shared.answers, self.end.next_answer()).write(record);
        self.tell_processor();
        if self.end.answer(&shared.control) {
            // Full means rung already.
            let _ = nix::unistd::write(&self.bell, &1_u64.to_ne_bytes());
        }
    }

    /// Looks for a task again and again for as long as the driver allows; says whether there may be one.
    pub fn look_for_task(&self) -> bool {
        let patience = Duration::from_nanos(u64::from(self.memory.control.patience_ns()));
        look_for(patience, || self.has_task())
    }

    /// Whether this worker may look for tasks, and the driver says that it is on this processor, which looks for answers.
    pub fn is_in_the_way_on(&self, processor: u32) -> bool {
        let control = &self.memory.control;
        control.patience_ns() > 0 && control.driver_processor() == processor
    }

    /// Whether there may be a task.
    pub fn has_task(&self) -> bool {
        self.memory.control.has_task()
    }

    /// Sleeps until there may be a task, and no longer than `patience` where there is one.
    pub fn sleep(&self, patience: Option<Duration>) {
        let control = &self.memory.control;
        if let Some(bed) = self.end.lie_down(control) {
            control.set_worker_processor(processor::NOWHERE);
            futex::wait(bed, 1, patience);
            self.end.get_up(control);
            self.tell_processor();
        }
    }

    /// Lets the driver know which processor this is, so that it can keep off it.
    fn tell_processor(&self) {
        self.memory.control.set_worker_processor(processor::current().unwrap_or(processor::NOWHERE));
    }
}
