//! Arguments that choose the daemon.

use std::path::PathBuf;

use super::values;

/// How to start a private daemon.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct PrivateArgs {
    /// Look for plugins in this folder first; may be given several times
    #[arg(long, value_name = "DIR", help_heading = "Private daemon")]
    pub plugins: Vec<PathBuf>,
    /// Its configuration
    #[arg(long, value_name = "FILE", help_heading = "Private daemon")]
    pub daemon_config: Option<PathBuf>,
    /// How many worker processes it starts; without it as the configuration says
    #[arg(
        long,
        value_name = "N",
        help_heading = "Private daemon",
        value_parser = values::positive,
        allow_negative_numbers = true
    )]
    pub workers: Option<u32>,
    /// How its workers start: fork or spawn
    #[arg(long, value_name = "METHOD", help_heading = "Private daemon", value_parser = ["fork", "spawn"])]
    pub start_method: Option<String>,
    /// Show what it says, on standard error
    #[arg(long, help_heading = "Private daemon")]
    pub daemon_log: bool,
}

/// The daemon that is there, or a private one.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct DaemonArgs {
    /// Ask a private daemon, started for this command; the options below mean this too
    #[arg(long, help_heading = "Private daemon", conflicts_with = "socket")]
    pub private: bool,
    /// How to start it.
    #[command(flatten)]
    pub options: PrivateArgs,
}

impl DaemonArgs {
    /// Says whether a private daemon is meant.
    pub fn wants_private(&self) -> bool {
        let options = &self.options;
        self.private
            || !options.plugins.is_empty()
            || options.daemon_config.is_some()
            || options.workers.is_some()
            || options.start_method.is_some()
            || options.daemon_log
    }
}
