//! What a worker logs and prints, for the run whose task it is.
#![forbid(unsafe_code)]

use protocol::LogSource;

use super::request::Work;
use super::{Driver, Job};
use crate::ipc::message::LogRecord;
use crate::server::logs::level_word;
use crate::server::runs::Origin;

impl Driver {
    /// What a node or one of its libraries logged goes to the run that its record names.
    pub fn log_record(&mut self, record: LogRecord) {
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
    pub fn log_output(&mut self) {
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

    /// Notes what a job printed.
    pub fn log_lines(&self, job: &Job, lines: Vec<String>) {
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
}

/// Whose lines those of a job are.
fn with_origin(job: &Job, worker: u32, body: impl FnOnce(&Origin<'_>)) {
    if let Some(work) = Work::of_job(job) {
        body(&Origin { node: Some(work.name()), plugin: work.plugin_name(), worker: Some(worker) });
    }
}
