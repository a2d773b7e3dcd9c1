//! Tasks: dispatch, the bound on how many are live, attempts, deadlines, aborts. Knows nothing of what tasks are for.

use std::cmp::Reverse;
use std::sync::Arc;

use super::{Deadline, Run, Stage, Step, TaskState};
use crate::action::{AbortReason, Action};
use crate::failure::{Failure, FailureKind};
use crate::id::{Attempt, NodeId, TaskId, Time};
use crate::plan::TaskKind;
use crate::policy::NodePolicy;

impl Run {
    /// Lets a task go: at once, or, where the number of live tasks is bounded, by priority and then in the order of the
    /// plan. `node` is the node that it is for.
    pub(super) fn enqueue(&mut self, task: TaskId, node: NodeId, step: &mut Step<'_>) {
        if self.policy.tasks_max.is_none() || self.is_ahead(task) {
            self.dispatch(task, step);
            return;
        }
        let Some(kind) = self.kind(task) else { return };
        let Some(run) = self.tasks.get_mut(task) else { return };
        run.state = TaskState::Queued;
        let rank = match kind {
            TaskKind::Load(_) => 0,
            TaskKind::Call(_) => 1,
            TaskKind::Save(_) => 2,
            TaskKind::Confirm(_) => 3,
        };
        let priority = self.plan.policy(node).priority;
        self.queue.push((priority, Reverse((node, rank, task))));
    }

    /// Dispatches from the queue as far as the bound allows.
    pub(super) fn pump(&mut self, step: &mut Step<'_>) {
        // A bound of zero would never let the run end.
        let bound = self.policy.tasks_max.map_or(u32::MAX, |bound| bound.max(1));
        while self.live < bound
            && let Some((_, Reverse((_, _, task)))) = self.queue.pop()
        {
            // Withdrawn tasks leave their place in the queue behind.
            if self.tasks.get(task).is_some_and(|run| run.state == TaskState::Queued) {
                self.dispatch(task, step);
            }
        }
    }

    fn dispatch(&mut self, task: TaskId, step: &mut Step<'_>) {
        let is_ahead = self.is_ahead(task);
        self.no_longer_ahead(task);
        let stage = self.stage;
        let Some(run) = self.tasks.get_mut(task) else { return };
        run.state = TaskState::Dispatched;
        run.attempt = Attempt(run.attempt.0.saturating_add(1));
        run.sent = is_ahead;
        self.live += 1;
        let attempt = run.attempt;
        if !is_ahead {
            step.actions.push(Action::Dispatch { task, attempt });
            return;
        }
        // It lies with a worker already. If it should not, that says whether it has begun.
        let reason = match stage {
            Stage::Cancelling => AbortReason::Cancelled,
            Stage::Stopping => AbortReason::Stopped,
            _ => return,
        };
        run.state = TaskState::Recalled(reason);
        step.actions.push(Action::Abort { task, attempt, reason });
    }

    /// Marks an attempt as begun; false when it is not one that may begin.
    pub(super) fn begin(&mut self, task: TaskId, attempt: Attempt, worker: u32, step: &mut Step<'_>) -> bool {
        let timeout = self.policy_of(task).timeout_us;
        let Some(run) = self.tasks.get_mut(task) else { return false };
        let state = match run.state {
            // What has begun when the run stops goes on to its end.
            TaskState::Dispatched | TaskState::Recalled(AbortReason::Stopped) => TaskState::Running,
            TaskState::Recalled(reason) => TaskState::Aborting(reason),
            _ => return false,
        };
        if run.attempt != attempt {
            return false;
        }
        run.state = state;
        run.starts += 1;
        run.worker = worker;
        run.started = step.now;
        if let Some(timeout) = timeout {
            self.timers.push(Reverse((step.now.after(timeout), task, attempt, Deadline::Timeout)));
        }
        true
    }

    /// Marks a live attempt as ended and gives the state it was in; nothing when it is not live.
    pub(super) fn end(&mut self, task: TaskId, attempt: Attempt, state: TaskState) -> Option<TaskState> {
        let run = self.tasks.get_mut(task)?;
        if run.attempt != attempt || !run.state.is_live() {
            return None;
        }
        let before = std::mem::replace(&mut run.state, state);
        self.live -= 1;
        if attempt.0 > 1 {
            self.last_failures.remove(&task);
        }
        Some(before)
    }

    /// Takes back a task that no worker has begun with; true when there was one to take back. Nobody answers to that. One that lies
    /// with a worker is asked for, and is not taken back before the answer.
    pub(super) fn withdraw(&mut self, task: TaskId, reason: AbortReason, step: &mut Step<'_>) -> bool {
        let Some(run) = self.tasks.get_mut(task) else { return false };
        match run.state {
            TaskState::Queued => {}
            TaskState::Dispatched if run.sent => {
                run.state = TaskState::Recalled(reason);
                step.actions.push(Action::Abort { task, attempt: run.attempt, reason });
                return false;
            }
            TaskState::Recalled(_) => {
                run.state = TaskState::Recalled(reason);
                return false;
            }
            TaskState::Dispatched => {
                self.live -= 1;
                step.actions.push(Action::Abort { task, attempt: run.attempt, reason });
            }
            TaskState::Backoff => self.backing_off -= 1,
            _ => return false,
        }
        run.state = TaskState::Withdrawn;
        true
    }

