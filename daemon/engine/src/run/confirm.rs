//! What a node confirms, once its call and all its saves have ended well: one dataset after the other, in the order written. The
//! first that cannot be confirmed fails the node, and what comes after it stays as it was.

use std::sync::Arc;

use super::{Run, Stage, Step};
use crate::action::{DatasetOperation, Happening};
use crate::failure::Failure;
use crate::id::{Attempt, DatasetId, NodeId, TaskId};
use crate::report::{Failed, FailureReport, NodeState};

impl Run {
    /// Goes on to the next dataset that a node confirms; after the last one the node is finished.
    pub(super) fn confirm_next(&mut self, node: NodeId, step: &mut Step<'_>) {
        let plan = step.plan;
        let next = plan.confirms(node).get(self.nodes[node].confirmed as usize);
        let Some(task) = next.and_then(|&dataset| plan.confirm_of(dataset)) else {
            self.node_finished(node, step);
            return;
        };
        if self.stage == Stage::Cancelling {
            self.stop_node(node, NodeState::Cancelled, step);
        } else {
            self.enqueue(task, node, step);
        }
    }

    pub(super) fn confirm_finished(&mut self, dataset: DatasetId, worker: u32, duration_us: u64, step: &mut Step<'_>) {
        let Some(node) = self.plan.confirmer(dataset) else { return };
        step.emit(Happening::DatasetConfirmed { dataset, node, worker, duration_us });
        self.nodes[node].confirmed += 1;
        self.confirm_next(node, step);
    }

    pub(super) fn confirm_failed(
        &mut self,
        dataset: DatasetId,
        task: TaskId,
        failure: Arc<Failure>,
        step: &mut Step<'_>,
    ) {
        if !self.dataset_failed(dataset, DatasetOperation::Confirm, task, &failure, step) {
            return;
        }
        let Some(node) = self.plan.confirmer(dataset) else { return };
        self.note_unconfirmed(dataset, node, failure.clone());
        self.close_node(node, NodeState::Failed, step);
        let attempt = self.plan.call_of(node).map_or(Attempt(0), |call| self.tasks[call].attempt);
        let during_save_of = Some(dataset);
        step.emit(Happening::NodeFailed { node, attempt, during_save_of, failure, will_retry_in_ms: None });
        // With asynchronous saves the readers have what they need, from memory.
        if !self.policy.asynchronous_saves {
            self.skip_readers(node, step);
        }
        self.stop_if(self.on_failure(node), step);
    }

    /// A confirmation was stopped because the run was cancelled; with the failure after which it was to be tried again, if it had
    /// failed before.
    pub(super) fn confirm_stopped(&mut self, dataset: DatasetId, failure: Option<Arc<Failure>>, step: &mut Step<'_>) {
        let Some(node) = self.plan.confirmer(dataset) else { return };
        let state = match failure {
            Some(failure) => {
                self.note_unconfirmed(dataset, node, failure);
                NodeState::Failed
            }
            None => NodeState::Cancelled,
        };
        self.stop_node(node, state, step);
    }

    fn note_unconfirmed(&mut self, dataset: DatasetId, node: NodeId, failure: Arc<Failure>) {
        let what = Failed::Dataset { dataset, operation: DatasetOperation::Confirm, node: Some(node) };
        self.failures.push(FailureReport { what, failure });
    }
}
