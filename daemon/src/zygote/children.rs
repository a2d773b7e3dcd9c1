//! The processes a zygote has started: starting them by either method, and what became of them.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::Duration;

use super::load::{Library, Plugins};
use crate::ipc::channel::{Channel, ChannelError};
use crate::ipc::message::{DESCRIPTORS_MAX, FromZygote, Limits, Role, StartMethod, ToSpawned};
use crate::sys::fork::{ForkError, Forked, fork};
use crate::sys::{pidfd, process, spawn, wait};
use crate::worker::start::{self, Boot};

/// A start request.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// The server's number for it.
    pub number: u64,
    /// What to be.
    pub role: Role,
    /// What it may use.
    pub limits: Limits,
}

/// A process that was started.
pub struct Started<'a> {
    /// Its process id.
    pub pid: i32,
    /// Its pidfd.
    pub pidfd: BorrowedFd<'a>,
    /// What an operator ought to know about it.
    pub warning: Option<String>,
}

struct Child {
    number: u64,
    pid: i32,
    pidfd: OwnedFd,
}

/// The descriptors of a start request.
struct Handed {
    channel: OwnedFd,
    page: OwnedFd,
    output: OwnedFd,
}

/// All that are alive or not reaped yet, and what is needed to start more.
pub struct Children {
    alive: Vec<Child>,
    plugins: Plugins,
    libraries: Vec<Library>,
    start_method: StartMethod,
    log_level_max: u8,
}

impl Children {
    /// None yet. `libraries` are those the plugins came from, in their order.
    pub fn new(plugins: Plugins, libraries: Vec<Library>, start_method: StartMethod, log_level_max: u8) -> Children {
        Children { alive: Vec::new(), plugins, libraries, start_method, log_level_max }
    }

    /// One descriptor for each; it becomes readable when the process ends.
    pub fn pidfds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.alive.iter().map(|child| child.pidfd.as_fd())
    }

    /// Starts a process; the error is a sentence for the server.
    pub fn start(&mut self, start: Start, descriptors: Vec<OwnedFd>) -> Result<Started<'_>, String> {
        let [channel, page, output] = <[OwnedFd; 3]>::try_from(descriptors).map_err(|descriptors| {
            format!("a start request brought {} descriptors, expected channel, page and output", descriptors.len())
        })?;
        let handed = Handed { channel, page, output };
        let mut warning = None;
        let Forked { pid, pidfd } = match self.start_method {
            StartMethod::Spawn => self.spawn(start, handed)?,
            StartMethod::Fork => match process::thread_count() {
                Ok(threads) if threads > 1 => {
                    // Nobody started a thread while loading, and yet there is one now.
                    self.start_method = StartMethod::Spawn;
                    warning = Some(format!(
                        "some plugin has started threads since it was loaded ({threads} in all): a process with \
                         threads cannot fork safely, so workers of this generation are spawned from now on"
                    ));
                    self.spawn(start, handed)?
                }
                _ => self.fork(start, handed).map_err(|problem| format!("cannot start a process: {problem}"))?,
            },
        };
        self.alive.push(Child { number: start.number, pid, pidfd });
        let child = self.alive.last().ok_or_else(|| "the list of processes is empty".to_owned())?;
        Ok(Started { pid: child.pid, pidfd: child.pidfd.as_fd(), warning })
    }

    fn fork(&self, start: Start, handed: Handed) -> Result<Forked, ForkError> {
        let Handed { channel, page, output } = handed;
        let boot = Boot {
            parent: std::process::id().cast_signed(),
            role: start.role,
            limits: start.limits,
            log_level_max: self.log_level_max,
            channel,
            page,
        };
        let plugins = &self.plugins;
        fork(move || start::forked(boot, output, plugins))
    }

    fn spawn(&self, start: Start, handed: Handed) -> Result<Forked, String> {
        let role = match start.role {
            Role::Worker => "worker",
            Role::HookHost => "hook-host",
        };
        let (ours, theirs) = Channel::pair().map_err(|problem| format!("cannot make a channel: {problem}"))?;
        let spawned = spawn::spawn_role(role, theirs.into_socket(), handed.output.as_fd())
            .map_err(|problem| problem.to_string())?;
        // It is waited for by its id, like the forked ones; std's handle is of no further use.
        let pid = spawned.child.id().cast_signed();
        if let Err(problem) = self.brief(&ours, start, &handed) {
            // It has died already, or will now that its briefing ends half-way; `reap` never hears of it.
            let _ = pidfd::kill(&spawned.pidfd);
            process::kill_group(pid);
            let mut child = spawned.child;
            let _ = child.wait();
            return Err(format!("cannot brief a spawned process: {problem}"));
        }
        Ok(Forked { pid, pidfd: spawned.pidfd })
    }

    /// Tells a spawned process all that a forked one has from birth.
    fn brief(&self, channel: &Channel, start: Start, handed: &Handed) -> Result<(), ChannelError> {
        let begin = ToSpawned::Begin { role: start.role, limits: start.limits, log_level_max: self.log_level_max };
        channel.send(&begin, &[handed.channel.as_fd(), handed.page.as_fd()])?;
        for some in self.libraries.chunks(DESCRIPTORS_MAX) {
            let files: Vec<_> = some.iter().map(|library| library.file.as_fd()).collect();
            let copies = some.iter().map(|library| library.copy.clone()).collect();
            channel.send(&ToSpawned::Libraries(copies), &files)?;
        }
        channel.send(&ToSpawned::End, &[])
    }

    /// Takes note of those that have ended, and ends what their plugins started and left behind; the answers are for
    /// the server.
    pub fn reap(&mut self) -> Vec<FromZygote> {
        let pidfds: Vec<_> = self.pidfds().collect();
        let Ok(over) = wait::readable(&pidfds, Some(Duration::ZERO)) else { return Vec::new() };
        let mut over = over.into_iter();
        let mut ended = Vec::new();
        self.alive.retain(|child| {
            if over.next() != Some(true) {
                return true;
            }
            // A process that a plugin forked holds the channel and the output open, and does not die with its parent.
            process::kill_group(child.pid);
            match process::reap(child.pid) {
                Ok(None) => return true,
                Ok(Some((ending, max_rss_bytes))) => {
                    ended.push(FromZygote::Exited { number: child.number, pid: child.pid, ending, max_rss_bytes });
                }
                Err(problem) => {
                    // Somebody else (a plugin's own handler) has waited for it: it is gone, nobody knows how.
                    let text = format!("cannot tell how process {} ended: {problem}", child.pid);
                    ended.push(FromZygote::Warning(text));
                    let ending = crate::ipc::message::Ending::Exited(-1);
                    ended.push(FromZygote::Exited { number: child.number, pid: child.pid, ending, max_rss_bytes: 0 });
                }
            }
            false
        });
        ended
    }

    /// Ends all of them and waits until they are gone.
    pub fn end_all(&mut self) {
        for child in &self.alive {
            let _ = pidfd::kill(&child.pidfd);
        }
        while !self.alive.is_empty() {
            let pidfds: Vec<_> = self.pidfds().collect();
            if wait::readable(&pidfds, None).is_err() {
                return;
            }
            self.reap();
        }
    }
}
