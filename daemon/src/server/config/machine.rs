//! Answers that depend on the machine: what the automatic values of the configuration mean here.

use std::num::NonZero;
use std::path::{Path, PathBuf};

use super::Config;

/// Memory to assume when the machine does not say how much it has.
const MEMORY_ASSUMED_BYTES: u64 = 4 << 30;

impl Config {
    /// How many workers there are.
    pub fn worker_count(&self) -> u32 {
        match self.workers.count {
            0 => std::thread::available_parallelism().map_or(1, NonZero::get).try_into().unwrap_or(u32::MAX),
            count => count,
        }
    }

    /// How much private memory a worker may use.
    pub fn worker_memory_max_bytes(&self) -> u64 {
        match self.workers.memory_max_bytes {
            0 => machine_memory_bytes() / 5 * 4 / u64::from(self.worker_count().max(1)),
            bytes => bytes,
        }
    }

    /// How much memory all blocks may take together.
    pub fn block_budget_bytes(&self) -> u64 {
        match self.blocks.memory_budget_bytes {
            0 => machine_memory_bytes() / 2,
            bytes => bytes,
        }
    }

    /// Where plugins are looked for, in this order: the command line's folders, the configuration's, the usual ones.
    pub fn plugin_directories(&self) -> Vec<PathBuf> {
        let mut directories = self.plugins.command_line.clone();
        directories.extend(self.plugins.directories.iter().cloned());
        if let Some(beside) = std::env::current_exe().ok().as_deref().and_then(Path::parent) {
            directories.push(beside.join("plugins"));
            directories.extend(beside.parent().map(|prefix| prefix.join("lib/dagd/plugins")));
        }
        if let Some(home) = directory_variable("HOME") {
            directories.push(home.join(".local/lib/dagd/plugins"));
        }
        directories
    }

    /// Where outputs stand as files for the moment between a dataset type that writes one and the daemon that reads it, if the daemon
    /// has a folder of its own; what a killed daemon left there is removed by the next one.
    pub fn exports_directory(&self) -> Option<PathBuf> {
        Some(self.state_directory().ok()??.join("exports"))
    }

    /// Where runs are kept; an error says what to set when no place is known. None for a private daemon.
    pub fn state_directory(&self) -> Result<Option<PathBuf>, String> {
        if self.private {
            return Ok(None);
        }
        if !self.server.state_directory.as_os_str().is_empty() {
            return Ok(Some(self.server.state_directory.clone()));
        }
        usual_state_directory(directory_variable).map(Some).ok_or_else(|| {
            "no place to keep runs is known: none of STATE_DIRECTORY, XDG_STATE_HOME and HOME is set; \
             set [server] state_directory in the configuration"
                .to_owned()
        })
    }
}

fn usual_state_directory(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    if let Some(directories) = variable("STATE_DIRECTORY") {
        // systemd separates several by colons; ours is the first.
        let first = directories.to_str().and_then(|all| all.split(':').next()).map(PathBuf::from);
        return Some(first.unwrap_or(directories));
    }
    if let Some(directory) = variable("XDG_STATE_HOME") {
        return Some(directory.join("dagd"));
    }
    variable("HOME").map(|home| home.join(".local/state/dagd"))
}

/// The configuration file to use when the command line names none: the first that exists of the service's, the user's and the
/// system's.
pub fn find_file() -> Option<PathBuf> {
    let candidates = [
        directory_variable("CONFIGURATION_DIRECTORY").map(|directory| directory.join("config.toml")),
        directory_variable("XDG_CONFIG_HOME").map(|directory| directory.join("dagd/config.toml")),
        directory_variable("HOME").map(|home| home.join(".config/dagd/config.toml")),
        Some(PathBuf::from("/etc/dagd/config.toml")),
    ];
    candidates.into_iter().flatten().find(|candidate| candidate.exists())
}

/// An environment variable that holds a path; empty counts as unset.
fn directory_variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The memory this process may count on: the machine's, or less if its cgroup says so.
fn machine_memory_bytes() -> u64 {
    let machine = std::fs::read_to_string("/proc/meminfo").ok().as_deref().and_then(total_of_meminfo);
    let limit = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
    machine.unwrap_or(MEMORY_ASSUMED_BYTES).min(limit.unwrap_or(u64::MAX))
}

fn total_of_meminfo(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_says_how_much_memory_it_has() {
        let text = "MemTotal:       24576000 kB\nMemFree: 1 kB\n";
        assert_eq!(total_of_meminfo(text), Some(24_576_000 * 1024));
        assert_eq!(total_of_meminfo("MemTotal: lots\n"), None);
        assert!(machine_memory_bytes() > 0);
    }

    #[test]
    fn state_is_kept_where_systemd_says_before_anything_else() {
        let with = |set: &[(&str, &str)]| {
            usual_state_directory(|name| {
                set.iter().find(|(key, _)| *key == name).map(|(_, value)| PathBuf::from(value))
            })
        };
        let all = [("STATE_DIRECTORY", "/var/lib/dagd:/x"), ("XDG_STATE_HOME", "/s"), ("HOME", "/h")];
        assert_eq!(with(&all), Some(PathBuf::from("/var/lib/dagd")));
        assert_eq!(with(&all[1..]), Some(PathBuf::from("/s/dagd")));
        assert_eq!(with(&all[2..]), Some(PathBuf::from("/h/.local/state/dagd")));
        assert_eq!(with(&[]), None);
    }

    #[test]
    fn automatic_values_are_never_zero() {
        let config = Config::default();
        assert!(config.worker_count() >= 1);
        assert!(config.worker_memory_max_bytes() > 0);
        assert!(config.block_budget_bytes() > 0);
    }
}
