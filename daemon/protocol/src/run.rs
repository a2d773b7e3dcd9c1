//! A run as clients see it: a line in a list, or the whole report.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Failure, PluginIdentity};

/// One line about a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// The run's id.
    pub id: String,
    /// Name of the pipeline.
    pub pipeline: String,
    /// Where the run stands.
    pub state: RunState,
    /// The generation of plugins it runs on.
    #[serde(default)]
    pub generation: u64,
    /// When it was accepted.
    pub submitted_us: i64,
    /// When its first node started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_us: Option<i64>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_us: Option<i64>,
    /// How many nodes stand where.
    #[serde(default)]
    pub counts: NodeCounts,
    /// Why it did not succeed: the first failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Failure>,
    /// The version that its versioned datasets are saved as; none where it saves none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub save_version: Option<String>,
    /// The run of which this one runs what had not finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed_from: Option<String>,
}

impl RunSummary {
    /// How long the run took from its acceptance to its end.
    pub fn duration_us(&self) -> Option<i64> {
        self.finished_us.map(|finished| finished.saturating_sub(self.submitted_us))
    }
}

/// Everything about a run: its summary, and each node and dataset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunDetail {
    /// What the list shows of it.
    #[serde(flatten)]
    pub summary: RunSummary,
    /// The plugins of the generation it runs on: each one's version and content.
    #[serde(default)]
    pub plugins: Vec<PluginIdentity>,
    /// Its nodes, in the plan's order.
    #[serde(default)]
    pub nodes: Vec<NodeDetail>,
    /// Its datasets, in the plan's order.
    #[serde(default)]
    pub datasets: Vec<DatasetDetail>,
    /// Every final failure, in the order they happened; those that were retried are told by the events.
    #[serde(default)]
    pub failures: Vec<Failure>,
    /// What is left to do of a run that is over and did not succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<Resume>,
    /// What its datasets take of shared memory.
    #[serde(default)]
    pub blocks: BlockUse,
}

/// What is left to do of a run, as `POST /v1/runs/{id}/resume` does it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resume {
    /// How many nodes finished; with none the whole run is to be repeated.
    pub finished: u64,
    /// How many nodes did not finish.
    pub unfinished: u64,
    /// How many nodes would run: those, and what made data for them that was in memory only.
    pub nodes: u64,
    /// The first of them, by name; everything that depends on these runs too. Empty when no node finished.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub from_nodes: Vec<String>,
}

/// Blocks of a run: datasets in shared memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BlockUse {
    /// How many there are; of a run that is over, how many were left when its last node was done: its outputs.
    pub live: u64,
    /// Their bytes.
    pub live_bytes: u64,
    /// The most there were at once.
    pub peak: u64,
    /// The most bytes there were at once.
    pub peak_bytes: u64,
}

/// A run's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// Accepted and durable; no node has started.
    Queued,
    /// Under way.
    Running,
    /// Every node finished.
    Succeeded,
    /// At least one node failed, was skipped because of it, or could not start; or the run took longer than it may.
    Failed,
    /// Ended on request.
    Cancelled,
    /// The daemon ended before the run did.
    Interrupted,
}

impl RunState {
    /// Every state, in the order a run may pass them.
    pub const ALL: [RunState; 6] = [
        RunState::Queued,
        RunState::Running,
        RunState::Succeeded,
        RunState::Failed,
        RunState::Cancelled,
        RunState::Interrupted,
    ];

    /// Says whether nothing more will happen.
    pub fn is_final(self) -> bool {
        !matches!(self, RunState::Queued | RunState::Running)
    }

    /// The word used for it in JSON and on the screen.
    pub fn as_str(self) -> &'static str {
        match self {
            RunState::Queued => "queued",
            RunState::Running => "running",
            RunState::Succeeded => "succeeded",
            RunState::Failed => "failed",
            RunState::Cancelled => "cancelled",
            RunState::Interrupted => "interrupted",
        }
    }

    /// Reads the word back.
    pub fn from_word(word: &str) -> Option<RunState> {
        RunState::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

impl std::fmt::Display for RunState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// How many nodes of a run stand where; the parts add up to the total.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeCounts {
    /// All nodes of the plan.
    pub total: u64,
    /// Not started.
    pub waiting: u64,
    /// Being called, or waiting for their saves or the next attempt.
    pub running: u64,
    /// Finished.
    pub succeeded: u64,
    /// Failed for good.
    pub failed: u64,
    /// Never started, because something they need failed or the run stopped.
    pub skipped: u64,
    /// Stopped on request.
    pub cancelled: u64,
}

