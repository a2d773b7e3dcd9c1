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

use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::unistd::Gid;

pub use bind::SocketFile;
pub use inherit::{ListenVariables, stdin_listener};

/// What is known about where to listen.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// `--listen-stdin`.
    pub stdin: bool,
    /// Systemd's variables.
    pub passed: ListenVariables,
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
    /// The file to remove at the end, if it is ours. Kept for its drop.
    pub file: Option<SocketFile>,
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
pub fn listen(request: &Request) -> Result<Listening, SocketError> {
    if request.stdin {
        let listener = inherit::from_stdin()?;
        return Ok(Listening { listener, name: "the socket passed as standard input".to_owned(), file: None });
    }
    if let Some(listener) = inherit::from_systemd(&request.passed, std::process::id())? {
        return Ok(Listening { listener, name: "the socket passed by systemd".to_owned(), file: None });
    }
    let path = request.path.as_deref().or(request.usual_path.as_deref()).ok_or_else(|| {
        SocketError::new(
            "no place for the control socket is known: neither RUNTIME_DIRECTORY nor XDG_RUNTIME_DIR is set",
            "name one with --socket PATH, [server] socket in the configuration, or the variable DAGD_SOCKET",
        )
    })?;
    listen_at(path, request.group)
}

fn listen_at(path: &Path, group: Option<Gid>) -> Result<Listening, SocketError> {
    let name = path.display().to_string();
    if let Some(abstract_name) = path.to_str().and_then(|path| path.strip_prefix('@')) {
        let listener = bind::abstract_address(abstract_name)?;
        return Ok(Listening { listener, name, file: None });
    }
    let (listener, file) = bind::path(path, group)?;
    Ok(Listening { listener, name, file: Some(file) })
}
