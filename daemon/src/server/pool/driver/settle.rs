//! Ends of tasks: told to their runs, many under one lock, with the beginning of the task that is the oldest now.
#![forbid(unsafe_code)]

use std::sync::Arc;

use engine::failure::Failure;

use super::adopt::Output;
use super::flight::Flight;
use super::{Driver, Job, Local};
use crate::server::pool::pace;
use crate::server::runs::{Ending, Made};

/// A task that has ended, for its run.
#[derive(Debug)]
pub struct Ended {
    /// The attempt.
    pub job: Job,
    /// What it made, or why it failed.
    pub result: Result<Made, Box<Failure>>,
}

impl Ended {
    fn ending(self) -> Ending {
        Ending { task: self.job.task, attempt: self.job.attempt, result: self.result }
    }
}

impl Driver {
    /// Tells the runs how their tasks ended, and that the task which is the oldest now has begun.
    pub fn settle(&mut self, ended: &mut Vec<Ended>, local: &Local<Job>) {
        let count = ended.len();
        self.log_output_of(ended.last().map(|ended| &ended.job));
        let next = self.next_to_begin();
        let mut next_begins = None;
        while let Some(first) = ended.first() {
            let run = Arc::clone(&first.job.run);
            let same = ended.iter().position(|one| !Arc::ptr_eq(&one.job.run, &run)).unwrap_or(ended.len());
            // The last ones and the next in one step, if they are of one run.
            let next = next.as_ref().filter(|next| same == ended.len() && Arc::ptr_eq(&next.run, &run));
            let step = next.map(|job| (job.task, job.attempt));
            let same = ended.drain(..same).map(Ended::ending);
            let begins = run.settle(same, step, pace::ahead(self.last_ns), self.number, local);
            next_begins = next.map(|_| begins);
        }
        if let Some(job) = next {
            let begins = next_begins.unwrap_or_else(|| job.run.begin(job.task, job.attempt, self.number, local));
            self.note_front_begins(begins, local);
        }
        self.note_busy(!self.flights.is_empty());
        self.shared.services.budget.jobs_ended(&self.shared.party, count);
    }

    /// A task that has ended, with what hooks said of it.
    pub fn ended(&mut self, mut flight: Flight, result: Result<Vec<Output>, Failure>) -> Ended {
        let result = self.unless_stopped(&flight, result);
        let result = self.conclude(&flight.job, &mut flight.shown, &mut flight.share, result).map_err(Box::new);
        Ended { job: flight.job, result }
    }

    /// The oldest task has ended with its worker.
    pub fn end_front(&mut self, failure: Failure, local: &Local<Job>) {
        let Some(flight) = self.flights.pop_front() else { return };
        if flight.is_unwanted {
            self.come_to_nothing(flight, local);
            return;
        }
        let ended = self.ended(flight, Err(failure));
        self.settle(&mut vec![ended], local);
    }

    /// A task has ended without having been sent.
    pub fn end_unsent(&mut self, job: Job, result: Result<Made, Failure>, has_begun: bool, local: &Local<Job>) {
        let result = result.map_err(Box::new);
        if self.flights.is_empty() {
            // One that a hook refused may not have been the first.
            if has_begun || self.begin(&job, local) {
                self.settle(&mut vec![Ended { job, result }], local);
            } else {
                self.shared.services.budget.jobs_ended(&self.shared.party, 1);
            }
            return;
        }
        // Those before it are still on their way, and stay under way.
        if has_begun || job.run.begin(job.task, job.attempt, self.number, local) {
            let ending = Ending { task: job.task, attempt: job.attempt, result };
            job.run.settle([ending].into_iter(), None, pace::ahead(self.last_ns), self.number, local);
        }
        self.shared.services.budget.jobs_ended(&self.shared.party, 1);
    }

    /// Tells the engine that the task which is the oldest now has begun, where nothing else is to be told.
    pub fn front_begins(&mut self, local: &Local<Job>) {
        if let Some(job) = self.next_to_begin() {
            let begins = job.run.begin(job.task, job.attempt, self.number, local);
            self.note_front_begins(begins, local);
        }
        self.note_busy(!self.flights.is_empty());
    }

    /// The oldest task, if the engine is to be told now that it has begun. It is in the slot by then: see `launch`.
    fn next_to_begin(&mut self) -> Option<Job> {
        let front = self.flights.front().filter(|front| !front.cannot_begin);
        match front {
            Some(front) => self.slot().begin(&front.job.run, front.job.task, front.job.attempt),
            None => self.slot().end(),
        }
        front.filter(|front| !front.has_begun).map(|front| front.job.clone())
    }

    fn note_front_begins(&mut self, begins: bool, local: &Local<Job>) {
        if let Some(front) = self.flights.front_mut() {
            front.has_begun = true;
            front.is_unwanted = !begins;
        }
        if !begins {
            self.stop_unwanted(local);
        }
    }
}
