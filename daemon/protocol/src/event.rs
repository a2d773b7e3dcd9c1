//! What happens to a run, as it happens: the server-sent events of `/v1/runs/{id}/events`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Failure, LogLine, RunState};

/// One event of a run.
///
/// Sequence numbers start at 1 and have no gaps; a reader that was too slow gets one [`EventKind::Missed`] in place of
/// those it lost, and can resynchronise from `GET /v1/runs/{id}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunEvent {
    /// Its number within the run; also the SSE `id`.
    pub sequence: u64,
    /// When it happened.
    pub time_us: i64,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What may happen to a run. The tag `kind` is also the SSE `event`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EventKind {
    /// The run began.
    RunStarted {
        /// Name of the pipeline.
        pipeline: String,
        /// How many nodes it has.
        nodes: u64,
    },
    /// A worker began a node.
    NodeStarted {
        /// The node.
        node: String,
        /// Which attempt, counted from 1.
        attempt: u32,
        /// Which worker.
        worker: u32,
    },
    /// A node said how far it is; at most a few times a second.
    NodeProgress {
        /// The node.
        node: String,
        /// Units done.
        done: u64,
        /// Units in all, 0 if unknown.
        total: u64,
    },
    /// A node finished, its outputs are there.
    NodeFinished {
        /// The node.
        node: String,
        /// Which attempt.
        attempt: u32,
        /// Which worker.
        worker: u32,
        /// How long the attempt took.
        duration_us: i64,
        /// How many nodes of the run have finished, this one included.
        #[serde(default)]
        completed: u64,
        /// How many nodes the run has.
        #[serde(default)]
        total: u64,
    },
    /// An attempt of a node failed.
    NodeFailed {
        /// The node.
        node: String,
        /// Which attempt.
        attempt: u32,
        /// Why.
        failure: Failure,
        /// When it will be tried again; none if this was the last attempt.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        will_retry_in_ms: Option<u64>,
    },
    /// A node will never start.
    NodeSkipped {
        /// The node.
        node: String,
        /// The node or reason it would have waited for.
        because: String,
    },
    /// A persisted dataset was read into memory.
    DatasetLoaded {
        /// The dataset.
        dataset: String,
        /// Which worker.
        worker: u32,
        /// Size of its block.
        bytes: u64,
        /// How long it took.
        duration_us: i64,
        /// What the block says of itself.
        #[serde(default, skip_serializing_if = "Value::is_null")]
        metadata: Value,
    },
    /// A dataset was written to where it persists.
    DatasetSaved {
        /// The dataset.
        dataset: String,
        /// Which worker.
        worker: u32,
        /// Size of its block.
        bytes: u64,
        /// How long it took.
        duration_us: i64,
    },
    /// The partitions that the run found in an incremental dataset count as processed.
    DatasetConfirmed {
        /// The dataset.
        dataset: String,
        /// The node that confirms it.
        node: String,
        /// Which worker.
        worker: u32,
        /// How long it took.
        duration_us: i64,
    },
    /// A dataset's last reader is done and its memory was given back.
    DatasetReleased {
        /// The dataset.
        dataset: String,
    },
    /// A dataset could not be loaded, saved or confirmed.
    DatasetFailed {
        /// The dataset.
        dataset: String,
        /// Which of them.
        operation: DatasetOperation,
        /// Why.
        failure: Failure,
        /// When it will be tried again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        will_retry_in_ms: Option<u64>,
    },
    /// A node, dataset or hook logged something.
    Log {
        /// The line.
        line: LogLine,
    },
    /// The run is over; the last event.
    RunFinished {
        /// How it ended.
        state: RunState,
        /// How long it took.
        duration_us: i64,
        /// Why it did not succeed: the first failure.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cause: Option<Failure>,
    },
    /// The reader was too slow, or came too late: this many events are gone. Not part of the run's own numbering;
    /// `sequence` is that of the last one lost.
    Missed {
        /// How many.
        count: u64,
    },
    /// Something this version does not know.
    #[serde(other)]
    Unknown,
}

impl EventKind {
    /// The tag, as in JSON.
    pub fn name(&self) -> &'static str {
        match self {
            EventKind::RunStarted { .. } => "run_started",
            EventKind::NodeStarted { .. } => "node_started",
            EventKind::NodeProgress { .. } => "node_progress",
            EventKind::NodeFinished { .. } => "node_finished",
            EventKind::NodeFailed { .. } => "node_failed",
            EventKind::NodeSkipped { .. } => "node_skipped",
            EventKind::DatasetLoaded { .. } => "dataset_loaded",
            EventKind::DatasetSaved { .. } => "dataset_saved",
            EventKind::DatasetConfirmed { .. } => "dataset_confirmed",
            EventKind::DatasetReleased { .. } => "dataset_released",
            EventKind::DatasetFailed { .. } => "dataset_failed",
            EventKind::Log { .. } => "log",
            EventKind::RunFinished { .. } => "run_finished",
            EventKind::Missed { .. } => "missed",
            EventKind::Unknown => "unknown",
        }
    }
}

/// What was being done with a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DatasetOperation {
    /// Reading it into memory.
    Load,
    /// Writing it to where it persists.
    Save,
    /// Noting which of its partitions were processed.
    Confirm,
}

impl std::fmt::Display for DatasetOperation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            DatasetOperation::Load => "load",
            DatasetOperation::Save => "save",
            DatasetOperation::Confirm => "confirm",
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn the_tag_is_the_name() {
        let kind = EventKind::NodeSkipped { node: "b".into(), because: "a failed".into() };
        let event = RunEvent { sequence: 3, time_us: 7, kind };
        let text = serde_json::to_string(&event).unwrap();
        assert_eq!(text, r#"{"sequence":3,"time_us":7,"kind":"node_skipped","node":"b","because":"a failed"}"#);
        assert_eq!(serde_json::from_str::<RunEvent>(&text).unwrap(), event);
    }

    #[test]
    fn an_event_of_a_later_version_is_read_as_unknown() {
        let text = r#"{"sequence":3,"time_us":7,"kind":"node_teleported","node":"b"}"#;
        assert_eq!(serde_json::from_str::<RunEvent>(text).unwrap().kind, EventKind::Unknown);
    }
}
