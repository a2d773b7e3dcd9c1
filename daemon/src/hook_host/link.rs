//! The hook host's end of its channel.

use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::ipc::channel::{Channel, ChannelError, Received};
use crate::ipc::message::{FromHookHost, LogRecord, ToHookHost};
use crate::worker::journal::Sink;

/// Sends to the server, from any thread, and counts what it sent: an answer in the ring says how many messages come before it, so
/// each is counted before the next one goes out.
#[derive(Clone)]
pub(super) struct Link {
    channel: Arc<Channel>,
    sent: Arc<AtomicU64>,
    sending: Arc<Mutex<()>>,
}

impl Link {
    pub(super) fn new(channel: Channel) -> Link {
        Link { channel: Arc::new(channel), sent: Arc::default(), sending: Arc::default() }
    }

    /// The next message.
    pub(super) fn next(&self) -> Result<Received<ToHookHost>, ChannelError> {
        self.channel.receive()
    }

    /// How many messages were sent so far.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Acquire)
    }

    pub(super) fn send(&self, message: &FromHookHost, descriptors: &[BorrowedFd<'_>]) -> Result<(), ChannelError> {
        let _one_at_a_time = self.sending.lock().unwrap_or_else(PoisonError::into_inner);
        self.channel.send(message, descriptors)?;
        self.sent.fetch_add(1, Ordering::Release);
        Ok(())
    }
}

impl Sink for Link {
    fn take(&self, record: LogRecord) {
        // Without a server there is nobody to read it; the loop notices that by itself.
        let _ = self.send(&FromHookHost::Log(record), &[]);
    }
}
