//! Before tasks go out: hooks are asked about as many at a time as there are, and as hooks are quick.
//!
//! A task that hooks want to see before it begins waits for them in [`Driver::waiting`]; when there is nothing more to be put there, they
//! are asked about all of it in one go ([`Driver::ask_hooks`]), and the tasks go into the worker's ring with what the
//! hooks made of their inputs. So a hook hears of a node up to some hundred microseconds before the node begins. Before
//! they are asked the engine is told that the tasks lie here, as of what lies in a ring: until the engine has them
//! back, or has heard of their ends, the run has not ended.
#![forbid(unsafe_code)]

use std::sync::Arc;

use engine::failure::Failure;
use engine::id::{Attempt, TaskId};
use engine::plan::TaskKind;

use super::{DETAILS_BYTES, Heard, shown_inputs};
use crate::block::Block;
use crate::ipc::client::Input;
use crate::server::hooks::{HookEventName, Telling};
use crate::server::json::JsonObject;
use crate::server::pool::driver::again::Again;
use crate::server::pool::driver::request::Work;
use crate::server::pool::driver::{Driver, Job, Local};

/// A task that waits until hooks have heard of it.
#[derive(Debug)]
pub struct Waiting {
    again: Again,
    /// How long it and those before it will take.
    up_to_here_ns: u64,
}

impl Waiting {
    /// What it is an attempt at.
    pub fn job(&self) -> &Job {
        &self.again.job
    }
}

impl Driver {
    /// Whether hooks are to hear of a task before it goes out.
    pub fn is_for_hooks(job: &Job) -> bool {
        job.heard.is_none() && Driver::event_before(job).is_some()
    }

    /// The event that hooks want to hear of a task before it begins, if any hook wants it.
    fn event_before(job: &Job) -> Option<HookEventName> {
        let hooks = &job.run.generation.hooks;
        if hooks.want_nothing() {
            return None;
        }
        let event = match job.run.plan.task(job.task)? {
            TaskKind::Call(_) => HookEventName::BeforeNodeRun,
            TaskKind::Load(_) => HookEventName::BeforeDatasetLoaded,
            TaskKind::Save(_) => HookEventName::BeforeDatasetSaved,
            TaskKind::Confirm(_) => return None,
        };
        hooks.wants(event).then_some(event)
    }

    /// Whether one more task may be taken before hooks have heard of the others: not where they are slow.
    pub fn hooks_allow_more(&self) -> bool {
        let newest = self.waiting.last().map(|waiting| &waiting.again.job);
        let Some(newest) = newest.or_else(|| self.flights.back().map(|flight| &flight.job)) else { return true };
        let Some(event) = Driver::event_before(newest) else { return true };
        let ahead_max = newest.run.generation.hooks.ahead_max(event);
        ahead_max > 1 && self.waiting.len() < ahead_max
    }

    /// How long the tasks will take that wait for hooks.
    pub fn waiting_ns(&self) -> u64 {
        self.waiting.last().map_or(0, |waiting| waiting.up_to_here_ns)
    }

    /// Has a task wait until hooks have heard of it.
    pub fn await_hooks(&mut self, again: Again) {
        let expected_ns = again.job.pace_kind().map_or(0, |kind| self.shared.paces.expected_ns(kind));
        let up_to_here_ns = self.waiting_ns().saturating_add(expected_ns);
        self.waiting.push(Waiting { again, up_to_here_ns });
    }

    /// Asks hooks about the tasks that wait for them, and sends those that they let pass.
    pub fn ask_hooks(&mut self, local: &Local<Job>) {
        if self.waiting.is_empty() {
            return;
        }
        // What need not wait does not.
        self.publish(local);
        let mut waiting = std::mem::take(&mut self.waiting);
        // The last one may be of a kind for which hooks take long: the others need not wait for it.
        let is_slow = |waiting: &Waiting| {
            let job = &waiting.again.job;
            Driver::event_before(job).is_some_and(|event| job.run.generation.hooks.ahead_max(event) <= 1)
        };
        let last = if waiting.len() > 1 { waiting.pop_if(|last| is_slow(last)) } else { None };
        self.ask_about(waiting, local);
        self.ask_about(last.into_iter().collect(), local);
    }

