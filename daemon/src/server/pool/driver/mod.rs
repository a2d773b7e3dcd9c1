//! A driver: the thread that owns one worker and keeps it at work.
//!
//! [`Driver::run`] is the loop: [`launch`] says which tasks go, [`ahead`] how many, [`send`] puts them into the ring, [`conversation`] waits and hears,
//! [`collect`] takes answers, [`recall`] takes tasks back. [`flight`] is what is on its way; [`attempt`] what is done with a task before it goes and after it has ended, [`hearing`] what hooks hear of it, [`follow`] how they
//! hear of a chain. [`worker`] starts and ends the
//! process, [`ladder`] stops an attempt, [`failure`] puts ends into words; [`errand`] is what a worker does between tasks, [`chunks`] what
//! it saves while it is at one.
#![forbid(unsafe_code)]

mod again;
mod ahead;
mod attempt;
mod chunks;
mod collect;
mod conversation;
mod describe;
mod errand;
mod failure;
mod flight;
mod follow;
mod hearing;
mod ladder;
mod launch;
mod output;
mod recall;
mod request;
mod schema;
mod send;
mod worker;

use std::collections::VecDeque;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use engine::id::{Attempt, TaskId};

use super::{Job, Local, Shared, Slot, WorkerState};
use crate::block::Block;
use crate::ipc::channel::ChannelError;
use crate::ipc::client::WorkerEvent;
use crate::ipc::message::{Limits, SegmentPlace};
use crate::ipc::ring::record::Record;
use crate::server::generations::{ProcessEnd, Zygote, ending_in_words};
use crate::sys::processor::Aside;
use crate::sys::wait;

pub use describe::failure_json;
pub use errand::Errand;
pub use failure::Subject;
pub use hearing::Heard;
pub use output::OutputLines;
pub use request::{describe_storage, doing_dataset};
pub use worker::Worker;

use again::Again;
use collect::Ended;
use flight::Flights;
use follow::Follower;
use hearing::{Finished, Waiting};
use ladder::Ladder;

/// How long a driver waits before it tries again to start a worker that did not start.
const START_PAUSE: Duration = Duration::from_secs(1);

/// What became of a worker that was idle.
enum Lost {
    /// It has gone, or closed its channel.
    Ended,
    /// It must not be used again: what it did, as it stands after "the worker".
    Unusable(String),
}

/// What drivers need to know of the configuration.
#[derive(Debug, Clone)]
pub struct DriverSettings {
    /// Limits of a worker.
    pub limits: Limits,
    /// How long a worker may take to be ready.
    pub start_timeout: Duration,
    /// How long a task may go on after it was asked to stop.
    pub cancel_grace: Duration,
}

/// One driver.
#[derive(Debug)]
pub struct Driver {
    index: usize,
    number: u32,
    shared: Arc<Shared>,
    zygote: Arc<Zygote>,
    settings: DriverSettings,
    worker: Option<Worker>,
    last_token: u64,
    start_failed: Option<Instant>,
    /// What is on its way.
    flights: Flights,
    /// How many of them the worker was not shown so far.
    unpublished: usize,
    /// What is to be sent again, its worker having died before it began.
    again: VecDeque<Again>,
    /// What is to be sent when hooks have heard of it.
    waiting: Vec<Waiting>,
    /// What has ended and hooks are to hear of.
    #[expect(clippy::vec_box, reason = "large, and handed over from where it is made")]
    finished: Vec<Box<Finished>>,
    /// A call that hooks have heard of, to be sent when the engine knows how the one before it has ended.
    follower: Option<Follower>,
    /// How far the task under way is being stopped.
    ladder: Option<Ladder>,
    /// What was last told of its progress.
    told_progress: Option<(u64, u64)>,
    /// Since when the worker's process has been known to have ended.
    ended_since: Option<Instant>,
    /// A task that is to be sent alone, and waits for those on their way.
    aside: Option<Job>,
    /// As the slot was told: tasks that wait behind the one under way.
    behind: u32,
    /// Whether they are offered to others.
    offers: bool,
    /// They were not before.
    has_new_offer: bool,
    /// The task under way takes longer than was expected of all.
    is_late: bool,
    /// Goes to another processor than its worker's.
    step_aside: Aside,
    /// Counted among the busy drivers.
    is_busy: bool,
    /// How long tasks take that are like the one that ended last.
    last_ns: u64,
    /// The last wait was for many answers.
    has_gathered: bool,
    /// What waits behind the task under way is to be taken back at the next occasion.
    is_to_take_back: bool,
    /// The answer that was taken last waits for the messages before it.
    has_answer: bool,
    /// Kept for their memory.
    answer: Option<Box<Record>>,
    record: Record,
    blocks: Vec<(Block, Option<SegmentPlace>)>,
    attempts: Vec<(TaskId, Attempt)>,
    ended: Vec<Ended>,
}

