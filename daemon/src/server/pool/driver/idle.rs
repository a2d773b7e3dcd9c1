//! A driver that has nothing to do, and its worker: it sleeps until there may be a job, and takes notice if the worker is lost.
#![forbid(unsafe_code)]

use std::os::fd::AsFd as _;

use super::{Driver, Job, Local, Shared, Slot};
use crate::ipc::channel::ChannelError;
use crate::ipc::client::WorkerEvent;
use crate::server::generations::{ProcessEnd, ending_in_words};
use crate::server::pool::steal::Rest;
use crate::sys::wait;

/// What became of a worker that was idle.
enum Lost {
    /// It has gone, or closed its channel.
    Ended,
    /// It must not be used again: what it did, as it stands after "the worker".
    Unusable(String),
}

impl Driver {
    /// Sleeps until there may be something to do.
    pub fn rest(&mut self, shared: &Shared, local: &mut Local<Job>) {
        if !self.again.is_empty() || self.aside.is_some() || shared.is_stopping() {
            return;
        }
        // Before it stands in the list of sleepers: a wake-up must find it ready.
        self.replace_worker_before_rest();
        match shared.queues.rest(local) {
            Rest::Job(job) => {
                // Its worker has been attended to: there is nothing on its way.
                self.launch(job, local);
            }
            Rest::Sleep => {
                // Listed by now, so what is taken back finds it.
                shared.slots.iter().for_each(Slot::accept);
                match self.sleep() {
                    Some(lost) => {
                        shared.queues.leave(local);
                        // Off the list of sleepers: it may take a while.
                        self.end_idle_worker(lost);
                    }
                    None => {
                        let wakes = |job: &Job, left: usize| shared.is_worth_waking_for(job, left);
                        if let Some(job) = shared.queues.woken(local, wakes) {
                            self.launch(job, local);
                        }
                    }
                }
            }
        }
    }

    /// Waits for the bell; meanwhile takes notice if the idle worker dies, prints or logs. Returns at once if
    /// the worker is lost: to end and replace it takes a driver that is off the list of sleepers.
    fn sleep(&mut self) -> Option<Lost> {
        loop {
            let mut watched = vec![self.slot().bell().as_fd()];
            if let Some(worker) = &self.worker {
                watched.push(worker.channel.as_fd());
                watched.push(worker.process.watched());
                watched.extend(worker.process.output.watched());
            }
            // A failing poll would make this a busy loop: give the work a chance instead, and come back.
            let Ok(ready) = wait::readable(&watched, None) else { return None };
            if ready.first() == Some(&true) {
                self.slot().bell().answer();
                return None;
            }
            if ready.get(3) == Some(&true) {
                self.log_idle_output();
            }
            let lost = match (ready.get(1), ready.get(2)) {
                (Some(true), _) => self.hear_idle_worker(),
                (_, Some(true)) => Some(Lost::Ended),
                _ => None,
            };
            if lost.is_some() {
                return lost;
            }
        }
    }

    /// An idle worker has nothing to say but logs of threads that its plugins keep; anything else ends it.
    fn hear_idle_worker(&mut self) -> Option<Lost> {
        let worker = self.worker.as_mut()?;
        worker.received += 1;
        match worker.channel.receive() {
            Ok(WorkerEvent::Log(record)) => {
                log::info!(target: "plugin", "worker {}: {}: {}", self.number, record.target, record.message);
                None
            }
            Ok(WorkerEvent::SegmentDropped(number)) => {
                worker.segment_dropped(number);
                None
            }
            Ok(_) => Some(Lost::Unusable("spoke out of turn".to_owned())),
            Err(ChannelError::Closed) => Some(Lost::Ended),
            Err(error) => Some(Lost::Unusable(format!("broke the protocol: {error}"))),
        }
    }

    fn log_idle_output(&mut self) {
        if let Some(worker) = &mut self.worker {
            for line in worker.process.output.read() {
                log::info!(target: "plugin", "worker {}: {line}", self.number);
            }
        }
    }

    fn end_idle_worker(&mut self, lost: Lost) {
        let Some(worker) = &mut self.worker else { return };
        let what = match lost {
            Lost::Unusable(what) => what,
            Lost::Ended => match worker.await_end() {
                ProcessEnd::Ended { ending, .. } => ending_in_words(ending),
                ProcessEnd::WithZygote(reason) => reason,
                ProcessEnd::Unknown => "ended".to_owned(),
            },
        };
        log::warn!("worker {}, which was idle, {what}; it is replaced", self.number);
        self.log_idle_output();
        self.discard_worker();
    }
}
