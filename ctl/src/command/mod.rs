//! The commands, one file each, named like the request it sends.

mod cancel;
mod catalog;
mod completions;
mod datasets;
mod dev;
mod exit_codes;
mod graph;
mod hooks;
mod logs;
mod nodes;
mod output;
mod plugins;
mod reload;
mod resume;
mod run;
mod runs;
mod show;
mod status;
mod submit;
mod validate;

use std::path::Path;

use protocol::exit;
use serde::Serialize;

use crate::args::{Args, Command};
use crate::error::Error;
use crate::render::paint::Paint;
use crate::screen::Screen;

/// Performs the command and gives the exit code.
pub async fn perform(args: Args, screen: &mut Screen) -> Result<u8, Error> {
    let socket = args.socket.as_deref();
    match args.command {
        Command::Run(command) => {
            refuse_socket(socket)?;
            run::perform(&command, screen).await
        }
        Command::Submit(command) => submit::perform(&command, socket, screen).await,
        Command::Runs(command) => runs::perform(&command, socket, screen).await,
        Command::Show(run) => show::perform(&run.id, socket, screen).await,
        Command::Logs(command) => logs::perform(&command, socket, screen).await,
        Command::Resume(command) => resume::perform(&command, socket, screen).await,
        Command::Cancel(command) => cancel::perform(&command.ids, socket, screen).await,
        Command::Validate(command) => validate::perform(&command, socket, screen).await,
        Command::Graph(command) => graph::perform(&command, socket, screen).await,
        Command::Catalog(command) => catalog::perform(&command, socket, screen).await,
        Command::Plugins(daemon) => plugins::perform(&daemon, socket, screen).await,
        Command::Reload(command) => reload::perform(&command, socket, screen).await,
        Command::Dev(command) => dev::perform(&command, socket, screen).await,
        Command::Nodes(command) => nodes::perform(&command, socket, screen).await,
        Command::Hooks(daemon) => hooks::perform(&daemon, socket, screen).await,
        Command::Output(command) => output::perform(&command, socket, screen).await,
        Command::Datasets(command) => datasets::perform(&command, socket, screen).await,
        Command::Status => status::perform(socket, screen).await,
        Command::Completions { shell } => completions::perform(shell, screen),
        Command::ExitCodes => exit_codes::perform(screen),
    }
}

/// An explicit address cannot be meant where no service is asked.
fn refuse_socket(socket: Option<&Path>) -> Result<(), Error> {
    match socket {
        None => Ok(()),
        Some(path) => {
            Err(Error::usage(format!("`ctl run` starts a daemon of its own and asks none at {}", path.display()))
                .hint("`ctl submit` hands a pipeline to the daemon at --socket"))
        }
    }
}

/// Shows an answer: as it came for programs, rendered for people.
fn show<T: Serialize>(screen: &mut Screen, answer: &T, render: impl FnOnce(&T, Paint) -> String) -> Result<u8, Error> {
    if screen.json {
        screen.print_json(answer)?;
    } else {
        let text = render(answer, screen.out_paint);
        screen.print(&text)?;
    }
    Ok(exit::OK)
}