impl Driver {
    /// Makes driver number `index`.
    pub fn new(index: usize, shared: Arc<Shared>, zygote: Arc<Zygote>, settings: DriverSettings) -> Driver {
        let number = u32::try_from(index).unwrap_or(u32::MAX);
        Driver {
            index,
            number,
            shared,
            zygote,
            settings,
            worker: None,
            last_token: 0,
            start_failed: None,
            flights: Flights::default(),
            unpublished: 0,
            again: VecDeque::new(),
            waiting: Vec::new(),
            finished: Vec::new(),
            follower: None,
            ladder: None,
            told_progress: None,
            ended_since: None,
            aside: None,
            behind: 0,
            offers: false,
            has_new_offer: false,
            is_late: false,
            step_aside: Aside::each(conversation::STEP_ASIDE_INTERVAL),
            is_busy: false,
            last_ns: u64::MAX,
            has_gathered: false,
            is_to_take_back: false,
            has_answer: false,
            answer: None,
            record: Record::default(),
            blocks: Vec::new(),
            attempts: Vec::new(),
            ended: Vec::new(),
        }
    }

    /// Takes jobs until the pool stops.
    pub fn run(mut self, mut local: Local<Job>) {
        // Ahead of the first job, so that it need not wait for it.
        if let Err(reason) = self.ensure_worker() {
            log::error!("worker {} could not be started: {reason}", self.number);
        }
        let shared = Arc::clone(&self.shared);
        loop {
            if self.flights.is_empty() {
                self.do_errands();
            }
            // What is under way when the pool stops is stopped first: the bell has been rung for that.
            if shared.is_stopping() {
                self.ask_hooks(&local);
                if self.flights.is_empty() {
                    break;
                }
            } else {
                self.feed(&mut local);
            }
            if self.flights.is_empty() {
                self.rest(&shared, &mut local);
            } else {
                self.attend(&local);
            }
        }
        self.do_errands();
        if let Some(worker) = self.worker.take() {
            worker.quit();
        }
    }

    /// Sleeps until there may be something to do.
    fn rest(&mut self, shared: &Shared, local: &mut Local<Job>) {
        if !self.again.is_empty() || self.aside.is_some() || shared.is_stopping() {
            return;
        }
        // Before it stands in the list of sleepers: a wake-up must find it ready.
        self.replace_worker_before_rest();
        match shared.queues.rest(local) {
            super::steal::Rest::Job(job) => {
                // Its worker has been attended to: there is nothing on its way.
                self.launch(job, local);
            }
            super::steal::Rest::Sleep => {
                // Listed by now, so what is taken back finds it.
                shared.slots.iter().for_each(Slot::accept);
                match self.sleep() {
                    Some(lost) => {
                        shared.queues.leave(local);
                        // Off the list of sleepers: it may take a while.
                        self.end_idle_worker(lost);
                    }
                    None => {
                        if let Some(job) = shared.queues.woken(local) {
                            self.launch(job, local);
                        }
                    }
                }
            }
        }
    }

