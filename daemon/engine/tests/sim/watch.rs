//! The laws, kept by someone who saw only events and actions. It shares no code with the engine's state machine.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use engine::action::{AbortReason, Action, Happening, RunState, SkipReason};
use engine::event::Event;
use engine::id::{Attempt, DatasetId, NodeId, TaskId};
use engine::plan::{Plan, TaskKind};
use engine::policy::{OnFailure, RunPolicy};
use engine::report::{Failed, NodeState};
use engine::run::Run;

/// How far a live attempt is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sign {
    Dispatched,
    Sent,
    Recalled,
    Started,
}

pub struct Watch {
    plan: Arc<Plan>,
    policy: RunPolicy,
    live: BTreeMap<TaskId, (Attempt, Sign)>,
    /// Calls that were sent before they were dispatched.
    pub ahead: usize,
    attempts: BTreeMap<TaskId, u32>,
    done: BTreeSet<TaskId>,
    exists: BTreeSet<DatasetId>,
    released: BTreeSet<DatasetId>,
    cancelled: bool,
    stopped: bool,
    closed: Option<RunState>,
    happenings: Vec<Happening>,
}

impl Watch {
    pub fn new(plan: Arc<Plan>, policy: RunPolicy) -> Self {
        Self {
            plan,
            policy,
            live: BTreeMap::new(),
            ahead: 0,
            attempts: BTreeMap::new(),
            done: BTreeSet::new(),
            exists: BTreeSet::new(),
            released: BTreeSet::new(),
            cancelled: false,
            stopped: false,
            closed: None,
            happenings: Vec::new(),
        }
    }

    pub fn live(&self) -> usize {
        self.live.len()
    }

