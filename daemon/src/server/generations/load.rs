//! Brings a zygote up: starts it, has it load the libraries, and finds the culprit when one of them kills or hangs it.
//!
//! The zygote writes into a shared page what it is about to do to which library. When it dies or does not answer in time,
//! the page names the library; that one is set aside and everything starts again with the rest.
#![forbid(unsafe_code)]

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::ipc::channel::ChannelError;
use crate::ipc::client::{ZygoteChannel, ZygoteEvent};
use crate::ipc::manifest::GenerationManifest;
use crate::ipc::message::{Ending, StartMethod};
use crate::ipc::page::LoadingPage;
use crate::server::generations::Library;
use crate::server::pool::OutputLines;
use crate::sys::{pidfd, process, spawn, wait};

/// How long a zygote may take to end when asked to.
pub const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(2);

/// How zygotes are started.
#[derive(Debug, Clone)]
pub struct LoadSettings {
    /// How long one attempt at loading everything may take.
    pub timeout: Duration,
    /// How workers are to be started.
    pub start_method: StartMethod,
    /// The most talkative level that logs of plugins may have.
    pub log_level_max: u8,
    /// What a library that cannot be used means for the rest.
    pub bad_libraries: BadLibraries,
}

/// What a library that cannot be used means for the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadLibraries {
    /// They are loaded without it: at start there is nothing better to keep.
    SetAside,
    /// Nothing is loaded: there is a generation that works.
    RefuseAll,
}

/// Why no zygote came up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoadError {
    /// Libraries that cannot be used.
    Refused(Vec<Refused>),
    /// Something of ours, in a sentence.
    Failed(String),
}

impl LoadError {
    /// In one sentence.
    pub fn into_message(self) -> String {
        match self {
            LoadError::Refused(libraries) => libraries
                .iter()
                .map(|library| format!("{}: {}", library.path, library.reason))
                .collect::<Vec<_>>()
                .join("; "),
            LoadError::Failed(message) => message,
        }
    }
}

/// A library that is not used, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The file.
    pub path: String,
    /// What was expected and what happened.
    pub reason: String,
    /// What to do about it.
    pub hint: String,
}

/// A zygote that is up.
#[derive(Debug)]
pub struct Running {
    /// Its channel.
    pub channel: ZygoteChannel,
    /// What it prints.
    pub output: OutputLines,
    child: spawn::Spawned,
}

/// What a zygote that came up has loaded.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What the libraries offer.
    pub manifest: GenerationManifest,
    /// The libraries it was given; the manifest names them by position.
    pub libraries: Vec<Arc<Library>>,
    /// The libraries set aside by it and because of it.
    pub refused: Vec<Refused>,
}

/// Starts a zygote with these libraries, less those that kill or hang it if those may be set aside.
pub fn bring_up(settings: &LoadSettings, mut libraries: Vec<Arc<Library>>) -> Result<(Running, Loaded), LoadError> {
    let refuses_all = settings.bad_libraries == BadLibraries::RefuseAll;
    let mut refused = Vec::new();
    // Each round ends or takes a library away.
    loop {
        match attempt(settings, &libraries) {
            Ok((running, manifest)) => {
                refused.extend(manifest.refusals(&libraries));
                if refuses_all && !refused.is_empty() {
                    running.shut_down(SHUTDOWN_PATIENCE);
                    return Err(LoadError::Refused(refused));
                }
                return Ok((running, Loaded { manifest, libraries, refused }));
            }
            Err(LoadFailure { culprit: Some((_, refusal)), .. }) if refuses_all => {
                return Err(LoadError::Refused(vec![refusal]));
            }
            Err(LoadFailure { culprit: Some((index, refusal)), .. }) if index < libraries.len() => {
                log::warn!("{} is set aside: {}", refusal.path, refusal.reason);
                libraries.remove(index);
                refused.push(refusal);
            }
            Err(failure) => return Err(LoadError::Failed(failure.message)),
        }
    }
}

