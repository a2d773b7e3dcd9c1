//! The messages that pass between our processes: closed enums, one pair for each kind of channel.
//!
//! File descriptors travel beside a message, not in it; where a message needs some, its documentation says which and
//! in what order. A receiver judges everything here like user input: an index may be out of range, a text may be
//! nonsense. What decodes is well-formed, not true.

use serde::{Deserialize, Serialize};

pub use super::block_message::{BlockClaim, BlockPlace, BlockReference, ClaimPlace, InputValue, Lasting, SegmentPlace};
use super::manifest::GenerationManifest;

/// The descriptor limit of one packet. The kernel takes 253; a few are kept for a large body and for growth.
pub const DESCRIPTORS_MAX: usize = 240;
/// No body that a worker or a hook host sends is larger than this: what a plugin has to say is small (its data travel in
/// blocks), and the server must not take whatever amount of memory a plugin likes.
pub const PLUGIN_BODY_MAX: u64 = 16 * 1024 * 1024;

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

/// What the server asks of a zygote. Use [`super::client::ZygoteChannel`] to send these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToZygote {
    /// The first message. Descriptors: the loading page.
    Prepare {
        /// How to start workers unless a plugin forbids it.
        start_method: StartMethod,
        /// The most talkative level that logs may have: 0 off, 1 error … 5 trace.
        log_level_max: u8,
    },
    /// Libraries to load, at most [`DESCRIPTORS_MAX`] a message; more may follow. Descriptors: one for each.
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

/// What a zygote tells the server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FromZygote {
    /// The first message.
    Hello {
        /// The zygote's process id.
        pid: i32,
        /// The binary's version.
        version: String,
    },
    /// Every library was tried.
    Loaded(GenerationManifest),
    /// A process was started. Descriptors: its pidfd.
    Started {
        /// The number of the request.
        number: u64,
        /// Its process id.
        pid: i32,
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

/// What the server asks of a worker. Use [`super::client::WorkerChannel`] to send these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToWorker {
    /// Run this. Descriptors: those its blocks name by index.
    Task(Task),
    /// The answer to [`FromWorker::Reserve`].
    Reserved {
        /// The task that asked.
        token: u64,
        /// Whether it may, or why not.
        granted: Result<(), String>,
    },
    /// The answer to [`FromWorker::Chunk`] and [`FromWorker::ChunkSaved`].
    Proceed {
        /// The task that asked.
        token: u64,
        /// Whether it may go on, or why not.
        go: Result<(), String>,
    },
    /// From now on tasks and answers go through rings. Descriptors: their memory, the driver's bell, what is given back.
    Rings,
    /// Map this segment of another worker for reading. Descriptors: its file.
    Segment {
        /// Where to keep it, in place of what is there.
        place: u32,
        /// The server's number for it.
        segment: u32,
        /// Its size.
        size: u64,
    },
    /// A run whose tasks follow.
    Run(RunBriefing),
    /// Leave, with exit code 0.
    Quit,
}

/// What a worker must know of a run to tell its nodes, once for all its tasks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunBriefing {
    /// The driver's number for it. An earlier run of that number is over.
    pub number: u32,
    /// The run's id.
    pub id: String,
    /// Its parameters, a JSON object.
    pub parameters: String,
    /// The number of the worker.
    pub worker: u32,
}

/// One unit of work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// The server's number for it; comes back in every answer and stands in the worker page meanwhile.
    pub token: u64,
    /// Index into [`GenerationManifest::plugins`].
    pub plugin: u32,
    /// The call's argument, JSON.
    pub argument: String,
    /// What to do.
    pub operation: Operation,
}

/// What a task does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation {
    /// Call a node.
    Call {
        /// Index into [`super::manifest::PluginDescription::nodes`].
        node: u32,
        /// One value for each input port, in order.
        inputs: Vec<InputValue>,
        /// How many output ports there are.
        outputs: u32,
        /// What it makes that leaves the run, and so must be in a file of its own.
        lasting: Lasting,
        /// Those of them whose chunks are saved as they come. The server expects all others to be filled.
        chunks: Vec<ChunkPort>,
        /// What the partitions of its inputs are loaded by.
        partitions: Vec<PartitionSource>,
    },
    /// Fill output port 0 with the names of the partitions in a directory.
    ListPartitions {
        /// The dataset's name.
        dataset: String,
        /// The directory.
        directory: String,
        /// What the files' names end in.
        suffix: String,
        /// Where it says which of them were processed before, if those are to be left out.
        checkpoint: Option<CheckpointFile>,
    },
    /// Note that the partitions up to this one were processed.
    Confirm {
        /// The dataset's name.
        dataset: String,
        /// The partition's name.
        partition: String,
        /// The file that says so.
        path: String,
    },
    /// Call a dataset type.
    Dataset {
        /// Index into [`super::manifest::PluginDescription::datasets`].
        dataset_type: u32,
        /// Load, save, exists, release or describe.
        operation: DatasetOperation,
        /// What to save.
        input: Option<InputValue>,
        /// What it makes that leaves the run, and so must be in a file of its own.
        lasting: Lasting,
        /// The descriptor of a sealed file to load from, instead of the path, which is then its name for people.
        file: Option<u32>,
    },
}

