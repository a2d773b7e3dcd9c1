//! How much is sent to a worker ahead of what it is at, and what is not.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use engine::plan::TaskKind;

use super::flight::Flight;
use super::hearing::Waiting;
use super::request::Work;
use super::{Driver, Job, Local};
use crate::ipc::ring::indices::SLOTS;
use crate::server::pool::pace::{self, AHEAD_NS, SECOND_NS, SHORT_NS};

impl Driver {
    /// The next job to be sent behind what there is.
    pub fn next_job(&mut self, local: &mut Local<Job>) -> Option<Job> {
        if self.has_nothing() {
            let queues = &self.shared.queues;
            if self.aside.is_some() {
                return queues.find_first(local).or_else(|| self.aside.take());
            }
            return queues.find(local);
        }
        // Beside one that sleeps, what is in the queues is left there if it is worth waking it for that. And one that has been woken
        // shall not have come for nothing.
        let queues = &self.shared.queues;
        let is_left = queues.anybody_sleeps() && self.is_worth_sharing(queues.waiting());
        let taken = self.flights.len() + self.waiting.len();
        let may_take = self.aside.is_none() && !is_left && queues.leaves_enough(taken);
        may_take.then(|| self.shared.queues.find(local)).flatten()
    }

    /// Whether nothing may lie before this task in the ring: what it prints would be taken for the other's, or nobody knows whether it
    /// prints. Or it is long, and what follows one of those would wait for it.
    pub fn is_to_be_alone(&self, job: &Job) -> bool {
        let paces = &self.shared.paces;
        let known = job.pace_kind().filter(|kind| paces.is_known(*kind));
        let is_long = |kind| paces.expected_ns(kind) >= AHEAD_NS;
        !self.has_nothing() && known.is_none_or(|kind| is_long(kind) && self.jobs().any(Job::is_finished_later))
    }

    /// What is on its way, or waits for hooks.
    fn jobs(&self) -> impl Iterator<Item = &Job> {
        let flights = self.flights.iter().map(|flight| &flight.job);
        flights.chain(self.waiting.iter().map(Waiting::job))
    }

    /// Gives what waits behind the task under way to those who found nothing to do just before it came there. They look for it when they
    /// go to rest, and this looks for them: one of the two sees the other.
    pub fn yield_to_sleepers(&mut self, local: &Local<Job>) {
        if !std::mem::take(&mut self.has_new_offer) {
            return;
        }
        fence(Ordering::SeqCst);
        if self.shared.queues.anybody_sleeps() {
            self.take_back(local);
        }
    }

    /// Whether what is on its way, and so many jobs more, is enough for two workers; also where it takes longer than expected.
    pub fn is_worth_sharing(&self, more: usize) -> bool {
        let more_ns = self.last_ns.saturating_mul(more as u64);
        let known_ns = self.flights.expected_ns().saturating_add(self.waiting_ns());
        let count = self.flights.len() + self.waiting.len() + more;
        self.is_late() || pace::is_worth_sharing(count, known_ns.saturating_add(more_ns))
    }

    /// Whether nothing is on its way, nor waits for hooks.
    pub fn has_nothing(&self) -> bool {
        self.flights.is_empty() && self.waiting.is_empty()
    }

    /// Whether one more task is to go to the worker now.
    pub fn wants_more(&self) -> bool {
        if self.has_nothing() {
            return true;
        }
        if self.aside.is_some() {
            return false;
        }
        let front = self.flights.front();
        let count = self.flights.len() + self.waiting.len();
        let expected_ns = self.flights.expected_ns().saturating_add(self.waiting_ns());
        let may_be_second = || count == 1 && expected_ns < SECOND_NS && !self.jobs().any(Job::is_finished_later);
        count < SLOTS as usize
            && (expected_ns < AHEAD_NS || may_be_second())
            && self.ladder.is_none()
            && !self.slot().has_errands()
            && !front.and_then(|front| front.allowance.as_ref()).is_some_and(|allowance| allowance.is_waiting())
            && self.hooks_allow_more()
    }

    /// Sends the call that begins as soon as the newest task ends, if there is one for certain; says whether it did. The worker
    /// takes what it reads from the answer before, so a chain runs there without waiting for anybody.
    pub fn send_follower(&mut self) -> bool {
        let Some(back) = self.flights.back() else { return false };
        let run = Arc::clone(&back.job.run);
        let before = back.token;
        let Some(TaskKind::Call(maker)) = run.plan.task(back.job.task) else { return false };
        if back.is_unwanted || run.has_aborts() {
            return false;
        }
        let Some((task, attempt)) = run.follower(back.job.task) else { return false };
        let job = Job { run, task, attempt, heard: None };
        let Some(work) = Work::of_job(&job) else { return false };
        let hooks = &job.run.generation.hooks;
        let expected_ns = self.shared.paces.expected_ns(work.pace_kind());
        // Only what is known to be short: a long one is better left to whoever is free first.
        if expected_ns > SHORT_NS || work.events().into_iter().any(|event| hooks.wants(event)) {
            return false;
        }
        let Some(sent) = self.send_ahead(&job, &work, Some((maker, before))) else { return false };
        // Counted from here on, whether or not the engine comes to dispatch it.
        self.shared.services.budget.jobs_added(&self.shared.party, 1);
        self.fly(Flight { is_ahead: true, ..Flight::new(job, sent, expected_ns) });
        true
    }
}
