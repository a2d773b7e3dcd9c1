//! A pipeline checked against a generation and a catalog: a frozen task graph, or every problem found.

mod build;
mod calls;
mod confirms;
mod draft;
mod fan_out;
mod freeze;
mod handed_in;
mod keeping;
mod kinds;
mod look_up;
mod modules;
mod names;
mod outside;
mod partitions;
mod ports;
mod restrict;
mod slice;
mod slots;
mod storage;
mod transcoding;
mod types;
mod unread;

use crate::credentials::Secret;
use crate::filter::Filter;
use crate::id::{CallId, DatasetId, Id, IdVec, Lists, Names, NodeId, ParameterId, TaskId};
use crate::parse;
use crate::policy::{NodePolicy, OnFailure, RunPolicy};
use crate::problem::Problem;
use crate::schema::Schema;
use crate::signature::Manifest;
use crate::source::Sources;
use crate::version;

pub use build::plan;
pub use handed_in::type_of as type_of_name;
pub use look_up::{Found, look_up};

/// A frozen task graph. Nothing in it changes while runs use it, so runs share it.
///
/// Stored flat (lists in one allocation, names in one string, ids of 4 bytes), read through the views below.
#[derive(Clone, Debug)]
pub struct Plan {
    name: String,
    calls: IdVec<CallId, Call>,
    policies: Vec<NodePolicy>,
    tag_sets: Vec<Vec<String>>,
    defaults: NodePolicy,
    on_failure: Option<OnFailure>,
    parameters: IdVec<ParameterId, Parameter>,
    parameters_json: String,
    layer_count: u32,
    node_names: Names<NodeId>,
    nodes: IdVec<NodeId, NodeCore>,
    inputs: Lists<NodeId, Option<InputBinding>>,
    outputs: Lists<NodeId, Option<DatasetId>>,
    /// The datasets a node reads, each once.
    reads: Lists<NodeId, DatasetId>,
    /// The datasets a node confirms; it reads them, too.
    confirms: Lists<NodeId, DatasetId>,
    /// The k-th of these has task number `nodes + tasks + k`: this node's confirmation of this dataset. In the datasets' order.
    confirm_tasks: Vec<(DatasetId, NodeId)>,
    dataset_names: Names<DatasetId>,
    datasets: IdVec<DatasetId, DatasetCore>,
    consumers: Lists<DatasetId, NodeId>,
    /// For each dataset that is saved: those that are loaded from what was saved.
    again: Lists<DatasetId, DatasetId>,
    persisted: Vec<(DatasetId, Persisted)>,
    /// Datasets that exist from the start: values handed in with the run.
    values: Vec<(DatasetId, HandedInValue)>,
    /// In the order of their ids; most datasets have none.
    notes: Vec<(DatasetId, Notes)>,
    load_versions: Vec<(String, String)>,
    /// The k-th of these datasets has task number `nodes + k`: its load if nothing makes it, else its save.
    tasks: Vec<DatasetId>,
    warnings: Vec<String>,
}

#[derive(Clone, Copy, Debug)]
struct NodeCore {
    call: CallId,
    policy: u32,
    tags: u32,
    layer: u32,
}

#[derive(Clone, Copy, Debug)]
struct DatasetCore {
    /// A `NodeId`, or [`NONE`].
    producer: u32,
    /// A position in `Plan::persisted`, or [`NONE`].
    persisted: u32,
    /// A position in `Plan::tasks`, or [`NONE`].
    task: u32,
    /// A `DatasetId`, or [`NONE`].
    origin: u32,
}

const NONE: u32 = u32::MAX;

/// One node of a plan.
#[derive(Clone, Copy, Debug)]
pub struct Node<'a> {
    /// Its id.
    pub id: NodeId,
    /// Its name in the pipeline.
    pub name: &'a str,
    /// The plugin node it calls.
    pub call: &'a Call,
    /// What each input port is bound to, in port order; nothing for an optional port left out.
    pub inputs: &'a [Option<InputBinding>],
    /// What each output port makes, in port order.
    pub outputs: &'a [Option<DatasetId>],
    /// Retries and time-out.
    pub policy: &'a NodePolicy,
    /// Its tags.
    pub tags: &'a [String],
    /// Its layer, from 0.
    pub layer: u32,
}

