//! The end of a worker's or a hook host's channel: what several threads send, counted.

use std::marker::PhantomData;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::channel::{Channel, ChannelError, Received};

/// Sends messages `M` to the server, from any thread, and counts what it sent: an answer in the ring says how many messages come
/// before it, so each is counted before the next one goes out.
pub struct ToServer<M> {
    channel: Arc<Channel>,
    sent: Arc<AtomicU64>,
    sending: Arc<Mutex<()>>,
    message: PhantomData<fn(M)>,
}

impl<M> Clone for ToServer<M> {
    fn clone(&self) -> Self {
        Self {
            channel: Arc::clone(&self.channel),
            sent: Arc::clone(&self.sent),
            sending: Arc::clone(&self.sending),
            message: PhantomData,
        }
    }
}

impl<M: Serialize> ToServer<M> {
    /// One that has sent nothing.
    pub fn new(channel: Channel) -> Self {
        Self { channel: Arc::new(channel), sent: Arc::default(), sending: Arc::default(), message: PhantomData }
    }

    /// Sends a message; waits while the server is behind.
    pub fn send(&self, message: &M, descriptors: &[BorrowedFd<'_>]) -> Result<(), ChannelError> {
        let _one_at_a_time = self.sending.lock().unwrap_or_else(PoisonError::into_inner);
        self.channel.send(message, descriptors)?;
        self.sent.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// How many messages were sent so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Acquire)
    }

    /// The next message from the server; waits for one.
    pub fn receive<R: DeserializeOwned>(&self) -> Result<Received<R>, ChannelError> {
        self.channel.receive()
    }
}
