//! A chain of calls that hooks hear of: what they are told of the end of one and of the beginning of the next goes to them in one exchange.
//!
//! When a call has ended well and a driver has nothing else to do, the call that follows for certain (`Run::follower`) is asked about
//! together with that end: first the end is told, and only if no hook's failure counts there, the beginning. So hooks hear the
//! same in the same order as if the engine had dispatched the next call first, and a chain costs one exchange a node instead of two. What
//! is then known of the next call:
//!
//! | hooks said | what is done, and when |
//! | --- | --- |
//! | the end counts as a failure | the beginning was not told; the engine has the call back before it hears of that failure |
//! | both are well | the call goes into the worker's ring, then the engine hears of the end, which dispatches it |
//! | the same, and the ring does not take it | the engine hears of the end, then the call is sent like any other |
//! | the next call is refused | the engine hears of the end, then that the call has begun and failed |
//!
//! *Not lost, not run twice:* the engine is told that the call lies here before hooks hear of it (`Run::note_sent`), as of every call
//! that is sent ahead. So its run does not end and nobody else gets it, until the engine has it back or hears of its end. One
//! that was dispatched, and is not wanted by then, goes back ([`Driver::withdraw`]). *Not told twice:* what hooks have
//! heard stays with the job. Should the run be cut short in between, they have heard of a beginning that does not come, as of any task that is
//! called off after they were asked. Should the call before be called off just then, and be tried again, they hear of the next one again.
#![forbid(unsafe_code)]

use std::sync::Arc;

use engine::failure::Failure;
use engine::plan::TaskKind;

use super::again::Again;
use super::flight::Flight;
use super::hearing::{Finished, Heard};
use super::request::Work;
use super::{Driver, Job, Local};
use crate::server::hooks::HookEventName;
use crate::server::residents::Share;

/// A call that hooks have heard of, and which cannot go out before the engine has dispatched it.
#[derive(Debug)]
pub struct Follower {
    again: Again,
    /// Why hooks would not have it.
    refused: Option<Box<Failure>>,
}

impl Driver {
    /// The call that hooks can be asked about together with the end of the last of these; the engine knows that it lies here.
    pub fn follower_for_hooks(&mut self, finished: &[Box<Finished>]) -> Option<Job> {
        let last = finished.last().filter(|last| last.result.is_ok())?;
        let Job { run, task, .. } = &last.flight.job;
        let hooks = &run.generation.hooks;
        let may_be_many = |event| hooks.wants(event) && hooks.ahead_max(event) > 1;
        let is_free = self.has_nothing()
            && self.again.is_empty()
            && self.aside.is_none()
            && self.ladder.is_none()
            && !self.shared.is_stopping()
            && !self.slot().has_errands()
            && !self.shared.queues.has_work();
        if !is_free
            || !matches!(run.plan.task(*task), Some(TaskKind::Call(_)))
            || !may_be_many(HookEventName::BeforeNodeRun)
            || !may_be_many(HookEventName::AfterNodeRun)
            || run.has_aborts()
        {
            return None;
        }
        let (task, attempt) = run.follower(*task)?;
        let job = Job { run: Arc::clone(run), task, attempt, heard: None };
        if run.note_sent(&[(task, attempt)]) != [true] {
            return None;
        }
        // Counted from here on, whether or not the engine comes to dispatch it.
        self.shared.services.budget.jobs_added(&self.shared.party, 1);
        Some(job)
    }

    /// Hooks were asked about a call: nothing, if they did not come to hear of it.
    pub fn follow(&mut self, mut job: Job, heard: Option<Result<Heard, Box<Failure>>>, local: &Local<Job>) {
        let refused = match heard {
            None => return self.withdraw(job, local),
            Some(Ok(heard)) => {
                job.heard = Some(Arc::new(heard));
                match self.send_heard(job, local) {
                    Ok(()) => return,
                    Err(unsent) => job = unsent,
                }
                None
            }
            Some(Err(failure)) => Some(failure),
        };
        let again = Again { job, share: Share::None, has_begun: false, is_sent: true, tries: 0 };
        self.follower = Some(Follower { again, refused });
    }

    /// The engine has heard of the end of the call before.
    pub fn settle_follower(&mut self, local: &Local<Job>) {
        let Some(Follower { again, refused }) = self.follower.take() else { return };
        let job = &again.job;
        if !job.run.is_wanted(job.task, job.attempt) {
            return self.withdraw(again.job, local);
        }
        match refused {
            None => self.again.push_front(again),
            Some(failure) => {
                let failure = job.run.redacted(*failure);
                self.end_refused(again, failure, local);
            }
        }
    }

    /// Sends a call that the engine will dispatch when it hears of the end of the one before; gives it back if a record cannot tell it, or
    /// there is no worker.
    fn send_heard(&mut self, job: Job, local: &Local<Job>) -> Result<(), Job> {
        let Some(work) = Work::of_job(&job) else { return Err(job) };
        let shown = self.shown(&job, &work);
        let Some(sent) = self.send_ahead(&job, &work, None) else { return Err(job) };
        let expected_ns = self.shared.paces.expected_ns(sent.kind);
        self.fly(Flight { is_sent: true, is_ahead: true, shown, ..Flight::new(job, sent, expected_ns) });
        self.publish(local);
        Ok(())
    }
}
