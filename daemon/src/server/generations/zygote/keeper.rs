//! The thread that owns a zygote: starts it, asks it for processes, tells of their ends, and starts it again when it dies.

use std::collections::HashMap;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use super::ProcessEnd;
use super::inbox::{Inbox, StartRequest, Started};
use crate::ipc::client::{StartDescriptors, ZygoteEvent};
use crate::server::generations::library::Library;
use crate::server::generations::load::{self, LoadError, LoadSettings, Loaded, Running, SHUTDOWN_PATIENCE};
use crate::sys::{pidfd, wait};

/// A zygote that dies so often within [`RESTART_WINDOW`] is not started again.
const RESTARTS_MAX: usize = 5;
const RESTART_WINDOW: Duration = Duration::from_secs(60);

/// The thread's state.
pub(super) struct Keeper<'a> {
    settings: LoadSettings,
    loaded: Loaded,
    inbox: &'a Inbox,
    processes: HashMap<u64, Waiting>,
    last_number: u64,
    restarts: Vec<Instant>,
}

struct Waiting {
    started: Option<Sender<Result<Started, String>>>,
    since: Instant,
    ended: Sender<ProcessEnd>,
}

/// Why a zygote is served no more.
enum Over {
    Shutdown,
    Lost(String),
}

impl Keeper<'_> {
    pub(super) fn run(
        settings: LoadSettings,
        libraries: Vec<Arc<Library>>,
        inbox: &Inbox,
        ready: &Sender<Result<Loaded, LoadError>>,
    ) {
        let (mut running, loaded) = match load::bring_up(&settings, libraries) {
            Ok(up) => up,
            Err(error) => {
                let _ = ready.send(Err(error));
                return;
            }
        };
        inbox.pids().insert(0, running.pid());
        let _ = ready.send(Ok(loaded.clone()));
        let mut keeper =
            Keeper { settings, loaded, inbox, processes: HashMap::new(), last_number: 0, restarts: Vec::new() };
        loop {
            match keeper.serve(&mut running) {
                Over::Shutdown => {
                    running.shut_down(SHUTDOWN_PATIENCE);
                    keeper.lose_all("the daemon is stopping");
                    return;
                }
                Over::Lost(reason) => {
                    let how = running.end();
                    let reason = format!("the plugin process {how} ({reason})");
                    log::error!("{reason}; starting it again");
                    keeper.lose_all(&reason);
                    match keeper.start_again() {
                        Ok(again) => {
                            inbox.pids().insert(0, again.pid());
                            running = again;
                        }
                        Err(message) => {
                            log::error!("{message}");
                            return keeper.refuse_all(&message);
                        }
                    }
                }
            }
        }
    }

    fn serve(&mut self, running: &mut Running) -> Over {
        loop {
            let mut watched = vec![running.channel.as_fd(), self.inbox.bell.as_fd()];
            watched.extend(running.output.watched());
            let ready = match wait::readable(&watched, self.patience()) {
                Ok(ready) => ready,
                Err(error) => return Over::Lost(format!("cannot wait for it: {error}")),
            };
            if !ready.contains(&true) {
                return Over::Lost("it did not start a process in time".to_owned());
            }
            if ready.get(2) == Some(&true) {
                for line in running.output.read() {
                    log::info!(target: "plugin", "{line}");
                }
            }
            if ready.first() == Some(&true) {
                match running.channel.receive() {
                    Ok(event) => self.on_event(event),
                    Err(error) => return Over::Lost(error.to_string()),
                }
            }
            if ready.get(1) == Some(&true) {
                let Some(requests) = self.inbox.take() else { return Over::Shutdown };
                for request in requests {
                    if let Err(over) = self.on_start(running, request) {
                        return over;
                    }
                }
            }
        }
    }

    /// How long the zygote may still take to start what it was asked to start; for ever if that is nothing.
    fn patience(&self) -> Option<Duration> {
        let oldest =
            self.processes.values().filter(|waiting| waiting.started.is_some()).map(|waiting| waiting.since).min()?;
        Some(self.settings.timeout.saturating_sub(oldest.elapsed()))
    }

    fn on_start(&mut self, running: &Running, request: StartRequest) -> Result<(), Over> {
        self.last_number += 1;
        let number = self.last_number;
        let StartRequest { role, limits, channel, page, output, started, ended } = request;
        self.processes.insert(number, Waiting { started: Some(started), since: Instant::now(), ended });
        let descriptors = StartDescriptors { channel: channel.as_fd(), page: page.as_fd(), output: output.as_fd() };
        running.channel.start(number, role, limits, descriptors).map_err(|error| Over::Lost(error.to_string()))
    }

    fn on_event(&mut self, event: ZygoteEvent) {
        match event {
            ZygoteEvent::Started { number, pid, pidfd } => {
                let started = self.processes.get_mut(&number).and_then(|waiting| waiting.started.take());
                // Nobody waits for it any more, or ever did: then it must not live.
                self.inbox.pids().insert(number, pid.unsigned_abs());
                let unwanted = match started {
                    Some(started) => started.send(Ok(Started { pid, pidfd })).err().and_then(|unsent| unsent.0.ok()),
                    None => Some(Started { pid, pidfd }),
                };
                if let Some(Started { pidfd, .. }) = unwanted {
                    let _ = pidfd::kill(&pidfd);
                }
            }
            ZygoteEvent::StartFailed { number, message } => {
                if let Some(Waiting { started: Some(started), .. }) = self.processes.remove(&number) {
                    let _ = started.send(Err(message));
                }
            }
            ZygoteEvent::Exited { number, ending, max_rss_bytes, .. } => {
                self.inbox.pids().remove(&number);
                if let Some(waiting) = self.processes.remove(&number) {
                    let _ = waiting.ended.send(ProcessEnd::Ended { ending, max_rss_bytes });
                }
            }
            ZygoteEvent::Warning(text) => log::warn!("{text}"),
            ZygoteEvent::Hello { .. } | ZygoteEvent::Loaded(_) => {
                log::warn!("the plugin process sent an answer out of turn; it is ignored");
            }
        }
    }

    fn lose_all(&mut self, reason: &str) {
        self.inbox.pids().clear();
        for (_, waiting) in self.processes.drain() {
            if let Some(started) = waiting.started {
                let _ = started.send(Err(reason.to_owned()));
            }
            let _ = waiting.ended.send(ProcessEnd::WithZygote(reason.to_owned()));
        }
    }

    fn start_again(&mut self) -> Result<Running, String> {
        let now = Instant::now();
        self.restarts.retain(|restart| now.duration_since(*restart) < RESTART_WINDOW);
        if self.restarts.len() >= RESTARTS_MAX {
            return Err(format!(
                "the plugin process ended {RESTARTS_MAX} times within {} s and is not started again; look at what the plugins \
                 do to it, then restart the daemon",
                RESTART_WINDOW.as_secs()
            ));
        }
        self.restarts.push(now);
        let (mut running, loaded) =
            load::bring_up(&self.settings, self.loaded.libraries.clone()).map_err(LoadError::into_message)?;
        // Plans name plugins and nodes by position: what comes up again must be exactly what was there.
        if loaded.manifest.plugins != self.loaded.manifest.plugins {
            running.end();
            return Err(
                "the same libraries offered something else when they were loaded again; restart the daemon".to_owned()
            );
        }
        Ok(running)
    }

    /// Answers every request with this until the daemon ends.
    fn refuse_all(&mut self, message: &str) {
        loop {
            if wait::readable(&[self.inbox.bell.as_fd()], None).is_err() {
                return;
            }
            let Some(requests) = self.inbox.take() else { return };
            for request in requests {
                let _ = request.started.send(Err(message.to_owned()));
            }
        }
    }
}
