//! The part of an attempt in which the worker is at work: everything it may say, and everything that may come between.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use engine::action::AbortReason;
use engine::failure::{Failure, FailureKind};
use engine::id::NodeId;
use nix::sys::signal::Signal;
use protocol::{LogSource, Progress};

use super::chunks::ChunkDesk;
use super::failure::Subject;
use super::ladder::{Ladder, Push};
use super::worker::Worker;
use super::{Driver, Job};
use crate::block::adopt::ClaimedBlock;
use crate::ipc::channel::ChannelError;
use crate::ipc::client::WorkerEvent;
use crate::server::budget::{Allowance, Answer};
use crate::server::logs::level_word;
use crate::server::runs::Origin;
use crate::sys::wait;

/// How often the page is looked at for progress while a task runs.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);
/// How long a worker's last words are listened to once its process has ended: a process that it left behind may hold its
/// channel, and go on talking.
const LAST_WORDS_PATIENCE: Duration = Duration::from_secs(1);

/// What the conversation is about.
pub struct Topic<'a> {
    /// The job.
    pub job: &'a Job,
    /// The number of this task between driver and worker.
    pub token: u64,
    /// What failures are about.
    pub subject: &'a Subject,
    /// Whose lines the log lines are.
    pub origin: Origin<'a>,
    /// The node whose progress is told, for a call.
    pub node: Option<NodeId>,
    /// The outputs of a call that are saved chunk by chunk.
    pub chunks: RefCell<ChunkDesk<'a>>,
}

/// How a conversation ended, for the worker.
pub enum End {
    /// The worker is ready for the next task.
    Idle(Result<Vec<ClaimedBlock>, Failure>),
    /// The worker must not be used again.
    Unusable(Failure),
    /// The worker has gone.
    Gone,
}

impl Driver {
    /// Listens until the task has ended. Whatever the worker does, this ends: by its answer, its death, or the ladder.
    pub fn converse(&mut self, topic: &Topic<'_>, allowance: &mut Allowance) -> Result<Vec<ClaimedBlock>, Failure> {
        let Some(mut worker) = self.worker.take() else {
            return Err(topic.subject.no_worker("it ended before the task began".to_owned()));
        };
        let mut ladder = None;
        let end = self.listen(&mut worker, topic, allowance, &mut ladder);
        // What was printed until now belongs to this task, a line without an end too.
        log_output(&mut worker, topic);
        if let Some(line) = worker.process.output.end_partial_line() {
            topic.job.run.log_line(&topic.origin, LogSource::Output, "info", String::new(), line);
        }
        let result = match end {
            End::Idle(result) => {
                worker.process.output.forget_tail();
                self.worker = Some(worker);
                result
            }
            End::Unusable(failure) => {
                worker.kill();
                log_output(&mut worker, topic);
                Err(failure)
            }
            End::Gone => {
                let ended = worker.await_end();
                log_output(&mut worker, topic);
                Err(topic.subject.died(&ended, &worker.process.output.tail(), self.settings.limits.memory_bytes))
            }
        };
        if self.worker.is_none() {
            self.slot().set_worker(super::WorkerState::Starting, 0);
        }
        match ladder {
            // Whatever it still answered, or died of: it was told to stop, so that is how it ended.
            Some(ladder) => Err(topic.subject.aborted(ladder.reason())),
            None => result,
        }
    }

    fn listen(
        &self,
        worker: &mut Worker,
        topic: &Topic<'_>,
        allowance: &mut Allowance,
        ladder: &mut Option<Ladder>,
    ) -> End {
        let mut told = None;
        let mut ended: Option<Instant> = None;
        loop {
            let patience = match ladder {
                Some(ladder) => ladder.patience(Instant::now()).min(PROGRESS_INTERVAL),
                None => PROGRESS_INTERVAL,
            };
            let mut watched = vec![worker.channel.as_fd(), self.slot().bell().as_fd(), worker.process.watched()];
            watched.extend(worker.process.output.watched());
            let ready = match wait::readable(&watched, Some(patience)) {
                Ok(ready) => ready,
                Err(error) => return End::Unusable(topic.subject.protocol(format!("cannot wait for it: {error}"))),
            };
            if ready.get(3) == Some(&true) {
                log_output(worker, topic);
            }
            if ready.first() == Some(&true) {
                if let Some(end) = self.hear(worker, topic, allowance) {
                    return end;
                }
            } else if ended.is_some() {
                return End::Gone;
            }
            if ready.get(2) == Some(&true) {
                // Not at once: its last words may have come between the looks at the channel and at the process.
                let since = *ended.get_or_insert_with(Instant::now);
                if since.elapsed() > LAST_WORDS_PATIENCE {
                    return End::Gone;
                }
            }
            if ready.get(1) == Some(&true) {
                self.slot().bell().answer();
                if let Err(error) = answer_reservation(worker, topic, allowance) {
                    return channel_end(error, topic);
                }
                if ladder.is_none()
                    && let Some(reason) = self.wanted_stop()
                {
                    worker.process.page.cancel(topic.token);
                    // It cannot look at the flag while it waits for memory.
                    if allowance.withdraw()
                        && let Err(error) = worker.channel.refuse(topic.token, "the task was told to stop".to_owned())
                    {
                        return channel_end(error, topic);
                    }
                    *ladder = Some(Ladder::start(reason, self.settings.cancel_grace, Instant::now()));
                }
            }
            match ladder.as_mut().and_then(|ladder| ladder.push(Instant::now())) {
                Some(Push::Terminate) => worker.process.signal(Signal::SIGTERM),
                Some(Push::Kill) => worker.process.kill(),
                Some(Push::GiveUp) => return End::Gone,
                None => {}
            }
            tell_progress(worker, topic, &mut told);
        }
    }

