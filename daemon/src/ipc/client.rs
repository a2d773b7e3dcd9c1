//! The server's ends of the channels, in the server's terms: blocks instead of descriptor indices, and events in which
//! every descriptor has its place. None of this names a plugin.
//!
//! What arrives is resolved and shape-checked here (a descriptor index that is out of range or used twice is a
//! [`ChannelError::Protocol`]); whether it is true is for the caller to check: ports against the plan, claims by
//! [`ClaimedBlock::adopt`]. Texts that are told to people are cut to a size that the server can keep.
//!
//! Workers and hook hosts run what plugins contain, so the server never waits for one to read: what finds no room is
//! [`ChannelError::Behind`].

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use super::channel::{Channel, ChannelError, Received};
use super::manifest::GenerationManifest;
use super::message::{
    BlockClaim, CheckpointFile, ChunkPort, ClaimPlace, DESCRIPTORS_MAX, DatasetOperation, Ending, FromHookHost,
    FromWorker, FromZygote, InputValue, Lasting, LibraryCopy, Limits, LogRecord, Operation, PLUGIN_BODY_MAX,
    PartitionSource, Role, RunBriefing, SavedChunks, SegmentPlace, StartMethod, Task, TaskFailure, ToHookHost,
    ToWorker, ToZygote,
};
use super::ring::WorkerDescriptors;
use crate::block::Block;
use crate::block::adopt::{ClaimedBlock, ClaimedBytes};
use crate::block::pool::{NewSegment, PartClaim};
use crate::block::segment::{Part, Segment};

/// What a port is given.
#[derive(Clone, Debug)]
pub enum Input {
    /// Nothing: optional and unbound.
    Absent,
    /// A parameter, JSON.
    Json(String),
    /// A dataset.
    Block(Block),
}

impl Input {
    /// Somebody goes on reading it: its memory is not used again.
    pub fn lend(&self) {
        let Input::Block(block) = self else { return };
        block.part().into_iter().for_each(Part::lend);
    }

    /// For one who says when it keeps what it reads.
    fn value<'a>(&'a self, descriptors: &mut Vec<BorrowedFd<'a>>) -> InputValue {
        match self {
            Input::Absent => InputValue::Absent,
            Input::Json(json) => InputValue::Json(json.clone()),
            Input::Block(block) => InputValue::Block(block.reference_at(SegmentPlace::Descriptor(0), descriptors)),
        }
    }

    /// The same, for a worker that knows the block's segment as `place`.
    fn value_at<'a>(&'a self, place: Option<&SegmentPlace>, descriptors: &mut Vec<BorrowedFd<'a>>) -> InputValue {
        match self {
            Input::Block(block) => match place {
                Some(place @ (SegmentPlace::Own { .. } | SegmentPlace::Foreign { .. })) => {
                    InputValue::Block(block.reference_at(*place, descriptors))
                }
                Some(SegmentPlace::Descriptor(_)) | None => InputValue::Block(block.reference(descriptors)),
            },
            Input::Absent | Input::Json(_) => self.value(descriptors),
        }
    }
}

/// The server's end of a zygote's channel.
#[derive(Debug)]
pub struct ZygoteChannel(Channel);

/// What a zygote says.
#[derive(Debug)]
pub enum ZygoteEvent {
    /// It is there.
    Hello {
        /// Its process id.
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
        pidfd: OwnedFd,
    },
    /// A process could not be started.
    StartFailed {
        /// The number of the request.
        number: u64,
        /// What was tried and why it failed.
        message: String,
    },
    /// A process ended.
    Exited {
        /// The number of the request that started it.
        number: u64,
        /// Its former process id.
        pid: i32,
        /// How.
        ending: Ending,
        /// The most memory it ever had resident.
        max_rss_bytes: u64,
    },
    /// Something an operator ought to know.
    Warning(String),
}

/// What a new worker or hook host is given.
#[derive(Clone, Copy, Debug)]
pub struct StartDescriptors<'a> {
    /// The other end of its channel.
    pub channel: BorrowedFd<'a>,
    /// Its worker page.
    pub page: BorrowedFd<'a>,
    /// Where its stdout and stderr go: the write end of a pipe.
    pub output: BorrowedFd<'a>,
}

