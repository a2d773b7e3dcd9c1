//! Memory behind a range of addresses, in one go, in huge pages where they are cheap.
//!
//! 512 pages of 4 KiB cost the kernel ten times what a huge page costs it, and each that maps them, makes them read-only or writable
//! again pays for every one of them. `MADV_COLLAPSE` (Linux 6.1) makes a huge page of what lies there, also where the system does not
//! give any to shared memory by itself (only `shmem_enabled = deny` forbids it; earlier kernels do with small pages). But the kernel must
//! have one: memory in pieces has first to be moved together, and a virtual machine's may have to come from its host, which takes several
//! times as long as the small pages would. So it is tried piece by piece, and a try that was slow is the last for a while, unless it was a
//! single one among quick ones: others may have had the processor. Where all are slow they are less than one in [`PATIENCE`] pieces, and ever
//! rarer.

use std::io;
use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc::{self, c_int, c_void};

use super::region::HUGE_BYTES;

/// A huge page that takes longer than that is slow: the small ones take about as long.
const SLOW: Duration = Duration::from_micros(1_300);
/// So many quick ones in a row are believed, and a slow one after them is not.
const BELIEVED: usize = 4;
/// How many pieces are left alone after the first try that was slow, or failed; twice as many after the next.
const PATIENCE: usize = 64;
/// No more than so many.
const PATIENCE_MOST: usize = 64 * PATIENCE;

static PACE: Mutex<Pace> = Mutex::new(Pace::new());

/// When a huge page is tried.
#[derive(Debug)]
struct Pace {
    /// So many pieces are to be left alone.
    left: usize,
    /// How many the next slow one leaves alone.
    patience: usize,
    /// How many tries have been quick since the last slow one.
    quick: usize,
}

impl Pace {
    const fn new() -> Pace {
        Pace { left: 0, patience: PATIENCE, quick: 0 }
    }

    /// How many of `pieces` to leave alone before the next try.
    fn leave(&mut self, pieces: usize) -> usize {
        let left = self.left.min(pieces);
        self.left -= left;
        left
    }

    /// What came of a try.
    fn note(&mut self, is_quick: bool) {
        let before = std::mem::take(&mut self.quick);
        if is_quick {
            self.quick = before.saturating_add(1);
            self.patience = PATIENCE;
        } else if before < BELIEVED {
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
    // SAFETY: as the caller promises.
    unsafe { populate_at(&PACE, start, length) }
}

/// # Safety
///
/// As for [`populate`].
unsafe fn populate_at(pace: &Mutex<Pace>, start: NonNull<c_void>, length: usize) -> io::Result<()> {
    let pace = || pace.lock().unwrap_or_else(PoisonError::into_inner);
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
    let mut piece = start.align_offset(HUGE_BYTES);
    while let Some(pieces @ 1..) = length.checked_sub(piece).map(|rest| rest / HUGE_BYTES) {
        let left = pace().leave(pieces);
        piece += left * HUGE_BYTES;
        if left == pieces {
            break;
        }
        let begun = Instant::now();
        // There must be something to make a huge page of.
        small(piece, piece + 1)?;
        let is_huge = advise(piece, piece + HUGE_BYTES, libc::MADV_COLLAPSE).is_ok();
        pace().note(is_huge && begun.elapsed() < SLOW);
        piece += HUGE_BYTES;
    }
    // All of it: it costs next to nothing where there are huge pages, and what they are said to cover need not be believed.
    small(0, length)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use nix::sys::mman::ProtFlags;

    use super::*;
    use crate::sys::memfd::{self, Purpose};
    use crate::sys::region::Region;

    /// How many KiB of the mapping of a file of this name are mapped as huge pages.
    fn huge_kib(name: &str) -> usize {
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut lines = maps.lines().skip_while(|line| !line.contains(name));
        let found = lines.find_map(|line| line.strip_prefix("ShmemPmdMapped:")).unwrap();
        found.trim().trim_end_matches(" kB").parse().unwrap()
    }

    #[test]
    fn a_huge_page_that_is_said_to_be_there_is_mapped_and_right() {
        const PIECES: usize = 4;
        let file = memfd::create("populate-test", Purpose::Data).unwrap();
        memfd::truncate(&file, (PIECES * HUGE_BYTES) as u64).unwrap();
        let both = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let region = Region::of_file(&file, PIECES * HUGE_BYTES, both).unwrap();
        let count = |pace: Pace| {
            let pace = Mutex::new(pace);
            // SAFETY: a live mapping of the file, shared and writable.
            unsafe { populate_at(&pace, region.start(), region.length()).unwrap() };
            pace.into_inner().unwrap()
        };
        // None is tried, so none is there.
        assert_eq!(count(Pace { left: PIECES, ..Pace::new() }).left, 0);
        let blocks = nix::sys::stat::fstat(&file).unwrap().st_blocks;
        assert_eq!((blocks as usize * 512, huge_kib("populate-test")), (PIECES * HUGE_BYTES, 0));
        // The last was quick: then at least that one is there, if not all of them.
        if count(Pace::new()).quick > 0 {
            assert!(huge_kib("populate-test") >= HUGE_BYTES >> 10);
        }
    }

    #[test]
    fn slow_tries_grow_rare_and_a_quick_one_is_followed_by_the_next() {
        let mut pace = Pace::new();
        let mut tries = |pieces: usize, is_quick: bool| {
            let mut try_one = |_| (pace.leave(1) == 0).then(|| pace.note(is_quick));
            (0..pieces).filter_map(&mut try_one).count()
        };
        assert_eq!(tries(100, true), 100);
        assert_eq!(tries(1, false) + tries(BELIEVED - 1, true), BELIEVED, "one alone stops nothing");
        // At 0, 65, 194 and 451.
        assert_eq!(tries(512, false), 4);
        assert!(tries(1_000_000, false) < 300);
        let _ = tries(PATIENCE_MOST + 1, true);
        assert_eq!(tries(100, true), 100);
    }
}
