//! Waiting for descriptors.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
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
    fn only_what_is_readable_is_named() {
        let (left, right) = crate::sys::packet::pair().unwrap();
        let (idle, _other) = crate::sys::packet::pair().unwrap();
        assert!(!readable_within(left.as_fd(), Duration::ZERO).unwrap());
        drop(right);
        assert_eq!(readable(&[idle.as_fd(), left.as_fd()], None).unwrap(), [false, true]);
    }
}