impl GenerationManifest {
    fn refusals(&self, libraries: &[Arc<Library>]) -> Vec<Refused> {
        let path_of = |index: u32| match usize::try_from(index).ok().and_then(|index| libraries.get(index)) {
            Some(library) => library.path.display().to_string(),
            None => format!("library number {index}"),
        };
        self.refused
            .iter()
            .map(|refusal| Refused {
                path: path_of(refusal.library),
                reason: refusal.reason.clone(),
                hint: refusal.hint.clone(),
            })
            .collect()
    }
}

/// Why an attempt failed: whose fault it was, if the page says, or else in one sentence.
struct LoadFailure {
    culprit: Option<(usize, Refused)>,
    message: String,
}

impl From<String> for LoadFailure {
    fn from(message: String) -> Self {
        LoadFailure { culprit: None, message }
    }
}

fn attempt(settings: &LoadSettings, libraries: &[Arc<Library>]) -> Result<(Running, GenerationManifest), LoadFailure> {
    let tried =
        |what: &'static str| move |error: std::io::Error| format!("cannot start the plugin process: {what}: {error}");
    let (page, page_file) = LoadingPage::create().map_err(tried("no page to watch it load"))?;
    let mut running = start().map_err(tried("the process"))?;
    let deadline = Instant::now() + settings.timeout;
    let asked = ask_to_load(&running, settings, libraries, &page_file);
    let outcome = match asked {
        Ok(()) => await_loaded(&mut running, deadline),
        Err(error) => Err(Silence::Broken(error.to_string())),
    };
    match outcome {
        Ok(manifest) => Ok((running, manifest)),
        Err(silence) => {
            let during = page.current();
            let how = running.end_of(silence, settings.timeout);
            Err(blame(libraries, during, &how, &running.output.tail()))
        }
    }
}

/// Why a zygote did not answer.
enum Silence {
    /// It has gone.
    Closed,
    /// It takes too long.
    TimedOut,
    /// It sent nonsense, or the channel broke.
    Broken(String),
}

fn start() -> std::io::Result<Running> {
    let (channel, socket) = ZygoteChannel::pair()?;
    let (read, write) = spawn::output_pipe()?;
    let child = spawn::spawn_role("zygote", socket, write.as_fd())?;
    drop(write);
    Ok(Running { channel, output: OutputLines::new(read)?, child })
}

fn ask_to_load(
    running: &Running,
    settings: &LoadSettings,
    libraries: &[Arc<Library>],
    page: &OwnedFd,
) -> Result<(), ChannelError> {
    let copies: Vec<_> = libraries.iter().map(|library| library.to_message()).collect();
    running.channel.load(&copies, page.as_fd(), settings.start_method, settings.log_level_max)
}

fn await_loaded(running: &mut Running, deadline: Instant) -> Result<GenerationManifest, Silence> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut watched = vec![running.channel.as_fd()];
        watched.extend(running.output.watched());
        let ready = wait::readable(&watched, Some(left)).map_err(|error| Silence::Broken(error.to_string()))?;
        // What the libraries print goes to the daemon's log; a full pipe must not stop the zygote.
        if ready.get(1) == Some(&true) {
            for line in running.output.read() {
                log::info!(target: "plugin", "{line}");
            }
        }
        if ready.first() != Some(&true) {
            if left.is_zero() {
                return Err(Silence::TimedOut);
            }
            continue;
        }
        match running.channel.receive() {
            Ok(ZygoteEvent::Loaded(manifest)) => return Ok(manifest),
            Ok(ZygoteEvent::Hello { pid, version }) => {
                log::debug!("plugin process {pid} of version {version} is there")
            }
            Ok(ZygoteEvent::Warning(text)) => log::warn!("{text}"),
            Ok(other) => return Err(Silence::Broken(format!("an answer out of turn: {other:?}"))),
            Err(ChannelError::Closed) => return Err(Silence::Closed),
            Err(error) => return Err(Silence::Broken(error.to_string())),
        }
    }
}

