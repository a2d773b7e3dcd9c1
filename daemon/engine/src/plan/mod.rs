//! A pipeline checked against a generation and a catalog: a frozen task graph, or every problem found.

mod build;
mod calls;
mod confirms;
mod dataset;
mod draft;
mod drawing;
mod fan_out;
mod freeze;
mod handed_in;
mod keeping;
mod kinds;
mod look_up;
mod modules;
mod names;
mod node;
mod outside;
mod partitions;
mod persisted;
mod readers;
mod restrict;
mod slice;
mod slots;
mod storage;
mod task;
mod transcoding;
mod types;
mod unread;

use crate::filter::Filter;
use crate::id::{CallId, DatasetId, IdVec, Lists, Names, NodeId, ParameterId};
use crate::policy::{NodePolicy, OnFailure};

pub use build::{check, plan};
pub use calls::find_dataset_type;
pub use dataset::{Dataset, HandedInValue, Notes};
pub use handed_in::type_of as type_of_name;
pub use look_up::{Found, look_up};
pub use node::{Call, InputBinding, Node, Parameter};
pub use persisted::{Checkpoint, Partitions, Persisted};
pub use task::TaskKind;

/// A frozen task graph. Nothing in it changes while runs use it, so runs share it.
///
/// Stored flat (lists in one allocation, names in one string, ids of 4 bytes), read through views: [`Node`], [`Dataset`], [`TaskKind`].
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

    /// Gives what the pipeline itself says about failures; a run's own wish goes before it.
    pub fn on_failure(&self) -> Option<OnFailure> {
        self.on_failure
    }
}
