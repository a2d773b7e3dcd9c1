//! Between the server and its zygote, and between a zygote and what it spawns: libraries, and processes that begin and end.

use serde::{Deserialize, Serialize};

use super::DescriptorIndex;
use crate::ipc::manifest::GenerationManifest;

/// What the server asks of a zygote. Use [`ZygoteChannel`](crate::ipc::client::ZygoteChannel) to send these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToZygote {
    /// The first message. Descriptors: the loading page.
    Prepare {
        /// How to start workers unless a plugin forbids it.
        start_method: StartMethod,
        /// The most talkative level that logs may have: 0 off, 1 error … 5 trace.
        log_level_max: u8,
    },
    /// Libraries to load, at most [`DESCRIPTORS_MAX`](super::DESCRIPTORS_MAX) a message; more may follow. Descriptors: one for each.
    Libraries(Vec<LibraryCopy>),
    /// No more libraries: load them all and answer [`FromZygote::Loaded`].
    Load,
    /// Start a process. Descriptors: its channel, its worker page, its output pipe.
    Start {
        /// The server's number for it; comes back in the answers.
        number: u64,
        /// What it is for.
        role: Role,
        /// What it may use.
        limits: Limits,
    },
    /// End: processes that are still alive are killed.
    Shutdown,
}

/// What a zygote tells the server, as it travels.
pub type FromZygote = ZygoteMessage<DescriptorIndex>;

/// What a zygote tells the server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ZygoteMessage<File> {
    /// The first message.
    Hello {
        /// The zygote's process id.
        pid: i32,
        /// The binary's version.
        version: String,
    },
    /// Every library was tried.
    Loaded(GenerationManifest),
    /// A process was started.
    Started {
        /// The number of the request.
        number: u64,
        /// Its process id.
        pid: i32,
        /// Readable once it has ended; signals are sent through it.
        pidfd: File,
    },
    /// A process could not be started.
    StartFailed {
        /// The number of the request.
        number: u64,
        /// What was tried and why it failed.
        message: String,
    },
    /// A process ended and was reaped.
    Exited {
        /// The number of the request that started it.
        number: u64,
        /// Its process id, which the kernel may use again from now on.
        pid: i32,
        /// How it ended.
        ending: Ending,
        /// The most memory it ever had resident.
        max_rss_bytes: u64,
    },
    /// Something an operator ought to know.
    Warning(String),
}

/// What the zygote tells a worker or hook host that it spawned rather than forked, over that process's stdin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToSpawned {
    /// The first message. Descriptors: channel, worker page.
    Begin {
        /// What to be.
        role: Role,
        /// What it may use.
        limits: Limits,
        /// The most talkative level that logs may have.
        log_level_max: u8,
    },
    /// Libraries the zygote took, in the order of their plugins' indices. Descriptors: one for each.
    Libraries(Vec<LibraryCopy>),
    /// No more libraries.
    End,
}

/// One library, as found; its bytes are a sealed memfd beside the message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LibraryCopy {
    /// The file's name: `libflights.so`.
    pub name: String,
    /// Where it was copied from.
    pub path: String,
    /// SHA-256 of the bytes in hexadecimal, or empty.
    pub sha256: String,
}

/// How workers come to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum StartMethod {
    /// The zygote forks itself; libraries are loaded once.
    #[default]
    Fork,
    /// The zygote executes the binary anew; the worker loads the libraries itself.
    Spawn,
}

/// What a process of a generation is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// Runs load, call and save tasks.
    Worker,
    /// Answers hook events.
    HookHost,
}

/// Limits a worker or hook host sets itself before it touches a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// `RLIMIT_DATA` in bytes, 0 for none. Blocks are shared memory and do not count.
    pub memory_bytes: u64,
    /// `RLIMIT_NOFILE`, 0 for as inherited.
    pub open_files: u64,
    /// `RLIMIT_CORE` in bytes; 0 means no core file.
    pub core_bytes: u64,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// It left with this code.
    Exited(i32),
    /// A signal ended it.
    Signalled {
        /// The signal's number.
        signal: i32,
        /// Whether a core file was written.
        core: bool,
    },
}