    pub fn live_attempts(&self) -> impl Iterator<Item = (TaskId, Attempt)> + '_ {
        self.live.iter().map(|(task, (attempt, _))| (*task, *attempt))
    }

    /// Whether something must abort the task in time.
    pub fn has_timeout(&self, task: TaskId) -> bool {
        let policy = match self.plan.task(task) {
            Some(TaskKind::Call(node)) => self.plan.policy(node),
            Some(TaskKind::Save(dataset)) => self.plan.policy(self.plan.producer(dataset).expect("a maker")),
            Some(TaskKind::Confirm(dataset)) => self.plan.policy(self.plan.confirmer(dataset).expect("a confirmer")),
            _ => self.plan.default_policy(),
        };
        policy.timeout_us.is_some() || self.policy.timeout_us.is_some()
    }

    /// Takes note of an event; ends count only for attempts that were live.
    pub fn saw(&mut self, event: &Event, live: Vec<(TaskId, Attempt)>) {
        match *event {
            Event::Started { task, attempt, .. } if live.contains(&(task, attempt)) => {
                self.live.insert(task, (attempt, Sign::Started));
            }
            Event::Sent { task, attempt } if live.contains(&(task, attempt)) => {
                self.live.insert(task, (attempt, Sign::Sent));
            }
            Event::TakenBack { task, attempt } if live.contains(&(task, attempt)) => {
                let before = self.live.insert(task, (attempt, Sign::Dispatched));
                if before == Some((attempt, Sign::Recalled)) {
                    self.withdraw(task);
                }
            }
            Event::Finished { task, attempt, .. } if live.contains(&(task, attempt)) => {
                self.live.remove(&task);
                self.done.insert(task);
                match self.plan.task(task) {
                    Some(TaskKind::Load(dataset)) => drop(self.exists.insert(dataset)),
                    Some(TaskKind::Call(node)) => {
                        self.exists.extend(self.plan.makes(node).filter(|&made| !self.plan.is_chunked(made)));
                    }
                    _ => {}
                }
            }
            Event::Failed { task, attempt, .. } if live.contains(&(task, attempt)) => {
                self.live.remove(&task);
            }
            Event::Cancel { .. } => self.cancelled = true,
            _ => {}
        }
    }

    /// Checks one action against everything seen so far.
    pub fn must_allow(&mut self, action: &Action, run: &Run) {
        assert!(self.closed.is_none(), "after the close came {action:?}");
        match *action {
            Action::Dispatch { task, attempt } => self.must_allow_dispatch(task, attempt),
            Action::Abort { task, attempt, reason } => match self.live.get(&task) {
                Some(&(live, sign)) if live == attempt => {
                    assert!(reason != AbortReason::Stale, "a live attempt is called stale");
                    match sign {
                        Sign::Dispatched => self.withdraw(task),
                        Sign::Sent => drop(self.live.insert(task, (attempt, Sign::Recalled))),
                        Sign::Recalled => panic!("asked back twice"),
                        Sign::Started => {}
                    }
                }
                _ => assert_eq!(reason, AbortReason::Stale, "what is aborted is not live"),
            },
            Action::Release { dataset } => {
                assert!(self.exists.contains(&dataset), "{dataset:?} is released and never existed");
                assert!(self.released.insert(dataset), "{dataset:?} is released twice");
                let view = self.plan.dataset(dataset).expect("a dataset of the plan");
                assert!(!view.is_output, "an output of the pipeline is released");
                assert!(self.readers_done(dataset, run), "{dataset:?} is released before its last reader is done");
            }
            Action::Emit(ref happening) => {
                if let Happening::NodeSkipped { because: SkipReason::RunStopped, .. } = happening {
                    self.stopped = true;
                }
                self.happenings.push(happening.clone());
            }
            Action::Close { state } => {
                assert!(self.live.is_empty() && self.ahead == 0, "closed while something is live");
                self.closed = Some(state);
            }
        }
    }

    /// A call that was sent ahead is dispatched, as the run says.
    pub fn saw_ahead_dispatched(&mut self, task: TaskId, attempt: Attempt) {
        let attempts = self.attempts.entry(task).or_default();
        *attempts += 1;
        assert_eq!(Attempt(*attempts), attempt, "attempts are counted one by one");
        assert!(!self.done.contains(&task) && !self.live.contains_key(&task), "{task:?} is dispatched again");
        let Some(TaskKind::Call(node)) = self.plan.task(task) else { panic!("only calls are sent ahead") };
        let there = |dataset: &DatasetId| self.exists.contains(dataset) && !self.released.contains(dataset);
        assert!(self.plan.reads(node).iter().all(there), "{node:?} starts before its inputs exist");
        self.live.insert(task, (attempt, Sign::Sent));
    }

    fn withdraw(&mut self, task: TaskId) {
        self.live.remove(&task);
        self.attempts.entry(task).and_modify(|attempts| *attempts -= 1);
    }

    fn must_allow_dispatch(&mut self, task: TaskId, attempt: Attempt) {
        assert!(!self.live.contains_key(&task), "two live attempts of {task:?}");
        assert!(!self.done.contains(&task), "{task:?} is done and dispatched again");
        assert!(!self.cancelled, "something starts after the run was cancelled");
        self.live.insert(task, (attempt, Sign::Dispatched));
        let attempts = self.attempts.entry(task).or_default();
        *attempts += 1;
        assert_eq!(Attempt(*attempts), attempt, "attempts are counted one by one");
        let there = |dataset: &DatasetId| self.exists.contains(dataset) && !self.released.contains(dataset);
        let retries = match self.plan.task(task).expect("a task of the plan") {
            TaskKind::Load(dataset) => {
                assert!(!self.exists.contains(&dataset), "{dataset:?} is loaded twice");
                assert!(!self.stopped, "a load starts after the run was stopped");
                if let Some(origin) = self.plan.origin(dataset) {
                    let save = self.plan.task_of(origin).or_else(|| self.plan.call_of(self.plan.producer(origin)?));
                    let save = save.expect("what is read again is saved, if by the call that makes it");
                    assert!(self.done.contains(&save), "{dataset:?} is read again before it is saved");
                    let maker = self.plan.maker(dataset).expect("someone made it");
                    let saved = self.saves_of(maker).all(|save| self.done.contains(&save));
                    assert!(self.policy.asynchronous_saves || saved, "{dataset:?} is read before its maker is done");
                }
                self.plan.default_policy().retries
            }
            TaskKind::Call(node) => {
                assert!(self.plan.reads(node).iter().all(there), "{node:?} starts before its inputs exist");
                assert!(!self.stopped, "a node starts after the run was stopped");
                let saved = |dataset: &DatasetId| {
                    let maker = self.plan.producer(*dataset);
                    let rest = |maker| self.saves_of(maker).chain(self.confirms_of(maker));
                    maker.is_none_or(|maker| rest(maker).all(|task| self.done.contains(&task)))
                };
                let waited = self.policy.asynchronous_saves || self.plan.reads(node).iter().all(saved);
                assert!(waited, "{node:?} starts before what it reads is saved");
                self.plan.policy(node).retries
            }
            TaskKind::Save(dataset) => {
                assert!(there(&dataset), "{dataset:?} is saved and does not exist");
                self.plan.policy(self.plan.producer(dataset).expect("a maker")).retries
            }
            TaskKind::Confirm(dataset) => {
                let node = self.plan.confirmer(dataset).expect("a confirmer");
                assert!(self.exists.contains(&dataset), "{dataset:?} is confirmed and nobody looked it up");
                assert!(self.done.contains(&TaskId(node.0)), "{dataset:?} is confirmed before the call");
                assert!(self.saves_of(node).all(|save| self.done.contains(&save)), "{dataset:?} is confirmed unsaved");
                self.plan.policy(node).retries
            }
        };
        assert!(attempt.0 <= retries + 1, "{task:?} is tried {attempt} times, with {retries} retries");
        if let Some(bound) = self.policy.tasks_max {
            assert!(self.live.len() <= bound.max(1) as usize, "more tasks are live than may be");
        }
    }

    fn confirms_of(&self, node: NodeId) -> impl Iterator<Item = TaskId> + '_ {
        self.plan.confirms(node).iter().filter_map(|&dataset| self.plan.confirm_of(dataset))
    }

    fn saves_of(&self, node: NodeId) -> impl Iterator<Item = TaskId> + '_ {
        self.plan.makes(node).filter_map(|dataset| self.plan.task_of(dataset))
    }

    /// Whether each reader has read or never will.
    fn readers_done(&self, dataset: DatasetId, run: &Run) -> bool {
        let read = |node: &NodeId| {
            self.done.contains(&TaskId(node.0)) || run.node_state(*node).is_some_and(NodeState::is_final)
        };
        let save = self.plan.producer(dataset).and_then(|maker| Some((maker, self.plan.task_of(dataset)?)));
        let saved = save.is_none_or(|(maker, save)| {
            let given_up = run.node_state(maker).is_some_and(NodeState::is_final) && !self.live.contains_key(&save);
            self.done.contains(&save) || given_up
        });
        self.plan.consumers(dataset).iter().all(read) && saved
    }

    /// What must hold whenever the run has answered.
    pub fn after_step(&self, run: &Run) {
        for dataset in self.exists.difference(&self.released) {
            let view = self.plan.dataset(*dataset).expect("a dataset of the plan");
            // A save that waits for its retry, with its node failed through another save, still reads.
            let retrying =
                view.producer.is_some() && self.plan.task_of(*dataset).is_some_and(|save| !self.done.contains(&save));
            let due = !view.is_output && !retrying && self.readers_done(*dataset, run);
            assert!(!due, "{} has no reader left and is not released", view.name);
        }
        let (loads, calls, saves) = run.live_tasks();
        assert_eq!(loads + calls + saves, self.live.len(), "the run counts other live tasks than were dispatched");
        if run.state().is_none() && !self.happenings.is_empty() {
            assert!(
                !self.live.is_empty() || self.ahead > 0 || run.next_deadline().is_some(),
                "nothing will ever happen again"
            );
        }
        let report = run.report();
        let counts = report.counts;
        assert_eq!(counts.total as usize, self.plan.node_count());
        let sum = counts.waiting + counts.running + counts.finished + counts.failed + counts.skipped + counts.cancelled;
        assert_eq!(sum, counts.total, "the report does not add up: {counts:?}");
        assert_eq!(report.datasets.released as usize, self.released.len());
    }

    /// What must hold at the end.
    pub fn at_end(&self, run: &Run) {
        let state = self.closed.expect("the run closed");
        assert_eq!(run.state(), Some(state));
        let report = run.report();
        let counts = report.counts;
        assert_eq!(counts.waiting + counts.running, 0, "a node is left open");
        let kept = |dataset: &DatasetId| self.plan.dataset(*dataset).expect("a dataset").is_output;
        assert!(
            self.exists.iter().all(|dataset| kept(dataset) || self.released.contains(dataset)),
            "a block is left over"
        );
        assert_eq!(state == RunState::Succeeded, counts.finished == counts.total && report.failures.is_empty());
        assert!(state != RunState::Cancelled || self.cancelled);
        assert!(state != RunState::Failed || !report.failures.is_empty());
        for node in &report.nodes {
            let rest = self.saves_of(node.node).chain(self.confirms_of(node.node));
            let finished =
                self.done.contains(&TaskId(node.node.0)) && rest.into_iter().all(|task| self.done.contains(&task));
            assert_eq!(node.state == NodeState::Finished, finished, "{node:?}");
        }
        if !self.stopped && !self.cancelled && self.policy.timeout_us.is_none() {
            self.skipped_exactly_descendants(run);
        }
        self.told_everything(run);
    }

    /// With nothing cut short, a node is skipped exactly when something it needs failed.
    fn skipped_exactly_descendants(&self, run: &Run) {
        let report = run.report();
        let mut lost: BTreeSet<DatasetId> = BTreeSet::new();
        let all_of = |node: NodeId| {
            let made = self.plan.makes(node);
            made.flat_map(|dataset| std::iter::once(dataset).chain(self.plan.again(dataset).iter().copied()))
        };
        for failure in &report.failures {
            match failure.what {
                Failed::Call(node) => lost.extend(all_of(node)),
                Failed::Dataset { node: Some(_), dataset, .. } if self.policy.asynchronous_saves => {
                    lost.extend(self.plan.again(dataset));
                }
                Failed::Dataset { node: Some(node), .. } => lost.extend(all_of(node)),
                Failed::Dataset { dataset, node: None, .. } => drop(lost.insert(dataset)),
                Failed::Run => panic!("the run itself failed: {report:?}"),
            }
        }
        for node in &report.nodes {
            let blocked = self.plan.reads(node.node).iter().any(|dataset| lost.contains(dataset));
            let skipped =
                matches!(node.state, NodeState::Skipped(SkipReason::NodeFailed(_) | SkipReason::LoadFailed(_)));
            assert_eq!(blocked, skipped, "{node:?}");
            if skipped {
                // Nodes come in topological order, so what is lost by this one is known before its readers are looked at.
                lost.extend(all_of(node.node));
            }
        }
    }

    /// Listeners heard of every end, once, in an order that makes sense.
    fn told_everything(&self, run: &Run) {
        let mut started = BTreeSet::new();
        let mut finished = BTreeSet::new();
        let mut skipped = BTreeSet::new();
        let mut failed = BTreeSet::new();
        let last = self.happenings.last();
        assert!(matches!(last, Some(Happening::RunFinished { .. })), "the last thing told is {last:?}");
        for happening in &self.happenings {
            match *happening {
                Happening::NodeStarted { node, attempt, .. } => {
                    assert!(started.insert((node, attempt)), "attempt {attempt} of {node:?} started twice");
                }
                Happening::NodeFinished { node, attempt, .. } | Happening::NodeFailed { node, attempt, .. } => {
                    assert!(
                        started.contains(&(node, attempt)),
                        "attempt {attempt} of {node:?} ended, and was not told to start"
                    );
                }
                _ => {}
            }
            match *happening {
                Happening::NodeFinished { node, .. } => assert!(finished.insert(node), "{node:?} finished twice"),
                Happening::NodeSkipped { node, .. } => assert!(skipped.insert(node), "{node:?} skipped twice"),
                Happening::NodeFailed { node, will_retry_in_ms: None, .. } => {
                    assert!(failed.insert(node), "{node:?} failed twice for good");
                }
                _ => {}
            }
        }
        for node in &run.report().nodes {
            let told = match node.state {
                NodeState::Finished => &finished,
                // A node that waited for a retry when the run was cut short is told as skipped.
                NodeState::Failed if !failed.contains(&node.node) => &skipped,
                NodeState::Failed => &failed,
                _ => &skipped,
            };
            assert!(told.contains(&node.node), "nobody was told of {node:?}");
        }
        assert!(finished.is_disjoint(&skipped) && finished.is_disjoint(&failed));
        let policy = self.policy.on_failure;
        let explicit = |node: NodeId| self.plan.policy(node).on_failure.unwrap_or(policy);
        let stops = run.report().failures.iter().any(|failure| match failure.what {
            Failed::Call(node) | Failed::Dataset { node: Some(node), .. } => explicit(node) == OnFailure::Stop,
            Failed::Dataset { node: None, .. } => policy == OnFailure::Stop,
            Failed::Run => true,
        });
        assert!(!self.stopped || stops, "the run stopped and nothing asked for that");
    }
}
