//! Why a node, a dataset or a whole run failed.

use serde::{Deserialize, Serialize};

/// One failure, with all that is known about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What sort of failure.
    pub kind: FailureKind,
    /// One sentence: what happened.
    pub message: String,
    /// The signal, when `kind` is `signal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// The exit code, when `kind` is `exit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Where in the plugin's source, `src/train.rs:12:5`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// What led to it, outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
    /// The plugin whose code ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// The node concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The dataset that was being loaded or saved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<String>,
    /// The worker it happened in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<u32>,
    /// Which attempt it was, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
}

impl Failure {
    /// Makes a failure of which only the kind and the message are known.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Failure {
        Failure {
            kind,
            message: message.into(),
            signal: None,
            exit_code: None,
            place: None,
            causes: Vec::new(),
            hints: Vec::new(),
            plugin: None,
            node: None,
            dataset: None,
            worker: None,
            attempt: None,
        }
    }
}

/// The sorts of failure; each way a worker can end is its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The code returned an error.
    Error,
    /// The code panicked.
    Panic,
    /// A signal ended the worker.
    Signal,
    /// The code called exit.
    Exit,
    /// It took longer than allowed.
    Timeout,
    /// It wanted more memory than a worker may have.
    MemoryLimit,
    /// The worker broke the rules: a missing output, an unsealed block.
    Protocol,
    /// A hook failed, or refused.
    Hook,
    /// The node's data cannot fit the memory budget for blocks.
    Budget,
    /// It was stopped on request.
    Cancelled,
    /// No worker could be started.
    Spawn,
    /// The daemon ended meanwhile.
    Interrupted,
    /// A kind this version does not know.
    #[serde(other)]
    Unknown,
}

impl FailureKind {
    /// The words used for it on the screen.
    pub fn as_str(self) -> &'static str {
        match self {
            FailureKind::Error => "error",
            FailureKind::Panic => "panic",
            FailureKind::Signal => "signal",
            FailureKind::Exit => "exit",
            FailureKind::Timeout => "time-out",
            FailureKind::MemoryLimit => "memory limit",
            FailureKind::Protocol => "protocol",
            FailureKind::Hook => "hook",
            FailureKind::Budget => "budget",
            FailureKind::Cancelled => "cancelled",
            FailureKind::Spawn => "spawn",
            FailureKind::Interrupted => "interrupted",
            FailureKind::Unknown => "unknown",
        }
    }
}

impl std::fmt::Display for FailureKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}
