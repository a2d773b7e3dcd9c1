//! The pool: one driver thread for each worker process, and the queues they take their jobs from.
//!
//! A [`Job`] is an attempt that the engine dispatched. Where it waits and how a driver finds it is [`steal`]; what a
//! driver does with it, top to bottom, is [`driver`]; what others may know of a driver or tell it is its [`slot`].
#![forbid(unsafe_code)]

mod bell;
mod driver;
mod pace;
mod slot;
mod steal;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use engine::action::AbortReason;
use engine::id::{Attempt, TaskId};
use engine::plan::TaskKind;

use crate::server::budget::Party;
use crate::server::generations::Zygote;
use crate::server::runs::Run;
use crate::server::services::Services;

pub use bell::Bell;
pub use driver::{
    DriverSettings, Errand, Heard, OutputLines, Subject, Worker, describe_storage, doing_dataset, failure_json,
};
pub use pace::{AHEAD_NS, Kind, Paces, SHORT_NS};
pub use slot::{Slot, WorkerState};
pub use steal::{Local, Queues};

/// An attempt at a task of a run, dispatched and not begun.
#[derive(Clone, Debug)]
pub struct Job {
    /// The run.
    pub run: Arc<Run>,
    /// The task.
    pub task: TaskId,
    /// The attempt to quote when it ends.
    pub attempt: Attempt,
    /// What hooks made of it, once they have heard that it is about to begin.
    pub heard: Option<Arc<Heard>>,
}

impl Job {
    /// Whether it finishes what was begun: its node is over, and what it made may go, only when this is done.
    fn finishes(&self) -> bool {
        matches!(self.run.plan.task(self.task), Some(TaskKind::Save(_) | TaskKind::Confirm(_)))
    }

    /// Whether something comes after it that finishes what it begins, and shall not wait behind another long one.
    fn is_finished_later(&self) -> bool {
        let plan = &self.run.plan;
        match plan.task(self.task) {
            Some(TaskKind::Call(node)) => {
                !plan.confirms(node).is_empty() || plan.makes(node).any(|made| plan.task_of(made).is_some())
            }
            Some(TaskKind::Save(dataset)) => plan.producer(dataset).is_some_and(|node| !plan.confirms(node).is_empty()),
            // The node's next.
            Some(TaskKind::Confirm(_)) => true,
            Some(TaskKind::Load(_)) | None => false,
        }
    }

    /// Whether a driver may wait for hooks because of it, for however long they take.
    fn is_heard_of(&self) -> bool {
        !self.run.generation.hooks.want_nothing()
    }
}

/// The drivers of one generation.
#[derive(Debug)]
pub struct Pool {
    shared: Arc<Shared>,
    threads: Mutex<Vec<std::thread::JoinHandle<()>>>,
}

/// What all drivers of a pool and those who feed it share.
#[derive(Debug)]
pub struct Shared {
    queues: Queues<Job>,
    slots: Arc<[Slot]>,
    party: Arc<Party>,
    services: Arc<Services>,
    paces: Paces,
    /// Drivers with tasks on their way.
    busy: AtomicUsize,
    processors: usize,
    stopping: AtomicBool,
}

impl Pool {
    /// Starts the drivers; each starts its worker by itself.
    pub fn start(
        count: usize,
        zygote: &Arc<Zygote>,
        settings: &DriverSettings,
        services: &Arc<Services>,
    ) -> std::io::Result<Pool> {
        let slots = (0..count).map(Slot::new).collect::<std::io::Result<Arc<[Slot]>>>()?;
        let sleepers = Arc::clone(&slots);
        let wake = move |index: usize| {
            if let Some(slot) = sleepers.get(index) {
                slot.wake();
            }
        };
        let (queues, locals) = Queues::new(count, wake, Job::finishes);
        let shared = Arc::new(Shared {
            queues,
            slots,
            party: services.budget.join(count),
            services: Arc::clone(services),
            paces: Paces::new(),
            busy: AtomicUsize::new(0),
            processors: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            stopping: AtomicBool::new(false),
        });
        let pool = Pool { shared: Arc::clone(&shared), threads: Mutex::default() };
        for (index, local) in locals.into_iter().enumerate() {
            let driver = driver::Driver::new(index, Arc::clone(&shared), Arc::clone(zygote), settings.clone());
            // An early return drops `pool`, which stops the drivers started so far.
            let thread =
                std::thread::Builder::new().name(format!("driver-{index}")).spawn(move || driver.run(local))?;
            pool.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        }
        Ok(pool)
    }

