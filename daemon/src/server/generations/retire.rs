//! Ends generations that nobody uses any more.
//!
//! A generation is in use as long as somebody holds it: it is current, or a run that began on it is not over. The last one to
//! let go may be one of its own drivers, so what is left is ended on a thread of its own, one generation after the other.
#![forbid(unsafe_code)]

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::Zygote;
use crate::server::hooks::Hooks;
use crate::server::pool::Pool;
use crate::sys::heap;

/// What is left of a generation: its processes and the threads that speak with them.
#[derive(Debug)]
pub struct Remains {
    /// Its number.
    pub number: u64,
    /// Its drivers and workers.
    pub pool: Arc<Pool>,
    /// Its hooks.
    pub hooks: Arc<Hooks>,
    /// Its zygote.
    pub zygote: Arc<Zygote>,
}

impl Remains {
    /// Ends drivers, hooks and processes, and waits until they are gone. May be done again.
    pub fn end(&self) {
        self.pool.stop();
        self.hooks.stop();
        self.zygote.stop();
    }
}

/// The thread that ends generations.
#[derive(Debug)]
pub struct Undertaker {
    sender: Mutex<Option<Sender<Remains>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Undertaker {
    /// Starts the thread.
    pub fn start() -> std::io::Result<Undertaker> {
        let (sender, receiver) = channel();
        let thread = std::thread::Builder::new().name("retire".to_owned()).spawn(move || run(&receiver))?;
        Ok(Undertaker { sender: Mutex::new(Some(sender)), thread: Mutex::new(Some(thread)) })
    }

    /// Has a generation ended; returns at once.
    pub fn take(&self, remains: Remains) {
        // After `stop` the daemon ends: dropped, the remains tell their threads to end, and the processes die with those.
        if let Some(sender) = &*self.sender.lock().unwrap_or_else(PoisonError::into_inner) {
            let _ = sender.send(remains);
        }
    }

    /// Takes no more, and waits until what was taken has ended.
    pub fn stop(&self) {
        drop(self.sender.lock().unwrap_or_else(PoisonError::into_inner).take());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

fn run(receiver: &Receiver<Remains>) {
    while let Ok(remains) = receiver.recv() {
        remains.end();
        let number = remains.number;
        drop(remains);
        // Its drivers took their memory each in a part of the heap of its own.
        heap::give_back();
        log::info!("generation {number} has ended: its last run is over, its processes are gone");
    }
}
