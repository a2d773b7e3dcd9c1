//! The client of dagd: runs, submits, watches and inspects pipelines.
//!
//! Reading order: [`main`] takes the command line apart ([`args`], [`options`]) and hands it to the command of that name ([`command`]).
//! A command opens a [`session`] (the daemon that is there, or a [`private`] one), asks it through the [`client`], and
//! shows the answer on the [`screen`] in the shape that [`render`] gives it. Whatever goes wrong is an [`error::Error`]
//! and is shown in one place, here.
//!
//! What is deliberately absent: any knowledge of plugins, plans or datasets. What a pipeline means is the daemon's to say;
//! this crate reads files, sends them, and shows answers.
#![forbid(unsafe_code)]

pub mod args;
pub mod client;
pub mod command;
pub mod dev;
pub mod error;
pub mod follow;
mod handed_in;
pub mod options;
mod outputs;
pub mod private;
pub mod render;
pub mod screen;
pub mod session;
pub mod source;

use std::ffi::OsString;
use std::process::ExitCode;

use crate::args::Args;
use crate::error::Error;
use crate::options::Refusal;
use crate::screen::Screen;

/// Runs the command that the arguments describe and says how it went.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let wants_json = arguments.iter().any(|argument| argument == "--json");
    let mut screen = Screen::of_process(wants_json);
    let outcome = match options::parse(&arguments) {
        Ok(args) => run(args, &mut screen),
        Err(Refusal::Usage(problem)) => return args::show_problem(&problem, &mut screen),
        Err(Refusal::File(error)) => Err(error),
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        // Whoever read our output has seen enough: that is a success, and no words about it.
        Err(Error::ClosedPipe) => ExitCode::from(protocol::exit::OK),
        Err(Error::Failed(complaint)) => {
            screen.complain(&complaint);
            ExitCode::from(complaint.exit)
        }
    }
}

/// Everything is done by one thread: the commands wait far more than they work.
fn run(args: Args, screen: &mut Screen) -> Result<u8, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|problem| Error::internal("cannot set up waiting for input and output", problem))?;
    let code = runtime.block_on(command::perform(args, screen))?;
    screen.finish()?;
    Ok(code)
}
