//! Stopping the task that a worker is at.
#![forbid(unsafe_code)]

use std::time::Instant;

use engine::action::AbortReason;
use nix::sys::signal::Signal;

use super::ladder::{Ladder, Push};
use super::loss::End;
use super::{Driver, Job, Local};

impl Driver {
    /// Begins to stop the task under way if somebody has asked for that, or the pool stops.
    pub fn stop_if_asked(&mut self, local: &Local<Job>) -> Result<(), End> {
        let Some(Job { run, task, attempt, .. }) = self.flights.front().map(|front| &front.job) else { return Ok(()) };
        // One that was asked back, and had begun by the time that came here, may go on to its end: the engine knows.
        let reason = self.slot().abort_reason().filter(|_| run.is_to_stop(*task, *attempt));
        let reason = reason.or_else(|| self.shared.is_stopping().then_some(AbortReason::Cancelled));
        match reason {
            Some(reason) if self.ladder.is_none() => self.stop_front(reason, local),
            _ => Ok(()),
        }
    }

    /// Begins to stop the task under way.
    fn stop_front(&mut self, reason: AbortReason, local: &Local<Job>) -> Result<(), End> {
        // What waits behind it may go on elsewhere.
        self.take_back(local);
        // It has ended by itself, and what is left behind it has begun, perhaps with what it made: it is not stopped any more.
        if self.has_answers() {
            return Ok(());
        }
        let (Some(front), Some(worker)) = (self.flights.front_mut(), &self.worker) else { return Ok(()) };
        worker.process.page.cancel(front.token);
        self.ladder = Some(Ladder::start(reason, self.settings.cancel_grace, Instant::now()));
        // It cannot look at the flag while it waits for memory.
        let refused = match front.allowance.as_mut().is_some_and(|allowance| allowance.withdraw()) {
            true => worker.channel.refuse(front.token, "the task was told to stop".to_owned()),
            false => Ok(()),
        };
        refused.map_err(|error| self.channel_end(error))
    }

    /// The worker is at, or about to begin with, a task that nobody wants any more.
    pub fn stop_unwanted(&mut self, local: &Local<Job>) {
        if let Err(end) = self.stop_front(AbortReason::Stale, local) {
            self.lose_worker(end, local);
        }
    }

    /// Takes the ladder's next step if its time has come.
    pub fn climb(&mut self) -> Result<(), End> {
        let Some(worker) = &self.worker else { return Ok(()) };
        match self.ladder.as_mut().and_then(|ladder| ladder.push(Instant::now())) {
            Some(Push::Terminate) => worker.process.signal(Signal::SIGTERM),
            Some(Push::Kill) => worker.process.kill(),
            Some(Push::GiveUp) => return Err(End::Gone),
            None => {}
        }
        Ok(())
    }

    fn has_answers(&self) -> bool {
        // An index that cannot be is found out where answers are taken.
        self.has_answer || self.worker.as_ref().is_some_and(|worker| worker.rings.answers() != Ok(0))
    }
}
