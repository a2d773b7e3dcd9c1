//! How the daemon is.

use serde::{Deserialize, Serialize};

/// Answer of `GET /v1/status`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Version of the daemon.
    pub version: String,
    /// Process id of the server.
    pub pid: u32,
    /// When it came up.
    pub started_us: i64,
    /// `running`, or `stopping` when it takes no more runs.
    pub state: String,
    /// The generation of plugins new runs start on.
    pub generation: u64,
    /// How its workers start: `fork` or `spawn`.
    #[serde(default)]
    pub start_method: String,
    /// How many plugins are loaded.
    #[serde(default)]
    pub plugins: u64,
    /// How many libraries were refused.
    #[serde(default)]
    pub plugins_refused: u64,
    /// The workers.
    #[serde(default)]
    pub workers: Vec<WorkerStatus>,
    /// Runs in memory.
    #[serde(default)]
    pub runs: RunCounts,
    /// Blocks alive.
    #[serde(default)]
    pub blocks: BlockStatus,
    /// Where runs are kept; empty when only in memory.
    #[serde(default)]
    pub state_file: String,
}

/// Answer of `GET /v1/health`, given only when control and scheduler have both done their part.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// `running`, or `stopping` when it takes no more runs.
    pub state: String,
    /// Runs in memory.
    #[serde(default)]
    pub runs: RunCounts,
    /// How many workers there are.
    #[serde(default)]
    pub workers: u64,
    /// How many of them are at a task.
    #[serde(default)]
    pub workers_busy: u64,
}

/// A worker process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerStatus {
    /// Its number.
    pub number: u32,
    /// Its process id; 0 while there is none.
    pub pid: u32,
    /// `starting`, `idle`, `busy` or `down`.
    pub state: String,
    /// What it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// How often it had to be replaced.
    #[serde(default)]
    pub restarts: u64,
}

/// How many runs stand where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunCounts {
    /// Accepted, not started.
    pub queued: u64,
    /// Under way.
    pub running: u64,
    /// Ended since the daemon came up.
    pub finished: u64,
}

/// The blocks the server holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BlockStatus {
    /// How many.
    pub count: u64,
    /// Their bytes, and those that tasks were granted for blocks they are writing.
    pub bytes: u64,
    /// How many bytes they may have.
    pub budget_bytes: u64,
    /// Bytes of blocks that are no more, which workers keep for a while to use again. They go when the room is needed.
    pub spare_bytes: u64,
}
