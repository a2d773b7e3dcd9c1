//! Which processor a thread runs on, and how it gets to another one.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
use nix::unistd::Pid;

/// The processor that this thread runs on; it may be another one by the time the caller looks at it.
pub fn current() -> Option<u32> {
    u32::try_from(sched_getcpu().ok()?).ok()
}

/// What stands for the processor of a thread that sleeps, or is not known.
pub const NOWHERE: u32 = u32::MAX;

/// How often a thread goes to another processor: each time costs some ten microseconds, and the kernel may bring it back.
#[derive(Debug)]
pub struct Aside {
    interval: Duration,
    last: Option<Instant>,
}

impl Aside {
    /// No more than once in such an interval.
    pub fn each(interval: Duration) -> Aside {
        Aside { interval, last: None }
    }

    /// Leaves a processor, unless the last time was a moment ago.
    pub fn leave(&mut self, processor: u32) {
        if self.last.is_none_or(|last| last.elapsed() >= self.interval) {
            self.last = Some(Instant::now());
            // Where another one may not be had, things stay as they are.
            let _ = leave(processor);
        }
    }
}

/// Moves this thread to another of the processors that it may run on, if there is one, and leaves it free to come back: where it
/// may run is as it was. What the kernel would do by itself when it next looks at how the load is spread, milliseconds later.
pub fn leave(processor: u32) -> nix::Result<()> {
    let this = Pid::from_raw(0);
    let before = sched_getaffinity(this)?;
    let mut others = before;
    others.unset(usize::try_from(processor).unwrap_or(usize::MAX))?;
    if (0..CpuSet::count()).any(|other| others.is_set(other) == Ok(true)) {
        sched_setaffinity(this, &others)?;
        sched_setaffinity(this, &before)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn a_thread_that_leaves_a_processor_may_run_where_it_might_before() {
        let before = sched_getaffinity(Pid::from_raw(0)).unwrap();
        leave(current().unwrap()).unwrap();
        assert_eq!(sched_getaffinity(Pid::from_raw(0)).unwrap(), before);
        assert!(before.is_set(current().unwrap() as usize).unwrap());
        assert!(leave(u32::MAX).is_err(), "there is no such processor");
    }
}
