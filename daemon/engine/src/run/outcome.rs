//! What follows from failures, cancelling and lack of time.

use std::sync::Arc;

use super::{Run, Stage, Step, TaskState};
use crate::action::{AbortReason, DatasetOperation, Happening, SkipReason};
use crate::failure::{Failure, FailureKind};
use crate::id::{Attempt, DatasetId, NodeId, TaskId};
use crate::plan::TaskKind;
use crate::policy::OnFailure;
use crate::report::{Failed, FailureReport, NodeState};

impl Run {
    pub(super) fn task_failed(
        &mut self,
        task: TaskId,
        attempt: Attempt,
        worker: u32,
        failure: Failure,
        step: &mut Step<'_>,
    ) {
        let Some(before) = self.end(task, attempt, TaskState::Failed) else { return };
        let run = &mut self.tasks[task];
        run.worker = worker;
        if matches!(before, TaskState::Dispatched | TaskState::Recalled(_)) {
            // So quick that nobody told of its start; or the worker could not begin: a try all the same.
            run.starts += 1;
            run.started = step.now;
            self.tell_started(task, attempt, worker, step);
        }
        let failure = match before {
            TaskState::Aborting(AbortReason::Cancelled) => None,
            TaskState::Aborting(AbortReason::Timeout) => Some(Arc::new(self.as_timeout(task, failure))),
            _ => Some(Arc::new(failure)),
        };
        match (self.kind(task), failure) {
            (Some(TaskKind::Call(node)), Some(failure)) => self.call_failed(node, task, failure, step),
            (Some(TaskKind::Call(node)), None) => {
                self.done_reading(node, step);
                self.stop_node(node, NodeState::Cancelled, step);
            }
            (Some(TaskKind::Load(dataset)), Some(failure)) => self.load_failed(dataset, task, failure, step),
            // All who would have read it were skipped when the run was cancelled.
            (Some(TaskKind::Load(_)), None) | (None, _) => {}
            (Some(TaskKind::Save(dataset)), Some(failure)) => self.save_failed(dataset, task, failure, step),
            (Some(TaskKind::Save(dataset)), None) => self.save_stopped(dataset, step),
            (Some(TaskKind::Confirm(dataset)), Some(failure)) => self.confirm_failed(dataset, task, failure, step),
            (Some(TaskKind::Confirm(dataset)), None) => self.confirm_stopped(dataset, None, step),
        }
    }

    fn call_failed(&mut self, node: NodeId, task: TaskId, failure: Arc<Failure>, step: &mut Step<'_>) {
        let retry = self.retry_later(task, &failure, step.now);
        let (attempt, will_retry_in_ms) = (self.tasks[task].attempt, retry.map(|wait| wait / 1_000));
        let during_save_of = None;
        step.emit(Happening::NodeFailed { node, attempt, during_save_of, failure: failure.clone(), will_retry_in_ms });
        if retry.is_some() {
            self.nodes[node].state = NodeState::Retrying;
            return;
        }
        self.fail_node(node, failure, step);
    }

    /// A node's call has failed for good.
    pub(super) fn fail_node(&mut self, node: NodeId, failure: Arc<Failure>, step: &mut Step<'_>) {
        self.failures.push(FailureReport { what: Failed::Call(node), failure });
        self.close_node(node, NodeState::Failed, step);
        self.done_reading(node, step);
        self.skip_readers(node, step);
        self.stop_if(self.on_failure(node), step);
    }

    fn load_failed(&mut self, dataset: DatasetId, task: TaskId, failure: Arc<Failure>, step: &mut Step<'_>) {
        let operation = DatasetOperation::Load;
        if !self.dataset_failed(dataset, operation, task, &failure, step) {
            return;
        }
        self.failures.push(FailureReport { what: Failed::Dataset { dataset, operation, node: None }, failure });
        let plan = step.plan;
        self.skip_all(plan.consumers(dataset), SkipReason::LoadFailed(dataset), step);
        self.stop_if(self.policy.on_failure, step);
    }

    fn save_failed(&mut self, dataset: DatasetId, task: TaskId, failure: Arc<Failure>, step: &mut Step<'_>) {
        let operation = DatasetOperation::Save;
        if !self.dataset_failed(dataset, operation, task, &failure, step) {
            return;
        }
        let Some(node) = self.plan.producer(dataset) else { return };
        let failure = self.with_readers_so_far(dataset, failure);
        let what = Failed::Dataset { dataset, operation, node: Some(node) };
        self.failures.push(FailureReport { what, failure: failure.clone() });
        if self.nodes[node].state == NodeState::Saving {
            self.close_node(node, NodeState::Failed, step);
            let attempt = self.plan.call_of(node).map_or(Attempt(0), |call| self.tasks[call].attempt);
            step.emit(Happening::NodeFailed {
                node,
                attempt,
                during_save_of: Some(dataset),
                failure,
                will_retry_in_ms: None,
            });
            // With asynchronous saves the readers have what they need, from memory.
            if !self.policy.asynchronous_saves {
                self.skip_readers(node, step);
            }
        }
        // But for those who wanted what was not saved.
        for &lost in step.plan.again(dataset) {
            self.skip_all(step.plan.consumers(lost), SkipReason::NodeFailed(node), step);
        }
        self.save_ended(node, dataset, step);
        self.stop_if(self.on_failure(node), step);
    }

