//! A channel: one end of a SEQPACKET socket that carries messages with descriptors beside them.
//!
//! Packets arrive whole or not at all, so several threads may send on one channel. A body over 32 KiB travels in a
//! sealed memfd that is attached to the packet; neither side's caller sees the difference. The peer may be hostile:
//! everything it can send is either a message or a [`ChannelError`].

use std::fs::File;
use std::io::{self, IoSlice, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::codec::{self, Frame, FrameProblem};
use super::message::DESCRIPTORS_MAX;
use crate::sys::{memfd, packet, wait};

/// One end.
#[derive(Debug)]
pub struct Channel {
    socket: OwnedFd,
}

/// A message and the descriptors that came with it.
#[derive(Debug)]
pub struct Received<M> {
    /// The message.
    pub message: M,
    /// The descriptors, in the sender's order.
    pub descriptors: Vec<OwnedFd>,
}

/// Why nothing was sent or received.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// The other end is closed: its process has gone or wants no more.
    #[error("the other end of the channel is closed")]
    Closed,
    /// The other end sent what nobody of ours would.
    #[error("a packet that cannot be understood arrived: {0}")]
    Frame(#[from] FrameProblem),
    /// The other end sent a message that makes no sense where it came, or contradicts itself.
    #[error("a message breaks the protocol: {0}")]
    Protocol(String),
    /// This process has no room for more open files.
    #[error(
        "descriptors that came with a message were lost: this process has as many files open as it may; \
         raise its limit (LimitNOFILE=, ulimit -n)"
    )]
    TooManyOpenFiles,
    /// The message is too large to send.
    #[error(
        "a message of {size} bytes and {descriptors} descriptors is too large, at most {} and {DESCRIPTORS_MAX} are sent",
        codec::BODY_MAX
    )]
    TooLarge {
        /// Its size.
        size: u64,
        /// Its descriptors.
        descriptors: usize,
    },
    /// The system refused.
    #[error("{attempt}: {source}")]
    System {
        /// What was tried.
        attempt: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl ChannelError {
    fn system(attempt: &'static str) -> impl FnOnce(io::Error) -> ChannelError {
        move |source| match source.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => ChannelError::Closed,
            _ => ChannelError::System { attempt, source },
        }
    }
}

impl Channel {
    /// Two connected ends.
    pub fn pair() -> io::Result<(Channel, Channel)> {
        let (left, right) = packet::pair()?;
        Ok((Channel { socket: left }, Channel { socket: right }))
    }

    /// A channel over a SEQPACKET socket that came from elsewhere.
    pub fn from_socket(socket: OwnedFd) -> Channel {
        Channel { socket }
    }

    /// The socket, to be handed to another process.
    pub fn into_socket(self) -> OwnedFd {
        self.socket
    }

    /// Sends a message; waits while the peer is behind.
    pub fn send<M: Serialize>(&self, message: &M, descriptors: &[BorrowedFd<'_>]) -> Result<(), ChannelError> {
        let body = codec::encode(message)?;
        let size = body.len() as u64;
        if size > codec::BODY_MAX || descriptors.len() > DESCRIPTORS_MAX {
            return Err(ChannelError::TooLarge { size, descriptors: descriptors.len() });
        }
        if body.len() <= codec::INLINE_MAX {
            let parts = [IoSlice::new(&const { codec::inline_header() }), IoSlice::new(&body)];
            return packet::send(self.socket.as_fd(), &parts, descriptors, true)
                .map_err(ChannelError::system("cannot send a message"));
        }
        let attachment =
            sealed_body(&body).map_err(ChannelError::system("cannot put a large message into shared memory"))?;
        let mut all = descriptors.to_vec();
        all.push(attachment.as_fd());
        packet::send(self.socket.as_fd(), &[IoSlice::new(&codec::attached_packet(size))], &all, true)
            .map_err(ChannelError::system("cannot send a large message"))
    }

    /// Receives the next message; waits for one.
    pub fn receive<M: DeserializeOwned>(&self) -> Result<Received<M>, ChannelError> {
        self.receive_packet(true)
    }

    /// Receives the next message if there is one.
    pub fn try_receive<M: DeserializeOwned>(&self) -> Result<Option<Received<M>>, ChannelError> {
        match self.receive_packet(false) {
            Ok(received) => Ok(Some(received)),
            Err(ChannelError::System { source, .. }) if source.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(problem) => Err(problem),
        }
    }

    /// Receives the next message; waits for one no longer than this.
    pub fn receive_within<M: DeserializeOwned>(&self, patience: Duration) -> Result<Option<Received<M>>, ChannelError> {
        let ready = wait::readable_within(self.socket.as_fd(), patience)
            .map_err(ChannelError::system("cannot wait for a message"))?;
        if ready { self.try_receive() } else { Ok(None) }
    }

    fn receive_packet<M: DeserializeOwned>(&self, wait: bool) -> Result<Received<M>, ChannelError> {
        let mut buffer = [0; codec::PACKET_MAX];
        let packet = packet::receive(self.socket.as_fd(), &mut buffer, wait)
            .map_err(ChannelError::system("cannot receive a message"))?;
        let mut descriptors = packet.descriptors;
        match packet.truncated {
            packet::Truncation::None => {}
            packet::Truncation::Descriptors => return Err(ChannelError::TooManyOpenFiles),
            packet::Truncation::Bytes => {
                return Err(ChannelError::Protocol(format!("a packet is longer than {} bytes", codec::PACKET_MAX)));
            }
        }
        let bytes = buffer.get(..packet.length).unwrap_or_default();
        if bytes.is_empty() {
            return Err(ChannelError::Closed);
        }
        let message = match codec::parse(bytes)? {
            Frame::Inline(body) => codec::decode(body)?,
            Frame::Attached(size) => {
                let attachment = descriptors.pop().ok_or_else(|| {
                    ChannelError::Protocol("a packet announces an attached body and brings no descriptor".to_owned())
                })?;
                codec::decode(&attached_body(attachment, size)?)?
            }
        };
        Ok(Received { message, descriptors })
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A body in a memfd that its receiver can trust not to change.
fn sealed_body(body: &[u8]) -> io::Result<OwnedFd> {
    let file = memfd::create("dagd-message", memfd::Purpose::Data)?;
    memfd::reserve(&file, body.len() as u64)?;
    let mut file = File::from(file);
    file.write_all(body)?;
    memfd::seal(&file, memfd::IMMUTABLE)?;
    Ok(file.into())
}

/// Reads an attached body. Read rather than mapped: decoding copies everything out anyway, and `pread` cannot fault.
fn attached_body(attachment: OwnedFd, size: u64) -> Result<Vec<u8>, ChannelError> {
    let found = memfd::size(&attachment).map_err(ChannelError::system("cannot look at an attached body"))?;
    // Seals also tell a memfd from a pipe or a device that would block us for ever.
    let seals = memfd::seals(&attachment)
        .map_err(|_| ChannelError::Protocol("an attached body is not a memory file".to_owned()))?;
    if found != size || !seals.contains(memfd::IMMUTABLE) {
        return Err(ChannelError::Protocol(format!(
            "an attached body has {found} bytes and seals {seals:?}, expected {size} bytes and {:?}",
            memfd::IMMUTABLE
        )));
    }
    // `parse` has bounded the size.
    let length = usize::try_from(size).map_err(|_| FrameProblem::BodySize { size })?;
    let mut body = vec![0; length];
    File::from(attachment).read_exact_at(&mut body, 0).map_err(ChannelError::system("cannot read an attached body"))?;
    Ok(body)
}

#[cfg(test)]
#[path = "channel_tests.rs"]
mod tests;
