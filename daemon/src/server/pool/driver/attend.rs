//! How a driver attends to a worker that has tasks: it takes the answers that are there, or waits until something comes.
//!
//! Whatever the worker does, a task ends: by its answer, the worker's death, or the [`ladder`](super::ladder).
#![forbid(unsafe_code)]

use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::{Duration, Instant};

use super::loss::End;
use super::{Driver, Job, Local};
use crate::sys::wait;

/// How often the page is looked at for progress while a task runs.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);
/// How long the answers to many short tasks may be left to gather.
const GATHER_INTERVAL: Duration = Duration::from_millis(1);
/// The same where another driver sleeps, which what follows from them may be for.
const GATHER_BRIEFLY_NS: u64 = 200_000;
/// How long a worker's last words are listened to once its process has ended: a process that it left behind may hold its
/// channel, and go on talking.
const LAST_WORDS_PATIENCE: Duration = Duration::from_secs(1);

impl Driver {
    /// Takes the next answers, or waits until there is something to do.
    pub fn attend(&mut self, local: &Local<Job>) {
        let result = self.collect(local).and_then(|any| match any {
            true => {
                self.has_gathered = false;
                self.waits_since = None;
                Ok(())
            }
            false => self.wait_and_listen(local),
        });
        if let Err(end) = result {
            self.lose_worker(end, local);
        }
        if std::mem::take(&mut self.is_to_take_back) {
            self.take_back(local);
        }
    }

    fn wait_and_listen(&mut self, local: &Local<Job>) -> Result<(), End> {
        // For many short tasks half of them, but only once: it may be that they are not so short. Where those left are enough for the
        // worker while this thread wakes up, it need not be awake before.
        let gathers = !self.has_gathered && self.flights.len() > 2;
        let may_spin = self.may_spin();
        if may_spin {
            self.step_aside();
        }
        if may_spin && self.spin() {
            return Ok(());
        }
        // What came to a queue while this driver was awake may have been left for it.
        let leaves = self.leaves_in_queues();
        match self.is_late() {
            true => self.shared.queues.wake_for_all(),
            false if leaves => {}
            false => self.shared.queues.wake_for_work(),
        }
        let Some(worker) = &self.worker else { return Ok(()) };
        let answers = if gathers { self.answers_to_gather() } else { 1 };
        let patience = match &self.ladder {
            Some(ladder) => ladder.patience(Instant::now()).min(PROGRESS_INTERVAL),
            None if gathers || self.keeps_to_itself() => GATHER_INTERVAL,
            None => PROGRESS_INTERVAL,
        };
        let patience = if leaves { patience.min(GATHER_INTERVAL) } else { patience };
        self.has_gathered = gathers;
        // An answer that waits for its messages is there already.
        if !self.has_answer {
            match worker.rings.lie_down(answers) {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(problem) => return Err(self.unusable(problem.to_string())),
            }
        }
        self.waits_since.get_or_insert_with(Instant::now);
        let watched: [BorrowedFd<'_>; 4] =
            [worker.rings.as_fd(), worker.channel.as_fd(), self.slot().bell().as_fd(), worker.process.watched()];
        let ready = match worker.process.output.watched() {
            Some(output) => {
                let [rings, channel, bell, process] = watched;
                wait::readable(&[rings, channel, bell, process, output], Some(patience))
            }
            None => wait::readable(&watched, Some(patience)),
        };
        let ready = match ready {
            Ok(ready) => ready,
            Err(error) => {
                worker.rings.get_up(false);
                return Err(self.unusable(format!("it cannot be waited for: {error}")));
            }
        };
        let is_ready = |place: usize| ready.get(place) == Some(&true);
        worker.rings.get_up(is_ready(0));
        if is_ready(4) {
            self.log_output();
        }
        if is_ready(1) {
            self.hear()?;
        } else if self.ended_since.is_some() && !is_ready(0) {
            return Err(End::Gone);
        }
        if is_ready(3) {
            // Not at once: its last words may have come between the looks at the channel and at the process.
            let since = *self.ended_since.get_or_insert_with(Instant::now);
            if since.elapsed() > LAST_WORDS_PATIENCE {
                return Err(End::Gone);
            }
        }
        if is_ready(2) {
            self.answer_bell(local)?;
        }
        self.climb()?;
        self.tell_progress();
        Ok(())
    }

    /// Whether the task under way takes longer than was expected of all; also where something else than its answer comes again and again.
    pub fn is_late(&self) -> bool {
        self.waits_since.is_some_and(|since| since.elapsed() >= GATHER_INTERVAL)
    }

    /// Whether jobs wait in the queues which are too little to wake somebody for: this driver comes to them.
    fn leaves_in_queues(&self) -> bool {
        let queues = &self.shared.queues;
        let is_heard_of = self.flights.front().is_some_and(|front| front.job.is_heard_of());
        queues.anybody_sleeps() && queues.has_work() && !is_heard_of && !self.is_worth_sharing(queues.waiting())
    }

    /// Whether tasks wait behind the one under way that others could run, if it takes long.
    fn keeps_to_itself(&self) -> bool {
        self.behind > 0 && !self.offers
    }

    /// How many answers to wait for where many are to come: half of them.
    fn answers_to_gather(&self) -> u32 {
        let count = self.flights.len() as u64;
        let briefly = match self.shared.queues.anybody_sleeps() {
            true => GATHER_BRIEFLY_NS.saturating_mul(count) / self.flights.expected_ns().max(1),
            false => u64::MAX,
        };
        u32::try_from((count / 2).min(briefly).max(1)).unwrap_or(1)
    }
}
