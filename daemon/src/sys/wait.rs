//! Waiting for descriptors.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Waits until one of these is readable or hung up, and says which are. Without `patience` it waits for ever.
pub fn readable(descriptors: &[BorrowedFd<'_>], patience: Option<Duration>) -> io::Result<Vec<bool>> {
    let deadline = patience.and_then(|patience| Instant::now().checked_add(patience));
    let mut entries: Vec<_> =
        descriptors.iter().map(|descriptor| PollFd::new(*descriptor, PollFlags::POLLIN)).collect();
    loop {
        let timeout = match deadline {
            None => PollTimeout::NONE,
            Some(deadline) => timeout(deadline.saturating_duration_since(Instant::now())),
        };
        match poll(&mut entries, timeout) {
            Err(Errno::EINTR) => {}
            // A time-out longer than poll can count.
            Ok(0) if deadline.is_none_or(|deadline| Instant::now() < deadline) => {}
            result => {
                result?;
                return Ok(entries.iter().map(|entry| entry.any().unwrap_or(true)).collect());
            }
        }
    }
}

/// Whether this is readable or hung up before so much time has passed.
pub fn readable_within(descriptor: BorrowedFd<'_>, patience: Duration) -> io::Result<bool> {
    Ok(readable(&[descriptor], Some(patience))?.contains(&true))
}

/// Empties an eventfd that another process holds, too. It never waits: whoever shares a descriptor can also make reading it wait
/// (`O_NONBLOCK` belongs to what is shared), so this asks anew each time not to.
pub fn drain_event(event: BorrowedFd<'_>) -> io::Result<u64> {
    let mut count = [0; 8];
    let room = libc::iovec { iov_base: count.as_mut_ptr().cast(), iov_len: count.len() };
    // SAFETY: `room` names the eight bytes of `count`, which outlive the call; the kernel writes no more than that. An offset of -1 means
    // the current position, as for `readv`.
    let read = unsafe { libc::preadv2(event.as_raw_fd(), &raw const room, 1, -1, libc::RWF_NOWAIT) };
    match Errno::result(read) {
        // Kernels before 5.8: better to trust the flag than to leave it ringing.
        Err(Errno::EOPNOTSUPP) => nix::unistd::read(event, &mut count)?,
        result => usize::try_from(result?).unwrap_or(0),
    };
    Ok(u64::from_ne_bytes(count))
}

/// In whole milliseconds, rounded up: waking early would spin.
fn timeout(left: Duration) -> PollTimeout {
    let ms = left.as_micros().div_ceil(1000);
    PollTimeout::try_from(ms).unwrap_or(PollTimeout::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn emptying_an_event_never_waits_whatever_its_other_holder_makes_of_it() {
        let event = nix::sys::eventfd::EventFd::new().unwrap();
        assert_eq!(drain_event(event.as_fd()).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        event.write(3).unwrap();
        assert_eq!(drain_event(event.as_fd()).unwrap(), 3);
        assert_eq!(drain_event(event.as_fd()).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn only_what_is_readable_is_named() {
        let (left, right) = crate::sys::packet::pair().unwrap();
        let (idle, _other) = crate::sys::packet::pair().unwrap();
        assert!(!readable_within(left.as_fd(), Duration::ZERO).unwrap());
        drop(right);
        assert_eq!(readable(&[idle.as_fd(), left.as_fd()], None).unwrap(), [false, true]);
    }
}
