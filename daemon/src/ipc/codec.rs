//! Messages to bytes and back: postcard behind a small frame.
//!
//! A frame is a magic byte, a kind byte and, depending on the kind, the encoded message or the length of a body that
//! travels in a sealed memfd. Decoding judges: whatever does not fit is a [`FrameProblem`], never a panic.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The first byte of every packet.
const MAGIC: u8 = 0xDA;
/// The message follows.
const KIND_INLINE: u8 = 1;
/// The message is in a sealed memfd, the last descriptor of the packet; its length follows, eight bytes little-endian.
const KIND_ATTACHED: u8 = 2;

/// A body up to this size travels in the packet itself.
pub const INLINE_MAX: usize = 32 * 1024;
/// No body is larger than this: it holds the largest request the control interface accepts, and some.
pub const BODY_MAX: u64 = 256 * 1024 * 1024;
/// Bytes before an inline body.
pub const HEADER: usize = 2;
/// No packet is longer than this.
pub const PACKET_MAX: usize = HEADER + INLINE_MAX;

/// What is wrong with a packet.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameProblem {
    /// It does not begin as ours do.
    #[error("the packet begins with {found:02x?}, expected {MAGIC:02x} and a kind of 1 or 2")]
    Header {
        /// Its first bytes.
        found: Vec<u8>,
    },
    /// The header of an attached body has the wrong length, or the body is larger than allowed.
    #[error("the packet announces an attached body of {size} bytes, at most {max} are accepted")]
    BodySize {
        /// The announced size.
        size: u64,
        /// The largest that is accepted.
        max: u64,
    },
    /// The length of an attached body is not eight bytes.
    #[error("the packet announces an attached body in {length} bytes, expected 8")]
    BodyHeader {
        /// How many bytes there were.
        length: usize,
    },
    /// The bytes are not such a message.
    #[error("{length} bytes do not decode to a {expected}: {reason}")]
    Body {
        /// How many bytes there were.
        length: usize,
        /// The message type that was expected.
        expected: &'static str,
        /// Postcard's word for it.
        reason: String,
    },
}

/// What a packet's bytes hold.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// The encoded message.
    Inline(&'a [u8]),
    /// The size of a message in a memfd.
    Attached(u64),
}

/// The header of an inline body.
pub const fn inline_header() -> [u8; HEADER] {
    [MAGIC, KIND_INLINE]
}

/// The packet that announces an attached body.
pub fn attached_packet(size: u64) -> [u8; HEADER + 8] {
    let mut packet = [0; HEADER + 8];
    packet[0] = MAGIC;
    packet[1] = KIND_ATTACHED;
    packet[HEADER..].copy_from_slice(&size.to_le_bytes());
    packet
}

/// Reads a packet's frame; an attached body may have `max` bytes.
pub fn parse(packet: &[u8], max: u64) -> Result<Frame<'_>, FrameProblem> {
    match packet {
        [MAGIC, KIND_INLINE, body @ ..] => Ok(Frame::Inline(body)),
        [MAGIC, KIND_ATTACHED, size @ ..] => {
            let size = <[u8; 8]>::try_from(size).map_err(|_| FrameProblem::BodyHeader { length: size.len() })?;
            let size = u64::from_le_bytes(size);
            if size > max { Err(FrameProblem::BodySize { size, max }) } else { Ok(Frame::Attached(size)) }
        }
        other => Err(FrameProblem::Header { found: other.iter().take(4).copied().collect() }),
    }
}

/// Encodes a message.
pub fn encode<M: Serialize>(message: &M) -> Result<Vec<u8>, FrameProblem> {
    postcard::to_stdvec(message).map_err(|problem| FrameProblem::Body {
        length: 0,
        expected: std::any::type_name::<M>(),
        reason: problem.to_string(),
    })
}

/// Decodes a message, all of it.
pub fn decode<M: DeserializeOwned>(body: &[u8]) -> Result<M, FrameProblem> {
    let problem =
        |reason: String| FrameProblem::Body { length: body.len(), expected: std::any::type_name::<M>(), reason };
    match postcard::take_from_bytes(body) {
        Ok((message, [])) => Ok(message),
        Ok((_, rest)) => Err(problem(format!("{} bytes are left over", rest.len()))),
        Err(reason) => Err(problem(reason.to_string())),
    }
}
