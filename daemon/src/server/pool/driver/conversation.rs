//! What a driver hears while its worker has tasks: everything the worker may say, and everything that may come between.
//! Whatever the worker does, a task ends: by its answer, the worker's death, or the ladder.
#![forbid(unsafe_code)]

use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::{Duration, Instant};

use engine::action::AbortReason;
use engine::failure::{Failure, FailureKind};
use nix::sys::signal::Signal;
use protocol::{LogSource, Progress};

use super::flight::{Flight, Told};
use super::ladder::{Ladder, Push};
use super::request::Work;
use super::{Driver, Job, Local, Worker, WorkerState};
use crate::ipc::channel::ChannelError;
use crate::ipc::client::WorkerEvent;
use crate::ipc::message::LogRecord;
use crate::server::budget::{Answer, Reclaim as _};
use crate::server::logs::level_word;
use crate::server::runs::Origin;
use crate::sys::{processor, wait};

/// How often the page is looked at for progress while a task runs.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);
/// How long the answers to many short tasks may be left to gather.
const GATHER_INTERVAL: Duration = Duration::from_millis(1);
/// The same where another driver sleeps, which what follows from them may be for.
const GATHER_BRIEFLY_NS: u64 = 200_000;
/// How long a driver looks for an answer before it sleeps, where a processor is free for that.
pub const SPIN: Duration = Duration::from_micros(50);
/// For the end of a task that takes less than this it may look.
pub const QUICK_NS: u64 = 100_000;
/// How often a driver leaves a processor that it shares with its worker.
pub const STEP_ASIDE_INTERVAL: Duration = Duration::from_micros(300);
/// How long a worker's last words are listened to once its process has ended: a process that it left behind may hold its
/// channel, and go on talking.
const LAST_WORDS_PATIENCE: Duration = Duration::from_secs(1);
/// Memory that a task takes anew from this size on takes the place of as much as is kept: what is kept must not double what a run needs.
const LARGE_BYTES: u64 = 64 << 20;

/// How it ended with a worker.
#[derive(Debug)]
pub enum End {
    /// It must not be used again: the failure of the task it is at.
    Unusable(Box<Failure>),
    /// It has gone.
    Gone,
}

