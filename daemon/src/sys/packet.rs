//! One packet over a Unix SEQPACKET socket: bytes and file descriptors, sent and received whole.

use std::io::{self, IoSlice};
use std::mem::size_of;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, sendmsg, socketpair};

/// The most descriptors the kernel lets one packet carry (`SCM_MAX_FD`).
const KERNEL_DESCRIPTORS_MAX: usize = 253;

/// Words of a control buffer that holds one `SCM_RIGHTS` message with every descriptor there can be.
const CONTROL_WORDS: usize = (size_of::<libc::cmsghdr>() + KERNEL_DESCRIPTORS_MAX * size_of::<RawFd>()).div_ceil(8) + 2;

/// A connected pair of sockets that keep packet boundaries.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?)
}

/// Sends one packet. A peer that has gone is `BrokenPipe`, never a signal.
pub fn send(
    socket: BorrowedFd<'_>,
    bytes: &[IoSlice<'_>],
    descriptors: &[BorrowedFd<'_>],
    wait: bool,
) -> io::Result<()> {
    let raw: Vec<RawFd> = descriptors.iter().map(|descriptor| descriptor.as_raw_fd()).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let control = if raw.is_empty() { &[][..] } else { &rights[..] };
    let mut flags = MsgFlags::MSG_NOSIGNAL;
    if !wait {
        flags |= MsgFlags::MSG_DONTWAIT;
    }
    loop {
        match sendmsg::<UnixAddr>(socket.as_raw_fd(), bytes, control, flags, None) {
            Err(Errno::EINTR) => {}
            result => {
                result?;
                return Ok(());
            }
        }
    }
}

/// What one call of [`receive`] brought.
#[derive(Debug)]
pub struct Packet {
    /// How many bytes of the buffer were filled; 0 means that the peer has gone.
    pub length: usize,
    /// The descriptors that came along.
    pub descriptors: Vec<OwnedFd>,
    /// Whether the packet was longer than the buffer, or some descriptors were lost (this process has too many open).
    pub truncated: Truncation,
}

/// Whether a packet arrived whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truncation {
    /// It did.
    None,
    /// Its bytes did not fit.
    Bytes,
    /// The kernel could not install all its descriptors.
    Descriptors,
}

/// Receives one packet.
///
/// This is `recvmsg` itself rather than nix's: theirs drops, and so leaks, the descriptors of a packet that lost some.
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8], wait: bool) -> io::Result<Packet> {
    let mut control = [0_u64; CONTROL_WORDS];
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: msghdr is plain data for which all zeroes is a valid value.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = size_of::<[u64; CONTROL_WORDS]>();
    let flags = libc::MSG_CMSG_CLOEXEC | if wait { 0 } else { libc::MSG_DONTWAIT };
    let length = loop {
        // SAFETY: header points to one iovec over `buffer` and to `control`, both exclusively ours and alive, with
        // their true sizes.
        let result = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, flags) };
        match Errno::result(result) {
            // A reset says, once, that the peer went without reading all; what it had sent before is still there.
            Err(Errno::EINTR | Errno::ECONNRESET) => {}
            result => break result?,
        }
    };
    let descriptors = take_descriptors(&header);
    let truncated = if header.msg_flags & libc::MSG_CTRUNC != 0 {
        Truncation::Descriptors
    } else if header.msg_flags & libc::MSG_TRUNC != 0 {
        Truncation::Bytes
    } else {
        Truncation::None
    };
    Ok(Packet { length: length.unsigned_abs().min(buffer.len()), descriptors, truncated })
}

