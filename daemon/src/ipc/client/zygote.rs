//! The server's end of a zygote's channel: libraries go out, processes come back.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use crate::ipc::channel::{Channel, ChannelError, Received};
use crate::ipc::manifest::GenerationManifest;
use crate::ipc::message::{DESCRIPTORS_MAX, Ending, FromZygote, LibraryCopy, Limits, Role, StartMethod, ToZygote};

/// The server's end of a zygote's channel.
#[derive(Debug)]
pub struct ZygoteChannel(Channel);

/// What a zygote says.
#[derive(Debug)]
pub enum ZygoteEvent {
    /// It is there.
    Hello {
        /// Its process id.
        pid: i32,
        /// The binary's version.
        version: String,
    },
    /// Every library was tried.
    Loaded(GenerationManifest),
    /// A process was started.
    Started {
        /// The number of the request.
        number: u64,
        /// Its process id.
        pid: i32,
        /// Readable once it has ended; signals are sent through it.
        pidfd: OwnedFd,
    },
    /// A process could not be started.
    StartFailed {
        /// The number of the request.
        number: u64,
        /// What was tried and why it failed.
        message: String,
    },
    /// A process ended.
    Exited {
        /// The number of the request that started it.
        number: u64,
        /// Its former process id.
        pid: i32,
        /// How.
        ending: Ending,
        /// The most memory it ever had resident.
        max_rss_bytes: u64,
    },
    /// Something an operator ought to know.
    Warning(String),
}

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
    /// The server's end, and the socket to start the zygote with as its stdin (see `sys::spawn`).
    pub fn pair() -> io::Result<(ZygoteChannel, OwnedFd)> {
        let (ours, theirs) = Channel::pair()?;
        Ok((ZygoteChannel(ours), theirs.into_socket()))
    }

    /// Asks to load these libraries, each a sealed memfd; [`ZygoteEvent::Loaded`] answers. Once per zygote.
    pub fn load(
        &self,
        libraries: &[(LibraryCopy, BorrowedFd<'_>)],
        loading_page: BorrowedFd<'_>,
        start_method: StartMethod,
        log_level_max: u8,
    ) -> Result<(), ChannelError> {
        self.0.send(&ToZygote::Prepare { start_method, log_level_max }, &[loading_page])?;
        for some in libraries.chunks(DESCRIPTORS_MAX) {
            let descriptors: Vec<_> = some.iter().map(|(_, file)| *file).collect();
            let copies = some.iter().map(|(copy, _)| copy.clone()).collect();
            self.0.send(&ToZygote::Libraries(copies), &descriptors)?;
        }
        self.0.send(&ToZygote::Load, &[])
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
        self.0.send(&ToZygote::Start { number, role, limits }, &[channel, page, output])
    }

    /// Asks it to end, with every process it started.
    pub fn shutdown(&self) -> Result<(), ChannelError> {
        self.0.send(&ToZygote::Shutdown, &[])
    }

    /// The next event; waits for it.
    pub fn receive(&self) -> Result<ZygoteEvent, ChannelError> {
        self.0.receive().and_then(zygote_event)
    }

    /// The next event; waits no longer than this.
    pub fn receive_within(&self, patience: Duration) -> Result<Option<ZygoteEvent>, ChannelError> {
        self.0.receive_within(patience)?.map(zygote_event).transpose()
    }
}

fn zygote_event(received: Received<FromZygote>) -> Result<ZygoteEvent, ChannelError> {
    let Received { message, mut descriptors } = received;
    let event = match message {
        FromZygote::Hello { pid, version } => ZygoteEvent::Hello { pid, version },
        FromZygote::Loaded(manifest) => ZygoteEvent::Loaded(manifest),
        FromZygote::Started { number, pid } => {
            let pidfd = descriptors.pop().ok_or_else(|| {
                ChannelError::Protocol(format!("the zygote started process {pid} and sent no pidfd of it"))
            })?;
            ZygoteEvent::Started { number, pid, pidfd }
        }
        FromZygote::StartFailed { number, message } => ZygoteEvent::StartFailed { number, message },
        FromZygote::Exited { number, pid, ending, max_rss_bytes } => {
            ZygoteEvent::Exited { number, pid, ending, max_rss_bytes }
        }
        FromZygote::Warning(text) => ZygoteEvent::Warning(text),
    };
    Ok(event)
}

impl AsFd for ZygoteChannel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
