//! How a task can fail. Every way a worker or a node can end is a variant of its own.

use std::fmt;

/// Why a task failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The way it ended.
    pub kind: FailureKind,
    /// What happened, in one sentence.
    pub message: String,
    /// Where in the plugin's source, `src/train.rs:12:5`; empty when not known.
    pub place: String,
    /// The chain of causes, outermost first.
    pub causes: Vec<String>,
    /// What to do about it.
    pub hints: Vec<String>,
    /// The plugin whose code was running; empty when none was.
    pub plugin: String,
    /// The worker it ran on.
    pub worker: Option<u32>,
}

/// The way a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The node or dataset returned an error.
    Error,
    /// It panicked.
    Panic,
    /// A signal killed its worker.
    Signal {
        /// The signal's number.
        number: i32,
    },
    /// Its worker exited.
    Exit {
        /// The exit code.
        code: i32,
    },
    /// It took longer than its policy allows.
    Timeout,
    /// It wanted more memory than a worker may have.
    MemoryLimit,
    /// Its answer broke the rules: a missing output, a block that does not hold what it claims.
    Protocol,
    /// A hook refused it.
    Hook,
    /// It can never fit into the memory budget for blocks.
    Budget,
    /// It was told to stop.
    Cancelled,
    /// No worker could be started for it.
    Spawn,
}

impl Failure {
    /// Makes a failure of which only kind and message are known.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            place: String::new(),
            causes: Vec::new(),
            hints: Vec::new(),
            plugin: String::new(),
            worker: None,
        }
    }
}

impl FailureKind {
    /// Says whether trying again may help. What was told to stop or can never fit is not tried again.
    pub fn is_retryable(self) -> bool {
        !matches!(self, Self::Cancelled | Self::Budget)
    }

    /// Gives the word for it that goes over wires.
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Panic => "panic",
            Self::Signal { .. } => "signal",
            Self::Exit { .. } => "exit",
            Self::Timeout => "timeout",
            Self::MemoryLimit => "memory-limit",
            Self::Protocol => "protocol",
            Self::Hook => "hook",
            Self::Budget => "budget",
            Self::Cancelled => "cancelled",
            Self::Spawn => "spawn",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.word(), self.message)?;
        if !self.place.is_empty() {
            write!(f, " ({})", self.place)?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}
