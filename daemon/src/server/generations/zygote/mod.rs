//! The server's client of a zygote.
//!
//! One thread, named `generation`, owns the zygote: it starts it (the kernel ties a child to the *thread* that started it, so
//! this one lives as long as the generation), asks it for processes on behalf of drivers, and tells them when a process
//! ended. When the zygote dies, its workers die with it; the thread starts it again with the very same libraries.
#![forbid(unsafe_code)]

mod inbox;
mod keeper;
mod process;

use std::os::fd::OwnedFd;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use self::inbox::{Inbox, Request, StartRequest, Started};
use self::keeper::Keeper;
pub use self::process::{Process, ProcessEnd};
use super::library::Library;
use super::load::{LoadError, LoadSettings, Loaded};
use crate::ipc::message::{Limits, Role};
use crate::ipc::page::WorkerPage;
use crate::server::cgroup;
use crate::server::pool::{Bell, OutputLines};
use crate::sys::spawn;

/// The client: hands requests to the thread.
#[derive(Debug)]
pub struct Zygote {
    inbox: Arc<Inbox>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
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
        let inbox = Arc::new(Inbox::new(bell));
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
