//! The control socket: where it comes from, who made it, and who may use it.
//!
//! In this order: standard input (`--listen-stdin`, how a private daemon gets it), systemd's (`LISTEN_FDS`), one of our own
//! at a path or an abstract address. [`bind`] makes our own, [`inherit`] takes what was passed, [`peer`] says who may
//! talk to us.
#![forbid(unsafe_code)]

mod bind;
mod inherit;
pub mod peer;
#[cfg(test)]
mod tests;

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::unistd::Gid;

pub use bind::SocketFile;
pub use inherit::stdin_listener;

/// What is known about where to listen.
#[derive(Debug, Default)]
pub struct Request {
    /// `--listen-stdin`.
    pub stdin: bool,
    /// Systemd's sockets.
    pub passed: Vec<OwnedFd>,
    /// The path, or `@name`, if the command line or the configuration gives one.
    pub path: Option<PathBuf>,
    /// The path to use when nothing else is said.
    pub usual_path: Option<PathBuf>,
    /// The group that may connect as well.
    pub group: Option<Gid>,
}

/// A socket that listens.
#[derive(Debug)]
pub struct Listening {
    /// The socket.
    pub listener: UnixListener,
    /// What to call it.
    pub name: String,
    /// Whether the service manager made it, and keeps it when this process ends: clients then wait for the next one.
    pub is_managed: bool,
    /// The group that may connect, if the socket was passed and its file says so.
    pub group: Option<Gid>,
    /// The file to remove at the end, if it is ours. Kept for its drop.
    pub file: Option<SocketFile>,
}

impl Listening {
    fn at(name: impl Into<String>, listener: UnixListener) -> Listening {
        Listening { listener, name: name.into(), is_managed: false, group: None, file: None }
    }
}

/// Why there is no socket to listen on.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct SocketError {
    /// What was tried, on what, and why it failed.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

impl SocketError {
    fn new(message: impl Into<String>, hint: impl Into<String>) -> SocketError {
        SocketError { message: message.into(), hint: hint.into() }
    }
}

/// Finds or makes the socket to listen on.
pub fn listen(request: Request) -> Result<Listening, SocketError> {
    if request.stdin {
        let listener = inherit::from_stdin()?;
        return Ok(Listening::at("the socket passed as standard input", listener));
    }
    if let Some(listener) = inherit::from_systemd(request.passed)? {
        let group = inherit::group_of(&listener);
        let listening = Listening::at("the socket passed by systemd", listener);
        return Ok(Listening { is_managed: true, group, ..listening });
    }
    let path = request.path.or(request.usual_path).ok_or_else(|| {
        SocketError::new(
            "no place for the control socket is known: neither RUNTIME_DIRECTORY nor XDG_RUNTIME_DIR is set",
            "name one with --socket PATH, [server] socket in the configuration, or the variable DAGD_SOCKET",
        )
    })?;
    listen_at(&path, request.group)
}

fn listen_at(path: &Path, group: Option<Gid>) -> Result<Listening, SocketError> {
    let name = path.display().to_string();
    if let Some(abstract_name) = path.to_str().and_then(|path| path.strip_prefix('@')) {
        let listener = bind::abstract_address(abstract_name)?;
        return Ok(Listening::at(name, listener));
    }
    let (listener, file) = bind::path(path, group)?;
    Ok(Listening { file: Some(file), ..Listening::at(name, listener) })
}
