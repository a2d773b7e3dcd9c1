//! Memory behind a range of addresses, in one go, in huge pages where they are cheap.
//!
//! 512 pages of 4 KiB cost the kernel ten times what a huge page costs it, and each that maps them, makes them read-only or writable
//! again pays for every one of them. `MADV_COLLAPSE` (Linux 6.1) makes a huge page of what lies there, also where the system does not
//! give any to shared memory by itself. But the kernel must have one: memory in pieces has first to be moved together, and a virtual
//! machine's may have to come from its host, which takes several times as long as the small pages would. So it is tried piece by piece, and
//! a try that was slow is the last for a while: the slow ones are less than one in [`PATIENCE`] pieces, and ever rarer.

use std::io;
use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc::{self, c_int, c_void};

use super::region::HUGE_BYTES;

/// A huge page that takes longer than that is slow: the small ones take about as long.
const SLOW: Duration = Duration::from_micros(1_300);
/// How many pieces are left alone after the first slow one; twice as many after the next.
const PATIENCE: usize = 64;
/// No more than so many.
const PATIENCE_MOST: usize = 64 * PATIENCE;

static PACE: Mutex<Pace> = Mutex::new(Pace { left: 0, patience: PATIENCE });

/// When a huge page is tried.
#[derive(Debug)]
struct Pace {
    /// So many pieces are to be left alone.
    left: usize,
    /// How many the next slow one leaves alone.
    patience: usize,
}

impl Pace {
    /// How many of `pieces` to leave alone before the next try.
    fn leave(&mut self, pieces: usize) -> usize {
        let left = self.left.min(pieces);
        self.left -= left;
        left
    }

    /// What came of a try.
    fn note(&mut self, is_quick: bool) {
        if is_quick {
            self.patience = PATIENCE;
        } else {
            self.left = self.patience;
            self.patience = (self.patience * 2).min(PATIENCE_MOST);
        }
    }
}

/// Puts memory behind `length` bytes from `start` on, the first of a page. What they hold is not changed.
///
/// # Safety
///
/// They belong to one shared mapping of a file, which can be written, and stays for the call.
pub(super) unsafe fn populate(start: NonNull<c_void>, length: usize) -> io::Result<()> {
    let advise = |from: usize, to: usize, advice: c_int| {
        let place = start.as_ptr().wrapping_byte_add(from);
        // SAFETY: ranges within what the caller vouches for; either advice changes what lies behind them, never what they hold.
        Errno::result(unsafe { libc::madvise(place, to - from, advice) })
    };
    let small = |from: usize, to: usize| match advise(from, to, libc::MADV_POPULATE_WRITE) {
        // The file could not get the pages.
        Err(Errno::EFAULT) => Err(io::Error::from(io::ErrorKind::StorageFull)),
        result => Ok(result.map(drop)?),
    };
    // Up to `done` there is memory, and from there to `piece` there are to be small pages.
    let (mut done, mut piece) = (0, start.align_offset(HUGE_BYTES));
    while let Some(pieces @ 1..) = length.checked_sub(piece).map(|rest| rest / HUGE_BYTES) {
        let left = pace(|pace| pace.leave(pieces));
        piece += left * HUGE_BYTES;
        if left == pieces {
            break;
        }
        small(done, piece)?;
        let end = piece + HUGE_BYTES;
        let begun = Instant::now();
        // There must be something to make a huge page of.
        small(piece, piece + 1)?;
        let is_huge = advise(piece, end, libc::MADV_COLLAPSE).is_ok();
        pace(|pace| pace.note(is_huge && begun.elapsed() < SLOW));
        done = if is_huge { end } else { piece };
        piece = end;
    }
    small(done, length)
}

fn pace<T>(ask: impl FnOnce(&mut Pace) -> T) -> T {
    ask(&mut PACE.lock().unwrap_or_else(PoisonError::into_inner))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_tries_grow_rare_and_a_quick_one_is_followed_by_the_next() {
        let mut pace = Pace { left: 0, patience: PATIENCE };
        let mut tries = |pieces: usize, is_quick: bool| {
            let mut try_one = |_| (pace.leave(1) == 0).then(|| pace.note(is_quick));
            (0..pieces).filter_map(&mut try_one).count()
        };
        assert_eq!(tries(100, true), 100);
        // At 0, 65, 194 and 451.
        assert_eq!(tries(512, false), 4);
        assert!(tries(1_000_000, false) < 300);
        let _ = tries(PATIENCE_MOST + 1, true);
        assert_eq!(tries(100, true), 100);
    }
}
