//! The state machine of one run.
//!
//! ```text
//!  node   Waiting ──inputs exist, loads done──▶ Ready ──Started──▶ Running ──Finished──▶ Saving ──saves done──▶ Finished
//!            │                                    │                 │   ▲                  │
//!            │ a node it needs failed,            │ withdrawn       │   └─backoff─ Retrying│ a save failed
//!            ▼ or no node starts any more         ▼                 ▼ Failed               ▼
//!         Skipped                              Skipped       Failed | Cancelled          Failed
//!
//!  task   Idle ─▶ Queued (bound reached) ─▶ Dispatched ─Started─▶ Running ─▶ Done
//!                                               │                  │  └─Abort sent─▶ Aborting ─▶ Done | Failed
//!                                               ├─▶ Withdrawn      └─Failed─▶ Backoff ─deadline─▶ Queued …| Failed
//!                                               └─was sent─▶ Recalled ─TakenBack─▶ Withdrawn
//!                                                               └─Started─▶ Running | Aborting
//! ```
//!
//! A load is dispatched when the first node that needs it has all its other inputs, so nothing lies in memory early. A
//! node's readers wait until its saves are done, or, with `asynchronous_saves`, only for its call; who reads an output again
//! from where it is saved waits for that save in any case. What a node confirms is confirmed after its last save, and it is
//! finished after that.
//!
//! Invariants, each a law in `tests/laws.rs`: at most one attempt of a task is live; a task that was dispatched and not
//! started can be withdrawn without an answer, one that was started or sent always gets one; a dataset's count of readers reaches
//! zero exactly when each reader has read or never will; when nothing is live, queued or waiting for a deadline, every node
//! is final and the run closes.

mod ahead;
mod close;
mod confirm;
mod flow;
mod outcome;
mod queue;
mod tasks;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use crate::action::{AbortReason, Action, Happening, RunState, SkipReason};
use crate::event::Event;
use crate::failure::Failure;
use crate::id::{Attempt, DatasetId, IdVec, NodeId, TaskId, Time};
use crate::plan::{Plan, TaskKind};
use crate::policy::RunPolicy;
use crate::report::{DatasetCounts, FailureReport, NodeState};
use crate::retain::Readers;

use queue::Queue;

/// One run of a plan: takes what happened, gives what to do. About 80 bytes a node.
#[derive(Clone, Debug)]
pub struct Run {
    plan: Arc<Plan>,
    policy: RunPolicy,
    stage: Stage,
    nodes: IdVec<NodeId, NodeRun>,
    tasks: IdVec<TaskId, TaskRun>,
    readers: Readers,
    /// Tasks that may go as soon as fewer than `tasks_max` are live: highest priority first, then lowest node, its
    /// load before its call before its save.
    queue: Queue,
    /// Deadlines of attempts and of waits for a retry; those that no longer matter are dropped when they come up.
    timers: BinaryHeap<Reverse<(Time, TaskId, Attempt, Deadline)>>,
    run_deadline: Option<Time>,
    /// The last failure of tasks that are tried again.
    last_failures: BTreeMap<TaskId, Arc<Failure>>,
    /// Tasks dispatched and not ended.
    live: u32,
    /// Tasks that wait for a retry.
    backing_off: u32,
    /// Nodes that are not final.
    open_nodes: u32,
    /// Nodes that finished.
    finished_nodes: u32,
    /// Calls that were sent before they were dispatched, and still are not.
    ahead: u32,
    failures: Vec<FailureReport>,
    cancel_reason: Option<String>,
    /// Whether some node was skipped or stopped because the run was cancelled.
    cut_short: bool,
    /// What nodes are told that are stopped once nothing may go on.
    cut_because: SkipReason,
    datasets: DatasetCounts,
    started: Time,
    last: Time,
}

/// How far the run is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Created,
    Running,
    /// Something failed; no new node starts.
    Stopping,
    /// Cancelled or out of time; nothing new starts, what runs is aborted.
    Cancelling,
    Closed(RunState),
}

