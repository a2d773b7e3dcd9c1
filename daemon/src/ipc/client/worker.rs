//! The server's end of a worker's channel: tasks go out, claims come back.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use super::{Input, resolve};
use crate::block::adopt::ClaimedBlock;
use crate::block::pool::NewSegment;
use crate::block::segment::Segment;
use crate::ipc::channel::{Channel, ChannelError, Received};
use crate::ipc::message::{
    CheckpointFile, ChunkPort, DatasetOperation, FromWorker, Lasting, LogRecord, Operation, PLUGIN_BODY_MAX,
    PartitionSource, RunBriefing, SavedChunks, SegmentPlace, Task, TaskFailure, ToWorker,
};
use crate::ipc::ring::WorkerDescriptors;

/// The server's end of a worker's channel.
#[derive(Debug)]
pub struct WorkerChannel(Channel);

/// One unit of work, with its blocks.
#[derive(Clone, Debug)]
pub struct TaskRequest {
    /// The server's number for it; never 0.
    pub token: u64,
    /// Index into [`GenerationManifest::plugins`].
    pub plugin: u32,
    /// The call's argument, JSON.
    pub argument: String,
    /// What to do.
    pub operation: TaskOperation,
}

/// What a task does.
#[derive(Clone, Debug)]
pub enum TaskOperation {
    /// Call a node.
    Call {
        /// Index into the plugin's nodes.
        node: u32,
        /// One for each input port, in order.
        inputs: Vec<Input>,
        /// How many output ports there are.
        outputs: u32,
        /// What it makes that leaves the run, and so must be in a file of its own.
        lasting: Lasting,
        /// Those whose chunks are saved as they come.
        chunks: Vec<ChunkPort>,
        /// What the partitions of its inputs are loaded by.
        partitions: Vec<PartitionSource>,
    },
    /// List the partitions in a directory.
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
        /// Index into the plugin's dataset types.
        dataset_type: u32,
        /// What to do with it.
        operation: DatasetOperation,
        /// What to save.
        input: Option<Input>,
        /// What it makes that leaves the run, and so must be in a file of its own.
        lasting: Lasting,
        /// The sealed file to load from, instead of the argument's path.
        file: Option<Arc<File>>,
    },
}

impl TaskOperation {
    /// What it reads, in order.
    pub fn inputs(&self) -> &[Input] {
        match self {
            TaskOperation::Call { inputs, .. } => inputs,
            TaskOperation::Dataset { input, .. } => input.as_slice(),
            TaskOperation::ListPartitions { .. } | TaskOperation::Confirm { .. } => &[],
        }
    }
}

/// What a worker says.
#[derive(Debug)]
pub enum WorkerEvent {
    /// It takes tasks.
    Ready {
        /// Its process id.
        pid: i32,
    },
    /// A plugin logged.
    Log(LogRecord),
    /// It waits for [`WorkerChannel::grant`] or [`WorkerChannel::refuse`] before it takes so many more bytes.
    Reserve {
        /// The task.
        token: u64,
        /// How many on top of what it was granted before.
        bytes: u64,
    },
    /// It has a new segment, in which it will claim blocks; to be checked.
    Segment(NewSegment),
    /// It has let go of the segment of this number.
    SegmentDropped(u32),
    /// The task succeeded.
    Done {
        /// The task.
        token: u64,
        /// What it made; to be checked.
        outputs: Vec<ClaimedBlock>,
        /// A dataset operation's answer, JSON, or empty.
        answer: String,
        /// What it says of the chunks it saved.
        chunks: Vec<SavedChunks>,
    },
    /// A chunk is about to be saved; the worker waits for [`WorkerChannel::proceed`].
    Chunk {
        /// The task.
        token: u64,
        /// The chunk; to be checked.
        chunk: ClaimedBlock,
    },
    /// The chunk was saved; the worker waits for [`WorkerChannel::proceed`].
    ChunkSaved {
        /// The task.
        token: u64,
    },
    /// The task failed.
    Failed {
        /// The task.
        token: u64,
        /// Why.
        failure: TaskFailure,
        /// The output port whose chunks could not be saved, if that is why.
        saving: Option<u32>,
    },
}

impl WorkerChannel {
    /// The server's end, and the socket to start the worker with.
    pub fn pair() -> io::Result<(WorkerChannel, OwnedFd)> {
        let (ours, theirs) = Channel::pair()?;
        Ok((WorkerChannel(ours.receive_at_most(PLUGIN_BODY_MAX)), theirs.into_socket()))
    }

