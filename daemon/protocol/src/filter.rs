//! Which nodes of a pipeline shall run.

use serde::{Deserialize, Serialize};

/// Filters that intersect: a node runs when every filter that is given takes it. Each looks at the whole pipeline; within one
/// of them any of its names is enough. Names that the pipeline does not have are refused, and so is a filter that leaves nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Filter {
    /// Nodes with one of these tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// These nodes and everything that depends on them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub from_nodes: Vec<String>,
    /// These nodes and everything they depend on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub to_nodes: Vec<String>,
    /// Exactly these nodes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<String>,
    /// The readers of these datasets or parameters, and everything that depends on them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub from_inputs: Vec<String>,
    /// The makers of these datasets, and everything they depend on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub to_outputs: Vec<String>,
    /// The nodes of these namespaces (what stands before the last dot of a node's name), and of those inside them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
}

impl Filter {
    /// Says whether it takes every node.
    pub fn is_empty(&self) -> bool {
        *self == Filter::default()
    }
}
