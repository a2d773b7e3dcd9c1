//! The tasks of a plan: the call of node n is task n, then one load or save for each persisted dataset, then confirmations.

use super::{NONE, Plan};
use crate::id::{DatasetId, Id as _, NodeId, TaskId};

/// What a task does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TaskKind {
    /// Loads a persisted dataset into a block.
    Load(DatasetId),
    /// Calls a node.
    Call(NodeId),
    /// Saves a block to a persisted dataset.
    Save(DatasetId),
    /// Notes that the partitions which the run found in an incremental dataset are done.
    Confirm(DatasetId),
}

impl Plan {
    /// Counts the tasks: loads, calls, saves, confirmations.
    pub fn task_count(&self) -> usize {
        self.nodes.len() + self.tasks.len() + self.confirm_tasks.len()
    }

    /// Walks over the tasks.
    pub fn tasks(&self) -> impl Iterator<Item = (TaskId, TaskKind)> {
        (0..self.task_count()).map(TaskId::from_index).filter_map(|id| Some((id, self.task(id)?)))
    }

    /// Gives what a task does; nothing when the id is not one of this plan's.
    pub fn task(&self, id: TaskId) -> Option<TaskKind> {
        let Some(position) = id.index().checked_sub(self.nodes.len()) else {
            return Some(TaskKind::Call(NodeId(id.0)));
        };
        if let Some(position) = position.checked_sub(self.tasks.len()) {
            return self.confirm_tasks.get(position).map(|&(dataset, _)| TaskKind::Confirm(dataset));
        }
        let &dataset = self.tasks.get(position)?;
        let made = self.datasets.get(dataset)?.producer != NONE;
        Some(if made { TaskKind::Save(dataset) } else { TaskKind::Load(dataset) })
    }

    /// Gives the task that calls a node; nothing when the id is not one of this plan's.
    pub fn call_of(&self, node: NodeId) -> Option<TaskId> {
        self.nodes.get(node).map(|_| TaskId(node.0))
    }

    /// Gives the task that loads or saves a dataset; nothing where it lives in memory only, or is saved by the call that makes it.
    pub fn task_of(&self, dataset: DatasetId) -> Option<TaskId> {
        let position = self.datasets.get(dataset)?.task;
        (position != NONE).then(|| TaskId::from_index(self.nodes.len() + position as usize))
    }
}