    fn wanted_stop(&self) -> Option<AbortReason> {
        self.slot().abort_reason().or_else(|| self.shared.is_stopping().then_some(AbortReason::Cancelled))
    }

    /// Takes one message; says if the conversation is over.
    fn hear(&self, worker: &mut Worker, topic: &Topic<'_>, allowance: &mut Allowance) -> Option<End> {
        let event = match worker.channel.receive() {
            Ok(event) => event,
            Err(error) => return Some(channel_end(error, topic)),
        };
        let stale = |token: u64| {
            (token != topic.token).then(|| {
                End::Unusable(
                    topic.subject.protocol(format!("an answer to task {token} came, {} is under way", topic.token)),
                )
            })
        };
        match event {
            WorkerEvent::Log(record) => {
                let origin = &topic.origin;
                topic.job.run.log_line(origin, LogSource::Log, level_word(record.level), record.target, record.message);
                None
            }
            WorkerEvent::Reserve { token, bytes } => stale(token).or_else(|| {
                let sent = match allowance.request(bytes) {
                    Answer::Granted => worker.channel.grant(token),
                    Answer::Refused(reason) => worker.channel.refuse(token, reason),
                    Answer::Waiting => Ok(()),
                };
                sent.err().map(|error| channel_end(error, topic))
            }),
            WorkerEvent::Done { token, outputs, chunks, .. } => stale(token).or_else(|| {
                topic.chunks.borrow_mut().saved = chunks;
                Some(End::Idle(Ok(outputs)))
            }),
            WorkerEvent::Chunk { token, chunk } => stale(token).or_else(|| self.chunk_came(worker, topic, chunk)),
            WorkerEvent::ChunkSaved { token } => stale(token).or_else(|| self.chunk_was_saved(worker, topic)),
            WorkerEvent::Failed { token, failure, saving } => stale(token).or_else(|| {
                topic.chunks.borrow_mut().failed = saving;
                let mut failure = topic.subject.reported(failure);
                // The plugin got our refusal as an error and passed it on in words of its own.
                if allowance.was_refused() {
                    failure.kind = FailureKind::Budget;
                }
                Some(End::Idle(Err(failure)))
            }),
            WorkerEvent::Ready { .. } => {
                Some(End::Unusable(topic.subject.protocol("it said that it is ready while it had a task")))
            }
        }
    }
}

fn answer_reservation(worker: &Worker, topic: &Topic<'_>, allowance: &mut Allowance) -> Result<(), ChannelError> {
    match allowance.poll() {
        Some(Answer::Granted) => worker.channel.grant(topic.token),
        Some(Answer::Refused(reason)) => worker.channel.refuse(topic.token, reason),
        Some(Answer::Waiting) | None => Ok(()),
    }
}

pub fn channel_end(error: ChannelError, topic: &Topic<'_>) -> End {
    match error {
        ChannelError::Closed => End::Gone,
        ChannelError::TooManyOpenFiles => {
            let files = topic.job.run.open_block_files();
            let mut failure = topic.subject.failure(
                FailureKind::Budget,
                format!(
                    "the daemon has as many files open as it may ({files} of them are datasets), so an output was lost"
                ),
            );
            failure
                .hints
                .push("raise the daemon's limit on open files (LimitNOFILE= in the unit, ulimit -n)".to_owned());
            End::Unusable(failure)
        }
        error => End::Unusable(topic.subject.protocol(error.to_string())),
    }
}

fn log_output(worker: &mut Worker, topic: &Topic<'_>) {
    for line in worker.process.output.read() {
        topic.job.run.log_line(&topic.origin, LogSource::Output, "info", String::new(), line);
    }
}

/// Publishes the progress in the page if it is this task's and has changed.
fn tell_progress(worker: &Worker, topic: &Topic<'_>, told: &mut Option<(u64, u64)>) {
    let (Some(node), page) = (topic.node, &worker.process.page) else { return };
    if page.token() != topic.token {
        return;
    }
    let progress = page.progress();
    if let Some((done, total)) = progress.filter(|_| progress != *told) {
        *told = progress;
        topic.job.run.tell_progress(node, Progress { done, total });
    }
}
