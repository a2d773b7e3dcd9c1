//! What a run tells those who listen: events and log lines, without its secrets.
#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use engine::action::Happening;
use engine::failure::Failure;
use engine::id::{DatasetId, NodeId, Time};
use protocol::{EventKind, LogLine, LogSource, Progress};

use super::{Run, State};
use crate::server::convert::{self, DatasetFacts};
use crate::server::logging;

/// Whose line a log line is.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// The node or dataset.
    pub node: Option<&'a str>,
    /// The plugin.
    pub plugin: &'a str,
    /// The worker.
    pub worker: Option<u32>,
}

impl Run {
    /// What is told of a happening; what it says of datasets and nodes is noted.
    pub(super) fn event_of(&self, state: &State, happening: &Happening, now: Time) -> Option<EventKind> {
        match happening {
            Happening::DatasetLoaded { dataset, duration_us, .. } => {
                self.note(*dataset, |facts| facts.load_us = i64::try_from(*duration_us).ok());
            }
            Happening::DatasetSaved { dataset, duration_us, .. } => {
                self.note(*dataset, |facts| facts.save_us = i64::try_from(*duration_us).ok());
            }
            _ => {}
        }
        self.note_ended(state, happening);
        let duration_us = state.started.map_or(0, |started| now.since(started));
        let facts = |dataset: DatasetId| self.facts(dataset);
        convert::happening(&self.plan, happening, &facts, duration_us, None)
    }

    fn note(&self, dataset: DatasetId, change: impl FnOnce(&mut DatasetFacts)) {
        if let Some(mut cell) = self.cell(dataset) {
            change(&mut cell.more().facts);
        }
    }

    /// Tells how far a node says it is.
    pub fn tell_progress(&self, node: NodeId, progress: Progress) {
        let name = self.plan.node(node).map_or("", |node| node.name).to_owned();
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).insert(node, progress);
        self.publish(EventKind::NodeProgress { node: name, done: progress.done, total: progress.total });
    }

    /// Publishes an event that is none of the engine's.
    pub fn publish(&self, kind: EventKind) {
        self.feed.publish(self.services.clock.unix_us_now(), kind);
    }

    /// Adds a line to the run's log and tells its readers.
    pub fn log_line(&self, origin: &Origin<'_>, source: LogSource, level: &str, target: String, message: String) {
        let line = self.log.add(LogLine {
            number: 0,
            time_us: self.services.clock.unix_us_now(),
            level: level.to_owned(),
            source,
            node: origin.node.map(str::to_owned),
            plugin: Some(origin.plugin.to_owned()).filter(|plugin| !plugin.is_empty()),
            worker: origin.worker,
            target,
            message: self.redactor.redact(message).into_owned(),
        });
        logging::line_of_run(&self.id, &line);
        self.publish(EventKind::Log { line });
        self.note_line();
    }

    /// Takes secrets out of what is told of a failure: whoever failed may quote what it was given.
    pub fn redacted(&self, failure: Failure) -> Failure {
        self.redactor.redact_failure(failure)
    }

    /// Takes secrets out of a text that a plugin wrote.
    pub fn redacted_text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.redactor.redact(text)
    }

    /// The number of the next event that hooks are told of this run, from 1.
    pub fn next_hook_sequence(&self) -> u64 {
        self.hook_events.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The event that was numbered last is not told after all.
    pub fn keep_hook_sequence(&self) {
        self.hook_events.fetch_sub(1, Ordering::Relaxed);
    }
}
