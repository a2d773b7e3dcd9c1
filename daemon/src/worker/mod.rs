//! The worker: runs load, call and save tasks, one at a time.
//!
//! Forked by the zygote, or (start method `spawn`) executed by it as `dagd worker` with a socket as stdin. Either way
//! [`start`] makes it shed what it does not own, limit itself and tie its life to its parent's; then it [`serve`]s: messages at
//! first, and [`rings`] once the driver has sent them.
//! It leaves by `_exit`: neither destructors nor `atexit` functions run, none of ours and none of a plugin's.
#![allow(clippy::result_large_err, reason = "a Failure crosses the plugin boundary as it is, and is rare")]

pub mod abi;
mod checkpoint;
mod chunks;
pub mod journal;
mod lent;
mod link;
mod partitions;
mod perform;
mod quarantine;
mod rings;
pub mod start;

use std::process::ExitCode;

use crate::ipc::channel::{Channel, ChannelError, Received};
use crate::ipc::message::{FromWorker, Role, ToWorker};
use crate::ipc::page::WorkerPage;
use crate::zygote::Plugins;

use self::link::Link;
use self::perform::Worker;

/// Runs a spawned worker until it is told to leave. `parent` is the process id it was told to die with.
pub fn main(parent: i32) -> ExitCode {
    start::spawned(parent, Role::Worker)
}

/// Performs tasks until told to leave, or until the server has gone.
pub fn serve(channel: Channel, page: &WorkerPage, plugins: &Plugins) -> Result<(), ChannelError> {
    let link = Link::new(channel);
    journal::install(Box::new(link.clone_sender()));
    link.send(&FromWorker::Ready { pid: std::process::id().cast_signed() }, &[])?;
    let mut worker = Worker::new(&link, page, plugins);
    loop {
        let Received { message, descriptors } = match link.next() {
            Err(ChannelError::Closed) => return Ok(()),
            received => received?,
        };
        match message {
            ToWorker::Task(task) => {
                worker.perform(task, descriptors)?;
                page.begin(0);
            }
            ToWorker::Rings => {
                let (rings, returns) = rings::open(descriptors)?;
                worker.give_pool(returns);
                return rings::serve(worker, rings);
            }
            ToWorker::Quit => return Ok(()),
            // A run is told of with the rings; an answer that came after its task had ended.
            ToWorker::Run(_) | ToWorker::Segment { .. } | ToWorker::Reserved { .. } | ToWorker::Proceed { .. } => {}
        }
    }
}
