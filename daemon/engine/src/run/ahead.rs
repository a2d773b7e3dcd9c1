//! What may be sent to a worker together: a node, and the one that begins as soon as it ends.
//!
//! The engine alone decides what starts. A caller that knows what it will decide may send that ahead, and has the result when the
//! decision is made.

use super::{NodeState, Run, Stage};
use crate::id::{Attempt, NodeId, TaskId};
use crate::plan::TaskKind;

impl Run {
    /// As many readers of an output are looked at; a chain has one.
    const READERS_LOOKED_AT: usize = 4;

    /// Gives the call that will be dispatched when this call ends well, and as which attempt, if there is one for certain: its node
    /// waits for nothing but what this one makes. (Unless the run stops for another reason meanwhile; and see
    /// [`Run::promise`].)
    pub fn follower(&self, task: TaskId) -> Option<(TaskId, Attempt)> {
        let Some(TaskKind::Call(node)) = self.kind(task) else { return None };
        let plan = &self.plan;
        let saves_nothing =
            plan.makes(node).all(|dataset| plan.task_of(dataset).is_none() && !plan.is_chunked(dataset));
        if self.stage != Stage::Running || !saves_nothing {
            return None;
        }
        let makes_count = plan.makes(node).count();
        let readers = plan.makes(node).flat_map(|dataset| plan.consumers(dataset)).take(Run::READERS_LOOKED_AT);
        let reader = readers.copied().find(|reader| self.waits_only_for(*reader, node, makes_count))?;
        let call = plan.call_of(reader)?;
        Some((call, Attempt(self.tasks.get(call)?.attempt.0.saturating_add(1))))
    }

    /// Has this call, which [`Run::follower`] gave, dispatched as soon as the next event makes it ready, whatever else is
    /// queued: it has been sent already.
    pub fn promise(&mut self, task: TaskId) {
        self.promised = Some(task);
    }

    fn waits_only_for(&self, reader: NodeId, maker: NodeId, makes_count: usize) -> bool {
        let Some(run) = self.nodes.get(reader) else { return false };
        if run.state != NodeState::Waiting || run.inputs_left as usize > makes_count {
            return false;
        }
        let is_made = |dataset| self.plan.producer(dataset) == Some(maker);
        let reads = self.plan.reads(reader);
        reads.iter().filter(|dataset| is_made(**dataset)).count() == run.inputs_left as usize
            && reads.iter().all(|dataset| is_made(*dataset) || self.readers.exists(*dataset))
    }
}
