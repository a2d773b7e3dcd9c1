//! Which jobs go to the worker next, and what becomes of one that does not.
//!
//! Many short tasks at once, one long task at a time: [`super::super::pace`] guesses which is which. [`super::send`] puts a task into the
//! ring, [`super::recall`] takes it back.
#![forbid(unsafe_code)]

use engine::failure::Failure;
use engine::plan::TaskKind;

use super::again::Again;
use super::flight::Flight;
use super::send::NotSent;
use super::{Driver, Job, Local};
use crate::server::residents::{Entered, Share};
use crate::server::runs::{Keep, Made};
use crate::sys::processor;

/// A worker may die so often before it begins with a task; then it is the task's failure.
const TRIES_MAX: u8 = 2;

/// The kernel lets others wait for a task that is at least so long.
const TURN_NS: u64 = 500_000;

/// So many tasks are shown to a worker that has nothing else before more are sent.
const FIRST: usize = 8;

impl Driver {
    /// Sends the worker what there is to send.
    pub fn feed(&mut self, local: &mut Local<Job>) {
        loop {
            if let Some(again) = self.again.pop_front() {
                match self.launch_again(again, local) {
                    true => continue,
                    false => break,
                }
            }
            if !self.wants_more() {
                break;
            }
            let goes_on = match self.next_job(local) {
                Some(job) if self.is_to_be_alone(&job) => {
                    self.aside = Some(job);
                    false
                }
                Some(job) => self.launch(job, local),
                None => self.send_follower(),
            };
            if !goes_on {
                break;
            }
            // The worker wakes up while the rest is sent.
            if self.unpublished == FIRST && self.flights.len() == FIRST {
                self.publish(local);
            }
        }
        self.ask_hooks(local);
        self.publish(local);
        self.note_behind();
        self.yield_to_sleepers(local);
    }

    /// Sends one job; what cannot be sent has failed. False if the worker has gone, and is to be attended to first.
    pub fn launch(&mut self, job: Job, local: &Local<Job>) -> bool {
        // One that waits for another run's load is not begun: it holds no worker, and its run can take it back.
        let Entered::Begin(job, share) = self.shared.services.residents.enter(job) else {
            self.shared.services.budget.jobs_ended(&self.shared.party, 1);
            return true;
        };
        self.launch_again(Again { job, share, has_begun: false, is_sent: false, tries: 0 }, local)
    }

    fn launch_again(&mut self, again: Again, local: &Local<Job>) -> bool {
        let Again { job, share, mut has_begun, is_sent, tries } = again;
        let is_for_hooks = Driver::is_for_hooks(&job);
        if !is_for_hooks {
            // In their order: one that waits may be the one that this driver is said to be at.
            self.ask_hooks(local);
        }
        if self.has_nothing() {
            self.leave_to_waker(&job);
            if !has_begun {
                has_begun = self.begin(&job, local);
                if !has_begun {
                    // Given back before the job is counted as ended, as whatever follows from its end.
                    drop(share);
                    self.shared.services.budget.jobs_ended(&self.shared.party, 1);
                    return true;
                }
            }
        } else if !has_begun && job.run.has_aborts() && !job.run.is_wanted(job.task, job.attempt) {
            drop(share);
            self.shared.services.budget.jobs_ended(&self.shared.party, 1);
            return true;
        }
        if let (Share::There(lease), Some(TaskKind::Load(dataset))) = (&share, job.run.plan.task(job.task)) {
            let made = Made::from_iter([(dataset, lease.block(), Keep::Lease(lease.clone()))]);
            drop(share);
            self.end_unsent(job, Ok(made), has_begun, local);
            return true;
        }
        let again = Again { job, share, has_begun, is_sent, tries };
        if is_for_hooks {
            self.await_hooks(again);
            return true;
        }
        self.send_or_end(again, local)
    }

    /// Goes to another processor if a driver is in the middle of something on this one, having woken this one: it would go on only when this
    /// one's worker, which comes next here, has had its turn, while another processor may be idle.
    fn leave_to_waker(&self, job: &Job) {
        let is_long = |kind| self.shared.paces.expected_ns(kind) >= TURN_NS;
        if let Some(processor) = self.slot().take_shared_with_waker()
            && job.pace_kind().is_none_or(is_long)
        {
            // Where it may not be had, things stay as they are.
            let _ = processor::leave(processor);
        }
    }

    /// Tells the engine that the worker begins with a task; false if the task is not wanted.
    pub fn begin(&self, job: &Job, local: &Local<Job>) -> bool {
        // First the slot, then the engine: an abort is ordered only after the engine has heard of the beginning.
        self.slot().begin(&job.run, job.task, job.attempt);
        let begins = job.run.begin(job.task, job.attempt, self.number, local);
        if !begins {
            self.slot().end();
        }
        begins
    }

    /// Sends a task; what cannot be sent has failed. False if the worker has gone, and is to be attended to first.
    pub fn send_or_end(&mut self, again: Again, local: &Local<Job>) -> bool {
        let Again { job, mut share, mut has_begun, is_sent, tries } = again;
        // The one that was to be the first may have been refused by a hook.
        if self.flights.is_empty() && !has_begun {
            has_begun = self.begin(&job, local);
            if !has_begun {
                drop(share);
                self.shared.services.budget.jobs_ended(&self.shared.party, 1);
                return true;
            }
        }
        let mut shown = None;
        let failure = if tries > TRIES_MAX {
            self.subject(&job).no_worker("it ended before it could take the task, again and again".to_owned())
        } else {
            match self.send(&job, &mut shown) {
                Ok(sent) => {
                    let expected_ns = self.shared.paces.expected_ns(sent.kind);
                    self.note_busy(true);
                    self.fly(Flight { has_begun, is_sent, tries, shown, share, ..Flight::new(job, sent, expected_ns) });
                    return true;
                }
                Err(NotSent::WorkerLost) if self.flights.is_empty() => {
                    self.discard_worker();
                    self.again.push_back(Again { job, share, has_begun, is_sent, tries: tries + 1 });
                    return true;
                }
                // What is on its way tells of the loss in its own time.
                Err(NotSent::WorkerLost) => {
                    match (has_begun, is_sent) {
                        (true, _) => self.again.push_front(Again { job, share, has_begun, is_sent, tries }),
                        (false, true) => self.withdraw(job, local),
                        (false, false) => self.shared.queues.give_back(local, [job]),
                    }
                    return false;
                }
                Err(NotSent::Failed(failure)) => failure,
            }
        };
        let result = self.conclude(&job, &mut shown, &mut share, Err(failure));
        drop(share);
        self.end_unsent(job, result, has_begun, local);
        true
    }

    /// Hooks would not have a task.
    pub fn end_refused(&mut self, again: Again, failure: Failure, local: &Local<Job>) {
        let Again { job, share, has_begun, .. } = again;
        drop(share);
        self.end_unsent(job, Err(failure), has_begun, local);
    }
}
