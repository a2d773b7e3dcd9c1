//! Picks which kind of process this is, by its first argument.
//!
//! `serve` is for people and service managers; `zygote`, `worker` and `hook-host` are hidden: the daemon starts them itself, with
//! a socket as standard input.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use protocol::exit;

use crate::server::config::{Config, DEFAULT_TEXT, find_file};
use crate::server::serve::{self, ServeArgs};

/// A daemon for DAGs: hosts nodes that come as dynamic libraries, and runs pipelines of them in worker processes that share
/// their datasets through mapped memory.
///
/// `ctl` is its client. `ctl run PIPELINE` starts a private daemon by itself; `dagd serve` is for one that stays up.
#[derive(Debug, Parser)]
#[command(name = "dagd", version, arg_required_else_help = true, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    role: Role,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Serve until SIGTERM or SIGINT.
    Serve(ServeArgs),
    /// Check a configuration, without starting anything.
    ///
    /// Says everything that is wrong, each with its line and what to do about it. Exit code 0 when nothing is, else 3.
    CheckConfig {
        /// The file; without it the one that `dagd serve` would read.
        file: Option<PathBuf>,
    },
    /// Print the default configuration, with a comment for every key.
    DefaultConfig,
    /// Opens the plugins of one generation.
    #[command(hide = true)]
    Zygote {
        #[arg(long)]
        parent: i32,
    },
    /// Runs tasks.
    #[command(hide = true)]
    Worker {
        #[arg(long)]
        parent: i32,
    },
    /// Runs hooks.
    #[command(hide = true)]
    HookHost {
        #[arg(long)]
        parent: i32,
    },
}

/// The definition of the command line, for the manual and shells.
pub fn command_line() -> clap::Command {
    <Arguments as clap::CommandFactory>::command()
}

/// Does what the command line asks; its result is the exit code of the process.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help goes to stdout and is no error. A closed terminal is no reason to complain.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { exit::USAGE } else { exit::OK });
        }
    };
    match arguments.role {
        Role::Serve(arguments) => serve::run(&arguments),
        Role::CheckConfig { file } => check_config(file),
        Role::DefaultConfig => print(DEFAULT_TEXT),
        Role::Zygote { parent } => crate::zygote::main(parent),
        Role::Worker { parent } => crate::worker::main(parent),
        Role::HookHost { parent } => crate::hook_host::main(parent),
    }
}

fn check_config(file: Option<PathBuf>) -> ExitCode {
    let Some(file) = file.or_else(find_file) else {
        return print("there is no configuration file, so the defaults hold (`dagd default-config` prints them)\n");
    };
    match Config::load(&file, &serve::environment) {
        Ok(config) => match serve::problems_here(&config) {
            problems if problems.is_empty() => print(&format!("{}: nothing is wrong\n", file.display())),
            problems => serve::report_problems(&problems),
        },
        Err(problems) => serve::report_problems(&problems),
    }
}

fn print(text: &str) -> ExitCode {
    // Whoever closed the pipe has read enough.
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::from(exit::OK)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_inner_roles_are_not_for_people() {
        let help = Arguments::command().render_long_help().to_string();
        assert!(help.contains("serve"), "{help}");
        for hidden in ["zygote", "hook-host"] {
            assert!(!help.contains(hidden), "{help}");
        }
    }

    #[test]
    fn a_wrong_command_line_has_its_exit_code() {
        let exit_code = run(["dagd", "server"].map(OsString::from));
        assert_eq!(format!("{exit_code:?}"), format!("{:?}", ExitCode::from(exit::USAGE)));
    }
}