    /// Asks for a running attempt to be ended; its answer is awaited.
    pub(super) fn abort(&mut self, task: TaskId, reason: AbortReason, step: &mut Step<'_>) {
        let Some(run) = self.tasks.get_mut(task) else { return };
        if run.state == TaskState::Running || (run.state.is_started() && reason == AbortReason::Cancelled) {
            if run.state == TaskState::Running {
                step.actions.push(Action::Abort { task, attempt: run.attempt, reason });
            }
            run.state = TaskState::Aborting(reason);
        }
    }

    /// Puts a failed task off until its next attempt, if its policy has one left; gives the wait.
    pub(super) fn retry_later(&mut self, task: TaskId, failure: &Arc<Failure>, now: Time) -> Option<u64> {
        let allowed = match (self.stage, self.kind(task)?) {
            (Stage::Running, _) => true,
            // Under `stop` what had begun is brought to its end, and these are the end of a node that ran.
            (Stage::Stopping, TaskKind::Save(_) | TaskKind::Confirm(_)) => true,
            _ => false,
        };
        let policy = *self.policy_of(task);
        let run = self.tasks.get_mut(task)?;
        if !allowed || !failure.kind.is_retryable() || run.attempt.0 > policy.retries {
            return None;
        }
        let wait = policy.backoff_us(run.attempt.0);
        run.state = TaskState::Backoff;
        self.backing_off += 1;
        self.timers.push(Reverse((now.after(wait), task, run.attempt, Deadline::Retry)));
        self.last_failures.insert(task, failure.clone());
        Some(wait)
    }

    /// Handles every deadline that has passed.
    pub(super) fn tick(&mut self, step: &mut Step<'_>) {
        if self.run_deadline.is_some_and(|deadline| deadline <= step.now) {
            self.run_deadline = None;
            self.out_of_time(step);
        }
        while let Some(&Reverse((time, task, attempt, deadline))) = self.timers.peek()
            && time <= step.now
        {
            self.timers.pop();
            if !self.awaits(task, attempt, deadline) {
                continue;
            }
            match deadline {
                Deadline::Timeout => self.abort(task, AbortReason::Timeout, step),
                Deadline::Retry => {
                    self.backing_off -= 1;
                    self.retry(task, step);
                }
            }
        }
    }

    fn awaits(&self, task: TaskId, attempt: Attempt, deadline: Deadline) -> bool {
        self.tasks.get(task).is_some_and(|run| run.attempt == attempt && run.state.awaits(deadline))
    }

    /// Drops deadlines at the top that no longer matter, so that nobody wakes up for them.
    pub(super) fn drop_stale_timers(&mut self) {
        while let Some(&Reverse((_, task, attempt, deadline))) = self.timers.peek()
            && !self.awaits(task, attempt, deadline)
        {
            self.timers.pop();
        }
    }

    /// Gives the policy that a task is carried out by: its node's, and the pipeline's own for a load.
    pub(super) fn policy_of(&self, task: TaskId) -> &NodePolicy {
        match self.kind(task) {
            Some(TaskKind::Call(node)) => self.plan.policy(node),
            Some(TaskKind::Save(dataset)) => match self.plan.producer(dataset) {
                Some(node) => self.plan.policy(node),
                None => self.plan.default_policy(),
            },
            Some(TaskKind::Confirm(dataset)) => match self.plan.confirmer(dataset) {
                Some(node) => self.plan.policy(node),
                None => self.plan.default_policy(),
            },
            _ => self.plan.default_policy(),
        }
    }

    /// Rewrites the answer to an abort for lack of time: the driver knows how it ended, the engine why.
    pub(super) fn as_timeout(&self, task: TaskId, failure: Failure) -> Failure {
        let limit = self.policy_of(task).timeout_us.unwrap_or_default();
        let what = match self.kind(task) {
            Some(TaskKind::Load(_)) => "the load",
            Some(TaskKind::Save(_)) => "the save",
            Some(TaskKind::Confirm(_)) => "the confirmation",
            _ => "the call",
        };
        let message = format!("{what} took longer than {} s and was stopped", seconds(limit));
        let mut causes = failure.causes;
        if failure.kind != FailureKind::Timeout && failure.kind != FailureKind::Cancelled {
            causes.insert(0, failure.message);
        }
        let hint = "raise `timeout_seconds`, or look at what it waits for".to_owned();
        Failure { kind: FailureKind::Timeout, message, causes, hints: vec![hint], ..failure }
    }
}

/// Writes microseconds as seconds, without zeros that say nothing.
pub(super) fn seconds(microseconds: u64) -> String {
    let text = format!("{}.{:06}", microseconds / 1_000_000, microseconds % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