/// A plugin node that a plan calls.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Call {
    /// Position of the plugin in the manifest.
    pub plugin: u32,
    /// Position of the node in its plugin.
    pub node: u32,
    /// `plugin::node`, for people.
    pub label: String,
    /// The plugin's name.
    pub plugin_name: String,
    /// The node's name within the plugin.
    pub node_name: String,
    /// Names of the input ports.
    pub inputs: Vec<String>,
    /// Names of the output ports.
    pub outputs: Vec<String>,
    /// Kinds of the input ports: `table`, `json`, …
    pub input_kinds: Vec<String>,
    /// Kinds of the output ports.
    pub output_kinds: Vec<String>,
}

/// What an input port is bound to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InputBinding {
    /// A dataset's block.
    Dataset(DatasetId),
    /// A value known since planning: [`Plan::parameter`].
    Parameter(ParameterId),
}

/// A bound parameter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parameter {
    /// Its name as written: `params:model`, `parameters`.
    pub name: String,
    /// Its value as JSON text.
    pub json: String,
}

/// One dataset of a plan.
#[derive(Clone, Copy, Debug)]
pub struct Dataset<'a> {
    /// Its id.
    pub id: DatasetId,
    /// Its name.
    pub name: &'a str,
    /// Where it lives beyond memory; nothing for shared memory only.
    pub storage: Option<&'a Persisted>,
    /// Whether the call that makes it saves it chunk by chunk: it has no save task and never a block, and whoever reads it
    /// reads it again.
    pub chunked: bool,
    /// The node that makes its block; nothing when that is loaded: an input of the pipeline, or what has an `origin`.
    pub producer: Option<NodeId>,
    /// The dataset whose save the load of this one waits for, as it is read again from there. Of one that is `reread` the
    /// name is the same, so a name may stand for two datasets: the one that a node makes, and the one that others read.
    pub origin: Option<DatasetId>,
    /// The nodes that read it, each once, in order.
    pub consumers: &'a [NodeId],
    /// Whether it is an output of the pipeline: made, and read by no node, from memory or again. Never released by the run.
    pub is_output: bool,
}

/// A value handed in with the run: a dataset that is there before anything runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HandedInValue {
    /// The value: JSON, or what its JSON string says where its readers take plain text.
    pub text: String,
    /// Whether it is plain text.
    pub is_text: bool,
}

/// Where and how a dataset is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Persisted {
    /// Position of the plugin in the manifest.
    pub plugin: u32,
    /// Position of the dataset type in its plugin.
    pub dataset_type: u32,
    /// The type's name: `csv`.
    pub type_name: String,
    /// The plugin's name.
    pub plugin_name: String,
    /// The path, relative ones already joined to the base directory; empty when the entry has none.
    pub path: String,
    /// The type's options as a JSON object.
    pub options_json: String,
    /// Whether each run saves a version of its own below `path`.
    pub versioned: bool,
    /// The version that `path` leads to; empty until [`Plan::set_version`], and for good where it is not versioned.
    pub version: String,
    /// The name of its credentials; empty when it has none.
    pub credentials_name: String,
    /// What the type gets as `credentials` among its options.
    pub credentials: Secret,
    /// The columns that it must have.
    pub schema: Option<Schema>,
    /// Whether its type is to be told when the run needs it no more.
    pub releases: bool,
    /// Whether a load of it is shared by all runs: the caller keeps the block beyond the run's release of it.
    pub resident: bool,
    /// Whether its bytes were handed in with the run; then the path is their name, for people only.
    pub is_handed_in: bool,
    /// What is said of its partitions, where the path is a directory of them.
    pub partitions: Option<Partitions>,
}

/// A dataset of many files.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Partitions {
    /// What the files' names end in.
    pub suffix: String,
    /// Whether what a node makes takes the place of all partitions that were there.
    pub overwrite: bool,
    /// Where it is kept how far they were processed, if only new ones are loaded.
    pub checkpoint: Option<Checkpoint>,
}

/// How far an incremental dataset was processed: the name of the last partition that was confirmed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checkpoint {
    /// The file that says so.
    pub path: String,
    /// What counts instead of what the file says.
    pub from: Option<String>,
    /// Whether the last confirmed partition is loaded once more.
    pub inclusive: bool,
}

