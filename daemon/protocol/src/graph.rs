//! A pipeline as a graph, without running it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Answer of `POST /v1/validate` when nothing is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validation {
    /// Name of the pipeline.
    pub pipeline: String,
    /// How many nodes it has.
    pub nodes: u64,
    /// How many datasets.
    pub datasets: u64,
    /// The generation it was checked against.
    pub generation: u64,
    /// What stands in nobody's way, but is hardly meant: a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// Answer of `POST /v1/graph`: nodes in the order a sequential run takes, and the datasets between them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Graph {
    /// Name of the pipeline.
    pub name: String,
    /// The nodes.
    pub nodes: Vec<GraphNode>,
    /// The datasets.
    pub datasets: Vec<GraphDataset>,
    /// All parameters, merged.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub parameters: Value,
}

/// A node of the graph.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GraphNode {
    /// Its name.
    pub name: String,
    /// What it calls: `plugin::node`.
    pub call: String,
    /// Its tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// How many steps it is away from the pipeline's inputs; nodes of one layer can run side by side.
    pub layer: u32,
    /// What its input ports are bound to, in port order; ports left open are not listed.
    pub inputs: Vec<GraphBinding>,
    /// What its output ports are bound to.
    pub outputs: Vec<GraphOutput>,
    /// The incremental datasets that it confirms when it has finished.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub confirms: Vec<String>,
}

/// An input port and what it is bound to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GraphBinding {
    /// A dataset.
    Dataset {
        /// The port.
        port: String,
        /// What the port takes: `table`, `json`, `number`, …
        #[serde(default, skip_serializing_if = "String::is_empty")]
        kind: String,
        /// The dataset.
        dataset: String,
    },
    /// A parameter.
    Parameter {
        /// The port.
        port: String,
        /// What the port takes: `table`, `json`, `number`, …
        #[serde(default, skip_serializing_if = "String::is_empty")]
        kind: String,
        /// The parameter as a pipeline writes it: `params:model.depth`, or `parameters` for all of them.
        parameter: String,
        /// Its value.
        value: Value,
    },
}

/// An output port and the dataset it makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GraphOutput {
    /// The port.
    pub port: String,
    /// What the port gives: `table`, `json`, …
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// The dataset.
    pub dataset: String,
}

/// A dataset of the graph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GraphDataset {
    /// Its name.
    pub name: String,
    /// `memory`, or the name of its dataset type.
    pub storage: String,
    /// Where it is persisted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The node that makes it; none for an input of the pipeline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub producer: Option<String>,
    /// The nodes that read it.
    #[serde(default)]
    pub consumers: Vec<String>,
    /// Whether it is a result of the pipeline.
    #[serde(default)]
    pub is_output: bool,
    /// What the catalog says about it, in a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The layer that the catalog counts it to.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub layer: String,
    /// How it may be shown, as the catalog says.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub preview: Value,
    /// The `metadata` of its catalog entry.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub metadata: Value,
}
