//! Reloading the plugins: what is asked, and what came of it.

use serde::{Deserialize, Serialize};

use crate::Problem;

/// Body of `POST /v1/reload`; an empty body means all defaults.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReloadOptions {
    /// Load and check the new generation, say what would change, and throw it away.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// Make the plugins current again that were before these, whatever lies in the plugin directories now.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub rollback: bool,
    /// Take the new generation although known pipelines would no longer plan, or resident datasets would lose their type.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
}

/// Answer of `POST /v1/reload`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadReport {
    /// Whether this is what would happen, and nothing did.
    #[serde(default)]
    pub dry_run: bool,
    /// The number of the new generation; of a dry run, the number it would have.
    pub generation: u64,
    /// The generation that was current before.
    pub previous: u64,
    /// What differs between the two.
    #[serde(default)]
    pub changes: GenerationChanges,
    /// Known pipelines (under way or submitted lately) that plan on the previous generation and do not on this one.
    #[serde(default)]
    pub pipelines: Vec<BrokenPipeline>,
    /// Why it would be refused; only of a dry run, for otherwise the request fails with these.
    #[serde(default)]
    pub problems: Vec<Problem>,
    /// Things worth knowing.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// What differs between two generations.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GenerationChanges {
    /// Plugins added, removed, or of other contents.
    pub plugins: Vec<PluginChange>,
    /// Nodes that are new: `plugin::node`.
    pub nodes_added: Vec<String>,
    /// Nodes that are gone.
    pub nodes_removed: Vec<String>,
    /// Nodes whose ports are others.
    pub nodes_changed: Vec<NodeChange>,
    /// Dataset types that are new.
    pub dataset_types_added: Vec<String>,
    /// Dataset types that are gone.
    pub dataset_types_removed: Vec<String>,
    /// Hooks that are new: `plugin::Hook`.
    pub hooks_added: Vec<String>,
    /// Hooks that are gone.
    pub hooks_removed: Vec<String>,
}

impl GenerationChanges {
    /// Says whether nothing differs.
    pub fn is_empty(&self) -> bool {
        *self == GenerationChanges::default()
    }
}

/// A plugin that differs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginChange {
    /// Its name.
    pub name: String,
    /// What it was; none if it is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<PluginIdentity>,
    /// What it is; none if it is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<PluginIdentity>,
}

/// Which plugin exactly: the bytes that ran.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginIdentity {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of the library's bytes, in hexadecimal; empty where nobody asked for it while it was loaded.
    #[serde(default)]
    pub sha256: String,
}

/// A node whose ports differ.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeChange {
    /// The node: `plugin::node`.
    pub call: String,
    /// Each difference in a line: `input table: table, was json`.
    pub changes: Vec<String>,
}

/// A pipeline that would no longer plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokenPipeline {
    /// Its name.
    pub pipeline: String,
    /// The run it is known from.
    pub run: String,
    /// Whether it refuses the reload: a plugin that is still there has lost what the pipeline needs. One whose whole plugin
    /// was taken away does not, for that was meant.
    pub refuses: bool,
    /// What is wrong with it then.
    pub problems: Vec<Problem>,
}

/// A generation of plugins that is there, or that was refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenerationInfo {
    /// Its number.
    pub number: u64,
    /// Where it stands.
    pub state: GenerationState,
    /// When it was loaded or refused, in microseconds since the Unix epoch.
    pub loaded_us: i64,
    /// Runs under way on it.
    #[serde(default)]
    pub runs: u64,
    /// Its processes: zygote, workers, hook host.
    #[serde(default)]
    pub processes: u64,
    /// Memory of its processes; pages that several share count once.
    #[serde(default)]
    pub memory_bytes: u64,
    /// Memory of its libraries' private copies, some of which other generations may share.
    #[serde(default)]
    pub library_bytes: u64,
    /// Its plugins.
    #[serde(default)]
    pub plugins: Vec<PluginIdentity>,
    /// Why it was refused.
    #[serde(default)]
    pub problems: Vec<Problem>,
}

/// Where a generation stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GenerationState {
    /// New runs start on it.
    #[default]
    Current,
    /// Runs that began on it go on; it goes with the last of them.
    Draining,
    /// Its processes have gone; its libraries are kept for `ctl reload --rollback`.
    Kept,
    /// It did not pass the checks.
    Refused,
}

impl GenerationState {
    /// The word used for it in JSON and on the screen.
    pub fn as_str(self) -> &'static str {
        match self {
            GenerationState::Current => "current",
            GenerationState::Draining => "draining",
            GenerationState::Kept => "kept",
            GenerationState::Refused => "refused",
        }
    }
}
