//! A process that a zygote started, and how it ended.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::ipc::message::Ending;
use crate::ipc::page::WorkerPage;
use crate::server::cgroup::Leaf;
use crate::server::pool::OutputLines;
use crate::sys::{pidfd, wait};

/// A process that the zygote started.
#[derive(Debug)]
pub struct Process {
    /// Its process id.
    pub pid: u32,
    /// The page shared with it.
    pub page: WorkerPage,
    /// What it prints.
    pub output: OutputLines,
    pub(super) pidfd: OwnedFd,
    pub(super) ended: Receiver<ProcessEnd>,
    pub(super) leaf: Option<Leaf>,
}

/// How a process of a generation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProcessEnd {
    /// By itself or by a signal.
    Ended {
        /// Which.
        ending: Ending,
        /// The most memory it had resident.
        max_rss_bytes: u64,
    },
    /// With its zygote, which ended for this reason.
    WithZygote(String),
    /// Nobody could say in time.
    Unknown,
}

impl Process {
    /// Becomes readable when it ends, whoever else may hold its channel open.
    pub fn watched(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        wait::readable_within(self.watched(), Duration::ZERO).unwrap_or(false)
    }

    /// Sends it a signal; one that has gone already does not mind.
    pub fn signal(&self, signal: Signal) {
        let _ = pidfd::signal(&self.pidfd, signal);
    }

    /// Ends it for certain.
    pub fn kill(&self) {
        let _ = pidfd::kill(&self.pidfd);
        // And whatever it started, wherever that hides.
        if let Some(leaf) = &self.leaf {
            leaf.kill();
        }
    }

    /// Waits until it has ended, and says how.
    pub fn wait(&self, patience: Duration) -> Option<ProcessEnd> {
        match self.ended.recv_timeout(patience) {
            Ok(end) => Some(end),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(ProcessEnd::Unknown),
        }
    }
}

#[cfg(test)]
impl Process {
    /// One that is none: says nothing, minds no signal, and has ended if asked.
    pub fn pretended() -> Process {
        let (page, _) = WorkerPage::create().expect("a page");
        let (read, _) = crate::sys::spawn::output_pipe().expect("a pipe");
        let null = std::fs::File::open("/dev/null").expect("/dev/null");
        let output = OutputLines::new(read).expect("a pipe that does not block");
        Process { pid: 0, page, output, pidfd: null.into(), ended: std::sync::mpsc::channel().1, leaf: None }
    }
}
