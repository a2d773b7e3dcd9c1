//! What the loaded plugins offer.

use serde::{Deserialize, Serialize};

use crate::GenerationInfo;

/// Answer of `GET /v1/plugins`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginList {
    /// The generation in use.
    pub generation: u64,
    /// How its workers start: `fork` or `spawn`.
    #[serde(default)]
    pub start_method: String,
    /// What was loaded.
    pub plugins: Vec<PluginInfo>,
    /// What was found and set aside.
    #[serde(default)]
    pub refused: Vec<RefusedLibrary>,
    /// Things worth knowing, such as a plugin that starts a thread when it is loaded.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Every generation that is there, newest first, and the last one refused if nothing was loaded since.
    #[serde(default)]
    pub generations: Vec<GenerationInfo>,
}

/// A loaded plugin.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginInfo {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The library it came from.
    pub path: String,
    /// SHA-256 of the library's bytes, in hexadecimal.
    #[serde(default)]
    pub sha256: String,
    /// Names of its nodes.
    #[serde(default)]
    pub nodes: Vec<String>,
    /// Its dataset types.
    #[serde(default)]
    pub dataset_types: Vec<DatasetTypeInfo>,
    /// Names of its hooks.
    #[serde(default)]
    pub hooks: Vec<String>,
}

/// A library that is not used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedLibrary {
    /// The file.
    pub path: String,
    /// Why.
    pub reason: String,
    /// What to do about it.
    #[serde(default)]
    pub hint: String,
}

/// Answer of `GET /v1/nodes`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeList {
    /// Every node of every plugin, sorted by name.
    pub nodes: Vec<NodeInfo>,
}

/// A node that pipelines can call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// What a pipeline writes in `call`: `plugin::node`.
    pub call: String,
    /// The plugin.
    pub plugin: String,
    /// The node's name in the plugin.
    pub name: String,
    /// Its documentation.
    #[serde(default)]
    pub doc: String,
    /// Source file in the plugin.
    #[serde(default)]
    pub file: String,
    /// Line there.
    #[serde(default)]
    pub line: u32,
    /// What it takes.
    pub inputs: Vec<PortInfo>,
    /// What it gives.
    pub outputs: Vec<PortInfo>,
}

/// A port of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortInfo {
    /// Its name.
    pub name: String,
    /// What passes through it: `table`, `json`, `number`, `array<f64>`, …
    pub kind: String,
    /// Whether it may be left open.
    #[serde(default)]
    pub optional: bool,
    /// Whether it takes a parameter rather than a dataset.
    #[serde(default)]
    pub parameter: bool,
    /// The type in the plugin's source.
    #[serde(default)]
    pub rust_type: String,
    /// Its documentation.
    #[serde(default)]
    pub doc: String,
}

/// A way to persist datasets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetTypeInfo {
    /// What a catalog writes in `type`.
    pub name: String,
    /// Its documentation.
    #[serde(default)]
    pub doc: String,
    /// The kinds it can load as.
    #[serde(default)]
    pub loads: Vec<String>,
    /// The kinds it can save.
    #[serde(default)]
    pub saves: Vec<String>,
    /// Whether it must not be used by several workers.
    #[serde(default)]
    pub single_process: bool,
    /// The options it knows.
    #[serde(default)]
    pub options: Vec<OptionInfo>,
}

/// An option of a dataset type.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OptionInfo {
    /// Its name.
    pub name: String,
    /// What it does.
    #[serde(default)]
    pub doc: String,
    /// What holds when it is not given.
    #[serde(default)]
    pub default: String,
}

/// Answer of `GET /v1/hooks`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookList {
    /// Every hook, active ones first, in the order they are called.
    pub hooks: Vec<HookInfo>,
}

/// A hook that a plugin offers, or that the configuration names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookInfo {
    /// What the configuration calls it: `plugin::Hook`.
    pub name: String,
    /// The plugin.
    pub plugin: String,
    /// The plugin's version; empty if it is not loaded.
    #[serde(default)]
    pub version: String,
    /// Its documentation.
    #[serde(default)]
    pub doc: String,
    /// The events it wants.
    #[serde(default)]
    pub events: Vec<String>,
    /// Why it is in the list.
    pub origin: HookOrigin,
    /// Whether it gets events.
    pub active: bool,
    /// Why it gets none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub off_because: Option<String>,
    /// Its place in the order of calls, from 1; 0 when it is off.
    #[serde(default)]
    pub position: u32,
    /// What its failure means: `fail` or `ignore`.
    #[serde(default)]
    pub on_error: String,
    /// How long one call may take.
    #[serde(default)]
    pub deadline_ms: u64,
}

/// Why a hook is in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HookOrigin {
    /// `[hooks] enabled` names it.
    Configuration,
    /// Its plugin registers it by itself.
    Plugin,
    /// Its plugin offers it and nothing turns it on.
    Offered,
}
