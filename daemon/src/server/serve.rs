//! `dagd serve`, from the first line to the exit code.
//!
//! The order matters: signals are blocked before any thread exists; the socket is taken before the plugins are loaded, so
//! that a second daemon gives up at once and clients of this one merely wait; systemd hears `READY=1` when requests are
//! answered. On a signal runs may end first, for a bounded time; a second signal cancels them.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::getppid;
use protocol::{Problem, ReloadOptions, address, exit};

use super::api::{Control, Limits};
use super::config::{self, Config};
use super::daemon::{Daemon, ShutdownMode};
use super::generations::ReloadError;
use super::service::{FdStore, Heartbeat, Inherited, Keeper, notify};
use super::signals::{Wake, Wakes};
use super::socket::peer::{Admission, find_group};
use super::socket::{self, Listening, Request, SocketError};
use super::{cgroup, logging, stop};
use crate::ipc::message::StartMethod;
use crate::sys::heap;

/// Arguments of `dagd serve`.
///
/// Without any, the daemon reads the first of $CONFIGURATION_DIRECTORY/config.toml, ~/.config/dagd/config.toml and
/// /etc/dagd/config.toml that exists (`dagd default-config` prints all keys), and listens at the first of: systemd's socket
/// (LISTEN_FDS), the configuration's, $DAGD_SOCKET, $RUNTIME_DIRECTORY/dagd.sock, $XDG_RUNTIME_DIR/dagd/dagd.sock.
///
/// SIGHUP: plugins and configuration are loaded anew, as by `ctl reload`; what is wrong is logged and changes nothing.
///
/// SIGTERM or SIGINT: no new runs, those under way may end (`[server] drain_timeout_ms`); what is left then is interrupted, and
/// the next start goes on with it (`[runs] automatic_resumes_max`). A second signal cancels them.
///
/// Exit codes: 0 ended on request, 2 wrong command line, 3 problems in the configuration, 4 could not start, 70 a mistake of
/// the daemon's own.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct ServeArgs {
    /// Configuration file, instead of the usual ones.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Path of the control socket, or @NAME for an abstract one.
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Folder with plugins, searched before all others; may be given several times.
    #[arg(long, value_name = "DIR")]
    plugins: Vec<PathBuf>,
    /// Number of workers, instead of the configuration's.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    workers: Option<u32>,
    /// How workers start, instead of the configuration's.
    #[arg(long, value_name = "METHOD")]
    start_method: Option<StartMethodArg>,
    /// What is logged, instead of the configuration's: off, error, warn, info, debug, trace.
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<log::LevelFilter>,
    /// Listen on the socket that is standard input, as a program does that starts a daemon of its own.
    #[arg(long, conflicts_with = "socket")]
    listen_stdin: bool,
    /// Keep runs in memory only, and end with the process that started this one.
    #[arg(long)]
    private: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum StartMethodArg {
    Fork,
    Spawn,
}

/// Serves until told to stop.
pub fn run(arguments: &ServeArgs) -> ExitCode {
    let config = match configure(arguments) {
        Ok(config) => config,
        Err(problems) => return report_problems(&problems),
    };
    logging::start(config.log.level);
    match serve(arguments, config) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            logging::complain(&error.message, &error.hint);
            ExitCode::from(error.code)
        }
    }
}

/// Writes problems of the configuration for a person to read.
pub fn report_problems(problems: &[Problem]) -> ExitCode {
    for problem in problems {
        logging::write_line(&problem.to_string());
    }
    ExitCode::from(exit::PROBLEMS)
}

/// What is wrong with a configuration on this machine, though it is well written.
pub fn problems_here(config: &Config) -> Vec<Problem> {
    let unknown_group = find_group(&config.server.group).err().map(|error| (error.message, error.hint));
    let missing = config.plugins.directories.iter().filter(|directory| !directory.is_dir()).map(|directory| {
        let message = format!("[plugins] directories names {}, which is no folder", directory.display());
        (message, "make it, or leave it out".to_owned())
    });
    let problem = |(message, hint)| Problem {
        code: "not-here".to_owned(),
        message,
        place: None,
        causes: Vec::new(),
        hints: vec![hint],
    };
    unknown_group.into_iter().chain(missing).map(problem).collect()
}

/// Gives the value of a variable of this process, for `${env:NAME}`.
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Why the daemon does not serve.
struct ServeError {
    code: u8,
    message: String,
    hint: String,
}

impl From<SocketError> for ServeError {
    fn from(error: SocketError) -> ServeError {
        ServeError { code: exit::UNREACHABLE, message: error.message, hint: error.hint }
    }
}

impl ServeError {
    fn internal(attempt: &str, error: &std::io::Error) -> ServeError {
        let message = format!("cannot {attempt}: {error}");
        ServeError { code: exit::INTERNAL, message, hint: String::new() }
    }
}

/// The configuration: file, then command line.
fn configure(arguments: &ServeArgs) -> Result<Config, Vec<Problem>> {
    let file = arguments.config.clone().or_else(config::find_file);
    let mut config = match file {
        Some(file) => Config::load(&file, &environment)?,
        None => Config::default(),
    };
    if let Some(socket) = &arguments.socket {
        config.server.socket.clone_from(socket);
    }
    if let Some(count) = arguments.workers {
        config.workers.count = count;
    }
    if let Some(method) = arguments.start_method {
        config.workers.start_method = match method {
            StartMethodArg::Fork => StartMethod::Fork,
            StartMethodArg::Spawn => StartMethod::Spawn,
        };
    }
    if let Some(level) = arguments.log_level {
        config.log.level = level;
    }
    config.plugins.command_line.clone_from(&arguments.plugins);
    config.private = arguments.private;
    Ok(config)
}