#[derive(Clone, Copy, Debug)]
struct NodeRun {
    state: NodeState,
    /// Datasets that other nodes must still make for it.
    inputs_left: u32,
    /// Loads it waits for; counted once `inputs_left` is zero.
    loads_left: u32,
    /// Saves of its outputs that have not ended.
    saves_left: u32,
    /// How many of the datasets that it confirms are.
    confirmed: u32,
    ended: Time,
}

#[derive(Clone, Copy, Debug)]
struct TaskRun {
    state: TaskState,
    /// The number of the latest attempt; 0 before the first.
    attempt: Attempt,
    /// Whether it lies with a worker, begun or not, dispatched or about to be.
    sent: bool,
    /// How many attempts came to a worker.
    starts: u32,
    worker: u32,
    started: Time,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum TaskState {
    Idle,
    Queued,
    Dispatched,
    /// To be taken back from the worker it lies with; if that has begun with it, it is told of as begun.
    Recalled(AbortReason),
    Running,
    Aborting(AbortReason),
    Backoff,
    Done,
    Failed,
    Withdrawn,
}

/// What a deadline is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Deadline {
    /// The attempt has run for as long as it may.
    Timeout,
    /// The wait before the next attempt is over.
    Retry,
}

impl TaskState {
    /// Says whether a deadline still matters in this state.
    fn awaits(self, deadline: Deadline) -> bool {
        match deadline {
            Deadline::Timeout => self == Self::Running,
            Deadline::Retry => self == Self::Backoff,
        }
    }

    fn is_live(self) -> bool {
        matches!(self, Self::Dispatched | Self::Recalled(_) | Self::Running | Self::Aborting(_))
    }

    fn is_started(self) -> bool {
        matches!(self, Self::Running | Self::Aborting(_))
    }
}

impl Run {
    /// Makes a run that has not started.
    pub fn new(plan: Arc<Plan>, policy: RunPolicy) -> Self {
        let made = |node: NodeId| plan.reads(node).iter().filter(|&&dataset| plan.maker(dataset).is_some()).count();
        let nodes: Vec<NodeRun> = (plan.nodes())
            .map(|node| NodeRun {
                state: NodeState::Waiting,
                inputs_left: u32::try_from(made(node.id)).unwrap_or(u32::MAX),
                loads_left: 0,
                saves_left: 0,
                confirmed: 0,
                ended: Time(0),
            })
            .collect();
        let idle = TaskRun {
            state: TaskState::Idle,
            attempt: Attempt(0),
            sent: false,
            starts: 0,
            worker: 0,
            started: Time(0),
        };
        Self {
            open_nodes: u32::try_from(nodes.len()).unwrap_or(u32::MAX),
            nodes: IdVec::new(nodes),
            tasks: IdVec::new(vec![idle; plan.task_count()]),
            readers: Readers::new(&plan),
            queue: Queue::default(),
            timers: BinaryHeap::new(),
            run_deadline: None,
            last_failures: BTreeMap::new(),
            live: 0,
            backing_off: 0,
            ahead: 0,
            failures: Vec::new(),
            cancel_reason: None,
            cut_short: false,
            cut_because: SkipReason::RunCancelled,
            finished_nodes: 0,
            datasets: DatasetCounts::default(),
            started: Time(0),
            last: Time(0),
            stage: Stage::Created,
            plan,
            policy,
        }
    }

