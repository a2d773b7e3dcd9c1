//! Waiting for what must come true: polls with a deadline, and names what never came.

use std::time::{Duration, Instant};

/// How long anything may take before a test calls it hung. Generous: the machine may be busy, and it is never reached
/// in a passing test.
pub const PATIENCE: Duration = Duration::from_secs(120);

const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Polls until the probe gives a value, and panics naming `what` after [`PATIENCE`].
#[track_caller]
pub fn until<T>(what: &str, probe: impl FnMut() -> Option<T>) -> T {
    match within(PATIENCE, probe) {
        Some(value) => value,
        None => panic!("waited {} s in vain for: {what}", PATIENCE.as_secs()),
    }
}

/// Polls until the condition holds, and panics naming `what` after [`PATIENCE`].
#[track_caller]
pub fn until_true(what: &str, mut condition: impl FnMut() -> bool) {
    until(what, || condition().then_some(()));
}

/// Polls until the probe gives a value or the patience is used up.
pub fn within<T>(patience: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(value) = probe() {
            return Some(value);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}
