//! A worker that is no more, or must be no more, while it has tasks.
#![forbid(unsafe_code)]

use engine::failure::{Failure, FailureKind};

use super::{Driver, Job, Local, WorkerState};
use crate::ipc::channel::ChannelError;

/// How it ended with a worker.
#[derive(Debug)]
pub enum End {
    /// It must not be used again: the failure of the task it is at.
    Unusable(Box<Failure>),
    /// It has gone.
    Gone,
}

impl Driver {
    /// The worker is no more, or must be no more: the task it was at fails, the others go to whoever comes first.
    pub fn lose_worker(&mut self, end: End, local: &Local<Job>) {
        if matches!(end, End::Gone) {
            // What it answered before it died counts.
            while matches!(self.collect(local), Ok(true)) {}
        }
        self.has_answer = false;
        self.ended_since = None;
        self.waits_since = None;
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

    /// The worker broke the protocol.
    pub fn unusable(&self, reason: String) -> End {
        let failure = match self.flights.front() {
            Some(front) => self.subject(&front.job).protocol(reason),
            None => Failure::new(FailureKind::Protocol, reason),
        };
        End::Unusable(Box::new(failure))
    }

    /// Something is wrong with the channel: what that says of the worker.
    pub fn channel_end(&self, error: ChannelError) -> End {
        match (error, self.flights.front()) {
            (ChannelError::Closed, _) => End::Gone,
            (ChannelError::TooManyOpenFiles, Some(front)) => {
                let files = front.job.run.open_block_files();
                End::Unusable(Box::new(self.subject(&front.job).too_many_files(format!(
                    "the daemon has as many files open as it may ({files} of them are datasets), so an output was lost"
                ))))
            }
            (error, _) => self.unusable(error.to_string()),
        }
    }
}
