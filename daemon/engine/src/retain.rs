//! Counts of readers: when a block may go.
//!
//! A dataset's readers are the nodes that consume it and its own save. A reader is done when it has read, and also when it
//! will never read. The block goes when it exists and the last reader is done, whichever comes later; it goes once. An
//! output of the pipeline never goes: the caller keeps it until someone fetches it. What a call saves chunk by chunk never
//! comes to exist.

use crate::id::{DatasetId, IdVec};
use crate::plan::Plan;

/// The readers of every dataset of a run. 8 bytes a dataset.
#[derive(Clone, Debug)]
pub struct Readers {
    of: IdVec<DatasetId, State>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    left: u32,
    exists: bool,
    keep: bool,
    released: bool,
}

impl Readers {
    /// Counts the readers of a plan's datasets.
    pub fn new(plan: &Plan) -> Self {
        let states = plan.datasets().map(|dataset| {
            let saved = dataset.producer.is_some() && plan.task_of(dataset.id).is_some();
            let left = dataset.consumers.len() + usize::from(saved);
            State {
                left: u32::try_from(left).unwrap_or(u32::MAX),
                exists: false,
                keep: dataset.is_output,
                released: false,
            }
        });
        let mut readers = Self { of: IdVec::new(states.collect()) };
        for (dataset, _) in plan.values() {
            if let Some(state) = readers.of.get_mut(dataset) {
                state.exists = true;
            }
        }
        readers
    }

    /// Notes that the block exists now; true when it must go at once, as nobody is left to read it.
    #[must_use]
    pub fn appear(&mut self, dataset: DatasetId) -> bool {
        let Some(state) = self.of.get_mut(dataset) else { return false };
        state.exists = true;
        state.release()
    }

    /// Notes that one reader is done; true when the block must go.
    #[must_use]
    pub fn done(&mut self, dataset: DatasetId) -> bool {
        let Some(state) = self.of.get_mut(dataset) else { return false };
        state.left = state.left.saturating_sub(1);
        state.release()
    }

    /// Counts the readers that are not done.
    pub fn pending(&self, dataset: DatasetId) -> u32 {
        self.of.get(dataset).map_or(0, |state| state.left)
    }

    /// Says whether the block exists and has not gone.
    pub fn exists(&self, dataset: DatasetId) -> bool {
        self.of.get(dataset).is_some_and(|state| state.exists && !state.released)
    }
}

impl State {
    fn release(&mut self) -> bool {
        let goes = self.exists && self.left == 0 && !self.keep && !self.released;
        self.released |= goes;
        goes
    }
}
