//! What others may know of a driver, and tell it.
//!
//! A driver writes its attempt into its slot before it asks the engine whether the attempt may begin. So whoever carries
//! out an abort of an attempt that has begun finds it here. One that has not begun waits in a queue, where it is forgotten when its turn
//! comes, or in a ring, from which its driver is asked to take it back.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::action::AbortReason;
use engine::id::{Attempt, TaskId};

use super::{Bell, Errand};
use crate::server::runs::Run;
use crate::sys::processor;

/// The public face of a driver.
#[derive(Debug)]
pub struct Slot {
    index: usize,
    bell: Arc<Bell>,
    state: Mutex<State>,
    errands: Mutex<VecDeque<Errand>>,
    /// Whether there may be errands: looked at before each job, so it must cost nothing.
    has_errands: AtomicBool,
    /// How many tasks wait in the worker's ring behind the one it is at.
    behind: AtomicU32,
    /// Whether it is enough for another driver to wake up for.
    offers: AtomicBool,
    /// Somebody would have those, or some of them are to be forgotten.
    wanted_back: AtomicBool,
    /// The processor of the thread that woke the driver last.
    woken_on: AtomicU32,
}

#[derive(Debug, Default)]
struct State {
    current: Option<Current>,
    abort: Option<AbortReason>,
    worker: WorkerState,
    pid: u32,
    restarts: u64,
}

#[derive(Debug)]
struct Current {
    run: Arc<Run>,
    task: TaskId,
    attempt: Attempt,
}

/// How a driver's worker is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WorkerState {
    /// On its way.
    #[default]
    Starting,
    /// Ready for a task, or at one.
    Up,
    /// It could not be started.
    Down,
}

impl Slot {
    /// Makes the slot of driver `index`.
    pub fn new(index: usize) -> std::io::Result<Slot> {
        Ok(Slot {
            index,
            bell: Arc::new(Bell::new()?),
            state: Mutex::default(),
            errands: Mutex::default(),
            has_errands: AtomicBool::new(false),
            behind: AtomicU32::new(0),
            offers: AtomicBool::new(false),
            wanted_back: AtomicBool::new(false),
            woken_on: AtomicU32::new(processor::NOWHERE),
        })
    }

    /// Driver: so many tasks wait behind the one my worker is at, and whoever has nothing to do may have them.
    pub fn set_behind(&self, behind: u32, offers: bool) {
        self.behind.store(behind, Ordering::SeqCst);
        self.offers.store(offers, Ordering::SeqCst);
    }

    /// Asks the driver to take back what it offers to others, if it does.
    pub fn accept(&self) {
        if self.offers.load(Ordering::SeqCst) {
            self.want_back();
        }
    }

    /// Driver: am I to take back what waits behind?
    pub fn take_wanted_back(&self) -> bool {
        self.wanted_back.load(Ordering::SeqCst) && self.wanted_back.swap(false, Ordering::SeqCst)
    }

    /// Asks the driver to take back what waits behind the task its worker is at, if there is something.
    pub fn want_back(&self) {
        if self.behind.load(Ordering::SeqCst) > 0 && !self.wanted_back.swap(true, Ordering::SeqCst) {
            self.bell.ring();
        }
    }

    /// Wakes the driver.
    pub fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }

    /// Wakes the driver because there are jobs.
    pub fn wake(&self) {
        self.woken_on.store(processor::current().unwrap_or(processor::NOWHERE), Ordering::Relaxed);
        self.bell.ring();
    }

    /// Driver: the processor that I am on, if it is the one of the thread that woke me lately; asked again, it is not.
    pub fn take_shared_with_waker(&self) -> Option<u32> {
        match self.woken_on.load(Ordering::Relaxed) {
            processor::NOWHERE => None,
            waker => {
                self.woken_on.store(processor::NOWHERE, Ordering::Relaxed);
                processor::current().filter(|here| *here == waker)
            }
        }
    }

    /// Gives the driver something to do between jobs, and wakes it.
    pub fn push_errand(&self, errand: Errand) {
        self.errands.lock().unwrap_or_else(PoisonError::into_inner).push_back(errand);
        self.has_errands.store(true, Ordering::Release);
        self.bell.ring();
    }

    /// Driver: is there something to do before the next job?
    pub fn has_errands(&self) -> bool {
        self.has_errands.load(Ordering::Acquire)
    }

    /// Driver: what am I to do before the next job?
    pub fn next_errand(&self) -> Option<Errand> {
        if !self.has_errands() {
            return None;
        }
        let mut errands = self.errands.lock().unwrap_or_else(PoisonError::into_inner);
        let errand = errands.pop_front();
        // Under the lock: one that is pushed after this sets it again.
        self.has_errands.store(!errands.is_empty(), Ordering::Release);
        errand
    }

    /// Driver: from now on I am at this attempt.
    pub fn begin(&self, run: &Arc<Run>, task: TaskId, attempt: Attempt) {
        let mut state = self.lock();
        state.current = Some(Current { run: Arc::clone(run), task, attempt });
        state.abort = None;
    }

    /// Driver: I am at nothing.
    pub fn end(&self) {
        let current = self.lock().current.take();
        // Dropped outside the lock: it may be the last handle of the run.
        drop(current);
    }

    /// Driver: was I told to stop?
    pub fn abort_reason(&self) -> Option<AbortReason> {
        self.lock().abort
    }

    /// Driver: how my worker is.
    pub fn set_worker(&self, worker: WorkerState, pid: u32) {
        let mut state = self.lock();
        if worker == WorkerState::Up && state.pid != 0 && pid != 0 && state.pid != pid {
            state.restarts += 1;
        }
        state.worker = worker;
        // The number of a worker that ended is kept until there is another, so that restarts can be counted.
        if pid != 0 {
            state.pid = pid;
        }
    }

    /// Tells the driver to stop this attempt; says whether it is at it.
    pub fn abort(&self, run: &Run, task: TaskId, attempt: Attempt, reason: AbortReason) -> bool {
        let mut state = self.lock();
        let is_here = state.current.as_ref().is_some_and(|current| {
            std::ptr::eq(Arc::as_ptr(&current.run), run) && current.task == task && current.attempt == attempt
        });
        if is_here {
            state.abort.get_or_insert(reason);
            drop(state);
            self.bell.ring();
        }
        is_here
    }

    /// What the driver and its worker are doing.
    pub fn status(&self) -> protocol::WorkerStatus {
        let state = self.lock();
        let word = match (state.worker, &state.current) {
            (WorkerState::Starting, _) => "starting",
            (WorkerState::Down, _) => "down",
            (WorkerState::Up, Some(_)) => "busy",
            (WorkerState::Up, None) => "idle",
        };
        protocol::WorkerStatus {
            number: u32::try_from(self.index).unwrap_or(u32::MAX),
            pid: if state.worker == WorkerState::Up { state.pid } else { 0 },
            state: word.to_owned(),
            task: state.current.as_ref().map(|current| current.run.task_label(current.task)),
            restarts: state.restarts,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