fn serve(arguments: &ServeArgs, mut config: Config) -> Result<u8, ServeError> {
    if config.private {
        end_with_parent(arguments.listen_stdin)?;
    }
    heap::bound_parts();
    let wakes = Wakes::take_signals().map_err(|error| ServeError::internal("wait for signals", &error))?;
    let inherited = Inherited::take().map_err(|message| ServeError {
        code: exit::UNREACHABLE,
        message,
        hint: "unset LISTEN_FDS and LISTEN_PID if the daemon was not started by a service manager".to_owned(),
    })?;
    let group = find_group(&config.server.group)?;
    let Listening { listener, name, is_managed, group: socket_group, file } = socket::listen(Request {
        stdin: arguments.listen_stdin,
        passed: inherited.sockets,
        path: Some(config.server.socket.clone()).filter(|path| !path.as_os_str().is_empty()),
        usual_path: address::Environment::of_process().listen_path(),
        group,
    })?;
    let admission = Admission::new(&config.server.allowed_uids, group.or(socket_group));
    let limits = Limits { connections_max: config.server.connections_max, ..Limits::default() };
    let drain_patience = Duration::from_millis(config.server.drain_timeout_ms);
    let private = config.private;
    config.managed_socket = is_managed;
    if !private {
        cgroup::settle(&config);
    }

    let daemon = Daemon::start(config).map_err(|error| ServeError {
        code: exit::UNREACHABLE,
        message: error.message,
        hint: error.hint,
    })?;
    let again = arguments.clone();
    daemon.configure_by(move || configure(&again));
    let (fd_store, stored) = FdStore::take_back(inherited.stored);
    daemon.take_back(stored);
    daemon.account_for_interrupted();
    let sender = wakes.sender();
    let ended = move || {
        // The main thread is the one that waits; it is there as long as the process is.
        let _ = sender.send(Wake::ControlEnded);
    };
    let backend = Arc::clone(&daemon);
    let control = Control::start(listener, backend, admission, limits, ended)
        .map_err(|error| ServeError::internal("start the control thread", &error))?;
    let heartbeat = Heartbeat::start(control.pulse());
    let keeping = Arc::clone(&daemon);
    let keeper = Keeper::start(fd_store, move || keeping.to_keep());
    log::info!("dagd {} serves at {name}", env!("CARGO_PKG_VERSION"));
    notify::ready(&format!("serves at {name}"));

    let woken = loop {
        match wakes.wait() {
            // A private daemon belongs to one command; its terminal's end is its own.
            Wake::Signal(Signal::SIGHUP) if !private => reload(&daemon, &name),
            woken => break woken,
        }
    };
    let code = match woken {
        Wake::Signal(signal) => {
            // Whoever started a private daemon waits for nothing any more.
            match private {
                true => stop::at_once(&daemon, signal),
                false => stop::after_runs(&daemon, &wakes, signal, drain_patience),
            }
            exit::OK
        }
        Wake::Drained | Wake::ControlEnded => {
            notify::stopping("ends after a mistake of its own", stop::LEASE);
            daemon.shutdown(ShutdownMode::Interrupt);
            exit::INTERNAL
        }
    };
    // Answers under way, such as the last events of a run, still go out.
    control.stop();
    drop(heartbeat);
    drop(keeper);
    drop(daemon);
    drop(file);
    log::info!("ended");
    Ok(code)
}

/// Reloads on a thread of its own: whoever wants the daemon to end need not wait for it.
fn reload(daemon: &Arc<Daemon>, name: &str) {
    let (reloading, status) = (Arc::clone(daemon), format!("serves at {name}"));
    notify::reloading("loads plugins and configuration anew");
    let started = std::thread::Builder::new().name("reload".to_owned()).spawn(move || {
        match reloading.reload(ReloadOptions::default()) {
            Ok(_) => {}
            // The daemon ends, and the service manager was told so.
            Err(ReloadError::Unavailable(_)) => return,
            Err(error) => log::warn!("SIGHUP: {error}"),
        }
        // With whatever result: what there was serves on if it was refused.
        notify::ready(&status);
    });
    if let Err(error) = started {
        log::warn!("SIGHUP: cannot start a thread to reload: {error}");
        notify::ready(&format!("serves at {name}"));
    }
}

/// Has the kernel send SIGTERM when the process that started this one ends.
fn end_with_parent(listens_at_stdin: bool) -> Result<(), ServeError> {
    let parent = getppid();
    prctl::set_pdeathsig(Signal::SIGTERM)
        .map_err(|error| ServeError::internal("be told of the parent's end", &error.into()))?;
    // Whoever listens at standard input started this process. If that is not the parent, it ended before the first call, and
    // another process has taken this one over.
    let starter = if listens_at_stdin { socket::stdin_listener() } else { None };
    if getppid() != parent || starter.is_some_and(|starter| starter != parent.as_raw()) {
        // It ended before the kernel knew that it is to tell.
        return Err(ServeError {
            code: exit::UNREACHABLE,
            message: "the process that started this private daemon has ended".to_owned(),
            hint: String::new(),
        });
    }
    Ok(())
}
