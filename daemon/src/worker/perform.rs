//! One task, from what asks for it to what it made.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::OnceLock;

use plugin_api::abi::{Call, Failure, failure_kind, operation};

use super::abi::{self, Argument, CallState, Expected, Inputs, Made, NodeArgument, Setting, Slots, Spare};
use super::checkpoint;
use super::chunks::ChunkSavers;
use super::journal;
use super::lent::Lent;
use super::link::{Link, borrow};
use super::partitions::{self, PartitionLoaders};
use super::quarantine::Quarantine;
use crate::block::layout::Format;
use crate::block::pool::{NewSegment, Pool};
use crate::ipc::channel::ChannelError;
use crate::ipc::message::{DatasetOperation, FromWorker, Operation, RunBriefing, SavedChunks, Task};
use crate::ipc::page::WorkerPage;
use crate::ipc::returns::WorkerReturns;
use crate::ipc::ring::record;
use crate::zygote::Plugins;

/// What a task did: its answer, what it made, and what it saved chunk by chunk.
type Did = (String, Made, Vec<SavedChunks>);

/// Why a task failed, and the output port whose chunks could not be saved if that is why.
struct Failed {
    failure: Failure,
    saving: Option<u32>,
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Failed {
        Failed { failure, saving: None }
    }
}

/// What performing tasks takes, and what is kept from one to the next.
pub(super) struct Worker<'a> {
    pub(super) link: &'a Link,
    pub(super) page: &'a WorkerPage,
    pub(super) plugins: &'a Plugins,
    quarantine: Quarantine,
    pub(super) spare: Spare,
    pool: Option<Pool>,
}

