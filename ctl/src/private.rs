//! A daemon of one's own, for as long as the command lasts.
//!
//! The socket is made here, in Linux's abstract namespace under a name the kernel picks, and handed to the child as its
//! standard input: no file to leave behind, no name to collide on, and no waiting for it to appear, because connections
//! queue from the moment it listens. When the child ends early, the queue breaks and the first request says so.
//!
//! The child has a process group of its own: a Ctrl-C in the terminal is for `ctl`, which decides what it means. Should
//! `ctl` be killed, `--private` makes the daemon end by itself.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use protocol::exit;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::args::PrivateArgs;
use crate::client::address::Addresses;
use crate::error::Error;

/// A running daemon that belongs to this process.
#[derive(Debug)]
pub struct PrivateDaemon {
    child: Child,
    name: String,
    words: LastWords,
    listener: JoinHandle<()>,
}

/// How long it may take to end when asked to.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// How long to wait for its last words once it is known to be ending.
const WORDS_PATIENCE: Duration = Duration::from_secs(2);

impl PrivateDaemon {
    /// Starts one; it may still be loading plugins when this returns, the first request waits for it.
    pub fn start(options: &PrivateArgs) -> Result<PrivateDaemon, Error> {
        let program = find_daemon(std::env::current_exe().ok(), std::env::var_os("PATH"))?;
        PrivateDaemon::start_program(&program, options)
    }

    /// Starts one from this very program.
    pub fn start_program(program: &Path, options: &PrivateArgs) -> Result<PrivateDaemon, Error> {
        let (socket, name) = autobound_listener()
            .map_err(|problem| Error::internal("cannot make a socket for the private daemon", problem))?;
        let mut command = Command::new(program);
        command
            .args(arguments(options)?)
            .stdin(Stdio::from(std::os::fd::OwnedFd::from(socket)))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(|problem| {
            Error::new(exit::UNREACHABLE, "no-daemon", format!("cannot start {}", program.display())).cause(problem)
        })?;
        // The command still holds the listening socket: were it kept, a dead daemon would look like a slow one.
        drop(command);
        let words = LastWords::new(options.daemon_log);
        let listener = match child.stderr.take() {
            Some(stderr) => tokio::spawn(words.clone().listen(stderr)),
            None => tokio::spawn(async {}),
        };
        Ok(PrivateDaemon { child, name, words, listener })
    }

    /// Where it listens.
    pub fn addresses(&self) -> Addresses {
        Addresses::one(PathBuf::from(format!("@{}", self.name)))
    }

    /// Asks it to end, waits, and kills it if it does not.
    pub async fn stop(mut self) {
        self.signal(Signal::SIGTERM);
        if timeout(STOP_PATIENCE, self.child.wait()).await.is_err() {
            self.kill().await;
        }
    }

    /// Ends it at once; its workers end with it.
    pub async fn kill(&mut self) {
        // The only way to fail is that it is gone already.
        let _ = self.child.kill().await;
    }

    /// Tells whether a failed request failed because the daemon is gone, and if so why that is.
    pub async fn explain(&mut self, error: Error) -> Error {
        if error.exit() != exit::UNREACHABLE {
            return error;
        }
        let Ok(Ok(status)) = timeout(WORDS_PATIENCE, self.child.wait()).await else {
            return error;
        };
        let _ = timeout(WORDS_PATIENCE, &mut self.listener).await;
        ended(status, &self.words.text())
    }

