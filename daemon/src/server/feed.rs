//! The events of one run, for any number of readers who come and go at their own pace.
//!
//! The writer never waits: events go into a ring of fixed size under a short lock. A reader asks for what follows the
//! last sequence number it saw; when that has left the ring, it is told how many it missed and goes on with the oldest
//! one kept. Nothing is dropped silently, and nobody is blocked by a slow reader.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::{EventKind, RunEvent};
use tokio::sync::watch;

/// The events of one run; the writer's end.
#[derive(Debug)]
pub struct Feed {
    ring: Mutex<Ring>,
    /// Wakes readers; carries nothing, the ring says what is new.
    changed: watch::Sender<()>,
}

#[derive(Debug)]
struct Ring {
    events: VecDeque<Arc<RunEvent>>,
    events_max: usize,
    last_sequence: u64,
    closed: bool,
}

impl Feed {
    /// Makes a feed that keeps the last `events_max` events (at least one).
    pub fn new(events_max: usize) -> Arc<Feed> {
        let ring = Ring { events: VecDeque::new(), events_max: events_max.max(1), last_sequence: 0, closed: false };
        Arc::new(Feed { ring: Mutex::new(ring), changed: watch::Sender::new(()) })
    }

    /// Adds an event and returns its sequence number, counted from 1. After [`Feed::close`] nothing is added.
    pub fn publish(&self, time_us: i64, kind: EventKind) -> u64 {
        let sequence = {
            let mut ring = self.lock();
            if ring.closed {
                return ring.last_sequence;
            }
            ring.last_sequence += 1;
            let sequence = ring.last_sequence;
            while ring.events.len() >= ring.events_max {
                ring.events.pop_front();
            }
            ring.events.push_back(Arc::new(RunEvent { sequence, time_us, kind }));
            sequence
        };
        self.changed.send_replace(());
        sequence
    }

    /// Says that no more events come; readers end after the last one.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.send_replace(());
    }

    /// Starts reading after the event numbered `from`; 0 reads everything that is kept.
    pub fn subscribe(self: &Arc<Feed>, from: u64) -> Subscription {
        Subscription { changed: self.changed.subscribe(), feed: Arc::clone(self), seen: from }
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        // Nothing in here can panic half-way through a change, so a poisoned ring is still whole.
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The reader's end of a [`Feed`].
#[derive(Debug)]
pub struct Subscription {
    feed: Arc<Feed>,
    changed: watch::Receiver<()>,
    /// Sequence number of the last event read.
    seen: u64,
}

/// What a reader gets.
#[derive(Debug, Clone, PartialEq)]
pub enum Delivery {
    /// An event.
    Event(Arc<RunEvent>),
    /// This many events left the ring before they were read; `last` is the sequence number of the newest of them.
    Missed {
        /// How many.
        count: u64,
        /// The newest one lost.
        last: u64,
    },
    /// The feed is closed and everything in it was read.
    End,
}

impl Subscription {
    /// Waits for the next delivery. Cancel-safe: an event is only counted as read when it is returned.
    pub async fn next(&mut self) -> Delivery {
        loop {
            self.changed.mark_unchanged();
            if let Some(delivery) = self.try_next() {
                return delivery;
            }
            if self.changed.changed().await.is_err() {
                return self.try_next().unwrap_or(Delivery::End);
            }
        }
    }

    /// What there is to read now; none if the reader is up to date.
    pub fn try_next(&mut self) -> Option<Delivery> {
        let ring = self.feed.lock();
        // A reader that claims to have seen the future (a stale `Last-Event-ID`) waits for what is really new.
        let seen = self.seen.min(ring.last_sequence);
        let first_kept = ring.last_sequence + 1 - ring.events.len() as u64;
        let (delivery, seen) = if seen + 1 < first_kept {
            let last = first_kept - 1;
            (Delivery::Missed { count: last - seen, last }, last)
        } else if seen < ring.last_sequence {
            // In range: `seen + 1` lies between the first kept and the last, both ends included.
            let event = ring.events.get((seen + 1 - first_kept) as usize)?;
            (Delivery::Event(Arc::clone(event)), seen + 1)
        } else if ring.closed {
            (Delivery::End, seen)
        } else {
            return None;
        };
        drop(ring);
        self.seen = seen;
        Some(delivery)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skipped(node: u64) -> EventKind {
        EventKind::NodeSkipped { node: node.to_string(), because: String::new() }
    }

    fn drain(subscription: &mut Subscription) -> Vec<String> {
        let mut seen = Vec::new();
        while let Some(delivery) = subscription.try_next() {
            match delivery {
                Delivery::Event(event) => seen.push(event.sequence.to_string()),
                Delivery::Missed { count, last } => seen.push(format!("missed {count} to {last}")),
                Delivery::End => {
                    seen.push("end".to_owned());
                    break;
                }
            }
        }
        seen
    }

    #[test]
    fn a_reader_that_keeps_up_sees_every_event_in_order() {
        let feed = Feed::new(2);
        let mut reader = feed.subscribe(0);
        for n in 1..=3 {
            assert_eq!(feed.publish(0, skipped(n)), n);
            assert_eq!(drain(&mut reader), [n.to_string()]);
        }
        feed.close();
        assert_eq!(drain(&mut reader), ["end"]);
    }

    #[test]
    fn a_slow_reader_is_told_what_it_missed() {
        let feed = Feed::new(3);
        let mut reader = feed.subscribe(0);
        for n in 1..=10 {
            feed.publish(0, skipped(n));
        }
        assert_eq!(drain(&mut reader), ["missed 7 to 7", "8", "9", "10"]);
        feed.close();
        assert_eq!(feed.publish(0, skipped(11)), 10, "nothing is added after the end");
        assert_eq!(drain(&mut reader), ["end"]);
    }

    #[test]
    fn reading_goes_on_where_it_stopped() {
        let feed = Feed::new(10);
        for n in 1..=5 {
            feed.publish(0, skipped(n));
        }
        assert_eq!(drain(&mut feed.subscribe(3)), ["4", "5"]);
        assert_eq!(drain(&mut feed.subscribe(99)), Vec::<String>::new());
        assert_eq!(drain(&mut feed.subscribe(u64::MAX)), Vec::<String>::new());
    }

    #[test]
    fn a_waiting_reader_wakes_for_an_event_and_for_the_end() {
        let feed = Feed::new(10);
        let mut reader = feed.subscribe(0);
        let writer = std::thread::spawn(move || {
            feed.publish(0, skipped(1));
            feed.close();
        });
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            assert!(matches!(reader.next().await, Delivery::Event(_)));
            assert_eq!(reader.next().await, Delivery::End);
        });
        writer.join().expect("the writer ends");
    }
}
