//! The server's end of a hook host's channel: events go out, what hooks say comes back.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use super::{Input, resolve};
use crate::block::adopt::ClaimedBlock;
use crate::ipc::channel::{Channel, ChannelError, Received};
use crate::ipc::message::{FromHookHost, LogRecord, PLUGIN_BODY_MAX, TaskFailure, ToHookHost};
use crate::ipc::ring::WorkerDescriptors;

/// The server's end of a hook host's channel.
#[derive(Debug)]
pub struct HookChannel(Channel);

/// What a hook host says.
#[derive(Debug)]
pub enum HookEvent {
    /// It takes events.
    Ready {
        /// Its process id.
        pid: i32,
    },
    /// A plugin logged.
    Log(LogRecord),
    /// A hook answered.
    Answer {
        /// The exchange.
        token: u64,
        /// `null` or an object, JSON.
        answer: String,
        /// Replaced inputs; to be checked.
        outputs: Vec<ClaimedBlock>,
    },
    /// A hook failed.
    Failed {
        /// The exchange.
        token: u64,
        /// Why.
        failure: TaskFailure,
    },
}

impl HookChannel {
    /// The server's end, and the socket to start the hook host with.
    pub fn pair() -> io::Result<(HookChannel, OwnedFd)> {
        let (ours, theirs) = Channel::pair()?;
        Ok((HookChannel(ours.receive_at_most(PLUGIN_BODY_MAX)), theirs.into_socket()))
    }

    /// Gives a hook its options.
    pub fn configure(&self, token: u64, plugin: u32, hook: u32, options: String) -> Result<(), ChannelError> {
        self.0.try_send(&ToHookHost::Configure { token, plugin, hook, options }, &[])
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
        self.0.try_send(&ToHookHost::Event { token, plugin, hook, argument, inputs, has_more }, &descriptors)
    }

    /// Gives it rings: from now on it takes events from there, and messages only where a record points to them.
    pub fn rings(&self, descriptors: &WorkerDescriptors) -> Result<(), ChannelError> {
        self.0.try_send(&ToHookHost::Rings, &[descriptors.memory.as_fd(), descriptors.bell.as_fd()])
    }

    /// Asks it to leave, if it has no rings.
    pub fn quit(&self) -> Result<(), ChannelError> {
        self.0.try_send(&ToHookHost::Quit, &[])
    }

    /// The next event; waits for it.
    pub fn receive(&self) -> Result<HookEvent, ChannelError> {
        self.0.receive().and_then(hook_event)
    }

    /// The next event; waits no longer than this.
    pub fn receive_within(&self, patience: Duration) -> Result<Option<HookEvent>, ChannelError> {
        self.0.receive_within(patience)?.map(hook_event).transpose()
    }

    /// The next event if there is one.
    pub fn try_receive(&self) -> Result<Option<HookEvent>, ChannelError> {
        self.0.try_receive()?.map(hook_event).transpose()
    }
}

fn hook_event(received: Received<FromHookHost>) -> Result<HookEvent, ChannelError> {
    let Received { message, descriptors } = received;
    Ok(match message {
        FromHookHost::Ready { pid } => HookEvent::Ready { pid },
        FromHookHost::Log(record) => HookEvent::Log(record.cut()),
        FromHookHost::Answer { token, answer, outputs } => {
            HookEvent::Answer { token, answer, outputs: resolve(outputs, descriptors)? }
        }
        FromHookHost::Failed { token, failure } => HookEvent::Failed { token, failure: failure.cut() },
    })
}

impl AsFd for HookChannel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
