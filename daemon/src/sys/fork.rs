//! `fork`, made safe by the one condition it has: a single thread.
//!
//! A forked child has only the thread that forked; whatever locks other threads held at that moment stay locked for
//! ever. So the threads are counted first, and more than one is an error rather than a hope.

use std::io;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};

use nix::unistd::ForkResult;

use super::{pidfd, process};

/// The exit code of a child whose own code panicked before it could serve.
pub const PANICKED: i32 = 101;

/// A child that was forked.
#[derive(Debug)]
pub struct Forked {
    /// Its process id; valid until it is reaped.
    pub pid: i32,
    /// Readable once it has ended.
    pub pidfd: OwnedFd,
}

/// Why there is no child.
#[derive(Debug, thiserror::Error)]
pub enum ForkError {
    /// This process has more than one thread.
    #[error("this process has {0} threads, and only a process with one may fork")]
    Threads(usize),
    /// The system refused.
    #[error("cannot fork: {0}")]
    System(#[from] io::Error),
}

/// Forks. The child runs `child` and leaves with its answer by `_exit`: it never returns into the parent's code, and
/// never runs the parent's destructors.
pub fn fork(child: impl FnOnce() -> i32) -> Result<Forked, ForkError> {
    match process::thread_count()? {
        1 => {}
        threads => return Err(ForkError::Threads(threads)),
    }
    // SAFETY: this process has one thread, the one that is here, as just counted, and only it could start another. So
    // the child may do whatever the parent may.
    let result = unsafe { nix::unistd::fork() }.map_err(io::Error::from)?;
    match result {
        ForkResult::Child => {
            let code = catch_unwind(AssertUnwindSafe(child)).unwrap_or(PANICKED);
            process::exit_now(code)
        }
        ForkResult::Parent { child } => {
            let pid = child.as_raw();
            match pidfd::open(pid) {
                Ok(pidfd) => Ok(Forked { pid, pidfd }),
                Err(problem) => {
                    // Nobody could watch it: better none at all. Not reaped yet, so the id is still its own.
                    let _ = nix::sys::signal::kill(child, nix::sys::signal::Signal::SIGKILL);
                    let _ = nix::sys::wait::waitpid(child, None);
                    Err(problem.into())
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    /// The harness runs tests on threads, which is just what must not fork.
    #[test]
    fn a_process_with_threads_does_not_fork() {
        assert!(matches!(fork(|| 0), Err(ForkError::Threads(2..))));
    }
}
