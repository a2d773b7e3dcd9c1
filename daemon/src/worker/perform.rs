//! One task, from the message that asks for it to the message that answers.

use std::collections::VecDeque;
use std::os::fd::{AsFd as _, OwnedFd};

use plugin_api::abi::{Call, Failure, failure_kind, operation};

use super::abi::{self, CallState, Claims, Expected, Setting};
use super::chunks::ChunkSavers;
use super::journal;
use super::lent::Lent;
use super::link::Link;
use super::partitions::{self, PartitionLoaders};
use crate::block::layout::Format;
use crate::ipc::channel::ChannelError;
use crate::ipc::message::{DatasetOperation, FromWorker, Operation, SavedChunks, Task};
use crate::ipc::page::WorkerPage;
use crate::sys::map::Guard;
use crate::zygote::Plugins;

/// Addresses of blocks that were written lately, kept out of use: a plugin that goes on writing to one, in whatever task,
/// faults instead of changing what is mapped there next. Costs address space and nothing else.
#[derive(Default)]
pub(super) struct Quarantine(VecDeque<Guard>);

impl Quarantine {
    /// A process may have 65,530 mappings; these are few.
    const GUARDS_MAX: usize = 64;

    fn take(&mut self, guards: Vec<Guard>) {
        self.0.extend(guards);
        let surplus = self.0.len().saturating_sub(Quarantine::GUARDS_MAX);
        self.0.drain(..surplus);
    }
}

/// Performs a task and answers. An error means that the server cannot be told; a failed task is no error.
pub(super) fn perform(
    link: &Link,
    page: &WorkerPage,
    plugins: &Plugins,
    task: Task,
    descriptors: Vec<OwnedFd>,
    quarantine: &mut Quarantine,
) -> Result<(), ChannelError> {
    let token = task.token;
    page.begin(token);
    journal::set_token(token);
    let outcome = run(link, page, plugins, task, descriptors);
    journal::set_token(0);
    page.begin(0);
    match outcome {
        Ok((answer, Claims { claims, files, guards }, chunks)) => {
            let borrowed: Vec<_> = files.iter().map(|file| file.as_fd()).collect();
            let outputs = claims.len();
            match link.send(&FromWorker::Done { token, outputs: claims, answer, chunks }, &borrowed) {
                Err(ChannelError::TooLarge { size, descriptors, .. }) => {
                    let message = format!(
                        "the task's {outputs} outputs do not fit into one message ({size} bytes, {descriptors} large blocks)"
                    );
                    fail(link, token, Failure::new(failure_kind::OUTPUT, message).into())?;
                }
                result => result?,
            }
            quarantine.take(guards);
            Ok(())
        }
        Err(failed) => fail(link, token, failed),
    }
}

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

fn fail(link: &Link, token: u64, Failed { failure, saving }: Failed) -> Result<(), ChannelError> {
    link.send(&FromWorker::Failed { token, failure: abi::task_failure(failure), saving }, &[])
}

fn run(
    link: &Link,
    page: &WorkerPage,
    plugins: &Plugins,
    task: Task,
    mut descriptors: Vec<OwnedFd>,
) -> Result<(String, Claims, Vec<SavedChunks>), Failed> {
    let lent = match &task.operation {
        Operation::Dataset { file: Some(number), .. } => Some(Lent::take(&mut descriptors, *number, &task.argument)?),
        _ => None,
    };
    let argument = lent.as_ref().map_or_else(|| task.argument.clone(), |lent| lent.argument.clone());
    let outcome = call(link, page, plugins, task, &argument, descriptors);
    match lent {
        Some(lent) => outcome.map_err(|failed| Failed { failure: lent.named(failed.failure), ..failed }),
        None => outcome,
    }
}

fn call(
    link: &Link,
    page: &WorkerPage,
    plugins: &Plugins,
    task: Task,
    argument: &str,
    descriptors: Vec<OwnedFd>,
) -> Result<(String, Claims, Vec<SavedChunks>), Failed> {
    let plugin = abi::plugin(plugins, task.plugin)?;
    let setting =
        Setting { argument, token: task.token, page, reserve: link, chunks: None, partitions: None, is_inner: false };
    match task.operation {
        Operation::ListPartitions { dataset, directory, suffix } => {
            let expected = Expected::all_of(format!("the list of partitions of `{dataset}`"), vec!["data".to_owned()]);
            let state = CallState::new(setting, Vec::new(), descriptors, expected)?;
            let (listing, metadata) = partitions::listing(&dataset, &directory, &suffix)?;
            state.put(0, listing.as_bytes(), Format::Json, &metadata)?;
            Ok((String::new(), state.finish()?, Vec::new()))
        }
        Operation::Call { node, inputs, outputs, chunks, partitions: sources } => {
            let found = abi::entry(plugin, "node", &plugin.description.nodes, node)?;
            let expected = Expected::all_of(
                format!("node `{}::{}`", plugin.description.name, found.name),
                found.outputs.iter().map(|port| port.name.clone()).collect(),
            )
            .with_chunks(chunks.iter().map(|chunk| chunk.port));
            abi::agree(&expected, outputs)?;
            let savers = ChunkSavers::new(link, page, plugins, task.token, chunks)?;
            let loaders = PartitionLoaders::new(link, page, plugins, task.token, sources)?;
            let setting = Setting { chunks: Some(&savers), partitions: Some(&loaders), ..setting };
            let state = CallState::new(setting, inputs, descriptors, expected)?;
            let called = plugin.module.call_node()(node, Call::new(&state)).into_result();
            let made = called.and_then(|()| state.finish()).and_then(|claims| Ok((claims, savers.finish()?)));
            match made {
                Ok((claims, saved)) => Ok((String::new(), claims, saved)),
                Err(failure) => Err(Failed { failure, saving: savers.abandon() }),
            }
        }
        Operation::Dataset { dataset_type, operation, input, file: _ } => {
            let found = abi::entry(plugin, "dataset type", &plugin.description.datasets, dataset_type)?;
            let outputs = match operation {
                DatasetOperation::Load => vec!["data".to_owned()],
                _ => Vec::new(),
            };
            let expected =
                Expected::all_of(format!("dataset type `{}::{}`", plugin.description.name, found.name), outputs);
            let state = CallState::new(setting, input.into_iter().collect(), descriptors, expected)?;
            let call = Call::new(&state);
            let answer = plugin.module.call_dataset()(dataset_type, number(operation), call).into_result()?;
            Ok((answer.into(), state.finish()?, Vec::new()))
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