    fn ask_about(&mut self, waiting: Vec<Waiting>, local: &Local<Job>) {
        let waiting = self.note_waiting(waiting);
        let looks = self.looks_for_hooks(waiting.last().map_or(0, |waiting| waiting.up_to_here_ns));
        let asked_us = self.shared.services.clock.unix_us_now();
        let mut tellings: Vec<Telling<'_>> = Vec::with_capacity(waiting.len());
        let mut shown: Vec<Vec<(usize, Block)>> = Vec::with_capacity(waiting.len());
        for waiting in &waiting {
            let job = &waiting.again.job;
            let inputs = shown_inputs(job, &[]);
            tellings.push(self.telling_before(job, &inputs));
            shown.push(inputs);
        }
        // All are of one generation, as this pool is.
        if let Some(first) = waiting.first() {
            first.again.job.run.generation.hooks.call_many(&mut tellings, looks);
        }
        let heard: Vec<Result<Heard, Box<Failure>>> =
            tellings.into_iter().zip(shown).map(|(telling, inputs)| Heard::of(telling, inputs, asked_us)).collect();
        for (waiting, heard) in waiting.into_iter().zip(heard) {
            self.go_on_with(waiting.again, heard, local);
        }
    }

    /// What hooks are told of a task before it goes out.
    pub(super) fn telling_before<'j>(&self, job: &'j Job, inputs: &[(usize, Block)]) -> Telling<'j> {
        let mut details = JsonObject::with_room_for(DETAILS_BYTES);
        if let Some(work) = Work::of_job(job) {
            work.describe_start(&mut details, &job.run, self.number, inputs);
        }
        let blocks = inputs.iter().map(|(_, block)| Input::Block(block.clone())).collect();
        let event = Driver::event_before(job).unwrap_or(HookEventName::BeforeNodeRun);
        Telling::new(event, Some(&job.run), details, blocks)
    }

    /// Tells the engine that these tasks lie here; gives those that it still wants.
    fn note_waiting(&self, mut waiting: Vec<Waiting>) -> Vec<Waiting> {
        let mut begin = 0;
        while let Some(run) = waiting.get(begin).map(|waiting| Arc::clone(&waiting.again.job.run)) {
            let end = waiting.iter().skip(begin).position(|other| !Arc::ptr_eq(&other.again.job.run, &run));
            let end = end.map_or(waiting.len(), |more| begin + more);
            let attempts: Vec<(TaskId, Attempt)> = (waiting[begin..end].iter())
                .filter(|waiting| !waiting.again.is_noted())
                .map(|waiting| (waiting.again.job.task, waiting.again.job.attempt))
                .collect();
            if !attempts.is_empty() {
                let mut answers = run.note_sent(&attempts).into_iter();
                for waiting in waiting[begin..end].iter_mut().filter(|waiting| !waiting.again.is_noted()) {
                    waiting.again.is_sent = answers.next() == Some(true);
                }
            }
            begin = end;
        }
        let count = waiting.len();
        // Withdrawn meanwhile: hooks do not hear of them.
        waiting.retain(|waiting| waiting.again.is_noted());
        if waiting.len() < count {
            self.shared.services.budget.jobs_ended(&self.shared.party, count - waiting.len());
        }
        waiting
    }

    /// Hooks have heard of a task: it goes out, unless they would not have it or nobody wants it any more.
    fn go_on_with(&mut self, mut again: Again, heard: Result<Heard, Box<Failure>>, local: &Local<Job>) {
        match heard {
            Ok(heard) => {
                again.job.heard = Some(Arc::new(heard));
                let job = &again.job;
                if !again.has_begun && job.run.has_aborts() && !job.run.is_wanted(job.task, job.attempt) {
                    let Again { job, share, .. } = again;
                    drop(share);
                    self.withdraw(job, local);
                } else {
                    self.send_or_end(again, local);
                }
            }
            Err(failure) => {
                // It is not told as an error: the hook that refused it has spoken already.
                let failure = again.job.run.redacted(*failure);
                self.end_refused(again, failure, local);
            }
        }
    }
}
