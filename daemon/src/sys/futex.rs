//! Sleeping on a word of shared memory, and waking who sleeps there.
//!
//! The word may be shared with a process past its `dlopen`, which may write to it and wake at any time: waking up means
//! "look again" and nothing more.

use std::sync::atomic::AtomicU32;

use nix::libc;

/// Sleeps for as long as the word holds `expected`, until somebody wakes. May return for no reason.
pub fn wait(word: &AtomicU32, expected: u32) {
    // SAFETY: the word is a live, aligned 32-bit integer for the whole call, which reads it and writes nothing; there is no
    // time-out. An error (another value, a signal) means the same as being woken: the caller looks again.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT,
            expected,
            std::ptr::null::<libc::timespec>(),
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
        wait(&word, 0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while word.load(Ordering::SeqCst) == 1 {
                    wait(&word, 1);
                }
            });
            word.store(0, Ordering::SeqCst);
            wake(&word);
        });
    }
}