impl Driver {
    /// Takes the next answers, or waits until there is something to do.
    pub fn attend(&mut self, local: &Local<Job>) {
        let result = self.collect(local).and_then(|any| match any {
            true => {
                self.has_gathered = false;
                self.is_late = false;
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
        self.shared.queues.wake_for_work();
        let Some(worker) = &self.worker else { return Ok(()) };
        let answers = if gathers { self.answers_to_gather() } else { 1 };
        let patience = match &self.ladder {
            Some(ladder) => ladder.patience(Instant::now()).min(PROGRESS_INTERVAL),
            None if gathers || self.keeps_to_itself() => GATHER_INTERVAL,
            None => PROGRESS_INTERVAL,
        };
        self.has_gathered = gathers;
        // An answer that waits for its messages is there already.
        if !self.has_answer {
            match worker.rings.lie_down(answers) {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(problem) => return Err(self.unusable(problem.to_string())),
            }
        }
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
        self.is_late |= !ready.contains(&true);
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

    /// Whether this thread may look for an answer for a moment, as nobody else needs the processor; tells the worker the same.
    fn may_spin(&self) -> bool {
        let Some(worker) = &self.worker else { return false };
        // Where hooks hear of it the host looks, too: this thread has a processor, and those two share one, as they take turns.
        let is_quick = |front: &Flight| front.expected_ns < QUICK_NS;
        let is_short = self.flights.front().is_some_and(is_quick);
        let may_spin = is_short && !self.has_answer && self.shared.may_spin();
        let patience = if may_spin { SPIN } else { Duration::ZERO };
        worker.rings.set_patience_ns(u32::try_from(patience.as_nanos()).unwrap_or(0));
        may_spin
    }

    /// Goes to another processor if this one is the worker's: the two would take turns there, and another one, which nobody of ours
    /// needs, might stay idle until the kernel sees that.
    fn step_aside(&mut self) {
        let Some(processor) = processor::current() else { return };
        let shares = self.worker.as_ref().is_some_and(|worker| worker.rings.is_worker_on(processor));
        if shares {
            self.step_aside.leave(processor);
        }
    }

    /// Looks for an answer for a moment; true when there is one.
    fn spin(&self) -> bool {
        self.worker.as_ref().is_some_and(|worker| worker.rings.look_for_answer(SPIN))
    }

    /// Somebody rang: a request for memory was answered, a task is to be stopped, or others would have what waits behind it.
    fn answer_bell(&mut self, local: &Local<Job>) -> Result<(), End> {
        self.slot().bell().answer();
        if self.slot().take_wanted_back() {
            self.take_back(local);
        }
        let (Some(front), Some(worker)) = (self.flights.front_mut(), &self.worker) else { return Ok(()) };
        let answered = match front.allowance.as_mut().and_then(|allowance| allowance.poll()) {
            Some(Answer::Granted) => worker.channel.grant(front.token),
            Some(Answer::Refused(reason)) => worker.channel.refuse(front.token, reason),
            Some(Answer::Waiting) | None => Ok(()),
        };
        answered.map_err(|error| self.channel_end(error))?;
        // One that was asked back, and had begun by the time that came here, may go on to its end: the engine knows.
        let is_to_stop = |front: &Flight| front.job.run.is_to_stop(front.job.task, front.job.attempt);
        let reason = self.slot().abort_reason().filter(|_| self.flights.front().is_some_and(is_to_stop));
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
        let refused = match &mut front.allowance {
            Some(allowance) => match allowance.withdraw() {
                true => worker.channel.refuse(front.token, "the task was told to stop".to_owned()),
                false => Ok(()),
            },
            None => Ok(()),
        };
        refused.map_err(|error| self.channel_end(error))
    }

    fn has_answers(&self) -> bool {
        // An index that cannot be is found out where answers are taken.
        self.has_answer || self.worker.as_ref().is_some_and(|worker| worker.rings.answers() != Ok(0))
    }

    /// The worker is at, or about to begin with, a task that nobody wants any more.
    pub fn stop_unwanted(&mut self, local: &Local<Job>) {
        if let Err(end) = self.stop_front(AbortReason::Stale, local) {
            self.lose_worker(end, local);
        }
    }

    /// Takes the ladder's next step if its time has come.
    fn climb(&mut self) -> Result<(), End> {
        let Some(worker) = &self.worker else { return Ok(()) };
        match self.ladder.as_mut().and_then(|ladder| ladder.push(Instant::now())) {
            Some(Push::Terminate) => worker.process.signal(Signal::SIGTERM),
            Some(Push::Kill) => worker.process.kill(),
            Some(Push::GiveUp) => return Err(End::Gone),
            None => {}
        }
        Ok(())
    }

    /// Takes one message, if there is one; says whether there was.
    pub fn hear(&mut self) -> Result<bool, End> {
        let Some(worker) = &mut self.worker else { return Ok(false) };
        let event = match worker.channel.try_receive() {
            Ok(Some(event)) => event,
            Ok(None) => return Ok(false),
            Err(error) => return Err(self.channel_end(error)),
        };
        worker.received += 1;
        match event {
            WorkerEvent::Log(record) => self.log_record(record),
            WorkerEvent::Reserve { token, bytes } => self.reserve(token, bytes)?,
            WorkerEvent::Done { token, outputs, chunks, .. } => self.note_told(token, Told::Done(outputs, chunks))?,
            WorkerEvent::Chunk { token, chunk } => self.chunk_came(token, chunk)?,
            WorkerEvent::ChunkSaved { token } => self.chunk_was_saved(token)?,
            WorkerEvent::Failed { token, failure, saving } => self.note_told(token, Told::Failed(failure, saving))?,
            WorkerEvent::Segment(segment) => worker.new_segment(segment).map_err(|lie| self.unusable(lie))?,
            WorkerEvent::SegmentDropped(number) => worker.segment_dropped(number),
            WorkerEvent::Ready { .. } => {
                return Err(self.unusable("it said that it is ready while it had a task".to_owned()));
            }
        }
        Ok(true)
    }

    fn note_told(&mut self, token: u64, told: Told) -> Result<(), End> {
        match self.flights.find(token) {
            Some(flight) => {
                flight.told = Some(Box::new(told));
                Ok(())
            }
            None => Err(self.unusable(format!("an answer to task {token} came, which is not under way"))),
        }
    }

    /// The task under way asks for memory.
    fn reserve(&mut self, token: u64, bytes: u64) -> Result<(), End> {
        let Some(flight) = self.flights.find(token) else {
            return Err(self.unusable(format!("task {token} asked for memory, which is not under way")));
        };
        let mut allowance = flight.allowance.take();
        let has_spare = |worker: &Worker| worker.segments().is_some_and(|segments| segments.has_spare(bytes));
        if bytes >= LARGE_BYTES && !self.worker.as_ref().is_some_and(has_spare) {
            self.shared.services.spare.reclaim(bytes);
        }
        let answer = self.allowance(&mut allowance).request(bytes);
        if let Some(flight) = self.flights.find(token) {
            flight.allowance = allowance;
        }
        let Some(worker) = &self.worker else { return Ok(()) };
        let sent = match answer {
            Answer::Granted => worker.channel.grant(token),
            Answer::Refused(reason) => worker.channel.refuse(token, reason),
            Answer::Waiting => {
                // Somebody else must be able to go on with what waits behind it: it may be what frees memory.
                self.is_to_take_back = true;
                Ok(())
            }
        };
        sent.map_err(|error| self.channel_end(error))
    }

    fn log_record(&mut self, record: LogRecord) {
        let number = self.number;
        match self.flights.find(record.token) {
            Some(flight) => with_origin(&flight.job, number, |origin| {
                let level = level_word(record.level);
                flight.job.run.log_line(origin, LogSource::Log, level, record.target, record.message);
            }),
            // From a thread that a plugin keeps.
            None => log::info!(target: "plugin", "worker {number}: {}: {}", record.target, record.message),
        }
    }

    /// What the worker printed while it is at a task is that task's.
    fn log_output(&mut self) {
        let Some(worker) = &mut self.worker else { return };
        let lines = worker.process.output.read();
        if let Some(front) = self.flights.front() {
            self.log_lines(&front.job, lines);
        }
    }

    /// What was printed until a task has ended is that task's, a line without an end too.
    pub fn log_output_of(&mut self, job: Option<&Job>) {
        let Some(worker) = &mut self.worker else { return };
        let mut lines = worker.process.output.read();
        lines.extend(worker.process.output.end_partial_line());
        if let Some(job) = job {
            self.log_lines(job, lines);
        }
        if let Some(worker) = &mut self.worker {
            worker.process.output.forget_tail();
        }
    }

    fn log_lines(&self, job: &Job, lines: Vec<String>) {
        if lines.is_empty() {
            return;
        }
        if let Some(kind) = job.pace_kind() {
            self.shared.paces.note_talks(kind);
        }
        with_origin(job, self.number, |origin| {
            for line in lines {
                job.run.log_line(origin, LogSource::Output, "info", String::new(), line);
            }
        });
    }

    /// Publishes the progress in the page if it is of the task under way and has changed.
    fn tell_progress(&mut self) {
        let (Some(front), Some(worker)) = (self.flights.front(), &self.worker) else { return };
        let kind = front.job.run.plan.task(front.job.task);
        let Some(Work::Call(node)) = kind.and_then(|kind| Work::of(&front.job.run, kind)) else { return };
        let page = &worker.process.page;
        if page.token() != front.token {
            return;
        }
        let progress = page.progress();
        if let Some((done, total)) = progress.filter(|_| progress != self.told_progress) {
            self.told_progress = progress;
            front.job.run.tell_progress(node.id, Progress { done, total });
        }
    }

    /// The worker broke the protocol.
    pub fn unusable(&self, reason: String) -> End {
        let failure = match self.flights.front() {
            Some(front) => self.subject(&front.job).protocol(reason),
            None => Failure::new(FailureKind::Protocol, reason),
        };
        End::Unusable(Box::new(failure))
    }

    pub(super) fn channel_end(&self, error: ChannelError) -> End {
        match (error, self.flights.front()) {
            (ChannelError::Closed, _) => End::Gone,
            (ChannelError::TooManyOpenFiles, Some(front)) => {
                let files = front.job.run.open_block_files();
                let mut failure = self.subject(&front.job).failure(
                    FailureKind::Budget,
                    format!(
                        "the daemon has as many files open as it may ({files} of them are datasets), so an output was lost"
                    ),
                );
                failure
                    .hints
                    .push("raise the daemon's limit on open files (LimitNOFILE= in the unit, ulimit -n)".to_owned());
                End::Unusable(Box::new(failure))
            }
            (error, _) => self.unusable(error.to_string()),
        }
    }

    /// The worker is no more, or must be no more: the task it was at fails, the others go to whoever comes first.
    pub fn lose_worker(&mut self, end: End, local: &Local<Job>) {
        if matches!(end, End::Gone) {
            // What it answered before it died counts.
            while matches!(self.collect(local), Ok(true)) {}
        }
        self.has_answer = false;
        self.ended_since = None;
        let Some(front) = self.flights.front() else {
            self.discard_worker();
            return;
        };
        let subject = self.subject(&front.job);
        let (token, job) = (front.token, front.job.clone());
        let Some(worker) = &mut self.worker else { return };
        let failure = match end {
            End::Unusable(failure) => {
                worker.kill();
                Some(*failure)
            }
            End::Gone => {
                let ended = worker.await_end();
                // The page says which task it was at. One that had not begun with any did not die of one.
                let is_at = worker.process.page.token() == token || self.ladder.is_some();
                let lines = worker.process.output.read();
                let tail = worker.process.output.tail();
                self.log_lines(&job, lines);
                is_at.then(|| subject.died(&ended, &tail, self.settings.limits.memory_bytes))
            }
        };
        // It has ended: there is nothing to wait for.
        self.worker = None;
        self.slot().set_worker(WorkerState::Starting, 0);
        match failure {
            Some(failure) => {
                // The others first: the front's end must not find them on their way.
                let first = self.flights.pop_front();
                self.send_again(None, local);
                if let Some(first) = first {
                    self.flights.push_front(first);
                }
                self.end_front(failure, local);
            }
            None => {
                let first = self.flights.pop_front();
                self.send_again(first, local);
                self.note_busy(false);
            }
        }
    }
}

/// Whose lines those of a job are.
fn with_origin(job: &Job, worker: u32, body: impl FnOnce(&Origin<'_>)) {
    if let Some(work) = job.run.plan.task(job.task).and_then(|kind| Work::of(&job.run, kind)) {
        body(&Origin { node: Some(work.name()), plugin: work.plugin_name(), worker: Some(worker) });
    }
}
