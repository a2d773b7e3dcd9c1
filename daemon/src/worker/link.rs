//! A worker's end of its channel: messages in order, but for the one answer that a task may be waiting for.

use std::collections::VecDeque;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::abi::Reserve;
use crate::ipc::channel::{Channel, ChannelError, Received};
use crate::ipc::message::{FromWorker, ToWorker};
use crate::ipc::to_server::ToServer;

/// The channel, and what came over it before its time.
pub(super) struct Link {
    sender: ToServer<FromWorker>,
    early: Mutex<VecDeque<Received<ToWorker>>>,
}

impl Link {
    pub(super) fn new(channel: Channel) -> Link {
        Link { sender: ToServer::new(channel), early: Mutex::default() }
    }

    pub(super) fn send(&self, message: &FromWorker, descriptors: &[BorrowedFd<'_>]) -> Result<(), ChannelError> {
        self.sender.send(message, descriptors)
    }

    /// How many messages were sent so far.
    pub(super) fn sent(&self) -> u64 {
        self.sender.sent()
    }

    /// The next message.
    pub(super) fn next(&self) -> Result<Received<ToWorker>, ChannelError> {
        let early = self.early().pop_front();
        early.map_or_else(|| self.sender.receive(), Ok)
    }

    /// Where log records go.
    pub(super) fn clone_sender(&self) -> ToServer<FromWorker> {
        self.sender.clone()
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
        self.send(question, descriptors).map_err(lost)?;
        loop {
            let received = self.sender.receive::<ToWorker>().map_err(lost)?;
            match received.message {
                ToWorker::Reserved { token: answered, granted: answer }
                | ToWorker::Proceed { token: answered, go: answer } => {
                    // Else an answer to a question of an earlier task.
                    if answered == token {
                        return answer;
                    }
                }
                ToWorker::Task(_) | ToWorker::Rings | ToWorker::Run(_) | ToWorker::Segment { .. } | ToWorker::Quit => {
                    early.push_back(received)
                }
            }
        }
    }
}

impl Reserve for Link {
    fn reserve(&self, token: u64, bytes: u64) -> Result<(), String> {
        self.ask(token, &FromWorker::Reserve { token, bytes }, &[])
    }
}

impl ToServer<FromWorker> {
    /// Tells that a segment is no more. Without a server there is nobody to tell; the main loop notices that by itself.
    pub(super) fn segment_dropped(&self, segment: u32) {
        let _ = self.send(&FromWorker::SegmentDropped(segment), &[]);
    }
}

/// The descriptors of some files.
pub(super) fn borrow(files: &[OwnedFd]) -> Vec<BorrowedFd<'_>> {
    files.iter().map(|file| file.as_fd()).collect()
}