/// Takes ownership of every descriptor in the control buffer that `recvmsg` has just filled.
fn take_descriptors(header: &libc::msghdr) -> Vec<OwnedFd> {
    let mut descriptors = Vec::new();
    // SAFETY: header describes a control buffer filled by the kernel, aligned to 8 as cmsghdr needs.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !next.is_null() {
        // SAFETY: CMSG_FIRSTHDR and CMSG_NXTHDR give null or a header that lies whole within the buffer.
        let message = unsafe { &*next };
        if message.cmsg_level == libc::SOL_SOCKET && message.cmsg_type == libc::SCM_RIGHTS {
            // SAFETY: as above; the data follow the header.
            let data = unsafe { libc::CMSG_DATA(next) }.cast::<RawFd>();
            // SAFETY: CMSG_LEN only computes.
            let overhead = unsafe { libc::CMSG_LEN(0) } as usize;
            let count = message.cmsg_len.saturating_sub(overhead) / size_of::<RawFd>();
            for index in 0..count {
                // SAFETY: the kernel wrote `count` descriptors from `data` on, all within the buffer.
                let place = unsafe { data.add(index) };
                // SAFETY: `place` holds an initialised RawFd; unaligned reads are allowed for.
                let raw = unsafe { place.read_unaligned() };
                // SAFETY: the kernel has just installed this descriptor for us; nothing else owns it, and each place
                // is visited once.
                descriptors.push(unsafe { OwnedFd::from_raw_fd(raw) });
            }
        }
        // SAFETY: `next` came from this header's buffer.
        next = unsafe { libc::CMSG_NXTHDR(header, next) };
    }
    descriptors
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn bytes_and_descriptors_arrive_together() {
        let (left, right) = pair().unwrap();
        let file = crate::sys::memfd::create("test", crate::sys::memfd::Purpose::Data).unwrap();
        let inode = crate::sys::memfd::inode(&file).unwrap();
        send(left.as_fd(), &[IoSlice::new(b"ab"), IoSlice::new(b"c")], &[file.as_fd(); 3], true).unwrap();
        let mut buffer = [0; 16];
        let packet = receive(right.as_fd(), &mut buffer, true).unwrap();
        assert_eq!(&buffer[..packet.length], b"abc");
        assert_eq!(packet.truncated, Truncation::None);
        assert_eq!(packet.descriptors.len(), 3);
        for descriptor in &packet.descriptors {
            assert_eq!(crate::sys::memfd::inode(descriptor).unwrap(), inode);
        }
    }

    #[test]
    fn as_many_descriptors_as_the_kernel_takes() {
        let (left, right) = pair().unwrap();
        let many = vec![left.as_fd(); KERNEL_DESCRIPTORS_MAX];
        send(left.as_fd(), &[IoSlice::new(b"x")], &many, true).unwrap();
        let packet = receive(right.as_fd(), &mut [0; 4], true).unwrap();
        assert_eq!(packet.descriptors.len(), KERNEL_DESCRIPTORS_MAX);
        assert_eq!(packet.truncated, Truncation::None);
    }

    #[test]
    fn the_last_words_of_a_peer_that_did_not_listen_arrive() {
        let (left, right) = pair().unwrap();
        send(left.as_fd(), &[IoSlice::new(b"never read")], &[], true).unwrap();
        send(right.as_fd(), &[IoSlice::new(b"last words")], &[], true).unwrap();
        drop(right);
        assert_eq!(receive(left.as_fd(), &mut [0; 16], true).unwrap().length, 10);
        assert_eq!(receive(left.as_fd(), &mut [0; 16], true).unwrap().length, 0);
    }

    #[test]
    fn too_long_a_packet_says_so_and_a_gone_peer_is_length_zero() {
        let (left, right) = pair().unwrap();
        send(left.as_fd(), &[IoSlice::new(b"long")], &[], true).unwrap();
        assert_eq!(receive(right.as_fd(), &mut [0; 2], true).unwrap().truncated, Truncation::Bytes);
        let nothing = receive(right.as_fd(), &mut [0; 2], false).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        drop(left);
        assert_eq!(receive(right.as_fd(), &mut [0; 2], true).unwrap().length, 0);
        let gone = send(right.as_fd(), &[IoSlice::new(b"x")], &[], true).unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::BrokenPipe);
    }
}
