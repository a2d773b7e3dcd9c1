//! The configuration as hooks are told it. Options of hooks are left out: they may hold what is nobody else's business.

use serde_json::json;

use super::Config;

impl Config {
    /// The sections and keys of the file with the values that hold, JSON.
    pub fn describe(&self) -> String {
        json!({
            "server": {
                "socket": self.server.socket,
                "state_directory": self.server.state_directory,
                "drain_timeout_ms": self.server.drain_timeout_ms,
            },
            "plugins": { "directories": self.plugin_directories() },
            "workers": {
                "count": self.worker_count(),
                "memory_max_bytes": self.worker_memory_max_bytes(),
                "open_files_max": self.workers.open_files_max,
                "cancel_grace_ms": self.workers.cancel_grace_ms,
            },
            "hooks": { "enabled": self.hooks.enabled, "disabled_plugins": self.hooks.disabled_plugins },
            "blocks": { "memory_budget_bytes": self.block_budget_bytes() },
            "runs": { "keep_count": self.runs.keep_count, "keep_days": self.runs.keep_days },
            "log": { "level": self.log.level.as_str() },
        })
        .to_string()
    }
}
