//! A driver's worker process: started, spoken to, ended.
#![forbid(unsafe_code)]

use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use engine::credentials::Redactor;

use super::DriverSettings;
use crate::ipc::channel::ChannelError;
use crate::ipc::client::{WorkerChannel, WorkerEvent};
use crate::ipc::message::Role;
use crate::server::generations::{Process, ProcessEnd, Zygote, ending_in_words};
use crate::sys::wait;

/// How long a worker that closed its channel may take to be reported dead, and a killed one to die.
const END_PATIENCE: Duration = Duration::from_secs(5);

/// A worker that takes tasks.
#[derive(Debug)]
pub struct Worker {
    /// Its channel.
    pub channel: WorkerChannel,
    /// Its process.
    pub process: Process,
}

impl Worker {
    /// Starts one and waits until it is ready.
    pub fn start(zygote: &Zygote, settings: &DriverSettings) -> Result<Worker, String> {
        let deadline = Instant::now() + settings.start_timeout;
        let (channel, socket) =
            WorkerChannel::pair().map_err(|error| format!("cannot make a channel for a worker: {error}"))?;
        let process = zygote.start_process(Role::Worker, settings.limits, socket, settings.start_timeout)?;
        let mut worker = Worker { channel, process };
        match worker.await_ready(deadline) {
            Ok(()) => {
                worker.log_output(&Redactor::default());
                worker.process.output.forget_tail();
                Ok(worker)
            }
            Err(reason) => {
                let end = worker.end();
                let said = worker.process.output.tail().join(" | ");
                let said = if said.is_empty() { said } else { format!("; it printed last: {said}") };
                Err(format!("a new worker {reason}{}{said}", end.map(|end| format!(" ({end})")).unwrap_or_default()))
            }
        }
    }

    /// Listens until it is ready. A spawned one loads its plugins meanwhile: what they print must be read, or they
    /// would wait for their reader.
    fn await_ready(&mut self, deadline: Instant) -> Result<(), String> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let mut watched = vec![self.channel.as_fd(), self.process.watched()];
            watched.extend(self.process.output.watched());
            let ready =
                wait::readable(&watched, Some(left)).map_err(|error| format!("cannot be waited for: {error}"))?;
            if ready.get(2) == Some(&true) {
                self.log_output(&Redactor::default());
            }
            if ready.first() == Some(&true) {
                match self.channel.receive() {
                    Ok(WorkerEvent::Ready { .. }) => return Ok(()),
                    Ok(WorkerEvent::Log(record)) => {
                        log::info!(target: "plugin", "{}: {}", record.target, record.message);
                    }
                    Ok(_) => return Err("spoke out of turn".to_owned()),
                    Err(ChannelError::Closed) => return Err("ended before it was ready".to_owned()),
                    Err(error) => return Err(format!("broke the protocol: {error}")),
                }
            } else if ready.get(1) == Some(&true) {
                return Err("ended before it was ready".to_owned());
            }
            // However much there is to hear and to read.
            if left.is_zero() {
                return Err("was not ready in time ([workers] start_timeout_ms)".to_owned());
            }
        }
    }

    /// Kills the worker if it still lives, waits for its end, and says in words how it ended.
    fn end(&mut self) -> Option<String> {
        let end = self.process.wait(Duration::from_millis(500)).or_else(|| self.kill());
        self.log_output(&Redactor::default());
        match end {
            Some(ProcessEnd::Ended { ending, .. }) => Some(ending_in_words(ending)),
            Some(ProcessEnd::WithZygote(reason)) => Some(reason),
            Some(ProcessEnd::Unknown) | None => None,
        }
    }

    /// Ends the worker for certain and waits until it has ended.
    pub fn kill(&mut self) -> Option<ProcessEnd> {
        self.process.kill();
        self.process.wait(END_PATIENCE)
    }

    /// How a worker ended that has gone or closed its channel. One that closed it and lives on is killed.
    pub fn await_end(&mut self) -> ProcessEnd {
        self.process.wait(END_PATIENCE).or_else(|| self.kill()).unwrap_or(ProcessEnd::Unknown)
    }

    /// Logs what it printed while it had no task of a run, without what it was told in confidence.
    pub fn log_output(&mut self, redactor: &Redactor) {
        for line in self.process.output.read() {
            log::info!(target: "plugin", "a new worker: {}", redactor.redact(line));
        }
    }

    /// Asks the worker to leave, and kills it if it does not.
    pub fn quit(mut self) {
        if self.channel.quit().is_err() || self.process.wait(Duration::from_millis(500)).is_none() {
            self.kill();
        }
    }
}
