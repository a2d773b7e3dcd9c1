//! A channel: one end of a SEQPACKET socket that carries messages with descriptors beside them.
//!
//! Packets arrive whole or not at all, so several threads may send on one channel. A body over 32 KiB travels in a
//! sealed memfd that is attached to the packet; neither side's caller sees the difference. The peer may be hostile:
//! everything it can send is either a message or a [`ChannelError`], of a size that each end bounds
//! ([`Channel::receive_at_most`]); and one that does not read keeps nobody who uses [`Channel::try_send`].

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
    send_max: u64,
    receive_max: u64,
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
    /// The other end has not read what was sent before, and there is no room for more.
    #[error("the other end of the channel does not read what it is sent")]
    Behind,
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
        "a message of {size} bytes and {descriptors} descriptors is too large, at most {max} and {DESCRIPTORS_MAX} are sent"
    )]
    TooLarge {
        /// Its size.
        size: u64,
        /// The largest that is sent.
        max: u64,
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
        Ok((Channel::from_socket(left), Channel::from_socket(right)))
    }

    /// A channel over a SEQPACKET socket that came from elsewhere.
    pub fn from_socket(socket: OwnedFd) -> Channel {
        Channel { socket, send_max: codec::BODY_MAX, receive_max: codec::BODY_MAX }
    }

    /// The same, and no message with a body larger than this is sent over it.
    pub fn send_at_most(self, send_max: u64) -> Channel {
        Channel { send_max, ..self }
    }

    /// The same, and no message with a body larger than this is accepted from it.
    pub fn receive_at_most(self, receive_max: u64) -> Channel {
        Channel { receive_max, ..self }
    }

    /// The socket, to be handed to another process.
    pub fn into_socket(self) -> OwnedFd {
        self.socket
    }

    /// Sends a message; waits while the peer is behind.
    pub fn send<M: Serialize>(&self, message: &M, descriptors: &[BorrowedFd<'_>]) -> Result<(), ChannelError> {
        self.send_message(message, descriptors, true)
    }

    /// Sends a message to a peer that has room for it; one that is too far behind is [`ChannelError::Behind`].
    pub fn try_send<M: Serialize>(&self, message: &M, descriptors: &[BorrowedFd<'_>]) -> Result<(), ChannelError> {
        self.send_message(message, descriptors, false)
    }

    fn send_message<M: Serialize>(
        &self,
        message: &M,
        descriptors: &[BorrowedFd<'_>],
        wait: bool,
    ) -> Result<(), ChannelError> {
        let body = codec::encode(message)?;
        let (size, max) = (body.len() as u64, self.send_max);
        if size > max || descriptors.len() > DESCRIPTORS_MAX {
            return Err(ChannelError::TooLarge { size, max, descriptors: descriptors.len() });
        }
        if body.len() <= codec::INLINE_MAX {
            let parts = [IoSlice::new(&const { codec::inline_header() }), IoSlice::new(&body)];
            return self.send_packet(&parts, descriptors, wait, "cannot send a message");
        }
        let attachment =
            sealed_body(&body).map_err(ChannelError::system("cannot put a large message into shared memory"))?;
        let mut all = descriptors.to_vec();
        all.push(attachment.as_fd());
        let announcement = codec::attached_packet(size);
        self.send_packet(&[IoSlice::new(&announcement)], &all, wait, "cannot send a large message")
    }

    fn send_packet(
        &self,
        parts: &[IoSlice<'_>],
        descriptors: &[BorrowedFd<'_>],
        wait: bool,
        attempt: &'static str,
    ) -> Result<(), ChannelError> {
        packet::send(self.socket.as_fd(), parts, descriptors, wait).map_err(|problem| match problem.kind() {
            io::ErrorKind::WouldBlock => ChannelError::Behind,
            _ => ChannelError::system(attempt)(problem),
        })
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
        let message = match codec::parse(bytes, self.receive_max)? {
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
    let length = usize::try_from(size).map_err(|_| FrameProblem::BodySize { size, max: usize::MAX as u64 })?;
    let mut body = vec![0; length];
    File::from(attachment).read_exact_at(&mut body, 0).map_err(ChannelError::system("cannot read an attached body"))?;
    Ok(body)
}

#[cfg(test)]
#[path = "channel_tests.rs"]
mod tests;
