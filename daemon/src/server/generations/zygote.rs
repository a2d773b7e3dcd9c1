//! The server's client of a zygote.
//!
//! One thread, named `generation`, owns the zygote: it starts it (the kernel ties a child to the *thread* that started it, so
//! this one lives as long as the generation), asks it for processes on behalf of drivers, and tells them when a process
//! ended. When the zygote dies, its workers die with it; the thread starts it again with the very same libraries.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, HashMap};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::library::Library;
use super::load::{self, LoadError, LoadSettings, Loaded, Running, SHUTDOWN_PATIENCE};
use crate::ipc::client::{StartDescriptors, ZygoteEvent};
use crate::ipc::message::{Ending, Limits, Role};
use crate::ipc::page::WorkerPage;
use crate::server::cgroup::{self, Leaf};
use crate::server::pool::{Bell, OutputLines};
use crate::sys::{pidfd, spawn, wait};

/// A zygote that dies so often within [`RESTART_WINDOW`] is not started again.
const RESTARTS_MAX: usize = 5;
const RESTART_WINDOW: Duration = Duration::from_secs(60);

/// The client: hands requests to the thread.
#[derive(Debug)]
pub struct Zygote {
    inbox: Arc<Inbox>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

#[derive(Debug)]
struct Inbox {
    bell: Bell,
    requests: Mutex<Vec<Request>>,
    /// The processes there are, the zygote as number 0.
    pids: Mutex<BTreeMap<u64, u32>>,
}

#[derive(Debug)]
enum Request {
    Start(Box<StartRequest>),
    Shutdown,
}

#[derive(Debug)]
struct StartRequest {
    role: Role,
    limits: Limits,
    channel: OwnedFd,
    page: OwnedFd,
    output: OwnedFd,
    started: Sender<Result<Started, String>>,
    ended: Sender<ProcessEnd>,
}

#[derive(Debug)]
struct Started {
    pid: i32,
    pidfd: OwnedFd,
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

/// A process that the zygote started.
#[derive(Debug)]
pub struct Process {
    /// Its process id.
    pub pid: u32,
    /// The page shared with it.
    pub page: WorkerPage,
    /// What it prints.
    pub output: OutputLines,
    pidfd: OwnedFd,
    ended: Receiver<ProcessEnd>,
    leaf: Option<Leaf>,
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

impl Zygote {
    /// Starts the thread and the zygote, and waits until the libraries are loaded.
    pub fn start(
        number: u64,
        settings: LoadSettings,
        libraries: Vec<Arc<Library>>,
    ) -> Result<(Zygote, Loaded), LoadError> {
        let failed = |what: &str, error: std::io::Error| LoadError::Failed(format!("cannot {what}: {error}"));
        let bell = Bell::new().map_err(|error| failed("make an eventfd", error))?;
        let inbox = Arc::new(Inbox { bell, requests: Mutex::default(), pids: Mutex::default() });
        let (sender, receiver) = channel();
        let thread = {
            let inbox = Arc::clone(&inbox);
            std::thread::Builder::new()
                .name(format!("generation-{number}"))
                .spawn(move || Keeper::run(settings, libraries, &inbox, &sender))
                .map_err(|error| failed("start a thread", error))?
        };
        // Dropped when it is of no use, it tells the thread to end.
        let zygote = Zygote { inbox, thread: Mutex::new(Some(thread)) };
        let answer = receiver.recv();
        let loaded =
            answer.map_err(|_| LoadError::Failed("the generation's thread ended unexpectedly".to_owned()))??;
        Ok((zygote, loaded))
    }

    /// The ids of its processes: the zygote and those it started.
    pub fn pids(&self) -> Vec<u32> {
        self.inbox.pids().values().copied().collect()
    }

