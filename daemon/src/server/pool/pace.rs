//! How long tasks of a kind take, as they did lately: what decides how many are sent to a worker at once.
//!
//! A guess and nothing more. A kind nobody has seen is taken for long, so the first of each kind is sent alone.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicU32, Ordering};

/// So much work is sent ahead: long enough that a driver, which takes its processor from a worker where there are no more processors
/// than workers, is seldom awake; short enough that another run's tasks do not wait long behind it. (What waits in a ring while
/// another driver is idle is taken back at once.)
pub const AHEAD_NS: u64 = 2_000_000;

/// Behind a task shorter than this, one more is sent, so that the worker need not wait for its driver; but not where something follows
/// that finishes the task's node (a save): it would wait for that one, and with it whoever waits for the node.
pub const SECOND_NS: u64 = 20_000_000;

/// Less work than this, in tasks shorter than [`TINY_NS`], is left to one worker: to have another one's driver wake up and take half of
/// it would take as long.
const WORTH_SHARING_NS: u64 = 150_000;

/// A few tasks that are longer, such as those that map a large input, are over earlier where two begin with them.
const TINY_NS: u64 = 5_000;

/// Tasks shorter than this may be sent before they are dispatched.
pub const SHORT_NS: u64 = 50_000;

/// Whether so many tasks, which take so long together, are worth waking another driver for.
pub fn is_worth_sharing(count: usize, total_ns: u64) -> bool {
    total_ns >= WORTH_SHARING_NS || total_ns / (count.max(1) as u64) >= TINY_NS
}

/// How many tasks that take so long are sent ahead, about.
pub fn ahead(expected_ns: u64) -> u32 {
    u32::try_from(AHEAD_NS / expected_ns.max(1)).unwrap_or(u32::MAX).saturating_add(1)
}

/// The paces of all kinds of tasks of one generation.
#[derive(Debug)]
pub struct Paces {
    /// By a hash of plugin and node; two kinds that share a place spoil each other's guess and nothing else.
    kinds: Box<[AtomicU32]>,
}

/// A kind of task: what names it among the others.
#[derive(Clone, Copy, Debug)]
pub struct Kind(usize);

impl Default for Paces {
    fn default() -> Paces {
        Paces::new()
    }
}

impl Paces {
    const KINDS: usize = 1024;

    /// Nothing is known of any.
    pub fn new() -> Paces {
        Paces { kinds: (0..Paces::KINDS).map(|_| AtomicU32::new(u32::MAX)).collect() }
    }

    /// How long a task of this kind will take.
    pub fn expected_ns(&self, kind: Kind) -> u64 {
        self.place(kind).load(Ordering::Relaxed).into()
    }

    /// Whether something is known of this kind, and it does not print.
    pub fn is_known(&self, kind: Kind) -> bool {
        self.place(kind).load(Ordering::Relaxed) != u32::MAX
    }

    /// One took so long.
    pub fn note(&self, kind: Kind, took_ns: u64) {
        let took = u32::try_from(took_ns).unwrap_or(u32::MAX - 1).min(u32::MAX - 1);
        let place = self.place(kind);
        let known = place.load(Ordering::Relaxed);
        let new = match known {
            u32::MAX => took,
            // One that was interrupted by something else says little of its kind, and shall not make a hundred short ones look worth sharing.
            known => {
                let took = took.min(known.saturating_mul(4).saturating_add(2_000));
                if took > known { known + (took - known) / 4 } else { known - (known - took).div_ceil(8) }
            }
        };
        if new != known {
            place.store(new, Ordering::Relaxed);
        }
    }

    /// One printed something: alone, so that it is known whose lines they are.
    pub fn note_talks(&self, kind: Kind) {
        self.place(kind).store(u32::MAX, Ordering::Relaxed);
    }

    fn place(&self, kind: Kind) -> &AtomicU32 {
        &self.kinds[kind.0 % self.kinds.len()]
    }
}

impl Kind {
    /// A node of a plugin.
    pub fn node(plugin: u32, node: u32) -> Kind {
        Kind((plugin as usize).wrapping_mul(61).wrapping_add(node as usize).wrapping_mul(2))
    }

    /// A hook, at one of its events.
    pub fn hook(hook: usize, event: usize) -> Kind {
        Kind(hook.wrapping_mul(16).wrapping_add(event))
    }

    /// A dataset type of a plugin.
    pub fn dataset(plugin: u32, dataset_type: u32) -> Kind {
        Kind((plugin as usize).wrapping_mul(61).wrapping_add(dataset_type as usize).wrapping_mul(2) + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unknown_is_long_and_a_guess_follows_what_is_seen() {
        let paces = Paces::new();
        let (kind, other) = (Kind::node(1, 2), Kind::dataset(1, 2));
        assert!(paces.expected_ns(kind) > AHEAD_NS);
        paces.note(kind, 1_000);
        assert_eq!(paces.expected_ns(kind), 1_000);
        paces.note(kind, 1_000_000_000);
        assert!(paces.expected_ns(kind) < 3_000, "one that was interrupted is no reason to send each alone");
        (0..50).for_each(|_| paces.note(kind, 1_000_000_000));
        assert!(paces.expected_ns(kind) > AHEAD_NS);
        (0..200).for_each(|_| paces.note(kind, 1_000));
        assert!(paces.expected_ns(kind) < 2_000);
        assert!(paces.expected_ns(other) > AHEAD_NS);
        assert!(paces.is_known(kind) && !paces.is_known(other));
        paces.note_talks(kind);
        assert!(paces.expected_ns(kind) > AHEAD_NS && !paces.is_known(kind));
    }

    #[test]
    fn many_tiny_tasks_are_shared_and_few_longer_ones() {
        let shared = [(100, 100_000), (200, 200_000), (4, 40_000), (2, u64::MAX), (0, 0)];
        assert_eq!(shared.map(|(count, total_ns)| is_worth_sharing(count, total_ns)), [false, true, true, true, false]);
    }

    #[test]
    fn the_shorter_the_more_are_sent_ahead() {
        assert_eq!([0, 1_000, AHEAD_NS, u64::MAX].map(ahead), [2_000_001, 2_001, 2, 1]);
    }
}
