//! The way forward: what starts when something ends well. Each ending costs O(edges of what ended).

use super::{Run, Stage, Step, TaskState};
use crate::action::{AbortReason, Action, DatasetOperation, Happening};
use crate::id::{Attempt, DatasetId, NodeId, TaskId};
use crate::plan::TaskKind;
use crate::report::NodeState;

impl Run {
    pub(super) fn start(&mut self, step: &mut Step<'_>) {
        if self.stage != Stage::Created {
            return;
        }
        self.stage = Stage::Running;
        self.started = step.now;
        self.run_deadline = self.policy.timeout_us.map(|timeout| step.now.after(timeout));
        step.emit(Happening::RunStarted);
        for node in self.nodes.ids() {
            if self.nodes[node].inputs_left == 0 {
                self.demand(node, step);
            }
        }
    }

    /// All that other nodes make for this one exists: asks for its loads, and lets it go when there are none to wait for.
    fn demand(&mut self, node: NodeId, step: &mut Step<'_>) {
        let plan = step.plan;
        let mut loads_left = 0;
        for &dataset in plan.reads(node) {
            if plan.producer(dataset).is_some() || self.readers.exists(dataset) {
                continue;
            }
            let Some(load) = plan.task_of(dataset) else { continue };
            loads_left += 1;
            // One that is queued for a later node moves up: the queue goes by the first node that needs it. Its other place
            // in the queue is passed over once it is dispatched.
            if matches!(self.tasks[load].state, TaskState::Idle | TaskState::Queued) {
                self.enqueue(load, node, step);
            }
        }
        self.nodes[node].loads_left = loads_left;
        if loads_left == 0 {
            self.make_ready(node, step);
        }
    }

    fn make_ready(&mut self, node: NodeId, step: &mut Step<'_>) {
        let Some(call) = self.plan.call_of(node) else { return };
        self.nodes[node].state = NodeState::Ready;
        self.enqueue(call, node, step);
    }

    /// A wait for a retry is over.
    pub(super) fn retry(&mut self, task: TaskId, step: &mut Step<'_>) {
        let node = match self.kind(task) {
            Some(TaskKind::Call(node)) => {
                self.nodes[node].state = NodeState::Ready;
                Some(node)
            }
            Some(TaskKind::Save(dataset)) => self.plan.producer(dataset),
            Some(TaskKind::Load(dataset)) => self.plan.consumers(dataset).first().copied(),
            Some(TaskKind::Confirm(dataset)) => self.plan.confirmer(dataset),
            None => None,
        };
        if let Some(node) = node {
            self.enqueue(task, node, step);
        }
    }

    pub(super) fn task_started(&mut self, task: TaskId, attempt: Attempt, worker: u32, step: &mut Step<'_>) {
        if !self.begin(task, attempt, worker, step) {
            // Someone began without asking, or twice. What is not ours is to be stopped; what is, runs already.
            if !self.is_live(task, attempt) {
                step.actions.push(Action::Abort { task, attempt, reason: AbortReason::Stale });
            }
            return;
        }
        self.tell_started(task, attempt, worker, step);
    }

    /// Tells that an attempt has begun.
    pub(super) fn tell_started(&mut self, task: TaskId, attempt: Attempt, worker: u32, step: &mut Step<'_>) {
        match self.kind(task) {
            Some(TaskKind::Call(node)) => {
                self.nodes[node].state = NodeState::Running;
                step.emit(Happening::NodeStarted { node, attempt, worker });
            }
            Some(TaskKind::Load(dataset)) => {
                let operation = DatasetOperation::Load;
                step.emit(Happening::DatasetStarted { dataset, operation, attempt, worker });
            }
            Some(TaskKind::Save(dataset)) => {
                let operation = DatasetOperation::Save;
                step.emit(Happening::DatasetStarted { dataset, operation, attempt, worker });
            }
            Some(TaskKind::Confirm(dataset)) => {
                let operation = DatasetOperation::Confirm;
                step.emit(Happening::DatasetStarted { dataset, operation, attempt, worker });
            }
            None => {}
        }
    }

    pub(super) fn task_finished(&mut self, task: TaskId, attempt: Attempt, worker: u32, step: &mut Step<'_>) {
        if self.is_wanted(task, attempt) || self.is_recalled(task, attempt) {
            // So quick that nobody told of its start.
            self.task_started(task, attempt, worker, step);
        }
        // An abort that came too late is no reason to throw the result away.
        if self.end(task, attempt, TaskState::Done).is_none() {
            return;
        }
        let duration_us = step.now.since(self.tasks[task].started);
        match self.kind(task) {
            Some(TaskKind::Call(node)) => self.call_finished(node, attempt, worker, duration_us, step),
            Some(TaskKind::Load(dataset)) => {
                self.datasets.loaded += 1;
                step.emit(Happening::DatasetLoaded { dataset, worker, duration_us });
                self.load_finished(dataset, step);
            }
            Some(TaskKind::Save(dataset)) => {
                self.datasets.saved += 1;
                if let Some(node) = self.plan.producer(dataset) {
                    step.emit(Happening::DatasetSaved { dataset, node, worker, duration_us });
                    if self.policy.asynchronous_saves {
                        self.feed_again(dataset, step);
                    }
                    self.save_ended(node, dataset, step);
                }
            }
            Some(TaskKind::Confirm(dataset)) => self.confirm_finished(dataset, worker, duration_us, step),
            None => {}
        }
    }

