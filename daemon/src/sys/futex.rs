//! Sleeping on a word of shared memory, and waking who sleeps there.
//!
//! The word may be shared with a process past its `dlopen`, which may write to it and wake at any time: waking up means
//! "look again" and nothing more.

use std::sync::atomic::AtomicU32;
use std::time::Duration;

use nix::libc;
use nix::sys::time::TimeSpec;

/// Sleeps for as long as the word holds `expected`, until somebody wakes, and no longer than `patience` where there is one. May
/// return for no reason.
pub fn wait(word: &AtomicU32, expected: u32, patience: Option<Duration>) {
    let patience = patience.map(TimeSpec::from_duration);
    let patience = patience.as_ref().map_or(std::ptr::null(), |patience| std::ptr::from_ref(patience.as_ref()));
    // SAFETY: the word is a live, aligned 32-bit integer for the whole call, which reads it and writes nothing; the time-out is
    // null or points to a value that outlives the call, which reads it. An error (another value, a signal, the time is over) means
    // the same as being woken: the caller looks again.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT,
            expected,
            patience,
            std::ptr::null::<u32>(),
            0_u32,
        );
    }
}

/// Wakes one who sleeps there, in whatever process.
pub fn wake(word: &AtomicU32) {
    // SAFETY: the word's address is only used as the name of a queue; nothing is read or written.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAKE,
            1_u32,
            std::ptr::null::<libc::timespec>(),
            std::ptr::null::<u32>(),
            0_u32,
        );
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn who_sleeps_is_woken_and_who_need_not_sleep_does_not() {
        let word = AtomicU32::new(1);
        wait(&word, 0, None);
        wait(&word, 1, Some(Duration::from_millis(1)));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while word.load(Ordering::SeqCst) == 1 {
                    wait(&word, 1, None);
                }
            });
            word.store(0, Ordering::SeqCst);
            wake(&word);
        });
    }
}