    /// Names the nodes that began with an output before its save failed: they read it from memory, so what they made comes
    /// from data that was never kept. Only asynchronous saves let that happen.
    fn with_readers_so_far(&self, dataset: DatasetId, failure: Arc<Failure>) -> Arc<Failure> {
        const SHOWN: usize = 10;
        let begun = |node: &&NodeId| self.plan.call_of(**node).is_some_and(|call| self.tasks[call].starts > 0);
        let readers: Vec<NodeId> = self.plan.consumers(dataset).iter().filter(begun).copied().collect();
        if readers.is_empty() {
            return failure;
        }
        let name = |node: &NodeId| self.plan.node(*node).map_or("", |node| node.name);
        let mut names = readers.iter().take(SHOWN).map(name).collect::<Vec<_>>().join(", ");
        if readers.len() > SHOWN {
            names.push_str(&format!(" and {} more", readers.len() - SHOWN));
        }
        let mut failure = Failure::clone(&failure);
        let dataset = self.plan.dataset(dataset).map_or("", |dataset| dataset.name);
        failure.causes.push(format!("{names} had already read `{dataset}` from memory while it was being saved"));
        Arc::new(failure)
    }

    /// Tells of a failed load, save or confirmation; false when it will be tried again.
    pub(super) fn dataset_failed(
        &mut self,
        dataset: DatasetId,
        operation: DatasetOperation,
        task: TaskId,
        failure: &Arc<Failure>,
        step: &mut Step<'_>,
    ) -> bool {
        let retry = self.retry_later(task, failure, step.now);
        step.emit(Happening::DatasetFailed {
            dataset,
            operation,
            attempt: self.tasks[task].attempt,
            failure: failure.clone(),
            will_retry_in_ms: retry.map(|wait| wait / 1_000),
        });
        retry.is_none()
    }

    /// A save was stopped because the run was cancelled.
    pub(super) fn save_stopped(&mut self, dataset: DatasetId, step: &mut Step<'_>) {
        let Some(node) = self.plan.producer(dataset) else { return };
        if self.nodes[node].state == NodeState::Saving {
            self.stop_node(node, NodeState::Cancelled, step);
        }
        self.save_ended(node, dataset, step);
    }

    pub(super) fn on_failure(&self, node: NodeId) -> OnFailure {
        self.plan.policy(node).on_failure.unwrap_or(self.policy.on_failure)
    }

    /// Skips everything that depends on a failed node.
    pub(super) fn skip_readers(&mut self, failed: NodeId, step: &mut Step<'_>) {
        let readers: Vec<NodeId> = step.plan.readers(failed).collect();
        self.skip_all(&readers, SkipReason::NodeFailed(failed), step);
    }

    /// Skips nodes and everything that depends on them. Walks with a list of its own: a chain may be a million long.
    fn skip_all(&mut self, nodes: &[NodeId], because: SkipReason, step: &mut Step<'_>) {
        let plan = step.plan;
        let mut found: Vec<NodeId> = nodes.iter().rev().copied().collect();
        while let Some(node) = found.pop() {
            if self.nodes[node].state != NodeState::Waiting {
                continue;
            }
            self.skip(node, because, step);
            let position = found.len();
            found.extend(plan.readers(node));
            found[position..].reverse();
        }
    }

    /// A node will never run.
    pub(super) fn skip(&mut self, node: NodeId, because: SkipReason, step: &mut Step<'_>) {
        if let Some(call) = step.plan.call_of(node).filter(|call| self.is_ahead(*call)) {
            // What it reads was not made, so it cannot have begun.
            self.no_longer_ahead(call);
            self.tasks[call].sent = false;
        }
        self.close_node(node, NodeState::Skipped(because), step);
        step.emit(Happening::NodeSkipped { node, because });
        self.done_reading(node, step);
    }

    /// A node that had begun was stopped because nothing of the run may go on.
    pub(super) fn stop_node(&mut self, node: NodeId, state: NodeState, step: &mut Step<'_>) {
        self.cut_short = true;
        self.close_node(node, state, step);
        step.emit(Happening::NodeSkipped { node, because: self.cut_because });
    }