    fn signal(&self, signal: Signal) {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = pid {
            // It is our child and not yet waited for, so the id is still its own.
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }
}

/// Makes a listening socket whose name the kernel picks. Binding to the address of an unbound socket, which is empty, is
/// how one asks for that.
fn autobound_listener() -> io::Result<(UnixListener, String)> {
    let nameless = UnixDatagram::unbound()?.local_addr()?;
    let listener = UnixListener::bind_addr(&nameless)?;
    let address = listener.local_addr()?;
    let name = address.as_abstract_name().and_then(|name| std::str::from_utf8(name).ok());
    match name {
        Some(name) => Ok((listener, name.to_owned())),
        None => Err(io::Error::other("the kernel gave it no name")),
    }
}

fn arguments(options: &PrivateArgs) -> Result<Vec<OsString>, Error> {
    let mut arguments: Vec<OsString> = ["serve", "--listen-stdin", "--private"].map(OsString::from).to_vec();
    for folder in &options.plugins {
        if !folder.is_dir() {
            let why = if folder.exists() { "is no folder" } else { "is not there" };
            return Err(Error::new(
                exit::PROBLEMS,
                "no-plugin-folder",
                format!("the plugin folder {} {why}", folder.display()),
            )
            .hint("plugins are files lib*.so; cargo builds them into target/debug or target/release"));
        }
        arguments.extend(["--plugins".into(), folder.into()]);
    }
    if let Some(file) = &options.daemon_config {
        arguments.extend(["--config".into(), file.into()]);
    }
    if let Some(workers) = options.workers {
        arguments.extend(["--workers".into(), workers.to_string().into()]);
    }
    if let Some(method) = &options.start_method {
        arguments.extend(["--start-method".into(), method.into()]);
    }
    Ok(arguments)
}

/// Finds the daemon: beside this program, where an installation and cargo both put it, else in PATH.
fn find_daemon(this: Option<PathBuf>, path: Option<OsString>) -> Result<PathBuf, Error> {
    let beside = this.as_deref().and_then(Path::parent).map(|folder| folder.join("dagd"));
    let in_path = path.iter().flat_map(std::env::split_paths).map(|folder| folder.join("dagd"));
    match beside.clone().into_iter().chain(in_path).find(|candidate| candidate.is_file()) {
        Some(program) => Ok(program),
        None => {
            let place = beside.map_or("this program".to_owned(), |beside| beside.display().to_string());
            Err(Error::new(
                exit::UNREACHABLE,
                "no-daemon",
                format!("cannot start a private daemon: there is no dagd at {place} and none in PATH"),
            )
            .hint("install dagd beside ctl; in the source tree, `cargo build` makes both"))
        }
    }
}

fn ended(status: ExitStatus, words: &str) -> Error {
    use std::os::unix::process::ExitStatusExt;
    let how = match (status.code(), status.signal()) {
        (Some(code), _) => format!("it ended with exit code {code}"),
        (None, Some(signal)) => match Signal::try_from(signal) {
            Ok(name) => format!("it was ended by signal {signal} ({name})"),
            Err(_) => format!("it was ended by signal {signal}"),
        },
        (None, None) => "it ended".to_owned(),
    };
    // What is wrong with its configuration is told with the same code as by `dagd` itself.
    let code = match status.code().and_then(|code| u8::try_from(code).ok()) {
        Some(code @ (exit::USAGE | exit::PROBLEMS)) => code,
        _ => exit::UNREACHABLE,
    };
    let error = Error::new(code, "daemon-ended", format!("the private daemon is gone: {how}"));
    if words.is_empty() {
        error.hint("it said nothing; run `dagd serve` to look at it")
    } else {
        error.cause(format!("it said:\n{words}"))
    }
}

/// The last lines a process has written; what a dying daemon says is the best explanation there is.
#[derive(Debug, Clone)]
struct LastWords {
    lines: Arc<Mutex<VecDeque<String>>>,
    pass_on: bool,
}

const WORDS_LINES_MAX: usize = 40;

impl LastWords {
    fn new(pass_on: bool) -> LastWords {
        LastWords { lines: Arc::default(), pass_on }
    }

    /// Reads until the end, so that the writer never waits for us.
    async fn listen(self, source: impl AsyncRead + Unpin) {
        let mut source = BufReader::new(source);
        let mut line = Vec::new();
        while let Ok(1..) = source.read_until(b'\n', &mut line).await {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            line.clear();
            if self.pass_on {
                use std::io::Write;
                let _ = writeln!(io::stderr(), "dagd: {text}");
            }
            let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
            if lines.len() == WORDS_LINES_MAX {
                lines.pop_front();
            }
            lines.push_back(text);
        }
    }

    fn text(&self) -> String {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().cloned().collect::<Vec<_>>().join("\n").trim().to_owned()
    }
}

#[cfg(test)]
mod tests;
