//! Sockets that were made by someone else and passed to us.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;

use nix::sys::socket::sockopt::{AcceptConn, PeerCredentials, SockType as SockTypeOption};
use nix::sys::socket::{SockType, getsockopt};

use super::SocketError;
use crate::sys::process;

/// The number of the first descriptor that systemd passes.
const FIRST_PASSED: i32 = 3;

/// Systemd's variables: `LISTEN_PID` says whom the sockets are for, `LISTEN_FDS` how many there are.
#[derive(Debug, Clone, Default)]
pub struct ListenVariables {
    /// `LISTEN_PID`.
    pub pid: Option<String>,
    /// `LISTEN_FDS`.
    pub count: Option<String>,
}

impl ListenVariables {
    /// Reads them.
    pub fn of_process() -> ListenVariables {
        ListenVariables { pid: std::env::var("LISTEN_PID").ok(), count: std::env::var("LISTEN_FDS").ok() }
    }

    /// How many sockets were passed to the process `own_pid`.
    fn count_for(&self, own_pid: u32) -> Option<u32> {
        let pid: u32 = self.pid.as_deref()?.parse().ok()?;
        let count: u32 = self.count.as_deref()?.parse().ok()?;
        (pid == own_pid && count > 0).then_some(count)
    }
}

/// The socket that systemd passed, if it did.
pub(super) fn from_systemd(variables: &ListenVariables, own_pid: u32) -> Result<Option<UnixListener>, SocketError> {
    let Some(count) = variables.count_for(own_pid) else { return Ok(None) };
    if count > 1 {
        return Err(SocketError::new(
            format!("{count} sockets were passed in LISTEN_FDS, but the daemon listens on one"),
            "leave one ListenStream= in the socket unit",
        ));
    }
    let passed = process::take_inherited(FIRST_PASSED).map_err(|error| {
        SocketError::new(
            format!(
                "LISTEN_FDS says that a socket was passed as descriptor {FIRST_PASSED}, but it cannot be used: {error}"
            ),
            "unset LISTEN_FDS and LISTEN_PID if the daemon was not started by socket activation",
        )
    })?;
    checked(passed, "LISTEN_FDS").map(Some)
}

/// The socket that was passed as standard input; `/dev/null` takes its place there, so that no child inherits it.
pub(super) fn from_stdin() -> Result<UnixListener, SocketError> {
    let passed = process::take_stdin().map_err(|error| {
        SocketError::new(format!("cannot take the socket from standard input: {error}"), STDIN_HINT)
    })?;
    checked(passed, "standard input")
}

/// The process that made the socket at standard input listen, if there is one that listens. The kernel notes it at `listen`,
/// and whoever inherits the socket reads the same.
pub fn stdin_listener() -> Option<i32> {
    listener_of(&std::io::stdin())
}

pub(super) fn listener_of(socket: &impl AsFd) -> Option<i32> {
    if !matches!(getsockopt(socket, AcceptConn), Ok(true)) {
        return None;
    }
    getsockopt(socket, PeerCredentials).ok().map(|credentials| credentials.pid())
}

const STDIN_HINT: &str = "--listen-stdin is for programs that start a daemon of their own; leave it out otherwise";

/// Makes sure that what was passed is a Unix stream socket that listens.
fn checked(passed: OwnedFd, origin: &str) -> Result<UnixListener, SocketError> {
    let wrong = |what: &str| {
        SocketError::new(
            format!("what was passed through {origin} is {what}; the daemon needs a listening Unix stream socket"),
            STDIN_HINT,
        )
    };
    let fd = passed.as_fd();
    match getsockopt(&fd, SockTypeOption) {
        Ok(SockType::Stream) => (),
        Ok(_) => return Err(wrong("a socket of another type")),
        Err(_) => return Err(wrong("no socket")),
    }
    if !matches!(getsockopt(&fd, AcceptConn), Ok(true)) {
        return Err(wrong("a socket that does not listen"));
    }
    let listener = UnixListener::from(passed);
    // Only a Unix socket has an address of this kind.
    listener.local_addr().map_err(|_| wrong("a socket of another family"))?;
    Ok(listener)
}
