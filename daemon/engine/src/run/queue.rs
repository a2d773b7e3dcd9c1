//! Tasks that wait for a place among those that are live, in the order in which they may go.
//!
//! Most come in that order already: a run's first nodes, the readers of one output. Those stand in a list, in which coming and going
//! costs nothing; the others in a heap.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use crate::id::{NodeId, TaskId};

/// A task in the queue: its node's priority, then node, rank within the node, and the task itself. The greatest goes first.
pub(super) type Waiting = (i32, Reverse<(NodeId, u8, TaskId)>);

/// The queue.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue {
    /// Each no greater than the one before it.
    sorted: VecDeque<Waiting>,
    others: BinaryHeap<Waiting>,
}

impl Queue {
    /// Adds a task.
    pub(super) fn push(&mut self, waiting: Waiting) {
        match self.sorted.back() {
            Some(last) if *last < waiting => self.others.push(waiting),
            _ => self.sorted.push_back(waiting),
        }
    }

    /// Takes out the task that may go first.
    pub(super) fn pop(&mut self) -> Option<Waiting> {
        match (self.sorted.front(), self.others.peek()) {
            (Some(first), Some(other)) if first < other => self.others.pop(),
            (Some(_), _) => self.sorted.pop_front(),
            (None, _) => self.others.pop(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_the_order_they_come_in_they_go_by_priority_and_place() {
        let waiting = |(priority, place): (i32, u32)| (priority, Reverse((NodeId(place), 1, TaskId(place))));
        let mut queue = Queue::default();
        let mut came = vec![(0, 5), (0, 6), (0, 2), (1, 9), (0, 7), (-1, 0), (1, 3), (0, 1)];
        came.iter().copied().for_each(|one| queue.push(waiting(one)));
        came.sort_by_key(|(priority, place)| (Reverse(*priority), *place));
        let went: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(went, came.into_iter().map(waiting).collect::<Vec<_>>());
    }
}
