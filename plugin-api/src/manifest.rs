//! What a plugin says about itself: its nodes, dataset types and hooks, with ports, types and docs.
//!
//! It travels as JSON ([`PluginModule`](crate::abi::PluginModule)'s `describe`). Unknown keys are ignored and missing
//! ones have defaults, so that either side may be the newer one.

use serde::{Deserialize, Serialize};

/// A whole plugin.
///
/// ```
/// use plugin_api::manifest::PluginManifest;
/// let manifest: PluginManifest = serde_json::from_str(r#"{"name":"flights","version":"0.1.0"}"#).unwrap();
/// assert!(manifest.nodes.is_empty());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PluginManifest {
    /// What stands before `::` in a pipeline's `call`.
    pub name: String,
    /// The plugin's own version.
    pub version: String,
    /// Its nodes; the index is the number that `call_node` takes.
    pub nodes: Vec<NodeManifest>,
    /// Its dataset types; the index is the number that `call_dataset` takes.
    pub datasets: Vec<DatasetManifest>,
    /// Its hooks; the index is the number that `call_hook` takes.
    pub hooks: Vec<HookManifest>,
}

/// One node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeManifest {
    /// The function's name.
    pub name: String,
    /// The function's doc comment.
    pub doc: String,
    /// The source file, as the compiler saw it.
    pub file: String,
    /// The line of the function in it.
    pub line: u32,
    /// The inputs, in the order of the signature.
    pub inputs: Vec<PortManifest>,
    /// The outputs, in the order of `#[node(outputs = […])]`.
    pub outputs: Vec<PortManifest>,
}

/// One input or output of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PortManifest {
    /// The parameter's name, or the one given in `outputs`.
    pub name: String,
    /// `table`, `bytes`, `text`, `json`, `number`, `integer`, `boolean`, `string`, `array<f64>` …, or `any`.
    pub kind: String,
    /// Whether the node can do without (`Option<…>`).
    pub optional: bool,
    /// Whether it wants parameters rather than data (`Params<…>`).
    pub parameter: bool,
    /// The JSON schema of the type behind `Params<…>`, as text; empty where it has none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub schema: String,
    /// Whether what it gives comes chunk by chunk (`Chunks<…>`).
    pub chunks: bool,
    /// The type as the author wrote it.
    pub rust_type: String,
    /// What the author says about it.
    pub doc: String,
}

/// One dataset type.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DatasetManifest {
    /// What stands behind `type =` in a catalog.
    pub name: String,
    /// What it is, for people.
    pub doc: String,
    /// The kinds it can load; the first is the usual one.
    pub loads: Vec<String>,
    /// The kinds it can save.
    pub saves: Vec<String>,
    /// Whether only one process may use it at a time.
    pub single_process: bool,
    /// Whether it wants to be told when a run needs a dataset no more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub releases: bool,
    /// Whether it can save chunk by chunk.
    pub appends: bool,
    /// The options that a catalog entry may give.
    pub options: Vec<OptionManifest>,
}

/// One option of a dataset type.
///
/// ```
/// use plugin_api::manifest::OptionManifest;
/// let option = OptionManifest::new("delimiter", ",", "one character between two fields");
/// assert_eq!(option.default, ",");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OptionManifest {
    /// The key.
    pub name: String,
    /// What it does.
    pub doc: String,
    /// What holds without it, as a person would write it.
    pub default: String,
}

impl OptionManifest {
    /// An option with its default and its doc.
    pub fn new(name: &str, default: &str, doc: &str) -> Self {
        OptionManifest { name: name.to_owned(), doc: doc.to_owned(), default: default.to_owned() }
    }
}

/// One hook.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HookManifest {
    /// The type's name.
    pub name: String,
    /// What it does, for people.
    pub doc: String,
    /// The names of the events it wants.
    pub events: Vec<String>,
    /// Whether it is registered when its plugin is there, without being listed in the configuration.
    pub self_registering: bool,
    /// `first`, `last` or nothing.
    pub default_order: String,
}
