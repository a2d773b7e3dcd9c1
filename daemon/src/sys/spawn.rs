//! Starting our own binary in another role.
//!
//! The child gets exactly three descriptors: a socket as its stdin, and `output` as stdout and stderr. Everything else
//! it needs travels over that socket, so no descriptor has to survive `exec`, no `pre_exec` code runs between fork and
//! exec (std uses `posix_spawn`), and a server with many threads may call this at any time. The child asks to die with
//! its parent as its first deed; `--parent` tells it whom to expect, in case that one is gone before.

use std::ffi::OsString;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::pidfd;

/// The running binary, even if the file was replaced since.
pub const OWN_BINARY: &str = "/proc/self/exe";

/// The environment that plugins get to see: what programs need to find their files, language and time zone. The rest
/// (tokens, sockets of the service manager) is the daemon's own.
const ENVIRONMENT: &[&str] =
    &["HOME", "LANG", "LANGUAGE", "LD_LIBRARY_PATH", "LOGNAME", "PATH", "RUST_BACKTRACE", "TMPDIR", "TZ", "USER"];

/// What to start.
#[derive(Debug)]
pub struct Spawn<'a> {
    /// The hidden subcommand: `zygote`, `worker`, `hook-host`.
    pub role: &'a str,
    /// The binary; [`OWN_BINARY`] but in tests.
    pub program: &'a Path,
    /// Becomes its stdin.
    pub socket: OwnedFd,
    /// Becomes its stdout and stderr.
    pub output: BorrowedFd<'a>,
    /// More variables for its environment.
    pub environment: Vec<(OsString, OsString)>,
}

/// A child that was started.
#[derive(Debug)]
pub struct Spawned {
    /// To be waited for; dropping it neither kills nor waits.
    pub child: Child,
    /// Readable once it has ended; signals are sent through it.
    pub pidfd: OwnedFd,
}

impl<'a> Spawn<'a> {
    /// This binary in that role.
    pub fn role(role: &'a str, socket: OwnedFd, output: BorrowedFd<'a>) -> Spawn<'a> {
        Spawn { role, program: Path::new(OWN_BINARY), socket, output, environment: Vec::new() }
    }

    /// Starts it. The child dies with the *thread* that calls this.
    pub fn start(self) -> io::Result<Spawned> {
        let output = self.output.try_clone_to_owned()?;
        let mut command = Command::new(self.program);
        command
            .arg0("dagd")
            .arg(self.role)
            .arg("--parent")
            .arg(std::process::id().to_string())
            .env_clear()
            .envs(inherited_environment())
            .envs(self.environment)
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::from(self.socket))
            .stdout(Stdio::from(self.output.try_clone_to_owned()?))
            .stderr(Stdio::from(output));
        let mut child = command.spawn().map_err(|problem| {
            io::Error::new(problem.kind(), format!("cannot start {} {}: {problem}", self.program.display(), self.role))
        })?;
        match pidfd::open(child.id().cast_signed()) {
            Ok(pidfd) => Ok(Spawned { child, pidfd }),
            Err(problem) => {
                // Nobody could watch it: better none at all.
                let _ = child.kill();
                let _ = child.wait();
                Err(problem)
            }
        }
    }
}

/// Starts this binary in a role; see [`Spawn`].
pub fn spawn_role(role: &str, socket: OwnedFd, output: BorrowedFd<'_>) -> io::Result<Spawned> {
    Spawn::role(role, socket, output).start()
}

fn inherited_environment() -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os()
        .filter(|(name, _)| name.to_str().is_some_and(|name| ENVIRONMENT.contains(&name) || name.starts_with("LC_")))
}

/// Both ends of a pipe for a child's output: `(read, write)`.
pub fn output_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = io::pipe()?;
    Ok((read.into(), write.into()))
}