    /// Whether it has tasks on their way.
    fn note_busy(&mut self, is_busy: bool) {
        if is_busy == self.is_busy {
            return;
        }
        self.is_busy = is_busy;
        if is_busy {
            self.shared.busy.fetch_add(1, Ordering::Relaxed);
        } else {
            self.shared.busy.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// A worker that the last job cost is replaced now, so that the next job need not wait for it.
    fn replace_worker_before_rest(&mut self) {
        // One that could not be started is tried again by the job that needs it.
        if self.worker.is_none()
            && self.start_failed.is_none()
            && !self.shared.is_stopping()
            && let Err(reason) = self.ensure_worker()
        {
            log::error!("worker {} could not be started again: {reason}", self.number);
        }
    }

    /// Waits for the bell; meanwhile takes notice if the idle worker dies, prints or logs. Returns at once if
    /// the worker is lost: to end and replace it takes a driver that is off the list of sleepers.
    fn sleep(&mut self) -> Option<Lost> {
        loop {
            let mut watched = vec![self.slot().bell().as_fd()];
            if let Some(worker) = &self.worker {
                watched.push(worker.channel.as_fd());
                watched.push(worker.process.watched());
                watched.extend(worker.process.output.watched());
            }
            // A failing poll would make this a busy loop: give the work a chance instead, and come back.
            let Ok(ready) = wait::readable(&watched, None) else { return None };
            if ready.first() == Some(&true) {
                self.slot().bell().answer();
                return None;
            }
            if ready.get(3) == Some(&true) {
                self.log_idle_output();
            }
            let lost = match (ready.get(1), ready.get(2)) {
                (Some(true), _) => self.hear_idle_worker(),
                (_, Some(true)) => Some(Lost::Ended),
                _ => None,
            };
            if lost.is_some() {
                return lost;
            }
        }
    }

    fn log_idle_output(&mut self) {
        if let Some(worker) = &mut self.worker {
            for line in worker.process.output.read() {
                log::info!(target: "plugin", "worker {}: {line}", self.number);
            }
        }
    }

    /// An idle worker has nothing to say but logs of threads that its plugins keep; anything else ends it.
    fn hear_idle_worker(&mut self) -> Option<Lost> {
        let worker = self.worker.as_mut()?;
        worker.received += 1;
        match worker.channel.receive() {
            Ok(WorkerEvent::Log(record)) => {
                log::info!(target: "plugin", "worker {}: {}: {}", self.number, record.target, record.message);
                None
            }
            Ok(WorkerEvent::SegmentDropped(number)) => {
                worker.segment_dropped(number);
                None
            }
            Ok(_) => Some(Lost::Unusable("spoke out of turn".to_owned())),
            Err(ChannelError::Closed) => Some(Lost::Ended),
            Err(error) => Some(Lost::Unusable(format!("broke the protocol: {error}"))),
        }
    }

    fn end_idle_worker(&mut self, lost: Lost) {
        let Some(worker) = &mut self.worker else { return };
        let what = match lost {
            Lost::Unusable(what) => what,
            Lost::Ended => match worker.await_end() {
                ProcessEnd::Ended { ending, .. } => ending_in_words(ending),
                ProcessEnd::WithZygote(reason) => reason,
                ProcessEnd::Unknown => "ended".to_owned(),
            },
        };
        log::warn!("worker {}, which was idle, {what}; it is replaced", self.number);
        self.log_idle_output();
        self.discard_worker();
    }

    /// Ends the worker, if there is one; the next job gets a new one.
    fn discard_worker(&mut self) {
        if let Some(mut worker) = self.worker.take() {
            worker.kill();
            self.slot().set_worker(WorkerState::Starting, 0);
        }
    }

    fn ensure_worker(&mut self) -> Result<&mut Worker, String> {
        if self.worker.is_none() {
            // It may take a while, and jobs that were to be this driver's alone may lie in its queue.
            self.shared.queues.wake_for_work();
            if let Some(failed) = self.start_failed {
                // Jobs that fail one after the other must not make this a storm of starts.
                std::thread::sleep(START_PAUSE.saturating_sub(failed.elapsed()));
            }
            self.slot().set_worker(WorkerState::Starting, 0);
            let started = Worker::start(&self.zygote, &self.settings)
                .and_then(|mut worker| worker.give_rings(&self.shared.services).map(|()| worker));
            match started {
                Ok(worker) => {
                    self.start_failed = None;
                    self.slot().set_worker(WorkerState::Up, worker.process.pid);
                    self.worker = Some(worker);
                }
                Err(reason) => {
                    self.start_failed = Some(Instant::now());
                    self.slot().set_worker(WorkerState::Down, 0);
                    return Err(reason);
                }
            }
        }
        self.worker.as_mut().ok_or_else(|| "there is no worker".to_owned())
    }

    fn slot(&self) -> &Slot {
        &self.shared.slots[self.index]
    }
}