/// What a catalog entry says about a dataset beyond how it is kept: for people and other programs.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Notes {
    /// A sentence about it; empty when there is none.
    pub description: String,
    /// The layer that people count it to; empty when there is none.
    pub layer: String,
    /// How it may be shown, as JSON; empty when nothing is said.
    pub preview_json: String,
    /// The entry's `metadata` as a JSON object; empty when there is none.
    pub metadata_json: String,
}

/// What a task does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TaskKind {
    /// Loads a persisted dataset into a block.
    Load(DatasetId),
    /// Calls a node.
    Call(NodeId),
    /// Saves a block to a persisted dataset.
    Save(DatasetId),
    /// Notes that the partitions which the run found in an incremental dataset are done.
    Confirm(DatasetId),
}

/// What planning needs to know beside the pipeline.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PlanOptions {
    /// How many workers a run may use; with more than one, `single_process` dataset types are refused. Nothing means several.
    pub workers: Option<u32>,
    /// Which of the nodes shall run.
    pub filter: Filter,
}

impl Plan {
    /// Gives the pipeline's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Gives what a person ought to know though nothing stands in the way: a sentence each.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Counts the nodes.
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// Counts the datasets.
    pub fn dataset_count(&self) -> usize {
        self.datasets.len()
    }

    /// Counts the tasks: loads, calls, saves, confirmations.
    pub fn task_count(&self) -> usize {
        self.nodes.len() + self.tasks.len() + self.confirm_tasks.len()
    }

    /// Counts the layers: the nodes on the longest path.
    pub fn layer_count(&self) -> usize {
        self.layer_count as usize
    }

