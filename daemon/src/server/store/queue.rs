//! The line of jobs for the thread that writes: bounded, and quiet. A job that can wait does not wake a thread that waits for more of
//! them anyway.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// What may stand in the line.
pub(super) trait Patience {
    /// Whether somebody waits for it.
    fn is_urgent(&self) -> bool;
}

/// The line.
#[derive(Debug)]
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    /// For the one who takes.
    came: Condvar,
    /// For those who have no room.
    left: Condvar,
    count_max: usize,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<T>,
    sleep: Sleep,
    is_closed: bool,
}

/// What wakes the one who takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sleep {
    Awake,
    UntilAny,
    UntilUrgent,
}

/// What waiting came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// There is something.
    Came,
    /// The time is over.
    Late,
    /// Nothing more comes, and all was taken.
    Closed,
}

impl<T: Patience> Queue<T> {
    /// An empty line for at most so many.
    pub(super) fn new(count_max: usize) -> Queue<T> {
        let state = State { items: VecDeque::new(), sleep: Sleep::Awake, is_closed: false };
        Queue { state: Mutex::new(state), came: Condvar::new(), left: Condvar::new(), count_max }
    }

    /// Adds one; waits for room. Gives it back when the line is closed.
    pub(super) fn push(&self, item: T) -> Result<(), T> {
        let mut state = self.lock();
        while state.items.len() >= self.count_max && !state.is_closed {
            state = self.left.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        self.add(state, item)
    }

    /// The same where there is room; gives it back where there is none.
    pub(super) fn push_if_room(&self, item: T) -> Result<(), T> {
        let state = self.lock();
        if state.items.len() >= self.count_max {
            return Err(item);
        }
        self.add(state, item)
    }

    fn add(&self, mut state: MutexGuard<'_, State<T>>, item: T) -> Result<(), T> {
        if state.is_closed {
            return Err(item);
        }
        let wakes = match state.sleep {
            Sleep::Awake => false,
            Sleep::UntilAny => true,
            Sleep::UntilUrgent => item.is_urgent() || state.items.len() + 1 >= self.count_max,
        };
        if wakes {
            state.sleep = Sleep::Awake;
        }
        state.items.push_back(item);
        drop(state);
        if wakes {
            self.came.notify_one();
        }
        Ok(())
    }

    /// Waits until there is any.
    pub(super) fn wait(&self, until: Option<Instant>) -> Wait {
        self.wait_for(Sleep::UntilAny, until, |_| true)
    }

    /// Waits until there is an urgent one, or as many as there may be.
    pub(super) fn wait_urgent(&self, until: Instant) -> Wait {
        let full = self.count_max;
        self.wait_for(Sleep::UntilUrgent, Some(until), |items| items.len() >= full || items.iter().any(T::is_urgent))
    }

    fn wait_for(&self, sleep: Sleep, until: Option<Instant>, is_enough: impl Fn(&VecDeque<T>) -> bool) -> Wait {
        let mut state = self.lock();
        loop {
            if !state.items.is_empty() && is_enough(&state.items) {
                return Wait::Came;
            }
            if state.is_closed {
                return if state.items.is_empty() { Wait::Closed } else { Wait::Came };
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Wait::Late;
            }
            state.sleep = sleep;
            state = match left {
                None => self.came.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(left) => self.came.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
            };
            state.sleep = Sleep::Awake;
        }
    }

    /// Takes up to so many.
    pub(super) fn take(&self, count_max: usize) -> Vec<T> {
        let mut state = self.lock();
        let was_full = state.items.len() >= self.count_max;
        let count = state.items.len().min(count_max);
        let taken = state.items.drain(..count).collect();
        drop(state);
        if was_full {
            self.left.notify_all();
        }
        taken
    }

    /// Takes no more; what is in the line is still to be taken.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.came.notify_all();
        self.left.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;

    #[derive(Debug, PartialEq, Eq)]
    struct Item(u32, bool);

    impl Patience for Item {
        fn is_urgent(&self) -> bool {
            self.1
        }
    }

    fn long() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn what_can_wait_is_taken_with_what_cannot() {
        let queue = Arc::new(Queue::new(10));
        let taker = std::thread::spawn({
            let queue = Arc::clone(&queue);
            move || {
                assert_eq!(queue.wait_urgent(long()), Wait::Came);
                queue.take(10)
            }
        });
        queue.push(Item(1, false)).unwrap();
        queue.push(Item(2, false)).unwrap();
        queue.push(Item(3, true)).unwrap();
        let taken: Vec<u32> = taker.join().unwrap().into_iter().map(|item| item.0).collect();
        assert_eq!(taken, [1, 2, 3]);
        queue.push(Item(4, false)).unwrap();
        assert_eq!(queue.wait_urgent(Instant::now()), Wait::Late);
        assert_eq!(queue.wait(None), Wait::Came);
        assert_eq!(queue.take(0), []);
    }

    #[test]
    fn a_full_line_holds_up_those_who_come_until_one_is_taken() {
        let queue = Arc::new(Queue::new(2));
        for n in 0..2 {
            queue.push(Item(n, false)).unwrap();
        }
        assert_eq!(queue.push_if_room(Item(9, true)), Err(Item(9, true)));
        assert_eq!(queue.wait_urgent(long()), Wait::Came, "it is full");
        let pusher = std::thread::spawn({
            let queue = Arc::clone(&queue);
            move || queue.push(Item(2, false))
        });
        let mut taken = Vec::new();
        while taken.len() < 3 {
            assert_eq!(queue.wait(Some(long())), Wait::Came);
            taken.extend(queue.take(1));
        }
        assert_eq!(taken, [Item(0, false), Item(1, false), Item(2, false)]);
        pusher.join().unwrap().unwrap();
    }

    #[test]
    fn after_the_close_what_is_there_is_taken_and_nothing_comes() {
        let queue = Queue::new(2);
        queue.push(Item(1, false)).unwrap();
        queue.close();
        assert_eq!(queue.push(Item(2, false)), Err(Item(2, false)));
        assert_eq!(queue.wait_urgent(long()), Wait::Came);
        assert_eq!(queue.take(5), [Item(1, false)]);
        assert_eq!(queue.wait(None), Wait::Closed);
    }
}