    /// Takes one event and appends what follows from it. Cannot fail: what does not fit the state is ignored.
    ///
    /// The time of an event may not be before that of the one before it; if it is, the later of the two counts.
    pub fn on(&mut self, event: Event, now: Time, actions: &mut Vec<Action>) {
        if matches!(self.stage, Stage::Closed(_)) {
            return;
        }
        let now = now.max(self.last);
        self.last = now;
        let plan = Arc::clone(&self.plan);
        let step = &mut Step { now, plan: &plan, actions };
        match event {
            Event::Start => self.start(step),
            Event::Started { task, attempt, worker } => {
                let is_recalled = self.is_recalled(task, attempt);
                self.task_started(task, attempt, worker, step);
                self.stop_recalled(task, is_recalled, step);
            }
            Event::Finished { task, attempt, worker } => self.task_finished(task, attempt, worker, step),
            Event::Failed { task, attempt, worker, failure } => {
                self.task_failed(task, attempt, worker, *failure, step);
            }
            Event::Sent { task, attempt } => drop(self.sent(task, attempt)),
            Event::TakenBack { task, attempt } => self.taken_back(task, attempt, step),
            Event::Cancel { reason } => self.cancel(reason, step),
            Event::Tick => self.tick(step),
        }
        self.pump(step);
        self.drop_stale_timers();
        self.close_if_over(step);
    }

    /// Changes how many tasks may be live at a time, from the next event on. No effect where that is not bounded.
    pub fn set_tasks_max(&mut self, tasks_max: u32) {
        if let Some(bound) = &mut self.policy.tasks_max {
            *bound = tasks_max;
        }
    }

    /// Says whether an attempt that was dispatched may still begin. Ask before telling a worker.
    pub fn is_wanted(&self, task: TaskId, attempt: Attempt) -> bool {
        self.tasks.get(task).is_some_and(|run| run.attempt == attempt && run.state == TaskState::Dispatched)
    }

    /// Says whether a worker that is at this attempt is to stop: it was asked to, or nobody wants the attempt any more. An
    /// [`Action::Abort`] may come to a worker that has begun meanwhile with what was only asked back; then this tells.
    pub fn is_to_stop(&self, task: TaskId, attempt: Attempt) -> bool {
        !self.is_live(task, attempt)
            || self.tasks.get(task).is_some_and(|run| matches!(run.state, TaskState::Aborting(_)))
    }

    /// Says whether an attempt is dispatched or under way, so that its result still counts.
    pub fn is_live(&self, task: TaskId, attempt: Attempt) -> bool {
        self.tasks.get(task).is_some_and(|run| run.attempt == attempt && run.state.is_live())
    }

    /// Gives the moment at which [`Event::Tick`] is due; nothing when no time is being watched.
    pub fn next_deadline(&self) -> Option<Time> {
        if matches!(self.stage, Stage::Closed(_)) {
            return None;
        }
        let timer = self.timers.peek().map(|Reverse((time, ..))| *time);
        [timer, self.run_deadline].into_iter().flatten().min()
    }

    /// Gives how the run ended; nothing while it has not.
    pub fn state(&self) -> Option<RunState> {
        match self.stage {
            Stage::Closed(state) => Some(state),
            _ => None,
        }
    }

    /// Gives the state of one node; nothing when the id is not one of the plan's.
    pub fn node_state(&self, node: NodeId) -> Option<NodeState> {
        self.nodes.get(node).map(|node| node.state)
    }

    /// Counts the tasks that failed and wait for their next attempt.
    pub fn backing_off(&self) -> u32 {
        self.backing_off
    }

    /// Counts the readers of a dataset that are still to come, or at it.
    pub fn pending_readers(&self, dataset: DatasetId) -> u32 {
        self.readers.pending(dataset)
    }

    /// Gives the plan it runs.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Gives how it is carried out.
    pub fn policy(&self) -> &RunPolicy {
        &self.policy
    }

    /// Says what a task does; only for ids that were looked up before.
    fn kind(&self, task: TaskId) -> Option<TaskKind> {
        self.plan.task(task)
    }
}

/// One step: its time, the plan, and the list that it appends to.
struct Step<'l> {
    now: Time,
    plan: &'l Plan,
    actions: &'l mut Vec<Action>,
}

impl Step<'_> {
    fn emit(&mut self, happening: Happening) {
        self.actions.push(Action::Emit(happening));
    }
}
