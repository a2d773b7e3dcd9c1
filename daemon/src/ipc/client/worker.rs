//! The server's end of a worker's channel: tasks go out, claims come back.

use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use super::{Descriptors, Event, ServerEnd};
use crate::block::Block;
use crate::block::pool::NewSegment;
use crate::block::segment::Segment;
use crate::ipc::channel::ChannelError;
use crate::ipc::message::{
    FromWorker, Operation, PLUGIN_BODY_MAX, RunBriefing, SegmentPlace, Task, ToWorker, WorkerMessage,
};
use crate::ipc::ring::WorkerDescriptors;

/// The server's end of a worker's channel.
pub type WorkerChannel = ServerEnd<WorkerEvent>;

/// One unit of work, with its blocks.
pub type TaskRequest = Task<Block, Arc<File>>;

/// What a task does.
pub type TaskOperation = Operation<Block, Arc<File>>;

/// What a worker says.
pub type WorkerEvent = WorkerMessage<OwnedFd>;

impl WorkerChannel {
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
        self.channel.try_send(&ToWorker::Task(task), &descriptors)
    }

    /// Lets a task take the memory it asked for.
    pub fn grant(&self, token: u64) -> Result<(), ChannelError> {
        self.channel.try_send(&ToWorker::Reserved { token, granted: Ok(()) }, &[])
    }

    /// Refuses a task the memory it asked for; the reason becomes the task's failure.
    pub fn refuse(&self, token: u64, reason: String) -> Result<(), ChannelError> {
        self.channel.try_send(&ToWorker::Reserved { token, granted: Err(reason) }, &[])
    }

    /// Lets a task that told of a chunk go on, or makes it fail for this reason.
    pub fn proceed(&self, token: u64, go: Result<(), String>) -> Result<(), ChannelError> {
        self.channel.try_send(&ToWorker::Proceed { token, go }, &[])
    }

    /// Gives it rings: from now on it takes tasks from there. `returns` is where it hears what it is given back (`ipc::returns`).
    pub fn rings(&self, descriptors: &WorkerDescriptors, returns: &OwnedFd) -> Result<(), ChannelError> {
        let WorkerDescriptors { memory, bell } = descriptors;
        self.channel.try_send(&ToWorker::Rings, &[memory.as_fd(), bell.as_fd(), returns.as_fd()])
    }

    /// Tells it of another worker's segment.
    pub fn segment(&self, place: u32, segment: &Segment) -> Result<(), ChannelError> {
        let message = ToWorker::Segment { place, segment: segment.id(), size: segment.size() };
        self.channel.try_send(&message, &[segment.as_fd()])
    }

    /// Tells it of a run.
    pub fn brief(&self, run: RunBriefing) -> Result<(), ChannelError> {
        self.channel.try_send(&ToWorker::Run(run), &[])
    }

    /// Asks it to leave, if it has no rings.
    pub fn quit(&self) -> Result<(), ChannelError> {
        self.channel.try_send(&ToWorker::Quit, &[])
    }
}

impl Event for WorkerEvent {
    type Message = FromWorker;

    const BODY_MAX: u64 = PLUGIN_BODY_MAX;

    fn of(message: FromWorker, mut descriptors: Descriptors) -> Result<WorkerEvent, ChannelError> {
        Ok(match message {
            FromWorker::Ready { pid } => WorkerEvent::Ready { pid },
            FromWorker::Log(record) => WorkerEvent::Log(record.cut()),
            FromWorker::Reserve { token, bytes } => WorkerEvent::Reserve { token, bytes },
            FromWorker::Segment(NewSegment { number, size, part_bytes, file }) => {
                let file = descriptors.take(file, || format!("segment {number}"))?;
                WorkerEvent::Segment(NewSegment { number, size, part_bytes, file })
            }
            FromWorker::SegmentDropped(number) => WorkerEvent::SegmentDropped(number),
            FromWorker::Done { token, outputs, answer, chunks } => {
                WorkerEvent::Done { token, outputs: descriptors.all_claimed(outputs)?, answer, chunks }
            }
            FromWorker::Chunk { token, chunk } => WorkerEvent::Chunk { token, chunk: descriptors.claimed(chunk)? },
            FromWorker::ChunkSaved { token } => WorkerEvent::ChunkSaved { token },
            FromWorker::Failed { token, failure, saving } => {
                WorkerEvent::Failed { token, failure: failure.cut(), saving }
            }
        })
    }
}
