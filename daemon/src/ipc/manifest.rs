//! What a generation's libraries offer, as the zygote tells it to the server.
//!
//! The shapes are those of `plugin_api::manifest`, in types of our own: the server never names `plugin_api`, and what
//! arrives here was written by a process past its `dlopen`, so it is a claim about names and nothing more. The same
//! types read a plugin's own JSON (unknown keys ignored, missing ones defaulted, so either side may be the newer one).

use serde::{Deserialize, Serialize};

use super::message::StartMethod;

/// Everything the libraries of one generation offer, and everything that is wrong with them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenerationManifest {
    /// The plugins that were taken, in the order of their libraries; tasks name them by their index here.
    pub plugins: Vec<PluginDescription>,
    /// The libraries that were set aside.
    pub refused: Vec<Refusal>,
    /// How workers of this generation are started: as asked for, or `Spawn` if a plugin started threads or kept files open.
    pub start_method: StartMethod,
    /// What an operator ought to know; names the plugins that started threads or kept files open.
    pub warnings: Vec<String>,
}

/// One plugin that was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PluginDescription {
    /// Index into the libraries of the load request.
    pub library: u32,
    /// The plugin's name: `flights` in `flights::train`.
    pub name: String,
    /// The plugin's version.
    pub version: String,
    /// Its nodes; tasks name them by their index here.
    pub nodes: Vec<NodeDescription>,
    /// Its dataset types; tasks name them by their index here.
    pub datasets: Vec<DatasetDescription>,
    /// Its hooks; the hook host's messages name them by their index here.
    pub hooks: Vec<HookDescription>,
}

/// One node of a plugin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeDescription {
    /// The node's name: `train` in `flights::train`.
    pub name: String,
    /// Its documentation.
    pub doc: String,
    /// The source file it was written in, or empty.
    pub file: String,
    /// The line in that file, or 0.
    pub line: u32,
    /// Its input ports, in order.
    pub inputs: Vec<PortDescription>,
    /// Its output ports, in order.
    pub outputs: Vec<PortDescription>,
}

/// One port of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PortDescription {
    /// The port's name.
    pub name: String,
    /// What passes through it: `table`, `json`, `array<f64>`, `any` and so on.
    pub kind: String,
    /// Whether it may stay unbound.
    pub optional: bool,
    /// Whether it takes parameters rather than a dataset.
    pub parameter: bool,
    /// The JSON schema of the parameters it takes, as text, or empty.
    pub schema: String,
    /// Whether what it gives comes chunk by chunk.
    pub chunks: bool,
    /// The type as the author wrote it.
    pub rust_type: String,
    /// Its documentation.
    pub doc: String,
}

/// One dataset type of a plugin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DatasetDescription {
    /// The type's name in a catalog: `csv`.
    pub name: String,
    /// Its documentation.
    pub doc: String,
    /// The kinds it can load.
    pub loads: Vec<String>,
    /// The kinds it can save.
    pub saves: Vec<String>,
    /// Whether only one process at a time may use it.
    pub single_process: bool,
    /// Whether it is to be told when a run needs a dataset no more.
    pub releases: bool,
    /// Whether it can save chunk by chunk.
    pub appends: bool,
    /// The options it understands.
    pub options: Vec<OptionDescription>,
}

/// One option of a dataset type.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OptionDescription {
    /// The option's name.
    pub name: String,
    /// Its documentation.
    pub doc: String,
    /// What holds without it, as a person would write it.
    pub default: String,
}

/// One hook of a plugin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HookDescription {
    /// The hook's name: `ChromeTrace` in `trace::ChromeTrace`.
    pub name: String,
    /// Its documentation.
    pub doc: String,
    /// The events it wants.
    pub events: Vec<String>,
    /// Whether it is registered without being listed in the configuration.
    pub self_registering: bool,
    /// Where it stands when the configuration does not say: `first`, `last`, or empty.
    pub default_order: String,
}

/// One library that was set aside, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Index into the libraries of the load request.
    pub library: u32,
    /// What was expected and what was found.
    pub reason: String,
    /// What to do about it.
    pub hint: String,
}
