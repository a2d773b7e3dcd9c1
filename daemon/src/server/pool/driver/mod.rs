//! A driver: the thread that owns one worker and takes one job after the other.
//!
//! [`Driver::run`] is the loop; [`attempt`] is one job from top to bottom; [`conversation`] is the part of it in which the
//! worker is at work. [`worker`] starts and ends the process, [`ladder`] stops an attempt, [`failure`] puts ends into words.
#![forbid(unsafe_code)]

mod attempt;
mod chunks;
mod conversation;
mod describe;
mod errand;
mod failure;
mod ladder;
mod output;
mod request;
mod schema;
mod worker;

use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Job, Local, Shared, Slot, WorkerState};
use crate::ipc::channel::ChannelError;
use crate::ipc::client::WorkerEvent;
use crate::ipc::message::Limits;
use crate::server::generations::{ProcessEnd, Zygote, ending_in_words};
use crate::sys::wait;

pub use describe::failure_json;
pub use errand::Errand;
pub use failure::Subject;
pub use output::OutputLines;
pub use request::{describe_storage, doing_dataset};
pub use worker::Worker;

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
}

impl Driver {
    /// Makes driver number `index`.
    pub fn new(index: usize, shared: Arc<Shared>, zygote: Arc<Zygote>, settings: DriverSettings) -> Driver {
        let number = u32::try_from(index).unwrap_or(u32::MAX);
        Driver { index, number, shared, zygote, settings, worker: None, last_token: 0, start_failed: None }
    }

    /// Takes jobs until the pool stops.
    pub fn run(mut self, mut local: Local<Job>) {
        // Ahead of the first job, so that it need not wait for it.
        if let Err(reason) = self.ensure_worker() {
            log::error!("worker {} could not be started: {reason}", self.number);
        }
        let shared = Arc::clone(&self.shared);
        while !shared.is_stopping() {
            self.do_errands();
            let job = shared.queues.find(&mut local).or_else(|| {
                // Before it stands in the list of sleepers: a wake-up must find it ready.
                self.replace_worker_before_rest();
                match shared.queues.rest(&mut local) {
                    super::steal::Rest::Job(job) => Some(job),
                    super::steal::Rest::Sleep => {
                        let lost = self.sleep();
                        shared.queues.woken(&local);
                        // Off the list of sleepers: it may take a while.
                        if let Some(lost) = lost {
                            self.end_idle_worker(lost);
                        }
                        None
                    }
                }
            });
            if let Some(job) = job {
                self.attempt(job, &local);
            }
        }
        self.do_errands();
        if let Some(worker) = self.worker.take() {
            worker.quit();
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
    fn hear_idle_worker(&self) -> Option<Lost> {
        match self.worker.as_ref()?.channel.receive() {
            Ok(WorkerEvent::Log(record)) => {
                log::info!(target: "plugin", "worker {}: {}: {}", self.number, record.target, record.message);
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
            if let Some(failed) = self.start_failed {
                // Jobs that fail one after the other must not make this a storm of starts.
                std::thread::sleep(START_PAUSE.saturating_sub(failed.elapsed()));
            }
            self.slot().set_worker(WorkerState::Starting, 0);
            match Worker::start(&self.zygote, &self.settings) {
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
