//! When nodes start, when blocks go, and what is told meanwhile, watched step by step.

use std::collections::BTreeSet;
use std::sync::Arc;

use engine::action::{Action, Happening, RunState};
use engine::event::Event;
use engine::id::{Attempt, DatasetId, NodeId, TaskId, Time};
use engine::plan::{Plan, TaskKind};
use engine::policy::RunPolicy;
use engine::report::NodeState;
use engine::run::Run;
use proptest::prelude::*;

use super::sim::{Dice, pipeline::drafts};

/// A run in which everything goes well, whose tasks end in an order of chance.
struct Play {
    plan: Arc<Plan>,
    run: Run,
    dice: Dice,
    dispatched: Vec<(TaskId, Attempt)>,
    done: BTreeSet<TaskId>,
}

impl Play {
    fn new(plan: Arc<Plan>, policy: RunPolicy, seed: u64) -> Self {
        let run = Run::new(Arc::clone(&plan), policy);
        Self { plan, run, dice: Dice::new(seed), dispatched: Vec::new(), done: BTreeSet::new() }
    }

    /// Plays to the end; `look` sees the task that ended (none for the start) and what followed.
    fn through(&mut self, mut look: impl FnMut(&Play, Option<TaskId>, &[Action])) {
        let mut actions = Vec::new();
        self.run.on(Event::Start, Time(0), &mut actions);
        let mut ended = None;
        loop {
            for action in &actions {
                if let Action::Dispatch { task, attempt } = action {
                    self.dispatched.push((*task, *attempt));
                }
            }
            look(self, ended, &actions);
            if self.run.state().is_some() {
                break;
            }
            let (task, attempt) = self.dispatched.swap_remove(self.dice.below(self.dispatched.len()));
            self.done.insert(task);
            ended = Some(task);
            actions.clear();
            self.run.on(Event::Finished { task, attempt, worker: 0 }, Time(0), &mut actions);
        }
        assert_eq!(self.run.state(), Some(RunState::Succeeded));
    }

    fn state(&self, node: NodeId) -> NodeState {
        self.run.node_state(node).unwrap()
    }

    fn is_done(&self, task: Option<TaskId>) -> bool {
        task.is_some_and(|task| self.done.contains(&task))
    }

    /// Whether a node may read it.
    fn is_there(&self, dataset: DatasetId) -> bool {
        match self.plan.producer(dataset) {
            Some(maker) => self.state(maker) == NodeState::Finished,
            None => self.is_done(self.plan.task_of(dataset)),
        }
    }

    /// Whether each node that reads it has been called, and it has been saved where it is made and persisted.
    fn is_read(&self, dataset: DatasetId) -> bool {
        let view = self.plan.dataset(dataset).unwrap();
        let saved = view.producer.is_none() || view.storage.is_none() || self.is_done(self.plan.task_of(dataset));
        saved && view.consumers.iter().all(|&reader| self.is_done(self.plan.call_of(reader)))
    }
}

fn sequential() -> RunPolicy {
    RunPolicy { tasks_max: Some(1), ..RunPolicy::default() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn parity_r1_a_node_starts_as_soon_as_its_inputs_are_there(draft in drafts(12), seed in any::<u64>()) {
        Play::new(draft.plan(), RunPolicy::default(), seed).through(|play, _, _| {
            for node in play.plan.nodes() {
                let there = play.plan.reads(node.id).iter().all(|&dataset| play.is_there(dataset));
                assert_eq!(play.state(node.id) != NodeState::Waiting, there, "{}", node.name);
                let dispatched = play.dispatched.iter().any(|(task, _)| Some(*task) == play.plan.call_of(node.id));
                assert_eq!(play.state(node.id) == NodeState::Ready, dispatched, "{}", node.name);
            }
        });
    }

    #[test]
    fn parity_r8_a_block_goes_with_its_last_reader(draft in drafts(12), seed in any::<u64>(), asynchronous in any::<bool>()) {
        let policy = RunPolicy { asynchronous_saves: asynchronous, ..RunPolicy::default() };
        let mut live: BTreeSet<DatasetId> = BTreeSet::new();
        let plan = draft.plan();
        Play::new(Arc::clone(&plan), policy, seed).through(|play, ended, actions| {
            match ended.and_then(|task| play.plan.task(task)) {
                // What is saved chunk by chunk never is a block.
                Some(TaskKind::Call(node)) => {
                    live.extend(play.plan.makes(node).filter(|&made| !play.plan.is_chunked(made)));
                }
                Some(TaskKind::Load(dataset)) => drop(live.insert(dataset)),
                Some(TaskKind::Save(_) | TaskKind::Confirm(_)) | None => {}
            }
            for action in actions {
                if let Action::Release { dataset } = action {
                    assert!(live.remove(dataset), "released twice, or never there");
                    assert!(!play.plan.dataset(*dataset).unwrap().is_output);
                    assert!(play.is_read(*dataset), "released too early");
                }
            }
            for &dataset in &live {
                let view = play.plan.dataset(dataset).unwrap();
                assert!(view.is_output || !play.is_read(dataset), "{} is kept longer than it is read", view.name);
            }
        });
        let outputs = plan.datasets().filter(|dataset| dataset.is_output && !plan.is_chunked(dataset.id));
        let outputs: BTreeSet<DatasetId> = outputs.map(|dataset| dataset.id).collect();
        prop_assert_eq!(live, outputs);
    }

    #[test]
    fn parity_r17_one_after_the_other_in_layers_then_by_name(draft in drafts(12), seed in any::<u64>()) {
        let plan = draft.plan();
        let mut order = Vec::new();
        Play::new(Arc::clone(&plan), sequential(), seed).through(|play, ended, _| {
            assert!(play.dispatched.len() <= 1);
            if let Some(TaskKind::Call(node)) = ended.and_then(|task| play.plan.task(task)) {
                order.push(node);
            }
        });
        let mut expected: Vec<NodeId> = plan.nodes().map(|node| node.id).collect();
        expected.sort_by_key(|&node| plan.node(node).map(|node| (node.layer, node.name)));
        prop_assert_eq!(order, expected);
    }

    #[test]
    fn parity_r21_completed_n_of_m(draft in drafts(12), seed in any::<u64>()) {
        let plan = draft.plan();
        let mut told = Vec::new();
        Play::new(Arc::clone(&plan), RunPolicy::default(), seed).through(|_, _, actions| {
            for action in actions {
                if let Action::Emit(Happening::NodeFinished { finished, .. }) = action {
                    told.push(*finished as usize);
                }
            }
        });
        prop_assert_eq!(told, (1..=plan.node_count()).collect::<Vec<_>>());
    }
}