    fn load_finished(&mut self, dataset: DatasetId, step: &mut Step<'_>) {
        self.appear(dataset, step);
        let plan = step.plan;
        for &node in plan.consumers(dataset) {
            let run = &mut self.nodes[node];
            // Who still waits for other nodes has not counted its loads yet.
            if run.state == NodeState::Waiting && run.inputs_left == 0 {
                run.loads_left = run.loads_left.saturating_sub(1);
                if run.loads_left == 0 {
                    self.make_ready(node, step);
                }
            }
        }
    }

    fn call_finished(&mut self, node: NodeId, attempt: Attempt, worker: u32, duration_us: u64, step: &mut Step<'_>) {
        let plan = step.plan;
        let saves = plan.makes(node).filter_map(|dataset| plan.task_of(dataset)).count();
        let is_done = saves == 0 && plan.confirms(node).is_empty();
        if !is_done {
            step.emit(Happening::CallFinished { node, attempt, worker, duration_us });
        }
        self.done_reading(node, step);
        // The save is one of the readers, so nothing that is still to be saved goes here.
        for dataset in plan.makes(node) {
            if plan.is_chunked(dataset) {
                self.datasets.saved += 1;
                step.emit(Happening::DatasetSaved { dataset, node, worker, duration_us });
            } else {
                self.appear(dataset, step);
            }
        }
        if is_done {
            self.node_finished(node, step);
            return;
        }
        if self.stage == Stage::Cancelling {
            for dataset in plan.makes(node).filter(|&dataset| plan.task_of(dataset).is_some()) {
                self.done(dataset, step);
            }
            self.stop_node(node, NodeState::Cancelled, step);
            return;
        }
        let run = &mut self.nodes[node];
        run.state = NodeState::Saving;
        run.saves_left = u32::try_from(saves).unwrap_or(u32::MAX);
        for dataset in plan.makes(node) {
            if let Some(save) = plan.task_of(dataset) {
                self.enqueue(save, node, step);
            }
        }
        if self.policy.asynchronous_saves {
            for dataset in plan.makes(node) {
                self.feed(dataset, step);
                if plan.is_chunked(dataset) {
                    self.feed_again(dataset, step);
                }
            }
        }
        if saves == 0 {
            self.confirm_next(node, step);
        }
    }

    /// One save of a node's output has ended, well or badly.
    pub(super) fn save_ended(&mut self, node: NodeId, dataset: DatasetId, step: &mut Step<'_>) {
        self.done(dataset, step);
        let run = &mut self.nodes[node];
        run.saves_left = run.saves_left.saturating_sub(1);
        if run.saves_left == 0 && run.state == NodeState::Saving {
            self.confirm_next(node, step);
        }
    }

    pub(super) fn node_finished(&mut self, node: NodeId, step: &mut Step<'_>) {
        let saved = self.nodes[node].state == NodeState::Saving;
        self.close_node(node, NodeState::Finished, step);
        let (attempt, worker, duration_us) = match self.plan.call_of(node).and_then(|call| self.tasks.get(call)) {
            Some(call) => (call.attempt, call.worker, step.now.since(call.started)),
            None => (Attempt(0), 0, 0),
        };
        self.finished_nodes += 1;
        let finished = self.finished_nodes;
        step.emit(Happening::NodeFinished { node, attempt, worker, duration_us, finished });
        if !(saved && self.policy.asynchronous_saves) {
            let plan = step.plan;
            for dataset in plan.makes(node) {
                self.feed(dataset, step);
                self.feed_again(dataset, step);
            }
        }
    }

    /// What was saved as this dataset may be read again now.
    fn feed_again(&mut self, saved: DatasetId, step: &mut Step<'_>) {
        let plan = step.plan;
        plan.again(saved).iter().for_each(|&dataset| self.feed(dataset, step));
    }

    /// A dataset may be read now, or loaded where no node makes it.
    fn feed(&mut self, dataset: DatasetId, step: &mut Step<'_>) {
        let plan = step.plan;
        for &reader in plan.consumers(dataset) {
            let run = &mut self.nodes[reader];
            run.inputs_left = run.inputs_left.saturating_sub(1);
            if run.inputs_left != 0 || run.state != NodeState::Waiting {
                continue;
            }
            // What was sent ahead may have run already.
            if self.stage == Stage::Running || plan.call_of(reader).is_some_and(|call| self.is_ahead(call)) {
                self.demand(reader, step);
            }
        }
    }

    /// The block of a dataset exists now.
    fn appear(&mut self, dataset: DatasetId, step: &mut Step<'_>) {
        if self.readers.appear(dataset) {
            self.release(dataset, step);
        }
    }

    /// One reader of a dataset is done with it, or will never read it.
    pub(super) fn done(&mut self, dataset: DatasetId, step: &mut Step<'_>) {
        if self.readers.done(dataset) {
            self.release(dataset, step);
        }
    }

    /// A node has read its inputs for the last time.
    pub(super) fn done_reading(&mut self, node: NodeId, step: &mut Step<'_>) {
        let plan = step.plan;
        for &dataset in plan.reads(node) {
            self.done(dataset, step);
        }
    }

    fn release(&mut self, dataset: DatasetId, step: &mut Step<'_>) {
        self.datasets.released += 1;
        step.actions.push(Action::Release { dataset });
        step.emit(Happening::DatasetReleased { dataset });
    }

    /// Puts a node into a final state.
    pub(super) fn close_node(&mut self, node: NodeId, state: NodeState, step: &Step<'_>) {
        let run = &mut self.nodes[node];
        debug_assert!(!run.state.is_final() && state.is_final(), "{node:?} from {:?} to {state:?}", run.state);
        run.state = state;
        run.ended = step.now;
        self.open_nodes -= 1;
    }
}
