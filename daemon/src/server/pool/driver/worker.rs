//! A driver's worker process: started, spoken to, ended.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use super::DriverSettings;
use crate::ipc::channel::ChannelError;
use crate::ipc::client::{WorkerChannel, WorkerEvent};
use crate::ipc::message::Role;
use crate::server::generations::{Process, ProcessEnd, Zygote, ending_in_words};

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
            Ok(()) => Ok(worker),
            Err(reason) => {
                let end = worker.end();
                let said = worker.process.output.tail().join(" | ");
                let said = if said.is_empty() { said } else { format!("; it printed last: {said}") };
                Err(format!("a new worker {reason}{}{said}", end.map(|end| format!(" ({end})")).unwrap_or_default()))
            }
        }
    }

    fn await_ready(&mut self, deadline: Instant) -> Result<(), String> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.channel.receive_within(left) {
                Ok(Some(WorkerEvent::Ready { .. })) => return Ok(()),
                Ok(Some(WorkerEvent::Log(record))) => {
                    log::info!(target: "plugin", "{}: {}", record.target, record.message)
                }
                Ok(Some(_)) => return Err("spoke out of turn".to_owned()),
                Ok(None) => return Err("was not ready in time ([workers] start_timeout_ms)".to_owned()),
                Err(ChannelError::Closed) => return Err("ended before it was ready".to_owned()),
                Err(error) => return Err(format!("broke the protocol: {error}")),
            }
        }
    }

    /// Kills the worker if it still lives, waits for its end, and says in words how it ended.
    fn end(&mut self) -> Option<String> {
        let end = self.process.wait(Duration::from_millis(500)).or_else(|| self.kill());
        self.process.output.read();
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

    /// How a worker ended that closed its channel. One that closed it and lives on is killed.
    pub fn await_end(&mut self) -> ProcessEnd {
        self.process.wait(END_PATIENCE).or_else(|| self.kill()).unwrap_or(ProcessEnd::Unknown)
    }

    /// Asks the worker to leave, and kills it if it does not.
    pub fn quit(mut self) {
        if self.channel.quit().is_err() || self.process.wait(Duration::from_millis(500)).is_none() {
            self.kill();
        }
    }
}
