//! Sockets that were made by someone else and passed to us.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixListener;

use nix::sys::socket::sockopt::{AcceptConn, PeerCredentials, SockType as SockTypeOption};
use nix::sys::socket::{SockType, getsockopt};
use nix::unistd::Gid;

use super::SocketError;
use crate::sys::process;

/// The socket that systemd passed, if it did.
pub(super) fn from_systemd(passed: Vec<OwnedFd>) -> Result<Option<UnixListener>, SocketError> {
    if passed.len() > 1 {
        return Err(SocketError::new(
            format!("{} sockets were passed in LISTEN_FDS, but the daemon listens on one", passed.len()),
            "leave one ListenStream= in the socket unit",
        ));
    }
    passed.into_iter().next().map(|socket| checked(socket, "LISTEN_FDS")).transpose()
}

/// The group that may write to the file of a socket that was passed: whoever made it says with its mode who may connect.
pub(super) fn group_of(listener: &UnixListener) -> Option<Gid> {
    let address = listener.local_addr().ok()?;
    let file = std::fs::metadata(address.as_pathname()?).ok()?;
    (file.mode() & 0o020 != 0).then(|| Gid::from_raw(file.gid()))
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