/// Puts what happened into words, and names the library the page points to.
fn blame(
    libraries: &[Arc<Library>],
    during: Option<(u32, crate::ipc::page::LoadingPhase)>,
    how: &str,
    last_lines: &[String],
) -> LoadFailure {
    let said =
        if last_lines.is_empty() { String::new() } else { format!("; it printed last: {}", last_lines.join(" | ")) };
    let culprit = during.and_then(|(index, phase)| {
        let index = usize::try_from(index).ok()?;
        let library = libraries.get(index)?;
        let refusal = Refused {
            path: library.path.display().to_string(),
            reason: format!("the process {how} while {}{said}", phase.describe()),
            hint: "look at what the library does when it is opened (static constructors, initialisation); remove it from the \
                   plugin directory if it is not needed"
                .to_owned(),
        };
        Some((index, refusal))
    });
    LoadFailure { culprit, message: format!("the plugin process {how} before it could load any library{said}") }
}

impl Running {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.child.id()
    }

    /// Ends the process, if it has not ended, and says how it ended.
    fn end_of(&mut self, silence: Silence, timeout: Duration) -> String {
        match silence {
            Silence::TimedOut => {
                self.kill();
                format!("did not come back within {} ms", timeout.as_millis())
            }
            Silence::Broken(reason) => {
                self.kill();
                format!("broke the protocol ({reason})")
            }
            Silence::Closed => match self.reap(Duration::from_secs(2)) {
                Some(ending) => ending_in_words(ending),
                None => {
                    self.kill();
                    "closed its channel".to_owned()
                }
            },
        }
    }

    /// Ends the process, waits for it, and says how it had ended if it was not by this.
    pub fn end(&mut self) -> String {
        if let Some(ending) = self.reap(Duration::from_millis(200)) {
            return ending_in_words(ending);
        }
        self.kill();
        "stopped answering".to_owned()
    }

    /// Asks the process to end, and ends it if it does not; its workers go with it.
    pub fn shut_down(mut self, patience: Duration) {
        let asked = self.channel.shutdown().is_ok();
        if !asked || self.reap(patience).is_none() {
            self.kill();
        }
    }

    fn kill(&mut self) {
        let _ = pidfd::kill(&self.child.pidfd);
        let _ = self.reap(Duration::from_secs(5));
    }

    fn reap(&mut self, patience: Duration) -> Option<Ending> {
        let ended = wait::readable_within(self.child.pidfd.as_fd(), patience).unwrap_or(false);
        for line in self.output.read() {
            log::info!(target: "plugin", "{line}");
        }
        if !ended {
            return None;
        }
        process::reap(self.child.child.id().cast_signed()).ok().flatten().map(|(ending, _)| ending)
    }
}

/// How a process ended, as it stands after "the process": `was killed by SIGSEGV`.
pub fn ending_in_words(ending: Ending) -> String {
    match ending {
        Ending::Exited(code) => format!("exited with code {code}"),
        Ending::Signalled { signal, core } => {
            format!("was killed by {}{}", signal_name(signal), if core { " (a core file was written)" } else { "" })
        }
    }
}

/// The name of a signal: `SIGSEGV (invalid memory access)`.
pub fn signal_name(number: i32) -> String {
    use nix::sys::signal::Signal;
    let Ok(signal) = Signal::try_from(number) else { return format!("signal {number}") };
    let meaning = match signal {
        Signal::SIGSEGV => " (invalid memory access)",
        Signal::SIGBUS => " (access beyond the end of a mapped file)",
        Signal::SIGABRT => " (abort)",
        Signal::SIGILL => " (illegal instruction)",
        Signal::SIGFPE => " (arithmetic error)",
        Signal::SIGKILL => " (killed from outside, often for lack of memory)",
        Signal::SIGTERM => " (asked to end)",
        Signal::SIGXCPU => " (CPU time limit)",
        _ => "",
    };
    format!("{}{meaning}", signal.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_have_names() {
        assert_eq!(ending_in_words(Ending::Exited(0)), "exited with code 0");
        let killed = ending_in_words(Ending::Signalled { signal: 11, core: false });
        assert_eq!(killed, "was killed by SIGSEGV (invalid memory access)");
        assert_eq!(signal_name(4711), "signal 4711");
    }

    #[test]
    fn a_page_that_lies_blames_nobody() {
        let failure = blame(&[], Some((7, crate::ipc::page::LoadingPhase::Opening)), "died", &[]);
        assert!(failure.culprit.is_none());
    }
}
