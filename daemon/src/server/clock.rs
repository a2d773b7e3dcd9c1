//! Time: one clock for all runs, and the thread that wakes them at their deadlines.
//!
//! The engine has no clock; it says when it wants to be called back (`next_deadline`). [`Alarm`] keeps those wishes and
//! calls back once each. It does nothing else on its thread, so a late answer of anybody delays no deadline.
#![forbid(unsafe_code)]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use engine::id::Time;

/// Reads the time: engine time never runs backwards, and maps to wall time by one offset taken at the start.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
    start_unix_us: i64,
}

impl Clock {
    /// Starts the clock.
    pub fn start() -> Clock {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Clock { start: Instant::now(), start_unix_us: i64::try_from(unix.as_micros()).unwrap_or(i64::MAX) }
    }

    /// Engine time now.
    pub fn now(&self) -> Time {
        Time(u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// Wall time, in microseconds since the Unix epoch, of a moment of engine time.
    pub fn unix_us(&self, time: Time) -> i64 {
        self.start_unix_us.saturating_add(i64::try_from(time.0).unwrap_or(i64::MAX))
    }

    /// Wall time now.
    pub fn unix_us_now(&self) -> i64 {
        self.unix_us(self.now())
    }

    fn instant(&self, time: Time) -> Instant {
        self.start
            .checked_add(Duration::from_micros(time.0))
            .unwrap_or_else(|| self.start + Duration::from_secs(1 << 32))
    }
}

/// Something that wants to be called at a moment it names.
pub trait Sleeper: Send + Sync {
    /// Called once for each time it was armed, on the alarm's thread: must not block.
    fn wake(self: Arc<Self>);
}

/// Calls sleepers at their deadlines.
pub struct Alarm {
    clock: Clock,
    shared: Arc<Shared>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl std::fmt::Debug for Alarm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Alarm").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    deadlines: BinaryHeap<Reverse<Entry>>,
    sequence: u64,
    stop: bool,
}

struct Entry {
    at: Time,
    sequence: u64,
    sleeper: std::sync::Weak<dyn Sleeper>,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}

impl Alarm {
    /// Starts the thread.
    pub fn start(clock: Clock) -> std::io::Result<Alarm> {
        let shared = Arc::new(Shared::default());
        let thread = {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new().name("clock".to_owned()).spawn(move || shared.run(clock))?
        };
        Ok(Alarm { clock, shared, thread: Mutex::new(Some(thread)) })
    }

    /// The clock it goes by.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Calls the sleeper at `at`, or as soon after as the machine allows; never if it is gone by then.
    pub fn arm(&self, at: Time, sleeper: std::sync::Weak<dyn Sleeper>) {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        let sequence = state.sequence;
        state.sequence += 1;
        let is_first = state.deadlines.peek().is_none_or(|Reverse(first)| at < first.at);
        state.deadlines.push(Reverse(Entry { at, sequence, sleeper }));
        drop(state);
        if is_first {
            self.shared.changed.notify_one();
        }
    }

    /// Has the thread carry out a wake-up, and says whether it does in time.
    pub fn answers_within(&self, patience: Duration) -> bool {
        let (sender, receiver) = channel();
        let proof: Arc<dyn Sleeper> = Arc::new(Proof(sender));
        self.arm(self.clock.now(), Arc::downgrade(&proof));
        receiver.recv_timeout(patience).is_ok()
    }

    /// Ends the thread.
    pub fn stop(&self) {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner).stop = true;
        self.shared.changed.notify_one();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != std::thread::current().id()) {
            let _ = thread.join();
        }
    }
}

/// Tells whoever asked that it was woken.
struct Proof(Sender<()>);

impl Sleeper for Proof {
    fn wake(self: Arc<Self>) {
        // Nobody listens when it took too long.
        let _ = self.0.send(());
    }
}

impl Shared {
    fn run(&self, clock: Clock) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while !state.stop {
            let now = clock.now();
            match state.deadlines.peek().map(|Reverse(entry)| entry.at) {
                Some(at) if at <= now => {
                    let entry = state.deadlines.pop();
                    drop(state);
                    if let Some(sleeper) = entry.and_then(|Reverse(entry)| entry.sleeper.upgrade()) {
                        sleeper.wake();
                    }
                    state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                }
                Some(at) => {
                    let pause = clock.instant(at).saturating_duration_since(Instant::now());
                    state = self.changed.wait_timeout(state, pause).unwrap_or_else(PoisonError::into_inner).0;
                }
                None => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use std::sync::mpsc;

    struct Note(u32, mpsc::Sender<u32>);
    impl Sleeper for Note {
        fn wake(self: Arc<Self>) {
            self.1.send(self.0).unwrap();
        }
    }

    #[test]
    fn deadlines_come_in_their_order_and_the_dead_are_not_called() {
        let clock = Clock::start();
        let alarm = Alarm::start(clock).unwrap();
        let (sender, receiver) = mpsc::channel();
        let notes: Vec<Arc<dyn Sleeper>> =
            (0..3).map(|number| Arc::new(Note(number, sender.clone())) as Arc<dyn Sleeper>).collect();
        let gone: Arc<dyn Sleeper> = Arc::new(Note(9, sender.clone()));
        let base = clock.now();
        alarm.arm(base.after(60_000), Arc::downgrade(&notes[2]));
        alarm.arm(base.after(1_000), Arc::downgrade(&gone));
        alarm.arm(base.after(20_000), Arc::downgrade(&notes[1]));
        alarm.arm(base, Arc::downgrade(&notes[0]));
        drop(gone);
        for expected in 0..3 {
            assert_eq!(receiver.recv_timeout(Duration::from_secs(10)).unwrap(), expected);
        }
        assert!(clock.now() >= base.after(60_000));
        alarm.stop();
    }

    #[test]
    fn an_alarm_that_has_ended_does_not_answer() {
        let alarm = Alarm::start(Clock::start()).unwrap();
        assert!(alarm.answers_within(Duration::from_secs(10)));
        alarm.stop();
        assert!(!alarm.answers_within(Duration::from_millis(1)));
    }
}
