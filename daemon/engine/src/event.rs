//! Everything that can happen to a run.

use crate::failure::Failure;
use crate::id::{Attempt, TaskId};

/// Something that happened. A run accepts any event at any time; what does not fit its state is ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The run may begin.
    Start,
    /// A worker has begun with an attempt. Ask [`Run::is_wanted`](crate::run::Run::is_wanted) before beginning.
    Started {
        /// The task.
        task: TaskId,
        /// The attempt that was dispatched.
        attempt: Attempt,
        /// The worker's number.
        worker: u32,
    },
    /// An attempt has ended well; its outputs exist. Blocks of an attempt that is not
    /// [`Run::is_live`](crate::run::Run::is_live) are the caller's to drop.
    Finished {
        /// The task.
        task: TaskId,
        /// The attempt that was dispatched.
        attempt: Attempt,
        /// The worker's number.
        worker: u32,
    },
    /// An attempt has ended badly; it left nothing behind. Also the answer to an abort.
    Failed {
        /// The task.
        task: TaskId,
        /// The attempt that was dispatched.
        attempt: Attempt,
        /// The worker's number.
        worker: u32,
        /// Why.
        failure: Box<Failure>,
    },
    /// An attempt lies with a worker, which may begin with it any moment: from now on it is not taken back without an answer. That of a
    /// call which [`Run::follower`](crate::run::Run::follower) gave, too. See [`Run::sent`](crate::run::Run::sent).
    Sent {
        /// The task.
        task: TaskId,
        /// The attempt that was dispatched, or will be.
        attempt: Attempt,
    },
    /// An attempt that was sent was taken back, and no worker began with it, nor will. If it is
    /// [`Run::is_wanted`](crate::run::Run::is_wanted) after this, the caller keeps it for another worker.
    TakenBack {
        /// The task.
        task: TaskId,
        /// The attempt that was sent.
        attempt: Attempt,
    },
    /// Someone wants the run to end.
    Cancel {
        /// Who or why, for the report.
        reason: String,
    },
    /// Time has passed; due at [`Run::next_deadline`](crate::run::Run::next_deadline).
    Tick,
}
