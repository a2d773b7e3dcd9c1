//! The server's end of a zygote's channel: libraries go out, processes come back.

use std::os::fd::{BorrowedFd, OwnedFd};

use super::{Descriptors, Event, ServerEnd};
use crate::ipc::channel::ChannelError;
use crate::ipc::codec;
use crate::ipc::message::{
    DESCRIPTORS_MAX, FromZygote, LibraryCopy, Limits, Role, StartMethod, ToZygote, ZygoteMessage,
};

/// The server's end of a zygote's channel; the other one is the zygote's stdin (see `sys::spawn`).
pub type ZygoteChannel = ServerEnd<ZygoteEvent>;

/// What a zygote says.
pub type ZygoteEvent = ZygoteMessage<OwnedFd>;

/// What a new worker or hook host is given.
#[derive(Clone, Copy, Debug)]
pub struct StartDescriptors<'a> {
    /// The other end of its channel.
    pub channel: BorrowedFd<'a>,
    /// Its worker page.
    pub page: BorrowedFd<'a>,
    /// Where its stdout and stderr go: the write end of a pipe.
    pub output: BorrowedFd<'a>,
}

impl ZygoteChannel {
    /// Asks to load these libraries, each a sealed memfd; [`ZygoteEvent::Loaded`] answers. Once per zygote.
    pub fn load(
        &self,
        libraries: &[(LibraryCopy, BorrowedFd<'_>)],
        loading_page: BorrowedFd<'_>,
        start_method: StartMethod,
        log_level_max: u8,
    ) -> Result<(), ChannelError> {
        self.channel.send(&ToZygote::Prepare { start_method, log_level_max }, &[loading_page])?;
        for some in libraries.chunks(DESCRIPTORS_MAX) {
            let descriptors: Vec<_> = some.iter().map(|(_, file)| *file).collect();
            let copies = some.iter().map(|(copy, _)| copy.clone()).collect();
            self.channel.send(&ToZygote::Libraries(copies), &descriptors)?;
        }
        self.channel.send(&ToZygote::Load, &[])
    }

    /// Asks for a process; [`ZygoteEvent::Started`] or [`ZygoteEvent::StartFailed`] answers. The descriptors are the
    /// zygote's when this returns: close the other copies, or the end of the process will not be noticed.
    pub fn start(
        &self,
        number: u64,
        role: Role,
        limits: Limits,
        descriptors: StartDescriptors<'_>,
    ) -> Result<(), ChannelError> {
        let StartDescriptors { channel, page, output } = descriptors;
        self.channel.send(&ToZygote::Start { number, role, limits }, &[channel, page, output])
    }

    /// Asks it to end, with every process it started.
    pub fn shutdown(&self) -> Result<(), ChannelError> {
        self.channel.send(&ToZygote::Shutdown, &[])
    }
}

impl Event for ZygoteEvent {
    type Message = FromZygote;

    const BODY_MAX: u64 = codec::BODY_MAX;

    fn of(message: FromZygote, mut descriptors: Descriptors) -> Result<ZygoteEvent, ChannelError> {
        Ok(match message {
            FromZygote::Hello { pid, version } => ZygoteEvent::Hello { pid, version },
            FromZygote::Loaded(manifest) => ZygoteEvent::Loaded(manifest),
            FromZygote::Started { number, pid, pidfd } => {
                let pidfd = descriptors.take(pidfd, || format!("process {pid}"))?;
                ZygoteEvent::Started { number, pid, pidfd }
            }
            FromZygote::StartFailed { number, message } => ZygoteEvent::StartFailed { number, message },
            FromZygote::Exited { number, pid, ending, max_rss_bytes } => {
                ZygoteEvent::Exited { number, pid, ending, max_rss_bytes }
            }
            FromZygote::Warning(text) => ZygoteEvent::Warning(text),
        })
    }
}
