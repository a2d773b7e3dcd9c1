//! A driver: the thread that owns one worker and keeps it at work.
//!
//! [`Driver::run`] is the loop: [`launch`] says which tasks go, [`ahead`] how many, [`send`] puts them into the ring, [`attend`] waits,
//! [`collect`] takes answers, [`settle`] tells the runs, [`recall`] takes tasks back; [`idle`] is when there is nothing to do.
//! [`flight`] is what is on its way; [`attempt`] what is done with a task before it goes and after it has ended, [`answer`] what came of
//! it, [`adopt`] what it made; [`hearing`] is what hooks hear of it, [`follow`] how they hear of a chain, [`spin`] when this thread looks
//! for its turn instead of sleeping.
//!
//! [`conversation`] is what the worker says and is told meanwhile, [`lines`] what it logs and prints, [`chunks`] what it saves while it is
//! at a task, [`errand`] what it does between tasks. [`worker`] is its process, [`replace`] how a driver gets one,
//! [`loss`] how it loses one; [`stop`] stops an attempt, step by step ([`ladder`]), [`failure`] puts ends into words.
#![forbid(unsafe_code)]

mod adopt;
mod again;
mod ahead;
mod answer;
mod attempt;
mod attend;
mod chunks;
mod collect;
mod conversation;
mod describe;
mod errand;
mod failure;
mod flight;
mod follow;
mod hearing;
mod idle;
mod ladder;
mod launch;
mod lines;
mod loss;
mod output;
mod recall;
mod replace;
mod request;
mod schema;
mod send;
mod settle;
mod spin;
mod stop;
mod worker;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use engine::id::{Attempt, TaskId};

use super::{Job, Local, Shared, Slot, WorkerState};
use crate::block::Block;
use crate::ipc::message::{Limits, SegmentPlace};
use crate::ipc::ring::record::Record;
use crate::server::generations::Zygote;
use crate::sys::processor::Aside;

pub use describe::failure_json;
pub use errand::Errand;
pub use failure::Subject;
pub use hearing::Heard;
pub use output::OutputLines;
pub use request::{describe_storage, doing_dataset};
pub use worker::Worker;

use again::Again;
use flight::Flights;
use follow::Follower;
use hearing::{Finished, Waiting};
use ladder::Ladder;
use settle::Ended;

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
    /// Since when it has waited for an answer.
    waits_since: Option<Instant>,
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
            waits_since: None,
            step_aside: Aside::each(spin::STEP_ASIDE_INTERVAL),
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

    fn slot(&self) -> &Slot {
        &self.shared.slots[self.index]
    }
}
