//! The manual of dagd, made from the definitions in its code: the command lines and the commented default configuration.
#![forbid(unsafe_code)]

mod commands;
mod configuration;
mod roff;

use std::io;

use clap::{Command, CommandFactory as _};
use clap_complete::Shell;

pub use commands::Page;

/// The command line of the daemon.
pub fn dagd() -> Command {
    dagd::role::command_line()
}

/// The command line of the client.
pub fn ctl() -> Command {
    ctl::args::Args::command()
}

/// The man pages, by file name.
pub fn pages() -> io::Result<Vec<(String, String)>> {
    let dagd_page =
        Page { command: dagd(), section: 8, epilogue: include_str!("dagd.roff"), see_also: "ctl(1), dagd.toml(5)" };
    let ctl_page =
        Page { command: ctl(), section: 1, epilogue: include_str!("ctl.roff"), see_also: "dagd(8), dagd.toml(5)" };
    Ok(vec![
        ("dagd.8".to_owned(), dagd_page.render()?),
        ("ctl.1".to_owned(), ctl_page.render()?),
        ("dagd.toml.5".to_owned(), configuration::page(dagd::server::config::DEFAULT_TEXT)),
    ])
}

/// Scripts that teach shells our command lines, by the names under which the shells look for them.
pub fn completions() -> Vec<(String, String)> {
    let mut scripts = Vec::new();
    for (name, command) in [("dagd", dagd()), ("ctl", ctl())] {
        for (shell, file) in
            [(Shell::Bash, name.to_owned()), (Shell::Zsh, format!("_{name}")), (Shell::Fish, format!("{name}.fish"))]
        {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command.clone(), name, &mut script);
            scripts.push((file, String::from_utf8_lossy(&script).into_owned()));
        }
    }
    scripts
}
