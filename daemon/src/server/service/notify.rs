//! What systemd wants to hear: `sd_notify`, in the few lines it takes.
//!
//! The protocol is one datagram of `NAME=value` lines to the socket that `$NOTIFY_SOCKET` names, with descriptors where they
//! are to be kept; without the variable nothing is sent. A message that cannot be sent is logged and otherwise ignored: the
//! daemon works as well without systemd. Crates for this (sd-notify, libsystemd) neither send without blocking nor to an
//! abstract address; a manager that is stuck must not stop the thread that feeds its watchdog.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use crate::sys::packet;

/// Says that the daemon serves, and in a sentence how it is. Also ends what [`reloading`] began.
pub fn ready(status: &str) {
    tell(&format!("READY=1\nSTATUS={}", line(status)));
}

/// Says in a sentence how the daemon is.
pub fn status(status: &str) {
    tell(&format!("STATUS={}", line(status)));
}

/// Says that the daemon reloads its configuration or plugins; [`ready`] says that it is done, with whatever result.
pub fn reloading(status: &str) {
    tell(&format!("RELOADING=1\nMONOTONIC_USEC={}\nSTATUS={}", monotonic_us(), line(status)));
}

/// Says that the daemon is ending, and how long that may take from now on.
pub fn stopping(status: &str, patience: Duration) {
    tell(&format!("STOPPING=1\nEXTEND_TIMEOUT_USEC={}\nSTATUS={}", patience.as_micros(), line(status)));
}

/// Asks for this much time from now on, for whatever is under way: a start, a reload or an end.
pub fn extend_timeout(patience: Duration) {
    tell(&format!("EXTEND_TIMEOUT_USEC={}", patience.as_micros()));
}

/// Says that the daemon has just been seen to work.
pub(super) fn watchdog() {
    tell("WATCHDOG=1");
}

/// Has the manager keep a descriptor under this name; false when there is no manager that could.
pub(super) fn keep(name: &str, file: BorrowedFd<'_>) -> io::Result<bool> {
    // FDPOLL=0: the manager is not to watch it for an end; a memory file has none.
    send_if_managed(&format!("FDSTORE=1\nFDNAME={name}\nFDPOLL=0"), &[file])
}

/// Has the manager close what it keeps under this name.
pub(super) fn forget(name: &str) -> io::Result<bool> {
    send_if_managed(&format!("FDSTOREREMOVE=1\nFDNAME={name}"), &[])
}

/// Whether there is a manager that listens.
pub(super) fn is_managed() -> bool {
    socket_name().is_some()
}

fn tell(message: &str) {
    if let Err(error) = send_if_managed(message, &[]) {
        log::warn!("cannot tell systemd {:?}: {error}", message.lines().next().unwrap_or_default());
    }
}

fn send_if_managed(message: &str, descriptors: &[BorrowedFd<'_>]) -> io::Result<bool> {
    let Some(socket) = socket_name() else { return Ok(false) };
    send(&socket, message, descriptors)?;
    Ok(true)
}

fn socket_name() -> Option<String> {
    std::env::var("NOTIFY_SOCKET").ok().filter(|socket| !socket.is_empty())
}

fn send(socket: &str, message: &str, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let address = match socket.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    let sender = UnixDatagram::unbound()?;
    sender.connect_addr(&address)?;
    // The manager's queue may be full; the daemon does not wait for it.
    packet::send(sender.as_fd(), &[IoSlice::new(message.as_bytes())], descriptors, false)
}

/// A status is one line.
fn line(status: &str) -> String {
    status.replace('\n', " ")
}

fn monotonic_us() -> i64 {
    // This clock exists on every Linux; 0 would merely be a time long ago.
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |now| now.tv_sec() * 1_000_000 + now.tv_nsec() / 1000)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use std::io::Read as _;

    fn received(receiver: &UnixDatagram) -> (String, Vec<std::os::fd::OwnedFd>) {
        let mut buffer = [0; 256];
        let packet = packet::receive(receiver.as_fd(), &mut buffer, true).unwrap();
        (String::from_utf8_lossy(&buffer[..packet.length]).into_owned(), packet.descriptors)
    }

    #[test]
    fn a_message_arrives_at_a_path_and_at_an_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let at_path = UnixDatagram::bind(&path).unwrap();
        let name = format!("dagd-notify-test-{}", std::process::id());
        let at_name = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        for (receiver, address) in [(at_path, path.to_str().unwrap().to_owned()), (at_name, format!("@{name}"))] {
            send(&address, "READY=1", &[]).unwrap();
            assert_eq!(received(&receiver).0, "READY=1");
        }
        assert!(send("/no/such/socket", "READY=1", &[]).is_err());
    }

    #[test]
    fn a_descriptor_goes_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let receiver = UnixDatagram::bind(&path).unwrap();
        let (read, write) = io::pipe().unwrap();
        send(path.to_str().unwrap(), "FDSTORE=1\nFDNAME=x", &[write.as_fd()]).unwrap();
        drop(write);
        let (message, mut descriptors) = received(&receiver);
        assert_eq!(message, "FDSTORE=1\nFDNAME=x");
        let mut theirs = io::PipeWriter::from(descriptors.pop().unwrap());
        io::Write::write_all(&mut theirs, b"hello").unwrap();
        drop(theirs);
        let mut text = String::new();
        (&read).read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello");
    }

    #[test]
    fn a_queue_that_is_full_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let _receiver = UnixDatagram::bind(&path).unwrap();
        let full = (0..100_000).find_map(|_| send(path.to_str().unwrap(), "STATUS=x", &[]).err()).unwrap();
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
    }
}
