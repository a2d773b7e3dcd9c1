//! The events of one run, for any number of readers who come and go at their own pace.
//!
//! The writer never waits: events go into a ring of fixed size under a short lock. A reader asks for what follows the
//! last sequence number it saw; when that has left the ring, it is told how many it missed and goes on with the oldest
//! one kept. Nothing is dropped silently, and nobody is blocked by a slow reader.
//!
//! What the engine tells of every node is kept as the engine told it, a few numbers, and put into names when somebody reads it: most
//! runs of very many nodes have nobody who does, or one who sees the last of it.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::action::Happening;
use engine::plan::Plan;
use protocol::{EventKind, RunDetail, RunEvent};
use tokio::sync::{oneshot, watch};

use crate::server::convert::{self, DatasetFacts};

/// The events of one run; the writer's end.
#[derive(Debug)]
pub struct Feed {
    ring: Mutex<Ring>,
    /// Wakes readers; carries nothing, the ring says what is new.
    changed: watch::Sender<()>,
    /// Those who wait for the report and read nothing.
    waiting: Mutex<Vec<oneshot::Sender<Arc<RunDetail>>>>,
}

#[derive(Debug)]
struct Ring {
    events: VecDeque<Entry>,
    events_max: usize,
    last_sequence: u64,
    closed: bool,
    /// What gives names to what is kept as numbers.
    plan: Option<Arc<Plan>>,
}

#[derive(Debug)]
enum Entry {
    Ready(Arc<RunEvent>),
    Later { time_us: i64, happening: Happening },
}

/// Many events under one lock; readers are woken when it goes away.
#[derive(Debug)]
pub struct Batch<'a> {
    ring: Option<MutexGuard<'a, Ring>>,
    time_us: i64,
    before: u64,
    changed: &'a watch::Sender<()>,
}

impl Batch<'_> {
    /// Adds an event.
    pub fn add(&mut self, kind: EventKind) {
        let time_us = self.time_us;
        if let Some(ring) = &mut self.ring {
            ring.add(|sequence| Entry::Ready(Arc::new(RunEvent { sequence, time_us, kind })));
        }
    }

    /// Adds what happened: of the kinds for which [`convert::happening`] needs nothing but the plan.
    pub fn add_later(&mut self, happening: Happening) {
        let time_us = self.time_us;
        if let Some(ring) = &mut self.ring {
            ring.add(|_| Entry::Later { time_us, happening });
        }
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        let is_new = self.ring.take().is_some_and(|ring| ring.last_sequence > self.before);
        if is_new {
            self.changed.send_replace(());
        }
    }
}

impl Ring {
    fn add(&mut self, entry: impl FnOnce(u64) -> Entry) {
        if self.closed {
            return;
        }
        self.last_sequence += 1;
        while self.events.len() >= self.events_max {
            self.events.pop_front();
        }
        let entry = entry(self.last_sequence);
        self.events.push_back(entry);
    }

    fn event(&self, index: usize, sequence: u64) -> Option<Arc<RunEvent>> {
        match self.events.get(index)? {
            Entry::Ready(event) => Some(Arc::clone(event)),
            Entry::Later { time_us, happening } => {
                let kind = convert::happening(self.plan.as_deref()?, happening, &|_| DatasetFacts::default(), 0, None)?;
                Some(Arc::new(RunEvent { sequence, time_us: *time_us, kind }))
            }
        }
    }
}

impl Feed {
    /// Makes a feed that keeps the last `events_max` events (at least one).
    pub fn new(events_max: usize) -> Arc<Feed> {
        Feed::with(events_max, None)
    }

    /// The same, for the run of a plan: its events may be told as numbers.
    pub fn of_plan(events_max: usize, plan: Arc<Plan>) -> Arc<Feed> {
        Feed::with(events_max, Some(plan))
    }

    fn with(events_max: usize, plan: Option<Arc<Plan>>) -> Arc<Feed> {
        let events_max = events_max.max(1);
        let ring = Ring { events: VecDeque::new(), events_max, last_sequence: 0, closed: false, plan };
        Arc::new(Feed { ring: Mutex::new(ring), changed: watch::Sender::new(()), waiting: Mutex::default() })
    }

    /// Adds an event and returns its sequence number, counted from 1. After [`Feed::close`] nothing is added.
    pub fn publish(&self, time_us: i64, kind: EventKind) -> u64 {
        let mut batch = self.batch(time_us);
        batch.add(kind);
        batch.ring.as_ref().map_or(0, |ring| ring.last_sequence)
    }

    /// Adds events that happen at one moment.
    pub fn batch(&self, time_us: i64) -> Batch<'_> {
        let ring = self.lock();
        Batch { before: ring.last_sequence, ring: Some(ring), time_us, changed: &self.changed }
    }

    /// Says that no more events come; readers end after the last one.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.send_replace(());
    }

    /// The report of the run, when it is on disk. Nothing comes if nobody tells it any more.
    pub fn report(&self) -> oneshot::Receiver<Arc<RunDetail>> {
        let (tell, told) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(tell);
        told
    }

    /// Gives the report, which is on disk, to those who wait for it.
    pub fn tell_report(&self, report: &Arc<RunDetail>) {
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        for waits in waiting {
            // Who waited may have gone.
            let _ = waits.send(Arc::clone(report));
        }
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
            let event = ring.event((seen + 1 - first_kept) as usize, seen + 1)?;
            (Delivery::Event(event), seen + 1)
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
    fn the_report_can_be_waited_for_alone() {
        let feed = Feed::new(1);
        let (waiting, gone) = (feed.report(), feed.report());
        drop(gone);
        let summary =
            r#"{"id": "r", "pipeline": "p", "state": "succeeded", "generation": 1, "submitted_us": 1, "counts": {}}"#;
        let report: Arc<RunDetail> = Arc::new(serde_json::from_str(summary).expect("a report"));
        feed.publish(0, skipped(1));
        feed.tell_report(&report);
        let told = waiting.blocking_recv().expect("it is told");
        assert!(Arc::ptr_eq(&told, &report));
        let late = feed.report();
        drop(feed);
        assert!(late.blocking_recv().is_err(), "nobody is left to tell it");
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
