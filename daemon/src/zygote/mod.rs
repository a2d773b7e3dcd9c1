//! The zygote: opens the plugins of one generation and starts processes from them.
//!
//! Started by the server as `dagd zygote` with its channel as stdin. One thread, one poll loop:
//!
//! ```text
//! hello ─▶ load every library ─▶ manifest ─▶ ┌ start request ─▶ fork or spawn ─▶ pidfd to the server
//!                                            └ a child ended  ─▶ reap          ─▶ how, and its peak memory
//! ```
//!
//! It ends with its channel or its parent, whichever goes first; its children end with it. What it deliberately lacks:
//! it never unloads a library (Rust has no sound way to), never names the server or the engine, and never looks into
//! the channels it hands on.

mod children;
mod elf;
mod library;
mod load;

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::ExitCode;

pub use self::load::{Library, LoadOutcome, Plugin, Plugins, load};

use self::children::{Children, Start};
use crate::ipc::channel::{Channel, ChannelError, Received};
use crate::ipc::message::{FromZygote, LibraryCopy, StartMethod, ToZygote};
use crate::ipc::page::LoadingPage;
use crate::sys::{process, wait};
use crate::worker::journal;

/// Runs the zygote until its server has no more use for it. `parent` is the process id it was told to die with.
/// Leaves the process itself: `exit` would run the plugins' `atexit` functions.
pub fn main(parent: i32) -> ExitCode {
    let code = match run(parent) {
        // The server has gone or closed the channel: the usual end.
        Ok(()) | Err(ZygoteProblem::Channel(ChannelError::Closed)) => 0,
        Err(problem) => {
            eprintln!("dagd zygote: {problem}");
            1
        }
    };
    process::exit_now(code)
}

/// Why a zygote cannot go on.
#[derive(Debug, thiserror::Error)]
enum ZygoteProblem {
    #[error("{0}")]
    Channel(#[from] ChannelError),
    #[error("cannot set up: {0}")]
    SetUp(io::Error),
    #[error("cannot wait for requests: {0}")]
    Wait(io::Error),
    #[error("the server's first messages are not those of a load request: {0}")]
    Protocol(&'static str),
}

fn run(parent: i32) -> Result<(), ZygoteProblem> {
    process::set_name(c"dagd-zygote");
    process::die_with(parent).map_err(ZygoteProblem::SetUp)?;
    process::keep_inherited_files_here().map_err(ZygoteProblem::SetUp)?;
    let channel = Channel::from_socket(process::take_stdin().map_err(ZygoteProblem::SetUp)?);
    let pid = std::process::id().cast_signed();
    channel.send(&FromZygote::Hello { pid, version: env!("CARGO_PKG_VERSION").to_owned() }, &[])?;

    let request = receive_load(&channel)?;
    journal::set_level(request.log_level_max);
    let page = LoadingPage::open(&request.page).map_err(ZygoteProblem::SetUp)?;
    let LoadOutcome { plugins, manifest } = load(&request.libraries, Some(&page), request.start_method);
    let start_method = manifest.start_method;
    channel.send(&FromZygote::Loaded(manifest), &[])?;

    // Those that plugins came from, in the plugins' order: what a spawned worker loads anew.
    let mut libraries: Vec<_> = request.libraries.into_iter().map(Some).collect();
    let libraries = plugins
        .iter()
        .filter_map(|plugin| libraries.get_mut(plugin.description.library as usize).and_then(Option::take))
        .collect();
    let children = Children::new(plugins, libraries, start_method, request.log_level_max);
    serve(&channel, children)
}

/// Serves until the server has had enough.
fn serve(channel: &Channel, mut children: Children) -> Result<(), ZygoteProblem> {
    loop {
        let request = {
            let mut watched = vec![channel.as_fd()];
            watched.extend(children.pidfds());
            wait::readable(&watched, None).map_err(ZygoteProblem::Wait)?.first() == Some(&true)
        };
        for ended in children.reap() {
            channel.send(&ended, &[])?;
        }
        if !request {
            continue;
        }
        match channel.try_receive()? {
            None => {}
            Some(Received { message: ToZygote::Start { number, role, limits }, descriptors }) => {
                start(channel, &mut children, Start { number, role, limits }, descriptors)?;
            }
            Some(Received { message: ToZygote::Shutdown, .. }) => {
                children.end_all();
                return Ok(());
            }
            Some(Received { message: ToZygote::Prepare { .. } | ToZygote::Libraries(_) | ToZygote::Load, .. }) => {
                return Err(ZygoteProblem::Protocol("a zygote loads once"));
            }
        }
    }
}

fn start(
    channel: &Channel,
    children: &mut Children,
    start: Start,
    descriptors: Vec<OwnedFd>,
) -> Result<(), ZygoteProblem> {
    let number = start.number;
    match children.start(start, descriptors) {
        Ok(started) => {
            if let Some(warning) = started.warning {
                channel.send(&FromZygote::Warning(warning), &[])?;
            }
            channel.send(&FromZygote::Started { number, pid: started.pid, pidfd: 0 }, &[started.pidfd])?;
        }
        Err(message) => channel.send(&FromZygote::StartFailed { number, message }, &[])?,
    }
    Ok(())
}

/// What the server's first messages ask for.
struct LoadRequest {
    page: OwnedFd,
    start_method: StartMethod,
    log_level_max: u8,
    libraries: Vec<Library>,
}

fn receive_load(channel: &Channel) -> Result<LoadRequest, ZygoteProblem> {
    let Received { message: ToZygote::Prepare { start_method, log_level_max }, mut descriptors } = channel.receive()?
    else {
        return Err(ZygoteProblem::Protocol("expected Prepare"));
    };
    let page = descriptors.pop().ok_or(ZygoteProblem::Protocol("Prepare brought no loading page"))?;
    let mut libraries = Vec::new();
    loop {
        let Received { message, descriptors } = channel.receive()?;
        match message {
            ToZygote::Libraries(copies) => libraries.extend(pair_up(copies, descriptors)?),
            ToZygote::Load => return Ok(LoadRequest { page, start_method, log_level_max, libraries }),
            // Told to end before it began.
            ToZygote::Shutdown => return Err(ChannelError::Closed.into()),
            _ => return Err(ZygoteProblem::Protocol("expected Libraries or Load")),
        }
    }
}

fn pair_up(copies: Vec<LibraryCopy>, files: Vec<OwnedFd>) -> Result<impl Iterator<Item = Library>, ZygoteProblem> {
    if copies.len() != files.len() {
        return Err(ZygoteProblem::Protocol("as many descriptors as libraries are needed"));
    }
    Ok(copies.into_iter().zip(files).map(|(copy, file)| Library { copy, file }))
}