    /// Sends a task. As `places` it knows the segments that its inputs lie in, in the order of the inputs; segments for which there is none
    /// come along.
    pub fn send_task(&self, request: &TaskRequest, places: &[SegmentPlace]) -> Result<(), ChannelError> {
        let mut descriptors = Vec::new();
        let operation = match &request.operation {
            TaskOperation::ListPartitions { dataset, directory, suffix, checkpoint } => Operation::ListPartitions {
                dataset: dataset.clone(),
                directory: directory.clone(),
                suffix: suffix.clone(),
                checkpoint: checkpoint.clone(),
            },
            TaskOperation::Confirm { dataset, partition, path } => {
                Operation::Confirm { dataset: dataset.clone(), partition: partition.clone(), path: path.clone() }
            }
            TaskOperation::Call { node, inputs, outputs, lasting, chunks, partitions } => {
                let inputs = (0..).zip(inputs);
                let inputs = inputs.map(|(at, input): (usize, _)| input.value_at(places.get(at), &mut descriptors));
                let (inputs, chunks, partitions) = (inputs.collect(), chunks.clone(), partitions.clone());
                Operation::Call { node: *node, inputs, outputs: *outputs, lasting: *lasting, chunks, partitions }
            }
            TaskOperation::Dataset { dataset_type, operation, input, lasting, file } => Operation::Dataset {
                dataset_type: *dataset_type,
                operation: *operation,
                input: input.as_ref().map(|input| input.value_at(places.first(), &mut descriptors)),
                lasting: *lasting,
                file: file.as_ref().map(|file| {
                    descriptors.push(file.as_fd());
                    // At most two: the message takes many more.
                    u32::try_from(descriptors.len() - 1).unwrap_or(u32::MAX)
                }),
            },
        };
        let task = Task { token: request.token, plugin: request.plugin, argument: request.argument.clone(), operation };
        self.0.try_send(&ToWorker::Task(task), &descriptors)
    }

    /// Lets a task take the memory it asked for.
    pub fn grant(&self, token: u64) -> Result<(), ChannelError> {
        self.0.try_send(&ToWorker::Reserved { token, granted: Ok(()) }, &[])
    }

    /// Refuses a task the memory it asked for; the reason becomes the task's failure.
    pub fn refuse(&self, token: u64, reason: String) -> Result<(), ChannelError> {
        self.0.try_send(&ToWorker::Reserved { token, granted: Err(reason) }, &[])
    }

    /// Lets a task that told of a chunk go on, or makes it fail for this reason.
    pub fn proceed(&self, token: u64, go: Result<(), String>) -> Result<(), ChannelError> {
        self.0.try_send(&ToWorker::Proceed { token, go }, &[])
    }

    /// Gives it rings: from now on it takes tasks from there. `returns` is where it hears what it is given back (`ipc::returns`).
    pub fn rings(&self, descriptors: &WorkerDescriptors, returns: &OwnedFd) -> Result<(), ChannelError> {
        let WorkerDescriptors { memory, bell } = descriptors;
        self.0.try_send(&ToWorker::Rings, &[memory.as_fd(), bell.as_fd(), returns.as_fd()])
    }

    /// Tells it of another worker's segment.
    pub fn segment(&self, place: u32, segment: &Segment) -> Result<(), ChannelError> {
        let message = ToWorker::Segment { place, segment: segment.id(), size: segment.size() };
        self.0.try_send(&message, &[segment.as_fd()])
    }

    /// Tells it of a run.
    pub fn brief(&self, run: RunBriefing) -> Result<(), ChannelError> {
        self.0.try_send(&ToWorker::Run(run), &[])
    }

    /// Asks it to leave, if it has no rings.
    pub fn quit(&self) -> Result<(), ChannelError> {
        self.0.try_send(&ToWorker::Quit, &[])
    }

    /// The next event; waits for it.
    pub fn receive(&self) -> Result<WorkerEvent, ChannelError> {
        self.0.receive().and_then(worker_event)
    }

    /// The next event if there is one.
    pub fn try_receive(&self) -> Result<Option<WorkerEvent>, ChannelError> {
        self.0.try_receive()?.map(worker_event).transpose()
    }

    /// The next event; waits no longer than this.
    pub fn receive_within(&self, patience: Duration) -> Result<Option<WorkerEvent>, ChannelError> {
        self.0.receive_within(patience)?.map(worker_event).transpose()
    }
}

fn worker_event(received: Received<FromWorker>) -> Result<WorkerEvent, ChannelError> {
    let Received { message, descriptors } = received;
    Ok(match message {
        FromWorker::Ready { pid } => WorkerEvent::Ready { pid },
        FromWorker::Log(record) => WorkerEvent::Log(record.cut()),
        FromWorker::Reserve { token, bytes } => WorkerEvent::Reserve { token, bytes },
        FromWorker::Segment { number, size, part_bytes } => {
            let [file] = <[OwnedFd; 1]>::try_from(descriptors)
                .map_err(|_| ChannelError::Protocol("a segment comes as one descriptor".to_owned()))?;
            WorkerEvent::Segment(NewSegment { number, size, part_bytes, file })
        }
        FromWorker::SegmentDropped(number) => WorkerEvent::SegmentDropped(number),
        FromWorker::Done { token, outputs, answer, chunks } => {
            WorkerEvent::Done { token, outputs: resolve(outputs, descriptors)?, answer, chunks }
        }
        FromWorker::Chunk { token, claim } => {
            let chunk = resolve(vec![claim], descriptors)?.pop();
            let chunk = chunk.ok_or_else(|| ChannelError::Protocol("a chunk without a block came".to_owned()))?;
            WorkerEvent::Chunk { token, chunk }
        }
        FromWorker::ChunkSaved { token } => WorkerEvent::ChunkSaved { token },
        FromWorker::Failed { token, failure, saving } => WorkerEvent::Failed { token, failure: failure.cut(), saving },
    })
}

impl AsFd for WorkerChannel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
