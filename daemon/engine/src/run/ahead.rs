//! What lies with a worker before it is known to have begun: attempts that were dispatched and sent, and calls that were sent before
//! they were dispatched.
//!
//! The engine alone decides what starts. A caller that knows what it will decide may send that ahead, and has the result when the
//! decision is made. Whatever was sent may have been run by the time the run is cut short, so it is not taken for skipped
//! before the caller says which: it ran ([`Event::Started`](crate::event::Event::Started) or its end), or it never will
//! ([`Event::TakenBack`](crate::event::Event::TakenBack)). One of them follows for each that was sent; until then the run does not close.

use super::{NodeState, Run, Stage, Step, TaskState};
use crate::action::{Action, DatasetOperation, Happening, SkipReason};
use crate::id::{Attempt, NodeId, TaskId};
use crate::plan::TaskKind;
use crate::report::{Failed, FailureReport};

impl Run {
    /// As many readers of an output are looked at; a chain has one.
    const READERS_LOOKED_AT: usize = 4;

    /// Gives the call that will be dispatched when this call ends well, and as which attempt, if there is one for certain: its node
    /// waits for nothing but what this one makes. (Unless the run stops for another reason meanwhile.) Who sends it says so:
    /// [`Run::sent`].
    pub fn follower(&self, task: TaskId) -> Option<(TaskId, Attempt)> {
        let Some(TaskKind::Call(node)) = self.kind(task) else { return None };
        let plan = &self.plan;
        let saves_nothing =
            plan.makes(node).all(|dataset| plan.task_of(dataset).is_none() && !plan.is_chunked(dataset));
        if self.stage != Stage::Running || !saves_nothing || !plan.confirms(node).is_empty() {
            return None;
        }
        let makes_count = plan.makes(node).count();
        let readers = plan.makes(node).flat_map(|dataset| plan.consumers(dataset)).take(Run::READERS_LOOKED_AT);
        let reader = readers.copied().find(|reader| self.waits_only_for(*reader, node, makes_count))?;
        let call = plan.call_of(reader)?;
        Some((call, Attempt(self.tasks.get(call)?.attempt.0.saturating_add(1))))
    }

    /// Notes that an attempt is about to lie with a worker; false if it is not wanted, and then it must not be sent. As
    /// [`Event::Sent`](crate::event::Event::Sent), for callers with many of them.
    #[must_use]
    pub fn sent(&mut self, task: TaskId, attempt: Attempt) -> bool {
        let is_running = self.stage == Stage::Running;
        let Some(run) = self.tasks.get_mut(task).filter(|run| !run.sent) else { return false };
        let is_ahead = run.state == TaskState::Idle && run.attempt.0.saturating_add(1) == attempt.0 && is_running;
        let is_wanted = run.state == TaskState::Dispatched && run.attempt == attempt;
        if !is_ahead && !is_wanted {
            return false;
        }
        run.sent = true;
        self.ahead += u32::from(is_ahead);
        true
    }

    /// Says whether a call was sent and is not dispatched so far.
    pub(super) fn is_ahead(&self, task: TaskId) -> bool {
        self.tasks.get(task).is_some_and(|run| run.sent && run.state == TaskState::Idle)
    }

    /// A call that was sent ahead is dispatched, or will not be.
    pub(super) fn no_longer_ahead(&mut self, task: TaskId) {
        if self.is_ahead(task) {
            self.ahead -= 1;
        }
    }

    /// Says whether an attempt is asked back from the worker it lies with.
    pub(super) fn is_recalled(&self, task: TaskId, attempt: Attempt) -> bool {
        self.tasks.get(task).is_some_and(|run| run.attempt == attempt && matches!(run.state, TaskState::Recalled(_)))
    }

    /// A worker has begun with what was to be taken back: where nothing may go on, it is stopped like any other.
    pub(super) fn stop_recalled(&self, task: TaskId, was_recalled: bool, step: &mut Step<'_>) {
        if let Some(run) = self.tasks.get(task).filter(|_| was_recalled)
            && let TaskState::Aborting(reason) = run.state
        {
            step.actions.push(Action::Abort { task, attempt: run.attempt, reason });
        }
    }

    /// What was sent is with the caller again.
    pub(super) fn taken_back(&mut self, task: TaskId, attempt: Attempt, step: &mut Step<'_>) {
        let Some(kind) = self.kind(task) else { return };
        let is_ahead = self.is_ahead(task);
        let Some(run) = self.tasks.get_mut(task).filter(|run| run.sent) else { return };
        match (run.state, kind) {
            (TaskState::Dispatched, _) if run.attempt == attempt => run.sent = false,
            (TaskState::Idle, TaskKind::Call(node)) if is_ahead && run.attempt.0.saturating_add(1) == attempt.0 => {
                run.sent = false;
                self.ahead -= 1;
                if self.stage != Stage::Running && self.nodes[node].state == NodeState::Waiting {
                    self.skip_cut(node, step);
                }
            }
            (TaskState::Recalled(_), _) if run.attempt == attempt => {
                run.sent = false;
                run.state = TaskState::Withdrawn;
                self.live -= 1;
                self.withdrawn(task, kind, step);
            }
            _ => {}
        }
    }

    /// A task was withdrawn because the run is cut short: that is the end of what it is for.
    fn withdrawn(&mut self, task: TaskId, kind: TaskKind, step: &mut Step<'_>) {
        let failure = self.last_failures.remove(&task);
        match (kind, failure) {
            (TaskKind::Call(node), None) => self.skip_cut(node, step),
            (TaskKind::Call(node), Some(failure)) => {
                let because = self.cut_reason();
                step.emit(Happening::NodeSkipped { node, because });
                self.fail_node(node, failure, step);
            }
            (TaskKind::Load(_), None) => {}
            (TaskKind::Load(dataset), Some(failure)) => {
                let operation = DatasetOperation::Load;
                let what = Failed::Dataset { dataset, operation, node: None };
                self.failures.push(FailureReport { what, failure });
            }
            (TaskKind::Save(dataset), None) => self.save_stopped(dataset, step),
            (TaskKind::Save(dataset), Some(failure)) => self.save_given_up(dataset, failure, step),
            (TaskKind::Confirm(dataset), failure) => self.confirm_stopped(dataset, failure, step),
        }
    }

    fn skip_cut(&mut self, node: NodeId, step: &mut Step<'_>) {
        let because = self.cut_reason();
        self.cut_short |= because == SkipReason::RunCancelled;
        self.skip(node, because, step);
    }

    fn cut_reason(&self) -> SkipReason {
        if self.stage == Stage::Cancelling { self.cut_because } else { SkipReason::RunStopped }
    }

    fn waits_only_for(&self, reader: NodeId, maker: NodeId, makes_count: usize) -> bool {
        let Some(run) = self.nodes.get(reader) else { return false };
        if run.state != NodeState::Waiting || run.inputs_left as usize > makes_count {
            return false;
        }
        if self.plan.call_of(reader).is_none_or(|call| self.is_ahead(call)) {
            return false;
        }
        let is_made = |dataset| self.plan.producer(dataset) == Some(maker);
        let reads = self.plan.reads(reader);
        reads.iter().filter(|dataset| is_made(**dataset)).count() == run.inputs_left as usize
            && reads.iter().all(|dataset| is_made(*dataset) || self.readers.exists(*dataset))
    }
}