    /// Under `stop`, no new node starts from here on; with `fail_fast`, nothing goes on either.
    pub(super) fn stop_if(&mut self, on_failure: OnFailure, step: &mut Step<'_>) {
        if on_failure == OnFailure::Stop && self.stage == Stage::Running {
            if self.policy.fail_fast {
                self.cut_all(SkipReason::RunStopped, step);
                return;
            }
            self.stage = Stage::Stopping;
            self.halt(AbortReason::Stopped, SkipReason::RunStopped, step);
        }
    }

    pub(super) fn cancel(&mut self, reason: String, step: &mut Step<'_>) {
        if self.stage == Stage::Cancelling {
            return;
        }
        self.cancel_reason = Some(reason);
        self.cut_all(SkipReason::RunCancelled, step);
    }

    pub(super) fn out_of_time(&mut self, step: &mut Step<'_>) {
        if self.stage == Stage::Cancelling {
            return;
        }
        let limit = super::tasks::seconds(self.policy.timeout_us.unwrap_or_default());
        let message = format!("the run took longer than {limit} s and was stopped");
        let mut failure = Failure::new(FailureKind::Timeout, message);
        failure.hints.push("raise the run's time limit".to_owned());
        self.failures.push(FailureReport { what: Failed::Run, failure: Arc::new(failure) });
        self.cut_all(SkipReason::RunCancelled, step);
    }

    /// Nothing new starts, and what runs is to end.
    fn cut_all(&mut self, because: SkipReason, step: &mut Step<'_>) {
        if self.stage == Stage::Created {
            self.started = step.now;
        }
        self.stage = Stage::Cancelling;
        self.cut_because = because;
        self.halt(AbortReason::Cancelled, because, step);
        let plan = step.plan;
        for (task, kind) in plan.tasks() {
            if matches!(kind, TaskKind::Save(_) | TaskKind::Confirm(_))
                && let Some(failure) = self.take_back(task, AbortReason::Cancelled, step)
            {
                match (kind, failure) {
                    (TaskKind::Save(dataset), Some(failure)) => self.save_given_up(dataset, failure, step),
                    (TaskKind::Save(dataset), None) => self.save_stopped(dataset, step),
                    (TaskKind::Confirm(dataset), failure) => self.confirm_stopped(dataset, failure, step),
                    (TaskKind::Load(_) | TaskKind::Call(_), _) => {}
                }
            }
            self.abort(task, AbortReason::Cancelled, step);
        }
    }

    /// A save had failed, and its next try will not be, because the run was cancelled.
    pub(super) fn save_given_up(&mut self, dataset: DatasetId, failure: Arc<Failure>, step: &mut Step<'_>) {
        let Some(node) = self.plan.producer(dataset) else { return };
        let what = Failed::Dataset { dataset, operation: DatasetOperation::Save, node: Some(node) };
        self.failures.push(FailureReport { what, failure });
        if self.nodes[node].state == NodeState::Saving {
            self.stop_node(node, NodeState::Failed, step);
        }
        self.save_ended(node, dataset, step);
    }

    /// Skips every node that has not begun, takes back their calls and all loads that have not.
    fn halt(&mut self, abort: AbortReason, because: SkipReason, step: &mut Step<'_>) {
        let plan = step.plan;
        for node in self.nodes.ids() {
            let Some(call) = plan.call_of(node) else { continue };
            match self.nodes[node].state {
                // Sent ahead: whether it has begun is not known here.
                NodeState::Waiting if self.is_ahead(call) => {}
                NodeState::Waiting => {
                    self.cut_short |= because == SkipReason::RunCancelled;
                    self.skip(node, because, step);
                }
                NodeState::Ready | NodeState::Retrying => {
                    let Some(failure) = self.take_back(call, abort, step) else { continue };
                    self.cut_short |= because == SkipReason::RunCancelled;
                    match failure {
                        // It had failed, and its next try will not be.
                        Some(failure) => {
                            step.emit(Happening::NodeSkipped { node, because });
                            self.fail_node(node, failure, step);
                        }
                        None => self.skip(node, because, step),
                    }
                }
                _ => {}
            }
        }
        for (task, kind) in plan.tasks().skip(plan.node_count()) {
            if let TaskKind::Load(dataset) = kind
                && let Some(Some(failure)) = self.take_back(task, abort, step)
            {
                let what = Failed::Dataset { dataset, operation: DatasetOperation::Load, node: None };
                self.failures.push(FailureReport { what, failure });
            }
        }
    }

    /// Withdraws a task, and gives the failure after which it was to be tried again, if there was one. The outer nothing: it
    /// runs, or has ended.
    fn take_back(&mut self, task: TaskId, reason: AbortReason, step: &mut Step<'_>) -> Option<Option<Arc<Failure>>> {
        self.withdraw(task, reason, step).then(|| self.last_failures.remove(&task))
    }
}
