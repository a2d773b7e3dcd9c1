//! A bell wakes one driver out of its `poll`: an eventfd, rung by whoever has something for it.
//!
//! A ring says only "look again": what there is to see (work, an abort, memory that became free) lies elsewhere, written
//! before the ring. Rings that nobody has answered yet melt into one, so a bell never blocks and never fills up.
#![forbid(unsafe_code)]

use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::eventfd::{EfdFlags, EventFd};

/// Wakes one thread that polls it.
#[derive(Debug)]
pub struct Bell {
    event: EventFd,
}

impl Bell {
    /// Makes a silent bell. Fails when the process has no descriptor left.
    pub fn new() -> std::io::Result<Bell> {
        let event = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        Ok(Bell { event })
    }

    /// Rings: the thread that polls the bell wakes, now or when it polls next.
    pub fn ring(&self) {
        // The one possible error is a counter at its maximum, and then the bell is ringing already.
        let _ = self.event.write(1);
    }

    /// Silences the bell; says whether it had been rung.
    pub fn answer(&self) -> bool {
        self.event.read().is_ok()
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}