    /// Takes jobs: from a driver of this pool onto its own deques, from anybody else into the injector.
    pub fn take(&self, jobs: &mut Vec<Job>, driver: Option<&Local<Job>>) {
        if jobs.is_empty() {
            return;
        }
        self.shared.services.budget.jobs_added(&self.shared.party, jobs.len());
        match driver {
            Some(local) if self.shared.keeps_to_one(jobs) => self.shared.queues.push_quietly(local, jobs.drain(..)),
            Some(local) => self.shared.queues.push_own(local, jobs.drain(..)),
            None if self.shared.keeps_to_one(jobs) => self.shared.queues.inject_for_one(jobs.drain(..)),
            None => self.shared.queues.inject(jobs.drain(..)),
        }
    }

    /// Counts tasks that wait for their next attempt.
    pub fn backing_off_added(&self, count: usize) {
        self.shared.services.budget.backing_off_added(&self.shared.party, count);
    }

    /// Counts tasks whose wait is over; what followed was taken.
    pub fn backing_off_ended(&self, count: usize) {
        self.shared.services.budget.backing_off_ended(&self.shared.party, count);
    }

    /// Tells the driver that runs this attempt, if one does, to stop it.
    pub fn abort(&self, run: &Run, task: TaskId, attempt: Attempt, reason: AbortReason) {
        for slot in self.shared.slots.iter() {
            if slot.abort(run, task, attempt, reason) {
                return;
            }
        }
        // It has not begun: in a queue it does no harm, in a ring it must not be begun with.
        self.shared.slots.iter().for_each(Slot::want_back);
    }

    /// Sends a driver on an errand.
    pub fn send(&self, driver: u32, errand: Errand) {
        if let Some(slot) = usize::try_from(driver).ok().and_then(|driver| self.shared.slots.get(driver)) {
            slot.push_errand(errand);
        }
    }

    /// How many drivers there are.
    pub fn size(&self) -> usize {
        self.shared.slots.len()
    }

    /// What each worker is doing.
    pub fn workers(&self) -> Vec<protocol::WorkerStatus> {
        self.shared.slots.iter().map(Slot::status).collect()
    }

    /// Ends the drivers and waits for them; each ends its worker.
    pub fn stop(&self) {
        self.shared.stop();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join();
            }
        }
        self.shared.services.budget.leave(&self.shared.party);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // Not `stop`: the last one to let go of a generation may be one of its own drivers.
        self.shared.stop();
    }
}

impl Shared {
    fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        for slot in self.slots.iter() {
            slot.bell().ring();
        }
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Whether these jobs are for one driver, as they are over by the time that another one is awake.
    fn keeps_to_one(&self, jobs: &[Job]) -> bool {
        let total_ns = || jobs.iter().map(|job| self.expected_ns(job)).fold(0, u64::saturating_add);
        // All are of one run.
        let is_heard_of = || jobs.first().is_some_and(Job::is_heard_of);
        self.queues.anybody_sleeps() && !is_heard_of() && !pace::is_worth_sharing(jobs.len(), total_ns())
    }

    /// Whether one more driver is worth waking for so many jobs that are left, if they are as this one, which was taken.
    fn is_worth_waking_for(&self, job: &Job, left: usize) -> bool {
        let count = left.saturating_add(1);
        job.is_heard_of() || pace::is_worth_sharing(count, self.expected_ns(job).saturating_mul(count as u64))
    }

    /// How long a job will take; very long if nothing is known of its kind.
    fn expected_ns(&self, job: &Job) -> u64 {
        job.pace_kind().map_or(u64::MAX, |kind| self.paces.expected_ns(kind))
    }

    /// Whether there is a processor for a driver and one for its worker, for all that are at work: only then may one of
    /// them wait without sleeping.
    fn may_spin(&self) -> bool {
        self.busy.load(Ordering::Relaxed) * 2 <= self.processors
    }
}
