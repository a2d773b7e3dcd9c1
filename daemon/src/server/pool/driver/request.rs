//! From a task of a plan to the message that a worker gets.
#![forbid(unsafe_code)]

use std::sync::Arc;

use engine::failure::{Failure, FailureKind};
use engine::id::{Attempt, DatasetId};
use engine::plan::{Checkpoint, Dataset, InputBinding, Node, Persisted, TaskKind};

use super::failure::Subject;
use crate::ipc::client::{Input, TaskOperation};
use crate::ipc::message::{CheckpointFile, ChunkPort, DatasetOperation, Lasting, PartitionSource};
use crate::server::json::{JsonObject, array, list};
use crate::server::pool::Job;
use crate::server::pool::pace::Kind;
use crate::server::runs::Run;

/// A task with everything that is known of it before it runs.
#[derive(Debug)]
pub enum Work<'a> {
    /// Call this node.
    Call(Node<'a>),
    /// Load this dataset.
    Load(Dataset<'a>, &'a Persisted),
    /// Save this dataset.
    Save(Dataset<'a>, &'a Persisted),
    /// Note how far this incremental dataset was processed: up to the last partition that this run found when it listed them, never to
    /// what came since.
    Confirm(Dataset<'a>, &'a Persisted),
}

impl<'a> Work<'a> {
    /// Looks a task up; nothing if the plan does not know it, which cannot happen to what the engine dispatches.
    pub fn of(run: &'a Run, kind: TaskKind) -> Option<Work<'a>> {
        let persisted = |id: DatasetId| {
            let dataset = run.plan.dataset(id)?;
            let storage = dataset.storage?;
            Some((dataset, storage))
        };
        Some(match kind {
            TaskKind::Call(id) => Work::Call(run.plan.node(id)?),
            TaskKind::Load(id) => {
                let (dataset, storage) = persisted(id)?;
                Work::Load(dataset, storage)
            }
            TaskKind::Save(id) => {
                let (dataset, storage) = persisted(id)?;
                Work::Save(dataset, storage)
            }
            TaskKind::Confirm(id) => {
                let (dataset, storage) = persisted(id)?;
                Work::Confirm(dataset, storage)
            }
        })
    }

    /// The same, of a job.
    pub fn of_job(job: &'a Job) -> Option<Work<'a>> {
        Work::of(&job.run, job.run.plan.task(job.task)?)
    }

    /// What failures are about.
    pub fn subject(&self, worker: u32) -> Subject {
        let (doing, plugin) = match self {
            Work::Call(node) => {
                (format!("running node \"{}\" ({})", node.name, node.call.label), &node.call.plugin_name)
            }
            Work::Load(dataset, storage) => (doing_dataset("loading", dataset.name, storage), &storage.plugin_name),
            Work::Save(dataset, storage) => (doing_dataset("saving", dataset.name, storage), &storage.plugin_name),
            Work::Confirm(dataset, storage) => {
                (doing_dataset("confirming", dataset.name, storage), &storage.plugin_name)
            }
        };
        Subject { doing, plugin: plugin.clone(), worker }
    }

    /// Position of the plugin in the manifest.
    pub fn plugin(&self) -> u32 {
        match self {
            Work::Call(node) => node.call.plugin,
            Work::Load(_, storage) | Work::Save(_, storage) | Work::Confirm(_, storage) => storage.plugin,
        }
    }

    /// The name that log lines carry: the node's, or the dataset's that is loaded or saved.
    pub fn name(&self) -> &'a str {
        match self {
            Work::Call(node) => node.name,
            Work::Load(dataset, _) | Work::Save(dataset, _) | Work::Confirm(dataset, _) => dataset.name,
        }
    }

    /// The plugin whose code runs.
    pub fn plugin_name(&self) -> &'a str {
        match self {
            Work::Call(node) => &node.call.plugin_name,
            Work::Load(_, storage) | Work::Save(_, storage) | Work::Confirm(_, storage) => &storage.plugin_name,
        }
    }

    /// What it has in common with others that take as long.
    pub fn pace_kind(&self) -> Kind {
        match self {
            Work::Call(node) => Kind::node(node.call.plugin, node.call.node),
            Work::Load(_, storage) | Work::Save(_, storage) | Work::Confirm(_, storage) => {
                Kind::dataset(storage.plugin, storage.dataset_type)
            }
        }
    }

