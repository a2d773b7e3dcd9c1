//! The server's ends of the channels, in the server's terms: blocks and files instead of descriptor indices. None of
//! this names a plugin.
//!
//! What arrives is resolved and shape-checked here (a descriptor index that is out of range or used twice is a
//! [`ChannelError::Protocol`]); whether it is true is for the caller to check: ports against the plan, claims by
//! [`ClaimedBlock::adopt`]. Texts that are told to people are cut to a size that the server can keep.
//!
//! Workers and hook hosts run what plugins contain, so the server never waits for one to read: what finds no room is
//! [`ChannelError::Behind`].

mod hook_host;
mod input;
mod worker;
mod zygote;

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use serde::de::DeserializeOwned;

pub use hook_host::{HookChannel, HookEvent};
pub use input::Input;
pub use worker::{TaskOperation, TaskRequest, WorkerChannel, WorkerEvent};
pub use zygote::{StartDescriptors, ZygoteChannel, ZygoteEvent};

use super::channel::{Channel, ChannelError, Received};
use super::message::{BlockClaim, ClaimedBytes, DescriptorIndex};
use crate::block::adopt::ClaimedBlock;

/// The server's end of a channel on which such events come in.
#[derive(Debug)]
pub struct ServerEnd<E> {
    channel: Channel,
    events: PhantomData<fn() -> E>,
}

/// What arrives, in the server's terms.
pub trait Event: Sized {
    /// As it travels.
    type Message: DeserializeOwned;

    /// No message with a larger body is accepted.
    const BODY_MAX: u64;

    /// Gives the descriptors out that came beside the message.
    fn of(message: Self::Message, descriptors: Descriptors) -> Result<Self, ChannelError>;
}

impl<E: Event> ServerEnd<E> {
    /// The server's end, and the socket to start the other process with.
    pub fn pair() -> io::Result<(ServerEnd<E>, OwnedFd)> {
        let (ours, theirs) = Channel::pair()?;
        Ok((ServerEnd { channel: ours.receive_at_most(E::BODY_MAX), events: PhantomData }, theirs.into_socket()))
    }

    /// The next event; waits for it.
    pub fn receive(&self) -> Result<E, ChannelError> {
        self.channel.receive().and_then(event)
    }

    /// The next event; waits no longer than this.
    pub fn receive_within(&self, patience: Duration) -> Result<Option<E>, ChannelError> {
        self.channel.receive_within(patience)?.map(event).transpose()
    }

    /// The next event if there is one.
    pub fn try_receive(&self) -> Result<Option<E>, ChannelError> {
        self.channel.try_receive()?.map(event).transpose()
    }
}

fn event<E: Event>(Received { message, descriptors }: Received<E::Message>) -> Result<E, ChannelError> {
    E::of(message, Descriptors(descriptors.into_iter().map(Some).collect()))
}

impl<E> AsFd for ServerEnd<E> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}

/// The descriptors that came beside a message; each can be named once.
pub struct Descriptors(Vec<Option<OwnedFd>>);

impl Descriptors {
    fn take(&mut self, index: DescriptorIndex, for_what: impl FnOnce() -> String) -> Result<OwnedFd, ChannelError> {
        let count = self.0.len();
        let place = usize::try_from(index).ok().and_then(|index| self.0.get_mut(index));
        place.and_then(Option::take).ok_or_else(|| {
            ChannelError::Protocol(format!(
                "{} names descriptor {index} of {count}, which is not there or was named before",
                for_what()
            ))
        })
    }

    fn claimed(&mut self, claim: BlockClaim) -> Result<ClaimedBlock, ChannelError> {
        let BlockClaim { port, format, metadata, bytes } = claim;
        let bytes = match bytes {
            ClaimedBytes::Inline(payload) => ClaimedBytes::Inline(payload),
            ClaimedBytes::Part { part, size } => ClaimedBytes::Part { part, size },
            ClaimedBytes::Memfd { file, size } => {
                let file = self.take(file, || format!("the output of port {port}"))?;
                ClaimedBytes::Memfd { file, size }
            }
        };
        Ok(ClaimedBlock { port, format, metadata, bytes })
    }

    fn all_claimed(&mut self, claims: Vec<BlockClaim>) -> Result<Vec<ClaimedBlock>, ChannelError> {
        claims.into_iter().map(|claim| self.claimed(claim)).collect()
    }
}
