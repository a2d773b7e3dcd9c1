//! Between the server and a worker: tasks go down; what came of them, and what a worker needs meanwhile, comes up.

use serde::{Deserialize, Serialize};

use super::DescriptorIndex;
use super::block::BlockClaim;
use super::said::{LogRecord, TaskFailure};
use super::task::{SavedChunks, Task};
use crate::block::pool::NewSegment;

/// What the server asks of a worker. Use [`WorkerChannel`](crate::ipc::client::WorkerChannel) to send these.
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

/// What a worker tells the server, as it travels.
pub type FromWorker = WorkerMessage<DescriptorIndex>;

/// What a worker tells the server. What it says of blocks is to be checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WorkerMessage<File> {
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
    /// A new segment, in which blocks will be claimed; to be checked.
    Segment(NewSegment<File>),
    /// The segment of this number is no more.
    SegmentDropped(u32),
    /// The task succeeded.
    Done {
        /// The task.
        token: u64,
        /// Its outputs: one for each port of a call, one for a load, none otherwise.
        outputs: Vec<BlockClaim<File>>,
        /// A dataset operation's answer, JSON, or empty.
        answer: String,
        /// What a call saved chunk by chunk.
        chunks: Vec<SavedChunks>,
    },
    /// A chunk is about to be saved; the task waits for [`ToWorker::Proceed`].
    Chunk {
        /// The task.
        token: u64,
        /// The chunk.
        chunk: BlockClaim<File>,
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

impl From<LogRecord> for FromWorker {
    fn from(record: LogRecord) -> Self {
        FromWorker::Log(record)
    }
}
