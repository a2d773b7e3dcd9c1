//! What is worth a line while a run goes on.

use std::collections::BTreeSet;

use protocol::{EventKind, LogSource, NodeState, RunDetail, RunEvent, RunSummary};

use super::paint::{Paint, Tone, harmless};
use super::{log, report, units};

/// Counts a run's nodes as they end.
#[derive(Debug, Clone)]
pub struct Tally {
    id: String,
    total: u64,
    finished: u64,
    over: BTreeSet<String>,
}

impl Tally {
    /// Starts counting.
    pub fn new(summary: &RunSummary) -> Tally {
        Tally { id: summary.id.clone(), total: summary.counts.total, finished: 0, over: BTreeSet::new() }
    }

    /// Nodes that have finished, and all of them.
    pub fn counts(&self) -> (u64, u64) {
        (self.finished, self.total)
    }

    /// Nodes that ended in any way.
    pub fn over(&self) -> u64 {
        self.over.len() as u64
    }

    /// Counts anew from the run's own account.
    pub fn resynchronise(&mut self, detail: &RunDetail) {
        self.total = detail.summary.counts.total;
        self.finished = detail.summary.counts.succeeded;
        let open = [NodeState::Waiting, NodeState::Running, NodeState::Retrying];
        let over = detail.nodes.iter().filter(|node| !open.contains(&node.state));
        self.over = over.map(|node| node.name.clone()).collect();
    }

    /// Counts an event and writes the line for it, if it deserves one.
    pub fn line(&mut self, event: &RunEvent, paint: Paint) -> Option<String> {
        let line = match &event.kind {
            EventKind::RunStarted { pipeline, nodes } => {
                self.total = *nodes;
                format!("Running {} ({}) as {}", harmless(pipeline), units::count(*nodes, "node"), harmless(&self.id))
            }
            EventKind::NodeFinished { node, duration_us, .. } => {
                self.finished += 1;
                self.over.insert(node.clone());
                let (finished, total, time) = (self.finished, self.total, units::duration(*duration_us));
                format!("Completed node {} ({finished} of {total}) in {time}", paint.strong(&harmless(node)))
            }
            EventKind::NodeFailed { node, attempt, failure, will_retry_in_ms } => {
                let (node, why) = (paint.strong(&harmless(node)), report::reason(failure));
                match will_retry_in_ms {
                    Some(ms) => {
                        let again = units::duration(i64::try_from(*ms).unwrap_or(i64::MAX).saturating_mul(1000));
                        let word = paint.tone(Tone::Notable, "Retrying");
                        format!("{word} node {node} in {again}: attempt {attempt} failed: {why}")
                    }
                    None => {
                        self.over.insert(node.clone());
                        format!("{} node {node}: {why}", paint.bad("Failed"))
                    }
                }
            }
            EventKind::NodeSkipped { node, because } => {
                self.over.insert(node.clone());
                format!("Skipped node {}: {}", paint.strong(&harmless(node)), harmless(because))
            }
            EventKind::DatasetFailed { dataset, operation, failure, will_retry_in_ms } => {
                let (dataset, why) = (paint.strong(&harmless(dataset)), report::reason(failure));
                let word = if will_retry_in_ms.is_some() {
                    paint.tone(Tone::Notable, "Retrying")
                } else {
                    paint.bad("Failed")
                };
                format!("{word} to {operation} dataset {dataset}: {why}")
            }
            // Why each node runs is for `ctl logs`.
            EventKind::Log { line } if line.source == LogSource::Daemon && line.level == "debug" => return None,
            EventKind::Log { line } => log::aside(line, paint),
            EventKind::Missed { count } => format!("({} went by too fast to be shown)", units::count(*count, "event")),
            EventKind::NodeStarted { .. }
            | EventKind::NodeProgress { .. }
            | EventKind::DatasetLoaded { .. }
            | EventKind::DatasetSaved { .. }
            | EventKind::DatasetConfirmed { .. }
            | EventKind::DatasetReleased { .. }
            | EventKind::RunFinished { .. }
            | EventKind::Unknown => return None,
        };
        Some(line)
    }
}