    /// How many output ports there are: a load makes its dataset on port 0, a save makes nothing.
    pub fn outputs_count(&self) -> usize {
        match self {
            Work::Call(node) => node.outputs.len(),
            Work::Load(..) => 1,
            Work::Save(..) | Work::Confirm(..) => 0,
        }
    }

    /// What an output port makes; nothing if it is not bound.
    pub fn output(&self, port: usize) -> Option<DatasetId> {
        match self {
            Work::Call(node) => node.outputs.get(port).copied().flatten(),
            Work::Load(dataset, _) => (port == 0).then_some(dataset.id),
            Work::Save(..) | Work::Confirm(..) => None,
        }
    }

    /// What it makes that may be read when the run is over: outputs of the pipeline, and resident datasets. They get files of their own, sealed
    /// for ever; everything else lies in memory that is used again.
    pub fn lasting(&self, run: &Run) -> Lasting {
        match self {
            Work::Call(node) => {
                let mut lasting = Lasting::NONE;
                for (port, made) in node.outputs.iter().enumerate() {
                    if made.is_some_and(|made| run.plan.is_output(made) && run.leaves(made)) {
                        lasting.add(port);
                    }
                }
                lasting
            }
            Work::Load(dataset, storage) if dataset.is_output || storage.resident => Lasting::ALL,
            Work::Load(..) | Work::Save(..) | Work::Confirm(..) => Lasting::NONE,
        }
    }

    /// What the input ports get.
    pub fn inputs(&self, run: &Run, subject: &Subject) -> Result<Vec<Input>, Failure> {
        let block = |id: DatasetId| {
            run.block(id).map(Input::Block).ok_or_else(|| {
                let name = run.plan.dataset(id).map_or("?", |dataset| dataset.name);
                // The engine dispatches a task only when its inputs are there: this would be our own mistake.
                subject.failure(
                    FailureKind::Protocol,
                    format!("the dataset {name:?} is not in memory; this is a mistake in dagd"),
                )
            })
        };
        match self {
            Work::Call(node) => node
                .inputs
                .iter()
                .map(|input| match input {
                    None => Ok(Input::Absent),
                    Some(InputBinding::Dataset(id)) => block(*id),
                    Some(InputBinding::Parameter(id)) => Ok(Input::Json(
                        run.plan.parameter(*id).map_or_else(|| "null".to_owned(), |value| value.json.clone()),
                    )),
                })
                .collect(),
            Work::Load(..) | Work::Confirm(..) => Ok(Vec::new()),
            Work::Save(dataset, _) => Ok(vec![block(dataset.id)?]),
        }
    }

    /// The operation, with these inputs.
    pub fn operation(
        &self,
        run: &Run,
        inputs: Vec<Input>,
        chunks: Vec<ChunkPort>,
        partitions: Vec<PartitionSource>,
    ) -> TaskOperation {
        match self {
            Work::Call(node) => TaskOperation::Call {
                node: node.call.node,
                inputs,
                outputs: u32::try_from(node.outputs.len()).unwrap_or(u32::MAX),
                lasting: self.lasting(run),
                chunks,
                partitions,
            },
            Work::Load(dataset, Persisted { path, partitions: Some(partitions), .. }) => {
                TaskOperation::ListPartitions {
                    dataset: dataset.name.to_owned(),
                    directory: path.clone(),
                    suffix: partitions.suffix.clone(),
                    checkpoint: partitions.checkpoint.as_ref().map(checkpoint_file),
                }
            }
            Work::Load(dataset, storage) => TaskOperation::Dataset {
                dataset_type: storage.dataset_type,
                operation: DatasetOperation::Load,
                input: None,
                lasting: self.lasting(run),
                file: run.upload(dataset.id).map(|upload| Arc::clone(&upload.file)),
            },
            Work::Save(_, storage) => TaskOperation::Dataset {
                dataset_type: storage.dataset_type,
                operation: DatasetOperation::Save,
                input: inputs.into_iter().next(),
                lasting: Lasting::NONE,
                file: None,
            },
            Work::Confirm(dataset, storage) => TaskOperation::Confirm {
                dataset: dataset.name.to_owned(),
                partition: run.last_partition(dataset.id).unwrap_or_default(),
                path: checkpoint(storage).map(|checkpoint| checkpoint.path.clone()).unwrap_or_default(),
            },
        }
    }

