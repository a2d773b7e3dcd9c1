//! A worker's end of its channel: messages in order, but for the one answer that a task may be waiting for.

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::abi::Reserve;
use super::journal::Sink;
use crate::ipc::channel::{Channel, ChannelError, Received};
use crate::ipc::message::{FromWorker, LogRecord, ToWorker};

/// The channel, and what came over it before its time.
pub(super) struct Link {
    channel: Arc<Channel>,
    early: Mutex<VecDeque<Received<ToWorker>>>,
}

impl Link {
    pub(super) fn new(channel: Channel) -> Link {
        Link { channel: Arc::new(channel), early: Mutex::default() }
    }

    pub(super) fn send(&self, message: &FromWorker, descriptors: &[BorrowedFd<'_>]) -> Result<(), ChannelError> {
        self.channel.send(message, descriptors)
    }

    /// The next message.
    pub(super) fn next(&self) -> Result<Received<ToWorker>, ChannelError> {
        let early = self.early().pop_front();
        early.map_or_else(|| self.channel.receive(), Ok)
    }

    /// Where log records go.
    pub(super) fn clone_sender(&self) -> ToServer {
        ToServer(Arc::clone(&self.channel))
    }

    fn early(&self) -> MutexGuard<'_, VecDeque<Received<ToWorker>>> {
        self.early.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Link {
    /// Asks the server and waits for the answer. What else arrives meanwhile is kept for later. The lock is held all the while:
    /// should a node ask from several threads, each gets the answer to its own question.
    pub(super) fn ask(&self, token: u64, question: &FromWorker, descriptors: &[BorrowedFd<'_>]) -> Result<(), String> {
        let lost = |problem: ChannelError| format!("the server did not answer: {problem}");
        let mut early = self.early();
        self.channel.send(question, descriptors).map_err(lost)?;
        loop {
            let received = self.channel.receive::<ToWorker>().map_err(lost)?;
            match received.message {
                ToWorker::Reserved { token: answered, granted: answer }
                | ToWorker::Proceed { token: answered, go: answer } => {
                    // Else an answer to a question of an earlier task.
                    if answered == token {
                        return answer;
                    }
                }
                ToWorker::Task(_) | ToWorker::Quit => early.push_back(received),
            }
        }
    }
}

impl Reserve for Link {
    fn reserve(&self, token: u64, bytes: u64) -> Result<(), String> {
        self.ask(token, &FromWorker::Reserve { token, bytes }, &[])
    }
}

/// Sends log records to the server.
pub(super) struct ToServer(Arc<Channel>);

impl Sink for ToServer {
    fn take(&self, record: LogRecord) {
        // Without a server there is nobody to read it; the main loop notices that by itself.
        let _ = self.0.send(&FromWorker::Log(record), &[]);
    }
}