/// One node of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeDetail {
    /// Its name in the pipeline, unique.
    pub name: String,
    /// What it calls: `plugin::node`.
    pub call: String,
    /// Where it stands.
    pub state: NodeState,
    /// How often it was started.
    #[serde(default)]
    pub attempts: u32,
    /// The worker of its last attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<u32>,
    /// When its last attempt started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_us: Option<i64>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_us: Option<i64>,
    /// How far it says it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Why it was never started: the node or reason it waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped_because: Option<String>,
}

impl NodeDetail {
    /// How long its last attempt took.
    pub fn duration_us(&self) -> Option<i64> {
        Some(self.finished_us?.saturating_sub(self.started_us?))
    }
}

/// A node's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeState {
    /// Something it needs is not there yet, or no worker is free.
    Waiting,
    /// A worker has it.
    Running,
    /// It failed and will be tried again.
    Retrying,
    /// Finished, its outputs saved.
    Succeeded,
    /// Failed for good.
    Failed,
    /// Never started.
    Skipped,
    /// Stopped on request.
    Cancelled,
}

impl NodeState {
    /// The word used for it in JSON and on the screen.
    pub fn as_str(self) -> &'static str {
        match self {
            NodeState::Waiting => "waiting",
            NodeState::Running => "running",
            NodeState::Retrying => "retrying",
            NodeState::Succeeded => "succeeded",
            NodeState::Failed => "failed",
            NodeState::Skipped => "skipped",
            NodeState::Cancelled => "cancelled",
        }
    }
}

impl std::fmt::Display for NodeState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// How far a node says it is, in a unit of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Units done.
    pub done: u64,
    /// Units in all; 0 when the node does not know.
    pub total: u64,
}

/// One dataset of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatasetDetail {
    /// Its name.
    pub name: String,
    /// `memory`, or the name of its dataset type.
    pub storage: String,
    /// Where it is persisted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The version that it is loaded from or saved as, where it is versioned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The node that makes it; none for an input of the pipeline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub producer: Option<String>,
    /// Whether it is a result of the pipeline: produced, and read by no node.
    #[serde(default)]
    pub is_output: bool,
    /// Size of its block, once it was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// What its block says of itself, such as rows and columns.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub metadata: Value,
    /// How long loading took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_us: Option<i64>,
    /// How long saving took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub save_us: Option<i64>,
}

/// Which runs a list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunFilter {
    /// Only runs in this state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<RunState>,
    /// At most so many, newest first; none means 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

impl RunFilter {
    /// How many runs a list shows when the client does not say.
    pub const LIMIT_DEFAULT: u32 = 100;

    /// The limit that holds.
    pub fn limit_or_default(&self) -> u32 {
        self.limit.unwrap_or(RunFilter::LIMIT_DEFAULT)
    }
}

/// Answer of `GET /v1/runs`: newest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunList {
    /// The runs.
    pub runs: Vec<RunSummary>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn states_are_the_same_word_in_json_and_on_screen() {
        for state in RunState::ALL {
            assert_eq!(serde_json::to_string(&state).unwrap(), format!("\"{state}\""));
            assert_eq!(RunState::from_word(state.as_str()), Some(state));
        }
        assert_eq!(RunState::from_word("done"), None);
    }

    #[test]
    fn a_detail_reads_as_a_summary() {
        let summary = RunSummary {
            id: "r".into(),
            pipeline: "p".into(),
            state: RunState::Queued,
            generation: 1,
            submitted_us: 5,
            started_us: None,
            finished_us: None,
            counts: NodeCounts::default(),
            cause: None,
            save_version: None,
            resumed_from: None,
        };
        let detail = RunDetail {
            summary: summary.clone(),
            plugins: Vec::new(),
            nodes: Vec::new(),
            datasets: Vec::new(),
            failures: Vec::new(),
            resume: None,
            blocks: BlockUse::default(),
        };
        let text = serde_json::to_string(&detail).unwrap();
        assert_eq!(serde_json::from_str::<RunDetail>(&text).unwrap(), detail);
        assert_eq!(serde_json::from_str::<RunSummary>(&text).unwrap(), summary);
    }
}
