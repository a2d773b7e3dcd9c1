//! From a newborn process to one that serves: shed, limit, tie to the parent. One visible list of steps.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::ExitCode;

use super::{journal, serve};
use crate::hook_host;
use crate::ipc::channel::{Channel, ChannelError, Received};
use crate::ipc::message::{Limits, PLUGIN_BODY_MAX, Role, StartMethod, ToSpawned};
use crate::ipc::page::WorkerPage;
use crate::sys::{heap, limits, process};
use crate::zygote::{Library, LoadOutcome, Plugins, load};

/// The exit code of a process that could not begin to serve; its last words are on stderr.
const UNABLE: i32 = 70;

/// How much memory that its tasks have freed a worker keeps for the next ones.
const FREE_BYTES_MAX: u64 = 64 << 20;

/// All that a new process is given.
pub struct Boot {
    /// The process it dies with.
    pub parent: i32,
    /// What to be.
    pub role: Role,
    /// What it may use.
    pub limits: Limits,
    /// The most talkative level that logs may have.
    pub log_level_max: u8,
    /// Its end of the channel to the server.
    pub channel: OwnedFd,
    /// Its page.
    pub page: OwnedFd,
}

/// Why a new process cannot serve.
#[derive(Debug, thiserror::Error)]
enum StartProblem {
    #[error("cannot {0}: {1}")]
    Step(&'static str, io::Error),
    #[error("{0}")]
    Channel(#[from] ChannelError),
    #[error("the zygote's briefing is not understood: {0}")]
    Briefing(&'static str),
    #[error("a library that the zygote took is refused here: {0}")]
    Library(String),
}

fn step(attempt: &'static str) -> impl FnOnce(io::Error) -> StartProblem {
    move |problem| StartProblem::Step(attempt, problem)
}

/// The life of a forked process, from its first moment to its exit code. Runs in the child only.
pub fn forked(boot: Boot, output: OwnedFd, plugins: &Plugins) -> i32 {
    finish(boot.role, run_forked(boot, output, plugins))
}

fn run_forked(boot: Boot, output: OwnedFd, plugins: &Plugins) -> Result<(), StartProblem> {
    // First the streams, so that last words are heard.
    process::redirect_standard_streams(Some(output.as_fd())).map_err(step("redirect stdout and stderr"))?;
    drop(output);
    process::die_with(boot.parent).map_err(step("tie this process to the zygote"))?;
    process::lead_own_group().map_err(step("lead a process group"))?;
    process::unblock_signals().map_err(step("unblock signals"))?;
    // SAFETY: this is the child of a fork that leaves by `_exit`: the zygote's values (its channel, its pidfds, the
    // libraries' files) are never used or dropped in it, and `output` was dropped above. A plugin that kept a file open
    // from its loading made the generation spawn instead (`zygote::load`), so no plugin misses one. The rest is kept.
    unsafe { process::close_all_but(&[boot.channel.as_fd(), boot.page.as_fd()]) }
        .map_err(step("close the zygote's files"))?;
    keep_memory(boot.role, &boot.limits);
    be(boot, plugins)
}

/// The life of a spawned process. Leaves the process itself.
pub fn spawned(parent: i32, role: Role) -> ExitCode {
    process::exit_now(finish(role, run_spawned(parent, role)))
}

fn run_spawned(parent: i32, role: Role) -> Result<(), StartProblem> {
    process::die_with(parent).map_err(step("tie this process to the zygote"))?;
    let socket = process::take_stdin().map_err(step("take the briefing's socket"))?;
    let briefing = Channel::from_socket(socket);
    let Received { message: ToSpawned::Begin { role: told, limits, log_level_max }, descriptors } =
        briefing.receive()?
    else {
        return Err(StartProblem::Briefing("expected Begin"));
    };
    if told != role {
        return Err(StartProblem::Briefing("it is for another role"));
    }
    let [channel, page] = <[OwnedFd; 2]>::try_from(descriptors)
        .map_err(|_| StartProblem::Briefing("Begin brings a channel and a page"))?;
    let libraries = receive_libraries(&briefing)?;
    drop(briefing);
    journal::set_level(log_level_max);
    let LoadOutcome { plugins, manifest } = load(&libraries, None, StartMethod::Spawn);
    if let Some(refusal) = manifest.refused.first() {
        return Err(StartProblem::Library(refusal.reason.clone()));
    }
    drop(libraries);
    be(Boot { parent, role, limits, log_level_max, channel, page }, &plugins)
}

fn receive_libraries(briefing: &Channel) -> Result<Vec<Library>, StartProblem> {
    let mut libraries = Vec::new();
    loop {
        let Received { message, descriptors } = briefing.receive()?;
        match message {
            ToSpawned::Libraries(copies) if copies.len() == descriptors.len() => {
                libraries.extend(copies.into_iter().zip(descriptors).map(|(copy, file)| Library { copy, file }));
            }
            ToSpawned::End => return Ok(libraries),
            _ => return Err(StartProblem::Briefing("expected Libraries, each with its file, or End")),
        }
    }
}

/// Has a worker keep memory that its tasks have freed. Before there can be other threads: those that libraries start.
fn keep_memory(role: Role, limits: &Limits) {
    if role == Role::Worker {
        heap::keep_free(match limits.memory_bytes {
            0 => FREE_BYTES_MAX,
            // A small part: who needs nearly all in one block should not find it taken by what is free.
            bytes => FREE_BYTES_MAX.min(bytes / 16),
        });
    }
}

/// What both ways have in common: limits, page, then the role's loop.
fn be(boot: Boot, plugins: &Plugins) -> Result<(), StartProblem> {
    let Boot { role, limits, log_level_max, channel, page, .. } = boot;
    limits::apply(&limits).map_err(step("limit this process"))?;
    journal::set_level(log_level_max);
    let page = {
        let file = page;
        WorkerPage::open(&file).map_err(step("map the worker page"))?
    };
    // More than the server accepts is a failed task rather than the end of this process.
    let channel = Channel::from_socket(channel).send_at_most(PLUGIN_BODY_MAX);
    match role {
        Role::Worker => {
            process::set_name(c"dagd-worker");
            serve(channel, &page, plugins)?;
        }
        Role::HookHost => {
            process::set_name(c"dagd-hooks");
            hook_host::serve(channel, &page, plugins)?;
        }
    }
    Ok(())
}

fn finish(role: Role, result: Result<(), StartProblem>) -> i32 {
    match result {
        Ok(()) => 0,
        Err(problem) => {
            let name = match role {
                Role::Worker => "worker",
                Role::HookHost => "hook host",
            };
            eprintln!("dagd {name}: {problem}");
            UNABLE
        }
    }
}