impl<'a> Worker<'a> {
    pub(super) fn new(link: &'a Link, page: &'a WorkerPage, plugins: &'a Plugins) -> Worker<'a> {
        Worker { link, page, plugins, quarantine: Quarantine::default(), spare: Spare::default(), pool: None }
    }

    /// Performs a task that came as a message and answers with one. An error means that the server cannot be told; a failed
    /// task is no error.
    pub(super) fn perform(&mut self, task: Task, descriptors: Vec<OwnedFd>) -> Result<(), ChannelError> {
        let token = task.token;
        self.begin(token);
        let outcome = self.run(task, descriptors);
        journal::set_token(0);
        match outcome {
            Ok((answer, made, chunks)) => self.send_made(token, answer, made, chunks),
            Err(Failed { failure, saving }) => self.send_failure(token, failure, saving),
        }
    }

    /// From now on it has memory of its own for blocks, of which it hears here what it is given back.
    pub(super) fn give_pool(&mut self, returns: WorkerReturns) {
        let server = self.link.clone_sender();
        self.pool = Some(Pool::new(returns, Box::new(move |segment| server.segment_dropped(segment))));
    }

    /// Maps another worker's segment. If that fails, it is not known, and whoever is to read it says so.
    pub(super) fn map(&self, place: u32, segment: u32, size: u64, files: &[OwnedFd]) {
        if let (Some(pool), [file]) = (&self.pool, files)
            && let Err(problem) = pool.map(place, segment, file, size)
        {
            log::warn!("cannot map a segment of {size} bytes: {problem}");
        }
    }

    /// Tells the server of the segments that something lies in and it does not know.
    pub(super) fn announce(&self, made: &Made) -> Result<(), ChannelError> {
        let Some(pool) = &self.pool else { return Ok(()) };
        made.new_segments(pool).into_iter().try_for_each(|NewSegment { number, size, part_bytes, file }| {
            let segment = NewSegment { number, size, part_bytes, file: 0 };
            self.link.send(&FromWorker::Segment(segment), &[file.as_fd()])
        })
    }

    /// Whether a plugin kept a view of an input since this was asked last.
    pub(super) fn takes_kept(&self) -> bool {
        self.spare.takes_kept()
    }

    /// What was written to is kept out of use for a while.
    pub(super) fn keep_out_of_use(&mut self, mut made: Made) {
        self.quarantine.take(made.guards());
        self.spare.give(made);
    }

    pub(super) fn begin(&self, token: u64) {
        self.page.begin(token);
        journal::set_token(token);
    }

    /// Tells what a task made, in a message.
    pub(super) fn send_made(
        &mut self,
        token: u64,
        answer: String,
        made: Made,
        chunks: Vec<SavedChunks>,
    ) -> Result<(), ChannelError> {
        self.announce(&made)?;
        let mut made = made.into_claims(&self.spare);
        let claims = std::mem::take(&mut made.claims);
        let outputs = claims.len();
        match self.link.send(&FromWorker::Done { token, outputs: claims, answer, chunks }, &borrow(&made.files)) {
            Err(ChannelError::TooLarge { size, descriptors, .. }) => {
                let message = format!(
                    "the task's {outputs} outputs do not fit into one message ({size} bytes, {descriptors} large blocks)"
                );
                self.send_failure(token, Failure::new(failure_kind::OUTPUT, message), None)?;
            }
            result => {
                result?;
                made.claim();
            }
        }
        self.quarantine.take(made.guards.into_iter());
        Ok(())
    }

    /// Tells why a task failed, in a message.
    pub(super) fn send_failure(&self, token: u64, failure: Failure, saving: Option<u32>) -> Result<(), ChannelError> {
        self.link.send(&FromWorker::Failed { token, failure: abi::task_failure(failure), saving }, &[])
    }

    /// Calls a node as a record of the ring asks for it. `inputs` are those of the record, found.
    pub(super) fn call(&self, call: &record::Call<'_>, run: &RunBriefing, inputs: Slots<'_>) -> Result<Made, Failure> {
        let plugin = abi::plugin(self.plugins, call.plugin)?;
        let node = abi::entry(plugin, "node", &plugin.description.nodes, call.node)?;
        let expected = Expected::of_node(&plugin.description.name, node);
        abi::agree(&expected, call.outputs)?;
        let argument = NodeArgument {
            run,
            plugin: &plugin.description.name,
            node,
            name: call.name,
            attempt: call.attempt,
            made: OnceLock::new(),
        };
        let setting = self.setting(Argument::OfNode(&argument), call.head.token);
        let setting = Setting { lasting: call.lasting, ..setting };
        let state = CallState::with(&setting, Inputs::given(&setting, inputs), expected);
        plugin.module.call_node()(call.node, Call::new(&state)).into_result()?;
        state.finish()
    }

    fn setting<'s>(&'s self, argument: Argument<'s>, token: u64) -> Setting<'s> {
        let setting = Setting::new(argument, token, self.page, self.link, &self.spare);
        Setting { pool: self.pool.as_ref(), ..setting }
    }

    fn run(&self, task: Task, mut descriptors: Vec<OwnedFd>) -> Result<Did, Failed> {
        let lent = match &task.operation {
            Operation::Dataset { file: Some(number), .. } => {
                Some(Lent::take(&mut descriptors, *number, &task.argument)?)
            }
            _ => None,
        };
        let Task { token, plugin, argument, operation } = task;
        match lent {
            Some(lent) => self
                .operate(token, plugin, &lent.argument, operation, descriptors)
                .map_err(|failed| Failed { failure: lent.named(failed.failure), ..failed }),
            None => self.operate(token, plugin, &argument, operation, descriptors),
        }
    }

    fn operate(
        &self,
        token: u64,
        plugin: u32,
        argument: &str,
        operation: Operation,
        descriptors: Vec<OwnedFd>,
    ) -> Result<Did, Failed> {
        let plugin = abi::plugin(self.plugins, plugin)?;
        let setting = self.setting(Argument::Given(argument), token);
        match operation {
            Operation::Confirm { dataset, partition, path } => {
                let state = CallState::new(&setting, Vec::new(), descriptors, Expected::any_of(dataset.clone(), 0))?;
                checkpoint::confirm(&dataset, &partition, &path)?;
                Ok((String::new(), state.finish()?, Vec::new()))
            }
            Operation::ListPartitions { dataset, directory, suffix, checkpoint } => {
                let of = format!("the list of partitions of `{dataset}`");
                let expected = Expected::all_of(of, vec!["data".to_owned()]);
                let state = CallState::new(&setting, Vec::new(), descriptors, expected)?;
                let (listing, metadata) = partitions::listing(&dataset, &directory, &suffix, checkpoint.as_ref())?;
                state.put(0, listing.as_bytes(), Format::Json, &metadata)?;
                Ok((String::new(), state.finish()?, Vec::new()))
            }
            Operation::Call { node, inputs, outputs, lasting, chunks, partitions: sources } => {
                let found = abi::entry(plugin, "node", &plugin.description.nodes, node)?;
                let expected = Expected::of_node(&plugin.description.name, found)
                    .with_chunks(chunks.iter().map(|chunk| chunk.port));
                abi::agree(&expected, outputs)?;
                let savers = ChunkSavers::new(self, token, chunks)?;
                let loaders = PartitionLoaders::new(self, token, sources)?;
                let setting = Setting { lasting, chunks: Some(&savers), partitions: Some(&loaders), ..setting };
                let state = CallState::new(&setting, inputs, descriptors, expected)?;
                let called = plugin.module.call_node()(node, Call::new(&state)).into_result();
                let made = called.and_then(|()| state.finish()).and_then(|made| Ok((made, savers.finish()?)));
                match made {
                    Ok((made, saved)) => Ok((String::new(), made, saved)),
                    Err(failure) => Err(Failed { failure, saving: savers.abandon() }),
                }
            }
            Operation::Dataset { dataset_type, operation, input, lasting, file: _ } => {
                let found = abi::entry(plugin, "dataset type", &plugin.description.datasets, dataset_type)?;
                let outputs = match operation {
                    DatasetOperation::Load => vec!["data".to_owned()],
                    _ => Vec::new(),
                };
                let expected =
                    Expected::all_of(format!("dataset type `{}::{}`", plugin.description.name, found.name), outputs);
                let setting = Setting { lasting, ..setting };
                let state = CallState::new(&setting, input.into_iter().collect(), descriptors, expected)?;
                let call = Call::new(&state);
                let answer = plugin.module.call_dataset()(dataset_type, number(operation), call).into_result()?;
                Ok((answer.into(), state.finish()?, Vec::new()))
            }
        }
    }
}

fn number(operation: DatasetOperation) -> u32 {
    match operation {
        DatasetOperation::Load => operation::LOAD,
        DatasetOperation::Save => operation::SAVE,
        DatasetOperation::Exists => operation::EXISTS,
        DatasetOperation::Release => operation::RELEASE,
        DatasetOperation::Describe => operation::DESCRIBE,
    }
}