    /// Starts a process with this socket as its channel, and waits until it is there.
    pub fn start_process(
        &self,
        role: Role,
        limits: Limits,
        channel_socket: OwnedFd,
        patience: Duration,
    ) -> Result<Process, String> {
        let tried = |what: &'static str| {
            move |error: std::io::Error| format!("cannot start a process for plugins: {what}: {error}")
        };
        let (page, page_file) = WorkerPage::create().map_err(tried("its page"))?;
        let (read, write) = spawn::output_pipe().map_err(tried("its output pipe"))?;
        let output = OutputLines::new(read).map_err(tried("its output pipe"))?;
        let (started, start_answer) = channel();
        let (ended, end_answer) = channel();
        self.inbox.put(Request::Start(Box::new(StartRequest {
            role,
            limits,
            channel: channel_socket,
            page: page_file,
            output: write,
            started,
            ended,
        })));
        match start_answer.recv_timeout(patience) {
            Ok(Ok(Started { pid, pidfd })) => {
                let pid = pid.unsigned_abs();
                // Before it gets a task; what it does until then is ours.
                let leaf = cgroup::leaf(pid);
                Ok(Process { pid, page, output, pidfd, ended: end_answer, leaf })
            }
            Ok(Err(message)) => Err(message),
            Err(RecvTimeoutError::Timeout) => {
                Err(format!("no process for plugins within {} ms ([workers] start_timeout_ms)", patience.as_millis()))
            }
            Err(RecvTimeoutError::Disconnected) => Err("the plugin process has ended".to_owned()),
        }
    }

    /// Ends the zygote and every process it started; waits until they are gone.
    pub fn stop(&self) {
        self.inbox.put(Request::Shutdown);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != std::thread::current().id()) {
            let _ = thread.join();
        }
    }
}

impl Drop for Zygote {
    fn drop(&mut self) {
        self.inbox.put(Request::Shutdown);
    }
}

impl Inbox {
    fn pids(&self) -> MutexGuard<'_, BTreeMap<u64, u32>> {
        self.pids.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, request: Request) {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        self.bell.ring();
    }

    /// What was asked for since the last time; nothing when the end was. The end comes first: what was to be started before it
    /// would only be killed, and must not fail in its way.
    fn take(&self) -> Option<Vec<StartRequest>> {
        self.bell.answer();
        let requests = std::mem::take(&mut *self.requests.lock().unwrap_or_else(PoisonError::into_inner));
        let start = |request| match request {
            Request::Start(request) => Some(*request),
            Request::Shutdown => None,
        };
        requests.into_iter().map(start).collect()
    }
}

/// The thread's state.
struct Keeper<'a> {
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
    fn run(
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

#[cfg(test)]
impl Process {
    /// One that is none: says nothing, minds no signal, and has ended if asked.
    pub fn pretended() -> Process {
        let (page, _) = WorkerPage::create().expect("a page");
        let (read, _) = spawn::output_pipe().expect("a pipe");
        let null = std::fs::File::open("/dev/null").expect("/dev/null");
        let output = OutputLines::new(read).expect("a pipe that does not block");
        Process { pid: 0, page, output, pidfd: null.into(), ended: channel().1, leaf: None }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn start() -> Request {
        let null = || OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        let (role, limits) = (Role::Worker, Limits::default());
        let (started, ended) = (channel().0, channel().0);
        Request::Start(Box::new(StartRequest {
            role,
            limits,
            channel: null(),
            page: null(),
            output: null(),
            started,
            ended,
        }))
    }

    #[test]
    fn the_end_is_heard_whatever_was_asked_for_before_it() {
        let inbox = Inbox { bell: Bell::new().unwrap(), requests: Mutex::default(), pids: Mutex::default() };
        assert_eq!(inbox.take().unwrap().len(), 0);
        inbox.put(start());
        inbox.put(start());
        assert_eq!(inbox.take().unwrap().len(), 2);
        inbox.put(start());
        inbox.put(Request::Shutdown);
        inbox.put(start());
        assert!(inbox.take().is_none());
    }
}
