//! The server's end of a hook host's channel: events go out, what hooks say comes back.

use std::os::fd::{AsFd as _, OwnedFd};

use super::{Descriptors, Event, Input, ServerEnd};
use crate::ipc::channel::ChannelError;
use crate::ipc::message::{FromHookHost, HookHostMessage, PLUGIN_BODY_MAX, ToHookHost};
use crate::ipc::ring::WorkerDescriptors;

/// The server's end of a hook host's channel.
pub type HookChannel = ServerEnd<HookEvent>;

/// What a hook host says.
pub type HookEvent = HookHostMessage<OwnedFd>;

impl HookChannel {
    /// Gives a hook its options.
    pub fn configure(&self, token: u64, plugin: u32, hook: u32, options: String) -> Result<(), ChannelError> {
        self.channel.try_send(&ToHookHost::Configure { token, plugin, hook, options }, &[])
    }

    /// Tells a hook of an event.
    pub fn event(
        &self,
        token: u64,
        plugin: u32,
        hook: u32,
        argument: String,
        inputs: &[Input],
        has_more: bool,
    ) -> Result<(), ChannelError> {
        let mut descriptors = Vec::new();
        let inputs = inputs.iter().map(|input| input.value(&mut descriptors)).collect();
        self.channel.try_send(&ToHookHost::Event { token, plugin, hook, argument, inputs, has_more }, &descriptors)
    }

    /// Gives it rings: from now on it takes events from there, and messages only where a record points to them.
    pub fn rings(&self, descriptors: &WorkerDescriptors) -> Result<(), ChannelError> {
        self.channel.try_send(&ToHookHost::Rings, &[descriptors.memory.as_fd(), descriptors.bell.as_fd()])
    }

    /// Asks it to leave, if it has no rings.
    pub fn quit(&self) -> Result<(), ChannelError> {
        self.channel.try_send(&ToHookHost::Quit, &[])
    }
}

impl Event for HookEvent {
    type Message = FromHookHost;

    const BODY_MAX: u64 = PLUGIN_BODY_MAX;

    fn of(message: FromHookHost, mut descriptors: Descriptors) -> Result<HookEvent, ChannelError> {
        Ok(match message {
            FromHookHost::Ready { pid } => HookEvent::Ready { pid },
            FromHookHost::Log(record) => HookEvent::Log(record.cut()),
            FromHookHost::Answer { token, answer, outputs } => {
                HookEvent::Answer { token, answer, outputs: descriptors.all_claimed(outputs)? }
            }
            FromHookHost::Failed { token, failure } => HookEvent::Failed { token, failure: failure.cut() },
        })
    }
}