    /// Walks over the nodes in topological order: layer by layer, by name within one.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = Node<'_>> {
        self.nodes.iter().map(|(id, core)| self.node_view(id, core))
    }

    /// Walks over the datasets, in the order the pipeline first names them.
    pub fn datasets(&self) -> impl ExactSizeIterator<Item = Dataset<'_>> {
        self.datasets.iter().map(|(id, core)| self.dataset_view(id, core))
    }

    /// Walks over the datasets that exist from the start, as their values were handed in with the run. The caller has
    /// their blocks before it starts the run, and is asked to release them as any others.
    pub fn values(&self) -> impl ExactSizeIterator<Item = (DatasetId, &HandedInValue)> {
        self.values.iter().map(|(dataset, value)| (*dataset, value))
    }

    /// Walks over the tasks.
    pub fn tasks(&self) -> impl Iterator<Item = (TaskId, TaskKind)> {
        (0..self.task_count()).map(TaskId::from_index).filter_map(|id| Some((id, self.task(id)?)))
    }

    /// Gives a node; nothing when the id is not one of this plan's.
    pub fn node(&self, id: NodeId) -> Option<Node<'_>> {
        self.nodes.get(id).map(|core| self.node_view(id, core))
    }

    /// Gives what a node calls; nothing when the id is not one of this plan's.
    pub fn call(&self, id: NodeId) -> Option<&Call> {
        self.nodes.get(id).map(|core| &self.calls[core.call])
    }

    /// Gives a dataset; nothing when the id is not one of this plan's.
    pub fn dataset(&self, id: DatasetId) -> Option<Dataset<'_>> {
        self.datasets.get(id).map(|core| self.dataset_view(id, core))
    }

    /// Gives what a task does; nothing when the id is not one of this plan's.
    pub fn task(&self, id: TaskId) -> Option<TaskKind> {
        let Some(position) = id.index().checked_sub(self.nodes.len()) else {
            return Some(TaskKind::Call(NodeId(id.0)));
        };
        if let Some(position) = position.checked_sub(self.tasks.len()) {
            return self.confirm_tasks.get(position).map(|&(dataset, _)| TaskKind::Confirm(dataset));
        }
        let &dataset = self.tasks.get(position)?;
        let made = self.datasets.get(dataset)?.producer != NONE;
        Some(if made { TaskKind::Save(dataset) } else { TaskKind::Load(dataset) })
    }

    /// Gives the task that calls a node; nothing when the id is not one of this plan's.
    pub fn call_of(&self, node: NodeId) -> Option<TaskId> {
        self.nodes.get(node).map(|_| TaskId(node.0))
    }

    /// Says whether a dataset is kept beyond memory, whoever saves it.
    pub fn is_persisted(&self, dataset: DatasetId) -> bool {
        self.datasets.get(dataset).is_some_and(|core| core.persisted != NONE)
    }

    /// Gives the task that loads or saves a dataset; nothing where it lives in memory only, or is saved by the call that makes it.
    pub fn task_of(&self, dataset: DatasetId) -> Option<TaskId> {
        let position = self.datasets.get(dataset)?.task;
        (position != NONE).then(|| TaskId::from_index(self.nodes.len() + position as usize))
    }

    /// Gives the datasets that a node reads, each once, however many of its ports they are bound to.
    pub fn reads(&self, node: NodeId) -> &[DatasetId] {
        self.reads.get(node)
    }

    /// Gives what each output port of a node makes; nothing for one that is not bound.
    pub fn outputs(&self, node: NodeId) -> &[Option<DatasetId>] {
        self.outputs.get(node)
    }

    /// Gives what a node's output ports make.
    pub fn makes(&self, node: NodeId) -> impl Iterator<Item = DatasetId> {
        self.outputs.get(node).iter().copied().flatten()
    }

    /// Gives the version that `--load-versions` asks for.
    pub fn load_version(&self, dataset: DatasetId) -> Option<&str> {
        let name = self.dataset_names.get(dataset);
        self.load_versions.iter().find(|(dataset, _)| dataset == name).map(|(_, version)| &**version)
    }

    /// Gives all that `--load-versions` asks for: dataset and version.
    pub fn load_versions(&self) -> &[(String, String)] {
        &self.load_versions
    }

    /// Says which version of a versioned dataset is loaded or saved; its path leads to that one from now on.
    pub fn set_version(&mut self, dataset: DatasetId, version: &str) {
        let Some(core) = self.datasets.get(dataset) else { return };
        if let Some((_, persisted)) = self.persisted.get_mut(core.persisted as usize)
            && persisted.versioned
            && persisted.version.is_empty()
        {
            persisted.path = version::path_of(&persisted.path, version);
            persisted.version = version.to_owned();
        }
    }

    /// Walks over the secrets that datasets of this plan get.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        self.persisted.iter().map(|(_, persisted)| &persisted.credentials).filter(|secret| !secret.is_empty())
    }

    /// Gives what the catalog says about a dataset beyond how it is kept; nothing where it says nothing.
    pub fn notes(&self, dataset: DatasetId) -> Option<&Notes> {
        let position = self.notes.binary_search_by_key(&dataset, |(dataset, _)| *dataset).ok()?;
        self.notes.get(position).map(|(_, notes)| notes)
    }

    /// Says whether the call that makes a dataset saves it, chunk by chunk.
    pub fn is_chunked(&self, dataset: DatasetId) -> bool {
        self.datasets.get(dataset).is_some_and(|core| core.persisted != NONE && core.task == NONE)
    }

    /// Gives the nodes that read a dataset, each once.
    pub fn consumers(&self, dataset: DatasetId) -> &[NodeId] {
        self.consumers.get(dataset)
    }

    /// Gives the node that makes a dataset; nothing for an input of the pipeline.
    pub fn producer(&self, dataset: DatasetId) -> Option<NodeId> {
        self.datasets.get(dataset).map(|core| core.producer).filter(|&producer| producer != NONE).map(NodeId)
    }

    /// Gives the node that a dataset waits for: its producer, or that of the dataset it is read again from; nothing for an
    /// input of the pipeline.
    pub fn maker(&self, dataset: DatasetId) -> Option<NodeId> {
        self.producer(self.origin(dataset).unwrap_or(dataset))
    }

    /// Gives the dataset whose save the load of this one waits for.
    pub fn origin(&self, dataset: DatasetId) -> Option<DatasetId> {
        self.datasets.get(dataset).map(|core| core.origin).filter(|&origin| origin != NONE).map(DatasetId)
    }

    /// Gives the datasets that are loaded from what this one was saved to.
    pub fn again(&self, dataset: DatasetId) -> &[DatasetId] {
        self.again.get(dataset)
    }

    /// Walks over the nodes that read what a node makes, from memory or again, once for each dataset they read.
    pub fn readers(&self, node: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        let read = |dataset| std::iter::once(dataset).chain(self.again(dataset).iter().copied());
        self.makes(node).flat_map(read).flat_map(|dataset| self.consumers(dataset)).copied()
    }

    /// Walks over the datasets as people count them: of a name that stands for two only the one that is made.
    pub fn named_datasets(&self) -> impl Iterator<Item = Dataset<'_>> {
        let name =
            |dataset: Dataset<'_>| dataset.origin.is_some_and(|origin| self.dataset_names.get(origin) == dataset.name);
        self.datasets().filter(move |dataset| !name(*dataset))
    }

    /// Gives the policy of a node; the pipeline's own when the id is not one of this plan's.
    pub fn policy(&self, node: NodeId) -> &NodePolicy {
        let policy = self.nodes.get(node).and_then(|core| self.policies.get(core.policy as usize));
        policy.unwrap_or(&self.defaults)
    }

    /// Gives the policy for what belongs to no node: loads.
    pub fn default_policy(&self) -> &NodePolicy {
        &self.defaults
    }

    /// Gives a bound parameter.
    pub fn parameter(&self, id: ParameterId) -> Option<&Parameter> {
        self.parameters.get(id)
    }

    /// Gives all parameters, merged, as one JSON object.
    pub fn parameters_json(&self) -> &str {
        &self.parameters_json
    }

    /// Finds a node by its name. Linear: for people's requests, not for the hot path.
    pub fn find_node(&self, name: &str) -> Option<NodeId> {
        self.nodes.ids().find(|&id| self.node_names.get(id) == name)
    }

    /// Finds a dataset by its name. Linear: for people's requests, not for the hot path.
    pub fn find_dataset(&self, name: &str) -> Option<DatasetId> {
        self.datasets.ids().find(|&id| self.dataset_names.get(id) == name)
    }

    /// Gives what the pipeline itself says about failures; a run's own wish goes before it.
    pub fn on_failure(&self) -> Option<OnFailure> {
        self.on_failure
    }

    /// Gives the run policy that the pipeline itself asks for; the caller lays a run's own wishes over it.
    pub fn run_policy(&self) -> RunPolicy {
        RunPolicy { on_failure: self.on_failure.unwrap_or_default(), ..RunPolicy::default() }
    }

    /// Says whether a dataset is an output of the pipeline: made by a node, and read by none. False for an unknown one.
    pub fn is_output(&self, id: DatasetId) -> bool {
        self.datasets.get(id).is_some_and(|core| core.producer != NONE)
            && self.consumers.get(id).is_empty()
            && self.again(id).is_empty()
    }

    fn node_view<'p>(&'p self, id: NodeId, core: &NodeCore) -> Node<'p> {
        Node {
            id,
            name: self.node_names.get(id),
            call: &self.calls[core.call],
            inputs: self.inputs.get(id),
            outputs: self.outputs.get(id),
            policy: self.policy(id),
            tags: self.tag_sets.get(core.tags as usize).map_or(&[], Vec::as_slice),
            layer: core.layer,
        }
    }

    fn dataset_view<'p>(&'p self, id: DatasetId, core: &DatasetCore) -> Dataset<'p> {
        let consumers = self.consumers.get(id);
        Dataset {
            id,
            name: self.dataset_names.get(id),
            storage: self.persisted.get(core.persisted as usize).map(|(_, persisted)| persisted),
            chunked: self.is_chunked(id),
            producer: self.producer(id),
            origin: self.origin(id),
            consumers,
            is_output: self.is_output(id),
        }
    }
}

/// Finds a dataset type by its name, `csv` or `formats::csv`: the positions of its plugin and of itself, and the plugin's name.
///
/// # Errors
/// What is wrong with the name, with the types there are.
pub fn find_dataset_type(manifest: &Manifest, name: &str) -> Result<(u32, u32, String), Problem> {
    match calls::find_type(manifest, name)? {
        Some((plugin, dataset_type, signature, _)) => Ok((plugin, dataset_type, signature.name.clone())),
        None => Err(Problem::new("unknown-type", "nothing can be written as \"memory\"")),
    }
}

/// Parses and plans: a frozen plan, or every problem of both steps together, in the order of the files.
///
/// # Errors
/// Every problem found.
pub fn check(sources: &Sources, manifest: &Manifest, options: &PlanOptions) -> Result<Plan, Vec<Problem>> {
    let (spec, mut problems) = parse::parse(sources);
    let planned = build::plan_with(&spec, manifest, options, &mut problems);
    match planned {
        Some(plan) if problems.is_empty() => Ok(plan),
        _ => Err(problems.finish(&spec.texts)),
    }
}