/// An output port whose chunks are saved as they come, by the worker that runs the node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkPort {
    /// The output port.
    pub port: u32,
    /// Index into [`GenerationManifest::plugins`].
    pub plugin: u32,
    /// Index into [`super::manifest::PluginDescription::datasets`].
    pub dataset_type: u32,
    /// The argument of the dataset type's operations, JSON; names the session that the chunks belong to.
    pub argument: String,
    /// Whether the server wants to see each chunk before it is saved, and to hear when it was.
    pub announced: bool,
    /// Whether each chunk is a partition, a file of its own in the directory that is the argument's `path`.
    pub partitions: Option<PartitionFiles>,
}

/// Partitions that are saved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionFiles {
    /// What the files' names end in.
    pub suffix: String,
    /// Whether partitions that were there before go, once all new ones are saved.
    pub overwrite: bool,
    /// A file that may be among them and is none, or empty.
    pub checkpoint: String,
}

/// Which partitions of a dataset were processed before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointFile {
    /// The file that holds the name of the last one.
    pub path: String,
    /// What counts instead of what the file says.
    pub from: Option<String>,
    /// Whether the last one is to be processed once more.
    pub inclusive: bool,
}

/// What the partitions of an input are loaded by, by the worker that runs the node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionSource {
    /// The dataset's name.
    pub dataset: String,
    /// Index into [`GenerationManifest::plugins`].
    pub plugin: u32,
    /// Index into [`super::manifest::PluginDescription::datasets`].
    pub dataset_type: u32,
    /// The argument of a load, JSON; its `path` is the directory.
    pub argument: String,
    /// What the files' names end in.
    pub suffix: String,
}

/// What became of a port whose chunks were saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedChunks {
    /// The output port.
    pub port: u32,
    /// How many there were.
    pub chunks: u64,
    /// Their bytes as blocks, all together.
    pub bytes: u64,
}

/// What a dataset type can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DatasetOperation {
    /// Fill output port 0 from storage.
    Load,
    /// Write input port 0 to storage.
    Save,
    /// Answer `true` or `false`.
    Exists,
    /// Let go of whatever is kept for it.
    Release,
    /// Answer an object that describes it.
    Describe,
}

/// What a worker tells the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromWorker {
    /// The first message: limits are set, libraries are there.
    Ready {
        /// The worker's process id.
        pid: i32,
    },
    /// A log record.
    Log(LogRecord),
    /// May this task take so many more bytes of shared memory? The task waits for [`ToWorker::Reserved`].
    Reserve {
        /// The task.
        token: u64,
        /// How many bytes on top of what it was granted before.
        bytes: u64,
    },
    /// A new segment, in which blocks will be claimed. Descriptors: its file.
    Segment {
        /// The worker's number for it.
        number: u32,
        /// Its size.
        size: u64,
        /// The size of each of its parts.
        part_bytes: u64,
    },
    /// The segment of this number is no more.
    SegmentDropped(u32),
    /// The task succeeded. Descriptors: those its claims name by index.
    Done {
        /// The task.
        token: u64,
        /// Its outputs: one for each port of a call, one for a load, none otherwise.
        outputs: Vec<BlockClaim>,
        /// A dataset operation's answer, JSON, or empty.
        answer: String,
        /// What a call saved chunk by chunk.
        chunks: Vec<SavedChunks>,
    },
    /// A chunk is about to be saved; the task waits for [`ToWorker::Proceed`]. Descriptors: that which the claim names.
    Chunk {
        /// The task.
        token: u64,
        /// The chunk.
        claim: BlockClaim,
    },
    /// The chunk was saved; the task waits for [`ToWorker::Proceed`].
    ChunkSaved {
        /// The task.
        token: u64,
    },
    /// The task failed; the worker lives on.
    Failed {
        /// The task.
        token: u64,
        /// Why.
        failure: TaskFailure,
        /// The output port whose chunks could not be saved, if that is why a call failed.
        saving: Option<u32>,
    },
}

