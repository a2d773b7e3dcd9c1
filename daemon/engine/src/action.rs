//! Everything that a run may ask of its caller, and everything it tells about itself.

use std::sync::Arc;

use crate::failure::Failure;
use crate::id::{Attempt, DatasetId, NodeId, TaskId};

/// Something to do. Actions are carried out in their order, after the run's lock is let go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Carry out this attempt; answer with `Started`, then `Finished` or `Failed`.
    Dispatch {
        /// The task.
        task: TaskId,
        /// The attempt to quote in the answer.
        attempt: Attempt,
    },
    /// Stop this attempt. If it had started, end it and answer with `Failed` (or `Finished`, if it was quicker);
    /// if it had not, forget it: no answer is awaited.
    Abort {
        /// The task.
        task: TaskId,
        /// The attempt to stop.
        attempt: Attempt,
        /// Why.
        reason: AbortReason,
    },
    /// Drop this dataset's block: its last reader is done. Comes exactly once for each dataset that came to exist
    /// and is no output of the pipeline.
    Release {
        /// The dataset.
        dataset: DatasetId,
    },
    /// Tell everyone who listens.
    Emit(Happening),
    /// The run is over; nothing follows.
    Close {
        /// How it ended.
        state: RunState,
    },
}

/// Why an attempt is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AbortReason {
    /// It took longer than its policy allows.
    Timeout,
    /// The run was cancelled, or took longer than it may.
    Cancelled,
    /// Another node failed, and this attempt had not started.
    Stopped,
    /// The attempt is not, or no longer, one of the run's.
    Stale,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RunState {
    /// Every node finished.
    Succeeded,
    /// A node, a load or a save failed, or the run took too long.
    Failed,
    /// It was cancelled before every node had finished.
    Cancelled,
}

/// What a dataset task does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DatasetOperation {
    /// Reads a persisted dataset into a block.
    Load,
    /// Writes a block to a persisted dataset.
    Save,
    /// Notes that the partitions of an incremental dataset are done.
    Confirm,
}

/// Why a node was never run, or never run to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SkipReason {
    /// It depends on this node, which failed.
    NodeFailed(NodeId),
    /// It reads this dataset, directly or through others, which could not be loaded.
    LoadFailed(DatasetId),
    /// The run had stopped because something else failed.
    RunStopped,
    /// The run was cancelled, or took longer than it may.
    RunCancelled,
}

/// Something that happened in a run, in the one order that all listeners see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// The run began.
    RunStarted,
    /// An attempt at a node's call began.
    NodeStarted {
        /// The node.
        node: NodeId,
        /// The attempt, from 1.
        attempt: Attempt,
        /// The worker's number.
        worker: u32,
    },
    /// A node's call ended well and its outputs are to be saved; `NodeFinished` comes after the last save. Where there is
    /// nothing to save, `NodeFinished` alone says both.
    CallFinished {
        /// The node.
        node: NodeId,
        /// The attempt that did.
        attempt: Attempt,
        /// The worker's number.
        worker: u32,
        /// From the attempt's start to its end.
        duration_us: u64,
    },
    /// A node is done: its call, all its saves and all it confirms ended well.
    NodeFinished {
        /// The node.
        node: NodeId,
        /// The attempt of its call that did.
        attempt: Attempt,
        /// The worker its call ran on.
        worker: u32,
        /// From the start of the call's last attempt to here.
        duration_us: u64,
        /// How many nodes of the run have finished, this one included.
        finished: u32,
    },
    /// An attempt at a node's call failed, or (with `during` a save) the node failed as its output could not be saved.
    NodeFailed {
        /// The node.
        node: NodeId,
        /// The attempt of its call.
        attempt: Attempt,
        /// What failed: nothing for the call itself, or the dataset that could not be saved or confirmed.
        during_save_of: Option<DatasetId>,
        /// Why.
        failure: Arc<Failure>,
        /// The wait before the next attempt; nothing when there is none.
        will_retry_in_ms: Option<u64>,
    },
    /// A node will not run, was stopped while it ran, or (after `NodeFailed` promised a retry) will not be tried again.
    NodeSkipped {
        /// The node.
        node: NodeId,
        /// Why.
        because: SkipReason,
    },
    /// A load, save or confirmation began.
    DatasetStarted {
        /// The dataset.
        dataset: DatasetId,
        /// Which of them.
        operation: DatasetOperation,
        /// The attempt, from 1.
        attempt: Attempt,
        /// The worker's number.
        worker: u32,
    },
    /// A persisted dataset is in memory.
    DatasetLoaded {
        /// The dataset.
        dataset: DatasetId,
        /// The worker that did it.
        worker: u32,
        /// From the attempt's start to its end.
        duration_us: u64,
    },
    /// An output is persisted.
    DatasetSaved {
        /// The dataset.
        dataset: DatasetId,
        /// The node that made it.
        node: NodeId,
        /// The worker that did it.
        worker: u32,
        /// From the attempt's start to its end.
        duration_us: u64,
    },
    /// The partitions that the run found in an incremental dataset count as done.
    DatasetConfirmed {
        /// The dataset.
        dataset: DatasetId,
        /// The node that confirms it.
        node: NodeId,
        /// The worker that did it.
        worker: u32,
        /// From the attempt's start to its end.
        duration_us: u64,
    },
    /// An attempt at a load, save or confirmation failed.
    DatasetFailed {
        /// The dataset.
        dataset: DatasetId,
        /// Which of them.
        operation: DatasetOperation,
        /// The attempt, from 1.
        attempt: Attempt,
        /// Why.
        failure: Arc<Failure>,
        /// The wait before the next attempt; nothing when there is none.
        will_retry_in_ms: Option<u64>,
    },
    /// A dataset's last reader is done; its block goes.
    DatasetReleased {
        /// The dataset.
        dataset: DatasetId,
    },
    /// The run is over.
    RunFinished {
        /// How it ended.
        state: RunState,
    },
}
