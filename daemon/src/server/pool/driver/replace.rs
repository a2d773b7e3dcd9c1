//! A driver's worker, started where there is none, and discarded.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use super::{Driver, Worker, WorkerState};

/// How long a driver waits before it tries again to start a worker that did not start.
const START_PAUSE: Duration = Duration::from_secs(1);

impl Driver {
    /// The worker, started if there is none.
    pub fn ensure_worker(&mut self) -> Result<&mut Worker, String> {
        if self.worker.is_none() {
            // It may take a while, and jobs that were to be this driver's alone may lie in its queue.
            self.shared.queues.wake_for_work();
            if let Some(failed) = self.start_failed {
                // Jobs that fail one after the other must not make this a storm of starts.
                std::thread::sleep(START_PAUSE.saturating_sub(failed.elapsed()));
            }
            self.slot().set_worker(WorkerState::Starting, 0);
            let started = Worker::start(&self.zygote, &self.settings)
                .and_then(|mut worker| worker.give_rings(&self.shared.services).map(|()| worker));
            match started {
                Ok(worker) => {
                    self.start_failed = None;
                    self.slot().set_worker(WorkerState::Up, worker.process.pid);
                    self.worker = Some(worker);
                }
                Err(reason) => {
                    self.start_failed = Some(Instant::now());
                    self.slot().set_worker(WorkerState::Down, 0);
                    return Err(reason);
                }
            }
        }
        self.worker.as_mut().ok_or_else(|| "there is no worker".to_owned())
    }

    /// A worker that the last job cost is replaced now, so that the next job need not wait for it.
    pub fn replace_worker_before_rest(&mut self) {
        // One that could not be started is tried again by the job that needs it.
        if self.worker.is_none()
            && self.start_failed.is_none()
            && !self.shared.is_stopping()
            && let Err(reason) = self.ensure_worker()
        {
            log::error!("worker {} could not be started again: {reason}", self.number);
        }
    }

    /// Ends the worker, if there is one; the next job gets a new one.
    pub fn discard_worker(&mut self) {
        if let Some(mut worker) = self.worker.take() {
            worker.kill();
            self.slot().set_worker(WorkerState::Starting, 0);
        }
    }
}