    /// What the partitions of a call's inputs are loaded by.
    pub fn partitions(&self, run: &Run, attempt: Attempt, worker: u32) -> Vec<PartitionSource> {
        let Work::Call(node) = self else { return Vec::new() };
        let source = |input: &Option<InputBinding>| {
            let Some(InputBinding::Dataset(id)) = input else { return None };
            let dataset = run.plan.dataset(*id)?;
            let storage = dataset.storage?;
            Some(PartitionSource {
                dataset: dataset.name.to_owned(),
                plugin: storage.plugin,
                dataset_type: storage.dataset_type,
                argument: Work::Load(dataset, storage).argument(run, attempt, worker),
                suffix: storage.partitions.as_ref()?.suffix.clone(),
            })
        };
        node.inputs.iter().filter_map(source).collect()
    }

    /// The call's argument, JSON. Written by hand: values are JSON text already and need not be parsed first.
    pub fn argument(&self, run: &Run, attempt: Attempt, worker: u32) -> String {
        self.argument_in(run, attempt, worker, None)
    }

    /// The same, with the name of the session that the chunks of a save belong to.
    pub fn argument_in(&self, run: &Run, attempt: Attempt, worker: u32, session: Option<&str>) -> String {
        let mut json = JsonObject::new();
        json.text("run", &run.id);
        match self {
            Work::Call(node) => {
                json.text("node", node.name);
                json.text("plugin", &node.call.plugin_name);
                json.text("call", &node.call.node_name);
                json.raw("attempt", &attempt.to_string());
                json.raw("worker", &worker.to_string());
                json.raw("parameters", run.plan.parameters_json());
                json.raw("ports", &list(node.call.inputs.iter().map(String::as_str)));
                let chunked =
                    (0..).zip(node.outputs).filter(|(_, made)| made.is_some_and(|made| run.plan.is_chunked(made)));
                let chunked: Vec<String> = chunked.map(|(port, _): (u32, _)| port.to_string()).collect();
                if !chunked.is_empty() {
                    json.raw("chunked", &array(chunked.into_iter()));
                }
            }
            Work::Load(dataset, storage) | Work::Save(dataset, storage) | Work::Confirm(dataset, storage) => {
                describe_storage(&mut json, dataset.name, storage);
                json.raw("attempt", &attempt.to_string());
                json.raw("worker", &worker.to_string());
                if let (Work::Save(..), Some(producer)) = (self, dataset.producer.and_then(|id| run.plan.node(id))) {
                    json.text("node", producer.name);
                }
                if let Some(session) = session {
                    json.text("session", session);
                }
            }
        }
        json.end()
    }
}

impl Job {
    /// What it has in common with others that take as long.
    pub fn pace_kind(&self) -> Option<Kind> {
        match self.run.plan.task(self.task)? {
            // Most are this, and are asked for it one by one.
            TaskKind::Call(node) => self.run.plan.call(node).map(|call| Kind::node(call.plugin, call.node)),
            kind => Work::of(&self.run, kind).map(|work| work.pace_kind()),
        }
    }
}

fn checkpoint(storage: &Persisted) -> Option<&Checkpoint> {
    storage.partitions.as_ref()?.checkpoint.as_ref()
}

/// The checkpoint, for a worker.
fn checkpoint_file(checkpoint: &Checkpoint) -> CheckpointFile {
    let Checkpoint { path, from, inclusive } = checkpoint;
    CheckpointFile { path: path.clone(), from: from.clone(), inclusive: *inclusive }
}

/// What a dataset type is told of a dataset, whatever it is asked to do with it.
pub fn describe_storage(json: &mut JsonObject, dataset: &str, storage: &Persisted) {
    json.text("dataset", dataset);
    json.text("path", &storage.path);
    json.raw("options", &options(storage));
}

/// The options with the credentials among them, as dataset types expect them.
fn options(storage: &Persisted) -> String {
    if storage.credentials.is_empty() {
        return storage.options_json.clone();
    }
    let credentials = storage.credentials.expose();
    match storage.options_json.trim_end().strip_suffix('}') {
        Some("{") | None => format!("{{\"credentials\":{credentials}}}"),
        Some(others) => format!("{others},\"credentials\":{credentials}}}"),
    }
}

/// What is done with a dataset, in words.
pub fn doing_dataset(verb: &str, dataset: &str, storage: &Persisted) -> String {
    if storage.path.is_empty() {
        format!("{verb} dataset \"{}\" ({})", dataset, storage.type_name)
    } else {
        format!("{verb} dataset \"{}\" ({} at {})", dataset, storage.type_name, storage.path)
    }
}