/// One line of a plugin's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRecord {
    /// 1 error, 2 warn, 3 info, 4 debug, 5 trace.
    pub level: u8,
    /// The module it came from.
    pub target: String,
    /// What it says.
    pub message: String,
    /// The task that ran meanwhile, or 0.
    pub token: u64,
}

impl From<LogRecord> for FromWorker {
    fn from(record: LogRecord) -> Self {
        FromWorker::Log(record)
    }
}

impl From<LogRecord> for FromHookHost {
    fn from(record: LogRecord) -> Self {
        FromHookHost::Log(record)
    }
}

/// Why a task failed, as the plugin or the worker tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskFailure {
    /// `error`, `panic`, `input`, `output` or `protocol`.
    pub kind: String,
    /// What happened.
    pub message: String,
    /// Where in the source, `src/x.rs:12:5`, or empty.
    pub place: String,
    /// What led to it, outermost first.
    pub causes: Vec<String>,
    /// What to do, or empty.
    pub hint: String,
}

impl TaskFailure {
    /// No text of it is longer than a person will read.
    const TEXT_MAX: usize = 64 * 1024;
    /// As many causes as a person will look at.
    const CAUSES_MAX: usize = 32;

    /// The same in a size that can be kept, stored and sent on, whatever a plugin put into it.
    pub fn cut(self) -> TaskFailure {
        let cut = |text| cut(text, TaskFailure::TEXT_MAX);
        let causes_count = self.causes.len();
        let mut causes: Vec<String> = self.causes.into_iter().take(TaskFailure::CAUSES_MAX).map(cut).collect();
        if causes_count > causes.len() {
            // In place of the last one, so that a failure that was cut once is not cut again.
            causes.pop();
            causes.push(format!("… and {} causes more", causes_count - causes.len()));
        }
        TaskFailure {
            kind: cut(self.kind),
            message: cut(self.message),
            place: cut(self.place),
            causes,
            hint: cut(self.hint),
        }
    }
}

impl LogRecord {
    const TEXT_MAX: usize = 64 * 1024;

    /// The same in a size that can be kept.
    pub fn cut(self) -> LogRecord {
        let LogRecord { level, target, message, token } = self;
        LogRecord { level, target: cut(target, 1024), message: cut(message, LogRecord::TEXT_MAX), token }
    }
}

/// Cuts a text that is longer than `max` bytes, and says so at its end.
fn cut(mut text: String, max: usize) -> String {
    if text.len() > max {
        let mark = format!("… (cut, it has {} bytes)", text.len());
        text.truncate(text.floor_char_boundary(max.saturating_sub(mark.len())));
        text.push_str(&mark);
        text.shrink_to_fit();
    }
    text
}

/// What the server asks of a hook host. Use [`super::client::HookChannel`] to send these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToHookHost {
    /// Give a hook its options; sent once, before its first event. Answered.
    Configure {
        /// The server's number for this exchange.
        token: u64,
        /// Index into [`GenerationManifest::plugins`].
        plugin: u32,
        /// Index into [`super::manifest::PluginDescription::hooks`].
        hook: u32,
        /// Its options, a JSON object.
        options: String,
    },
    /// An event the hook asked for. Answered. Descriptors: those its blocks name by index.
    Event {
        /// The server's number for this exchange.
        token: u64,
        /// Index into [`GenerationManifest::plugins`].
        plugin: u32,
        /// Index into [`super::manifest::PluginDescription::hooks`].
        hook: u32,
        /// The event, JSON.
        argument: String,
        /// The node's inputs where the event has some.
        inputs: Vec<InputValue>,
        /// Whether another hook hears of the same event next.
        has_more: bool,
    },
    /// From now on events go through rings, or a record there says when the next message is to be read. Descriptors: their
    /// memory, the server's bell.
    Rings,
    /// Leave, with exit code 0, if there are no rings.
    Quit,
}

/// What a hook host tells the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromHookHost {
    /// The first message.
    Ready {
        /// The hook host's process id.
        pid: i32,
    },
    /// A log record.
    Log(LogRecord),
    /// The hook answered. Descriptors: those its claims name by index.
    Answer {
        /// The exchange.
        token: u64,
        /// `null` or an object, JSON.
        answer: String,
        /// Inputs the hook replaced; the port is the input's.
        outputs: Vec<BlockClaim>,
    },
    /// The hook failed.
    Failed {
        /// The exchange.
        token: u64,
        /// Why.
        failure: TaskFailure,
    },
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
