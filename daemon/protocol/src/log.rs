//! What nodes, datasets and hooks of a run have logged.

use serde::{Deserialize, Serialize};

/// One line of a run's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Its number within the run, from 1.
    #[serde(default)]
    pub number: u64,
    /// When it was written.
    pub time_us: i64,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
    /// How it reached the daemon.
    pub source: LogSource,
    /// The node that was running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The plugin whose code wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// The worker it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<u32>,
    /// The `log` target, usually a module path.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub target: String,
    /// What was written.
    pub message: String,
}

/// How a line reached the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogSource {
    /// Through the `log` macros.
    Log,
    /// Printed to standard output or standard error.
    Output,
    /// Written by the daemon itself about the run.
    Daemon,
}

/// Answer of `GET /v1/runs/{id}/logs`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogList {
    /// The lines, oldest first.
    pub lines: Vec<LogLine>,
    /// Ask again with `from` set to this for what comes later.
    pub next: u64,
    /// How many of the lines asked for are gone, because a run's log is bounded.
    #[serde(default)]
    pub missed: u64,
}
