//! What happened in a run, per node and overall. It adds up to the plan: every node is counted once.

use std::sync::Arc;

use crate::action::{DatasetOperation, RunState, SkipReason};
use crate::failure::Failure;
use crate::id::{DatasetId, NodeId};

/// What happened in a run so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// How it ended; nothing while it has not.
    pub state: Option<RunState>,
    /// From its start to its end, or to the last event.
    pub duration_us: u64,
    /// Nodes by state.
    pub counts: NodeCounts,
    /// Every node, in the plan's order.
    pub nodes: Vec<NodeReport>,
    /// Final failures in the order they came; the first is the first cause.
    pub failures: Vec<FailureReport>,
    /// Why it was cancelled.
    pub cancel_reason: Option<String>,
    /// Datasets loaded, saved and released.
    pub datasets: DatasetCounts,
}

/// How many nodes are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeCounts {
    /// All nodes of the plan; the sum of the others.
    pub total: u32,
    /// Not started yet.
    pub waiting: u32,
    /// Running, being saved, or waiting for a retry.
    pub running: u32,
    /// Ended well.
    pub finished: u32,
    /// Ended badly.
    pub failed: u32,
    /// Never to run.
    pub skipped: u32,
    /// Stopped while they ran.
    pub cancelled: u32,
}

/// How many datasets were handled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DatasetCounts {
    /// Loads that ended well.
    pub loaded: u32,
    /// Saves that ended well.
    pub saved: u32,
    /// Blocks given back.
    pub released: u32,
}

/// What happened to one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeReport {
    /// The node.
    pub node: NodeId,
    /// Its state.
    pub state: NodeState,
    /// How often its call was started.
    pub attempts: u32,
    /// The worker its last attempt ran on.
    pub worker: Option<u32>,
    /// When its last attempt started, from the run's start.
    pub started_us: Option<u64>,
    /// From there to its end, saves included.
    pub duration_us: Option<u64>,
}

/// The state of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NodeState {
    /// Some input does not exist yet, or it waits for its loads.
    Waiting,
    /// Dispatched, not started.
    Ready,
    /// Its call runs.
    Running,
    /// Its call failed and will be tried again.
    Retrying,
    /// Its call is done; its outputs are being saved, or what it confirms is noted.
    Saving,
    /// Done.
    Finished,
    /// Failed for good.
    Failed,
    /// Never to run.
    Skipped(SkipReason),
    /// Stopped while it ran.
    Cancelled,
}

impl NodeState {
    /// Says whether the node will change no more.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Finished | Self::Failed | Self::Skipped(_) | Self::Cancelled)
    }
}

/// One final failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureReport {
    /// What failed.
    pub what: Failed,
    /// Why.
    pub failure: Arc<Failure>,
}

/// What failed for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failed {
    /// A node's call.
    Call(NodeId),
    /// A load, a save or a confirmation; the node is the one whose output could not be saved, or that confirms it.
    Dataset {
        /// The dataset.
        dataset: DatasetId,
        /// Which of them.
        operation: DatasetOperation,
        /// The producer, for a save; whoever confirms it, for a confirmation.
        node: Option<NodeId>,
    },
    /// The run as a whole: it took longer than it may.
    Run,
}
