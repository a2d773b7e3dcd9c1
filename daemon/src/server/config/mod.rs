//! The configuration: the commented defaults compiled into the binary, overlaid by the user's file.
//!
//! [`Config`] is plain values, as written. Whatever depends on the machine (how many processors, how much memory, which
//! folders) is answered by the methods in [`machine`], so that the values can be tested anywhere.
#![forbid(unsafe_code)]

mod describe;
mod machine;
mod pins;
mod read;
mod reload;
#[cfg(test)]
mod tests;
mod toml_reader;

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::ipc::message::StartMethod;

pub use machine::find_file;
pub use read::Environment;

/// The defaults, with a comment for every key.
pub const DEFAULT_TEXT: &str = include_str!("../../../default-config.toml");

/// Everything that can be configured.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// `[server]`
    pub server: ServerConfig,
    /// `[plugins]`
    pub plugins: PluginsConfig,
    /// `[workers]`
    pub workers: WorkersConfig,
    /// `[hooks]`
    pub hooks: HooksConfig,
    /// `[runs]`
    pub runs: RunsConfig,
    /// `[blocks]`
    pub blocks: BlocksConfig,
    /// `[log]`
    pub log: LogConfig,
    /// `--private`: runs are kept in memory only. Not a key of the file.
    pub private: bool,
    /// The service manager holds the control socket. Not a key of the file.
    pub managed_socket: bool,
}

/// The control socket and the daemon's own state.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ServerConfig {
    /// Path of the control socket; empty for the usual one.
    pub socket: PathBuf,
    /// Folder of the store; empty for the usual one.
    pub state_directory: PathBuf,
    /// Group whose members may connect; empty for none.
    pub group: String,
    /// Users who may connect beside root and the daemon's own.
    pub allowed_uids: Vec<u32>,
    /// Bound on connections.
    pub connections_max: u32,
    /// How long runs may go on after a signal to stop.
    pub drain_timeout_ms: u64,
}

/// Where plugins are.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PluginsConfig {
    /// Folders of the configuration file, absolute or relative to the working directory.
    pub directories: Vec<PathBuf>,
    /// Folders of `--plugins`; they go before those of the file. Not a key of the file.
    pub command_line: Vec<PathBuf>,
    /// Bound on one attempt at loading all plugins.
    pub load_timeout_ms: u64,
    /// Whether the folders are watched, and changed libraries reloaded.
    pub watch: bool,
    /// Whether a reload is refused that takes from a known pipeline what it needs.
    pub protect_pipelines: bool,
    /// The libraries that may be loaded, by file name, with their SHA-256 in hexadecimal; empty allows all.
    pub allow: BTreeMap<String, String>,
}

/// The worker processes.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkersConfig {
    /// How many; 0 for one a processor. See [`Config::worker_count`].
    pub count: u32,
    /// How they start.
    pub start_method: StartMethod,
    /// Private memory of one; 0 for a share of the machine's. See [`Config::worker_memory_max_bytes`].
    pub memory_max_bytes: u64,
    /// Processes and threads in the cgroup of one; 0 for any number.
    pub processes_max: u64,
    /// Open files of one.
    pub open_files_max: u64,
    /// How long a cancelled node may go on.
    pub cancel_grace_ms: u64,
    /// How long one may take to start.
    pub start_timeout_ms: u64,
}

/// The hooks.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HooksConfig {
    /// Hooks to register, `plugin::Hook`, in this order.
    pub enabled: Vec<String>,
    /// Plugins whose hooks are off.
    pub disabled_plugins: Vec<String>,
    /// Settings by hook.
    pub settings: BTreeMap<String, HookConfig>,
}

impl HooksConfig {
    /// The settings of a hook, or those that hold when there are none.
    pub fn settings_of(&self, hook: &str) -> HookConfig {
        self.settings.get(hook).cloned().unwrap_or_default()
    }
}

/// Settings of one hook.
#[derive(Debug, Clone, PartialEq)]
pub struct HookConfig {
    /// What its failure means.
    pub on_error: HookErrorPolicy,
    /// How long one call may take.
    pub deadline_ms: u64,
    /// Where it stands relative to the others.
    pub order: HookOrder,
    /// Its options, a JSON object.
    pub options: serde_json::Value,
}

impl Default for HookConfig {
    fn default() -> HookConfig {
        HookConfig {
            on_error: HookErrorPolicy::Fail,
            deadline_ms: 5000,
            order: HookOrder::AsDeclared,
            options: serde_json::Value::Object(serde_json::Map::new()),
        }
    }
}

/// What a hook's failure means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookErrorPolicy {
    /// The run fails.
    Fail,
    /// It is logged.
    Ignore,
}

/// Where a hook stands relative to the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookOrder {
    /// Where the hook's own declaration says.
    AsDeclared,
    /// Before the list.
    First,
    /// After the list.
    Last,
}

/// What is kept of runs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunsConfig {
    /// How often in a row an interrupted run is gone on with by itself.
    pub automatic_resumes_max: u32,
    /// How many ended runs; 0 for all.
    pub keep_count: u64,
    /// For how many days; 0 for ever.
    pub keep_days: u64,
    /// For how long outputs of ended runs are kept.
    pub keep_outputs_seconds: u64,
    /// How many bytes outputs that were not asked for may take; 0 for a quarter of the budget.
    pub keep_outputs_bytes: u64,
    /// Log lines of one run.
    pub log_lines_max: u64,
    /// Events of one run in memory.
    pub events_max: u32,
}

/// Memory for datasets.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BlocksConfig {
    /// Bytes of all blocks together; 0 for half of the machine's memory. See [`Config::block_budget_bytes`].
    pub memory_budget_bytes: u64,
    /// Bytes of blocks that are no more and whose memory is kept; 0 for a quarter of the budget.
    pub spare_bytes_max: u64,
    /// For how long that memory is kept after it was last used.
    pub spare_keep_seconds: u64,
    /// How many uploads may wait for a run at once.
    pub uploads_max: u64,
    /// For how long an upload waits.
    pub uploads_keep_seconds: u64,
}

/// The daemon's own log.
#[derive(Debug, Clone, PartialEq)]
pub struct LogConfig {
    /// What is logged.
    pub level: log::LevelFilter,
}
