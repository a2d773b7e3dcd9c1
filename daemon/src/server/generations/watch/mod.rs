//! Watches the plugin directories, and reloads when a library has been written, renamed, removed or made readable.
//!
//! ```text
//! inotify ─▶ Directories: which file, begun or finished ─▶ Settling: is it quiet, is nobody writing ─▶ reload
//! ```
//!
//! The work is bounded whatever happens to the directories: events are read at most every few milliseconds, and after a
//! reload comes a pause as long as the reload took, a fifth of a second at the most.
#![forbid(unsafe_code)]

mod directories;
mod settling;

use std::fs::File;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use protocol::ReloadOptions;

use self::directories::{Change, Directories};
use self::settling::Settling;
use super::{Generations, ReloadCause, ReloadError};
use crate::server::pool::Bell;
use crate::sys::{lease, wait};

/// How long a reload is followed by nothing at the most; what takes longer is not work but waiting for a library that hangs.
const REST_MAX: Duration = Duration::from_millis(200);
/// Events that come within this are read together.
const GATHER: Duration = Duration::from_millis(5);

/// The watching thread, or what it will start with. Ends when dropped.
#[derive(Debug)]
pub struct Watcher {
    orders: Arc<Orders>,
    directories: Option<Directories>,
}

#[derive(Debug)]
struct Orders {
    bell: Bell,
    next: Mutex<Next>,
}

#[derive(Debug, Default)]
struct Next {
    directories: Option<Vec<PathBuf>>,
    is_over: bool,
}

impl Watcher {
    /// Watches these directories from now on; what happens is acted on when the thread is started.
    pub fn new(directories: Vec<PathBuf>) -> std::io::Result<Watcher> {
        let orders = Orders { bell: Bell::new()?, next: Mutex::default() };
        Ok(Watcher { orders: Arc::new(orders), directories: Some(Directories::watch(directories)?) })
    }

    /// Starts the thread.
    pub fn start(&mut self, generations: Weak<Generations>) -> std::io::Result<()> {
        let Some(directories) = self.directories.take() else { return Ok(()) };
        let orders = Arc::clone(&self.orders);
        let run = move || run(&orders, directories, &generations);
        std::thread::Builder::new().name("watch".to_owned()).spawn(run).map(drop)
    }

    /// Watches these directories instead.
    pub fn follow(&self, directories: Vec<PathBuf>) {
        self.orders.next.lock().unwrap_or_else(PoisonError::into_inner).directories = Some(directories);
        self.orders.bell.ring();
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        // Not waited for: it may be in the middle of a reload, which the end of the daemon ends.
        self.orders.next.lock().unwrap_or_else(PoisonError::into_inner).is_over = true;
        self.orders.bell.ring();
    }
}

fn run(orders: &Orders, mut directories: Directories, generations: &Weak<Generations>) {
    let mut settling = Settling::default();
    loop {
        let patience = settling.due_in(Instant::now());
        let watched = [orders.bell.as_fd(), directories.as_fd()];
        let Ok(ready) = wait::readable(&watched, patience) else {
            log::warn!("plugin directories are no longer watched: cannot wait for changes");
            return;
        };
        if ready.first() == Some(&true) {
            orders.bell.answer();
            let next = std::mem::take(&mut *orders.next.lock().unwrap_or_else(PoisonError::into_inner));
            if next.is_over {
                return;
            }
            // Each reload tells them, and mostly they are the same: then nothing was missed, and the next change is not held up.
            if next.directories.is_some_and(|wanted| directories.follow(wanted)) {
                // What came before they were watched.
                settling.gone(PathBuf::new(), Instant::now());
            }
        }
        if ready.get(1) == Some(&true) {
            std::thread::sleep(GATHER);
            let now = Instant::now();
            let mut look_again = false;
            for change in directories.read() {
                match change {
                    Change::Begun(file) => settling.begun(file, now),
                    Change::Finished(file) => settling.finished(&file, now),
                    Change::Gone(file) => settling.gone(file, now),
                    Change::Directory => look_again = true,
                }
            }
            if look_again {
                directories.look_again();
                // Whatever it was, it may be half done.
                settling.gone(PathBuf::new(), now);
            }
        }
        for file in settling.overdue(Instant::now()) {
            ask_after(&file, &mut settling);
        }
        if settling.is_due(Instant::now()) {
            let Some(generations) = generations.upgrade() else { return };
            let begin = Instant::now();
            settling.acted();
            reload(&generations);
            settling.rest_until(Instant::now() + begin.elapsed().min(REST_MAX));
        }
    }
}

/// A file was begun and never finished: perhaps nobody writes to it any more, perhaps somebody is slow.
fn ask_after(file: &PathBuf, settling: &mut Settling) {
    let now = Instant::now();
    match File::open(file).map(|opened| lease::has_writer(&opened)) {
        Ok(Some(true) | None) => {
            if settling.wait_on(file, now) {
                log::warn!(
                    "{} is being written to; plugins are reloaded when that is over (`ctl reload` does not wait)",
                    file.display()
                );
            }
        }
        // Nobody writes to it, or it is not there.
        Ok(Some(false)) | Err(_) => settling.finished(file, now),
    }
}

fn reload(generations: &Generations) {
    match generations.reload(ReloadOptions::default(), ReloadCause::Watch) {
        Ok(report) if report.generation == report.previous => {
            log::debug!("plugin directories changed, and what is loaded is still what is there");
        }
        // It has told the log itself.
        Ok(_) | Err(ReloadError::Refused { .. }) => {}
        Err(error) => log::info!("{error}"),
    }
}