impl ZygoteChannel {
    /// The server's end, and the socket to start the zygote with as its stdin (see `sys::spawn`).
    pub fn pair() -> io::Result<(ZygoteChannel, OwnedFd)> {
        let (ours, theirs) = Channel::pair()?;
        Ok((ZygoteChannel(ours), theirs.into_socket()))
    }

    /// Asks to load these libraries, each a sealed memfd; [`ZygoteEvent::Loaded`] answers. Once per zygote.
    pub fn load(
        &self,
        libraries: &[(LibraryCopy, BorrowedFd<'_>)],
        loading_page: BorrowedFd<'_>,
        start_method: StartMethod,
        log_level_max: u8,
    ) -> Result<(), ChannelError> {
        self.0.send(&ToZygote::Prepare { start_method, log_level_max }, &[loading_page])?;
        for some in libraries.chunks(DESCRIPTORS_MAX) {
            let descriptors: Vec<_> = some.iter().map(|(_, file)| *file).collect();
            let copies = some.iter().map(|(copy, _)| copy.clone()).collect();
            self.0.send(&ToZygote::Libraries(copies), &descriptors)?;
        }
        self.0.send(&ToZygote::Load, &[])
    }

    /// Asks for a process; [`ZygoteEvent::Started`] or [`ZygoteEvent::StartFailed`] answers. The descriptors are the
    /// zygote's when this returns: close the other copies, or the end of the process will not be noticed.
    pub fn start(
        &self,
        number: u64,
        role: Role,
        limits: Limits,
        descriptors: StartDescriptors<'_>,
    ) -> Result<(), ChannelError> {
        let StartDescriptors { channel, page, output } = descriptors;
        self.0.send(&ToZygote::Start { number, role, limits }, &[channel, page, output])
    }

    /// Asks it to end, with every process it started.
    pub fn shutdown(&self) -> Result<(), ChannelError> {
        self.0.send(&ToZygote::Shutdown, &[])
    }

    /// The next event; waits for it.
    pub fn receive(&self) -> Result<ZygoteEvent, ChannelError> {
        self.0.receive().and_then(zygote_event)
    }

    /// The next event; waits no longer than this.
    pub fn receive_within(&self, patience: Duration) -> Result<Option<ZygoteEvent>, ChannelError> {
        self.0.receive_within(patience)?.map(zygote_event).transpose()
    }
}

fn zygote_event(received: Received<FromZygote>) -> Result<ZygoteEvent, ChannelError> {
    let Received { message, mut descriptors } = received;
    let event = match message {
        FromZygote::Hello { pid, version } => ZygoteEvent::Hello { pid, version },
        FromZygote::Loaded(manifest) => ZygoteEvent::Loaded(manifest),
        FromZygote::Started { number, pid } => {
            let pidfd = descriptors.pop().ok_or_else(|| {
                ChannelError::Protocol(format!("the zygote started process {pid} and sent no pidfd of it"))
            })?;
            ZygoteEvent::Started { number, pid, pidfd }
        }
        FromZygote::StartFailed { number, message } => ZygoteEvent::StartFailed { number, message },
        FromZygote::Exited { number, pid, ending, max_rss_bytes } => {
            ZygoteEvent::Exited { number, pid, ending, max_rss_bytes }
        }
        FromZygote::Warning(text) => ZygoteEvent::Warning(text),
    };
    Ok(event)
}

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

/// The server's end of a hook host's channel.
#[derive(Debug)]
pub struct HookChannel(Channel);

/// What a hook host says.
#[derive(Debug)]
pub enum HookEvent {
    /// It takes events.
    Ready {
        /// Its process id.
        pid: i32,
    },
    /// A plugin logged.
    Log(LogRecord),
    /// A hook answered.
    Answer {
        /// The exchange.
        token: u64,
        /// `null` or an object, JSON.
        answer: String,
        /// Replaced inputs; to be checked.
        outputs: Vec<ClaimedBlock>,
    },
    /// A hook failed.
    Failed {
        /// The exchange.
        token: u64,
        /// Why.
        failure: TaskFailure,
    },
}

impl HookChannel {
    /// The server's end, and the socket to start the hook host with.
    pub fn pair() -> io::Result<(HookChannel, OwnedFd)> {
        let (ours, theirs) = Channel::pair()?;
        Ok((HookChannel(ours.receive_at_most(PLUGIN_BODY_MAX)), theirs.into_socket()))
    }

    /// Gives a hook its options.
    pub fn configure(&self, token: u64, plugin: u32, hook: u32, options: String) -> Result<(), ChannelError> {
        self.0.try_send(&ToHookHost::Configure { token, plugin, hook, options }, &[])
    }

    /// Tells a hook of an event.
    pub fn event(
        &self,
        token: u64,
        plugin: u32,
        hook: u32,
        argument: String,
        inputs: &[Input],
        has_more: bool,
    ) -> Result<(), ChannelError> {
        let mut descriptors = Vec::new();
        let inputs = inputs.iter().map(|input| input.value(&mut descriptors)).collect();
        self.0.try_send(&ToHookHost::Event { token, plugin, hook, argument, inputs, has_more }, &descriptors)
    }

    /// Gives it rings: from now on it takes events from there, and messages only where a record points to them.
    pub fn rings(&self, descriptors: &WorkerDescriptors) -> Result<(), ChannelError> {
        self.0.try_send(&ToHookHost::Rings, &[descriptors.memory.as_fd(), descriptors.bell.as_fd()])
    }

    /// Asks it to leave, if it has no rings.
    pub fn quit(&self) -> Result<(), ChannelError> {
        self.0.try_send(&ToHookHost::Quit, &[])
    }

    /// The next event; waits for it.
    pub fn receive(&self) -> Result<HookEvent, ChannelError> {
        self.0.receive().and_then(hook_event)
    }

    /// The next event; waits no longer than this.
    pub fn receive_within(&self, patience: Duration) -> Result<Option<HookEvent>, ChannelError> {
        self.0.receive_within(patience)?.map(hook_event).transpose()
    }

    /// The next event if there is one.
    pub fn try_receive(&self) -> Result<Option<HookEvent>, ChannelError> {
        self.0.try_receive()?.map(hook_event).transpose()
    }
}

fn hook_event(received: Received<FromHookHost>) -> Result<HookEvent, ChannelError> {
    let Received { message, descriptors } = received;
    Ok(match message {
        FromHookHost::Ready { pid } => HookEvent::Ready { pid },
        FromHookHost::Log(record) => HookEvent::Log(record.cut()),
        FromHookHost::Answer { token, answer, outputs } => {
            HookEvent::Answer { token, answer, outputs: resolve(outputs, descriptors)? }
        }
        FromHookHost::Failed { token, failure } => HookEvent::Failed { token, failure: failure.cut() },
    })
}

/// Gives each claim the descriptor it names; each descriptor can be named once.
fn resolve(claims: Vec<BlockClaim>, descriptors: Vec<OwnedFd>) -> Result<Vec<ClaimedBlock>, ChannelError> {
    let count = descriptors.len();
    let mut descriptors: Vec<_> = descriptors.into_iter().map(Some).collect();
    claims
        .into_iter()
        .map(|BlockClaim { port, format, metadata, place }| {
            let bytes = match place {
                ClaimPlace::Inline(payload) => ClaimedBytes::Inline(payload),
                ClaimPlace::Part { segment, slot, usage, offset, size } => {
                    ClaimedBytes::Part { part: PartClaim { segment, slot, usage, offset }, size }
                }
                ClaimPlace::Memfd { descriptor, size } => {
                    let slot = usize::try_from(descriptor).ok().and_then(|index| descriptors.get_mut(index));
                    let file = slot.and_then(Option::take).ok_or_else(|| {
                        ChannelError::Protocol(format!(
                            "the output of port {port} names descriptor {descriptor} of {count}, which is not there or was named before"
                        ))
                    })?;
                    ClaimedBytes::Memfd { file, size }
                }
            };
            Ok(ClaimedBlock { port, format, metadata, bytes })
        })
        .collect()
}

impl AsFd for ZygoteChannel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsFd for WorkerChannel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsFd for HookChannel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
