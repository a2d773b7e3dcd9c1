//! Somebody who knows the pipeline and sees nothing but the events of its run: whether they can be true, and whether the report
//! says the same. Shares no code with the daemon.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{
    DatasetOperation, EventKind, Failure, FailureKind, NodeState, OnFailure, RunDetail, RunEvent, RunState,
};

use super::pipeline::{Node, Pipeline};

const SIGKILL: i32 = 9;

/// Fails with a text unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($text:tt)+) => {
        if !$condition {
            return Err(format!($($text)+));
        }
    };
}

/// What was done to the run from outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Disturbance {
    /// It was asked to stop.
    pub is_cancelled: bool,
    /// Workers were killed meanwhile, whoever's node they were at.
    pub has_kills: bool,
}

/// What the events of one run have told so far.
pub struct Watch<'a> {
    pipeline: &'a Pipeline,
    disturbance: Disturbance,
    nodes: BTreeMap<&'a str, Told>,
    loaded: BTreeSet<String>,
    saved: BTreeSet<String>,
    released: BTreeMap<String, u32>,
    /// Datasets that could not be loaded.
    lost: BTreeSet<String>,
    /// Datasets of which a save failed; it may have been tried again.
    unsaved: BTreeSet<String>,
    failures: usize,
    finished: u64,
    /// Whether a failure has stopped the run.
    is_stopped: bool,
    /// Attempts, loads and saves that a kill ended.
    kills: u64,
    end: Option<RunState>,
}

/// What was told of one node.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told {
    /// How often its call began.
    pub starts: u32,
    /// How many of these failed.
    pub failed: u32,
    /// How many of these were ended by a kill.
    pub killed: u32,
    /// The last attempt.
    attempt: u32,
    is_live: bool,
    /// How it ended.
    pub end: Option<End>,
}

/// How a node ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Well.
    Finished,
    /// Badly.
    Failed,
    /// It did not begin, or did not come to its end.
    Skipped,
}

impl<'a> Watch<'a> {
    /// One who has seen nothing yet.
    pub fn new(pipeline: &'a Pipeline, disturbance: Disturbance) -> Self {
        Self {
            pipeline,
            disturbance,
            nodes: pipeline.nodes.iter().map(|node| (node.name.as_str(), Told::default())).collect(),
            loaded: BTreeSet::new(),
            saved: BTreeSet::new(),
            released: BTreeMap::new(),
            lost: BTreeSet::new(),
            unsaved: BTreeSet::new(),
            failures: 0,
            finished: 0,
            is_stopped: false,
            kills: 0,
            end: None,
        }
    }

    /// What was told of each node.
    pub fn nodes(&self) -> impl Iterator<Item = (&'a Node, Told)> + '_ {
        self.pipeline.nodes.iter().map(|node| (node, self.nodes[node.name.as_str()]))
    }

    /// How many attempts, loads and saves were ended by a kill.
    pub fn kills(&self) -> u64 {
        self.kills
    }

    /// Whether something other than a lost input may have kept nodes from running.
    fn is_cut_short(&self) -> bool {
        self.is_stopped || self.disturbance.is_cancelled
    }

    /// Takes in all events of a run.
    pub fn see(&mut self, events: &[RunEvent]) -> Result<(), String> {
        for (index, event) in events.iter().enumerate() {
            let number = index as u64 + 1;
            ensure!(event.sequence == number, "event {} stands where {number} should: {event:?}", event.sequence);
            ensure!(self.end.is_none(), "after the end came {event:?}");
            let is_first = matches!(event.kind, EventKind::RunStarted { .. });
            // Hooks and the planner may have logged something before.
            ensure!(index == 0 || !is_first || self.nodes.values().all(|told| told.starts == 0), "it began twice");
            self.saw(&event.kind).map_err(|wrong| format!("event {number}: {wrong}"))?;
        }
        ensure!(self.end.is_some(), "its end was not told");
        Ok(())
    }

    fn saw(&mut self, event: &EventKind) -> Result<(), String> {
        match event {
            EventKind::RunStarted { nodes, .. } => {
                ensure!(*nodes == self.pipeline.nodes.len() as u64, "{nodes} nodes are announced");
            }
            EventKind::NodeStarted { node, attempt, .. } => self.started(node, *attempt)?,
            EventKind::NodeFinished { node, attempt, completed, total, .. } => {
                self.node_finished(node, *attempt)?;
                let expected = (self.finished, self.pipeline.nodes.len() as u64);
                ensure!((*completed, *total) == expected, "{completed} of {total} instead of {expected:?}");
            }
            EventKind::NodeFailed { node, attempt, failure, will_retry_in_ms } => {
                self.failed(node, *attempt, failure, will_retry_in_ms.is_some())?;
            }
            EventKind::NodeSkipped { node, .. } => self.skipped(node)?,
            EventKind::DatasetLoaded { dataset, .. } => {
                let known = self.dataset(dataset)?;
                ensure!(known.maker.is_none() || self.saved.contains(dataset), "{dataset} is loaded and was not saved");
                ensure!(known.maker.is_none() || known.is_reread, "{dataset} is loaded and need not be");
                ensure!(self.loaded.insert(dataset.clone()), "{dataset} is loaded twice");
            }
            EventKind::DatasetSaved { dataset, .. } => {
                let known = self.dataset(dataset)?;
                let maker = known.maker.as_deref().filter(|_| known.is_saved);
                let maker = maker.and_then(|maker| self.nodes.get(maker));
                ensure!(maker.is_some_and(|told| told.starts > 0), "{dataset} is saved, and nobody made it");
                ensure!(self.saved.insert(dataset.clone()), "{dataset} is saved twice");
            }
            EventKind::DatasetReleased { dataset } => self.was_released(dataset)?,
            EventKind::DatasetFailed { dataset, operation, failure, will_retry_in_ms } => {
                self.dataset_failed(dataset, *operation, failure, will_retry_in_ms.is_some())?;
            }
            EventKind::RunFinished { state, .. } => self.end = Some(*state),
            EventKind::Log { .. } | EventKind::NodeProgress { .. } => {}
            EventKind::DatasetConfirmed { .. } | EventKind::Missed { .. } | EventKind::Unknown => {
                return Err(format!("unexpected: {event:?}"));
            }
        }
        Ok(())
    }

    fn node(&self, name: &str) -> Result<(&'a Node, Told), String> {
        let node = self.pipeline.node(name).ok_or_else(|| format!("there is no node {name}"))?;
        Ok((node, self.nodes[node.name.as_str()]))
    }

    fn note(&mut self, node: &'a Node, told: Told) {
        self.nodes.insert(&node.name, told);
    }

    fn dataset(&self, name: &str) -> Result<&'a super::pipeline::Dataset, String> {
        self.pipeline.datasets.get(name).ok_or_else(|| format!("there is no dataset {name}"))
    }

    fn started(&mut self, name: &str, attempt: u32) -> Result<(), String> {
        let (node, mut told) = self.node(name)?;
        ensure!(!told.is_live, "{name} begins while it runs");
        ensure!(told.end.is_none(), "{name} begins after its end: {told:?}");
        ensure!(attempt == told.attempt + 1, "attempt {attempt} of {name} follows {}", told.attempt);
        for input in node.reads() {
            self.is_there(input).map_err(|why| format!("{name} begins before its input {input} is there: {why}"))?;
        }
        told.starts += 1;
        (told.attempt, told.is_live) = (attempt, true);
        self.note(node, told);
        Ok(())
    }

    fn is_there(&self, name: &str) -> Result<(), String> {
        let dataset = self.dataset(name)?;
        ensure!(!self.is_gone(name), "it was released");
        let Some(maker) = &dataset.maker else {
            ensure!(self.loaded.contains(name), "it was not loaded");
            return Ok(());
        };
        ensure!(!dataset.is_reread || self.loaded.contains(name), "it was not loaded again");
        let (maker, told) = self.node(maker)?;
        let saves = maker.makes().any(|made| self.pipeline.datasets[made].is_saved);
        // The end of a call whose output is still being saved is not told.
        let is_saving = saves && self.pipeline.submission.asynchronous_saves && told.starts > 0;
        ensure!(told.end == Some(End::Finished) || is_saving, "{} has not made it: {told:?}", maker.name);
        Ok(())
    }

    /// A dataset that is read again is two blocks, so it is released twice.
    fn is_gone(&self, name: &str) -> bool {
        let blocks = 1 + u32::from(self.pipeline.datasets[name].is_reread);
        self.released.get(name).is_some_and(|times| *times >= blocks)
    }

    fn was_released(&mut self, name: &str) -> Result<(), String> {
        let dataset = self.dataset(name)?;
        ensure!(!self.is_gone(name), "{name} is released once more");
        ensure!(dataset.is_read || dataset.is_saved, "{name} is an output and released");
        *self.released.entry(name.to_owned()).or_default() += 1;
        if !dataset.is_reread || self.is_gone(name) {
            for reader in self.pipeline.nodes.iter().filter(|node| node.reads().any(|read| read == name)) {
                let told = self.nodes[reader.name.as_str()];
                // Of one that ends the release is told first.
                let has_read = told.end.is_some() || told.is_live;
                ensure!(has_read, "{name} is released before {} has read it", reader.name);
            }
        }
        Ok(())
    }

    fn node_finished(&mut self, name: &str, attempt: u32) -> Result<(), String> {
        let (node, mut told) = self.node(name)?;
        ensure!(told.is_live && told.attempt == attempt, "attempt {attempt} of {name} ends, and it is {told:?}");
        let fault = node.fault_at(attempt);
        ensure!(fault.is_none(), "attempt {attempt} of {name} ends well instead of with {fault:?}");
        for made in node.makes() {
            let is_missing = self.pipeline.datasets[made].is_saved && !self.saved.contains(made);
            ensure!(!is_missing, "{name} is done before {made} is saved");
        }
        (told.is_live, told.end) = (false, Some(End::Finished));
        self.note(node, told);
        self.finished += 1;
        Ok(())
    }

    fn failed(&mut self, name: &str, attempt: u32, failure: &Failure, again: bool) -> Result<(), String> {
        let (node, mut told) = self.node(name)?;
        ensure!(told.end.is_none(), "{name} fails after its end: {told:?}");
        if failure.dataset.is_some() {
            // Its save failed, which was told before.
            ensure!(!again, "{name} is to run again because of a save");
        } else {
            let was_killed = self.was_killed(failure);
            // Some worker was gone before it could begin.
            let never_began = !told.is_live && was_killed && attempt == told.attempt + 1;
            ensure!(
                never_began || (told.is_live && attempt == told.attempt),
                "attempt {attempt} of {name} fails, and it is {told:?}: {failure:?}"
            );
            if !was_killed {
                let expected = node.fault_at(attempt).map(super::pipeline::Fault::failure);
                let is_expected = expected == Some((failure.kind, failure.signal));
                ensure!(is_expected, "attempt {attempt} of {name} ends with {failure:?} instead of {expected:?}");
            }
            told.starts += u32::from(never_began);
            told.failed += 1;
            told.killed += u32::from(was_killed);
            self.kills += u64::from(was_killed);
            let may_retry = attempt <= self.pipeline.retries_of(node);
            ensure!(!again || may_retry, "{name} is tried more than {} times", self.pipeline.retries_of(node) + 1);
            ensure!(again || !may_retry || self.is_cut_short(), "{name} is given up after attempt {attempt}");
        }
        (told.attempt, told.is_live) = (attempt, false);
        if !again {
            told.end = Some(End::Failed);
            self.failed_for_good(Some(node));
        }
        self.note(node, told);
        Ok(())
    }

    fn dataset_failed(
        &mut self,
        name: &str,
        operation: DatasetOperation,
        failure: &Failure,
        again: bool,
    ) -> Result<(), String> {
        self.dataset(name)?;
        ensure!(self.was_killed(failure), "{operation} of {name} fails: {failure:?}");
        self.kills += 1;
        if operation == DatasetOperation::Save {
            self.unsaved.insert(name.to_owned());
        }
        if !again && operation == DatasetOperation::Load {
            self.lost.insert(name.to_owned());
            self.failed_for_good(None);
        }
        Ok(())
    }

    fn failed_for_good(&mut self, node: Option<&Node>) {
        self.failures += 1;
        self.is_stopped |= self.pipeline.on_failure(node) == OnFailure::Stop;
    }

    fn was_killed(&self, failure: &Failure) -> bool {
        let by_signal = failure.kind == FailureKind::Signal && failure.signal == Some(SIGKILL);
        self.disturbance.has_kills && (by_signal || failure.kind == FailureKind::Spawn)
    }

    fn skipped(&mut self, name: &str) -> Result<(), String> {
        let (node, mut told) = self.node(name)?;
        ensure!(told.end.is_none(), "{name} is skipped after its end: {told:?}");
        ensure!(self.is_cut_short() || self.lacks_input(node), "{name} is skipped, and nothing it needs is missing");
        (told.is_live, told.end) = (false, Some(End::Skipped));
        self.note(node, told);
        Ok(())
    }

    fn lacks_input(&self, node: &Node) -> bool {
        node.reads().any(|input| {
            let maker = self.pipeline.datasets[input].maker.as_deref();
            let ended = maker.and_then(|maker| self.nodes[maker].end);
            self.lost.contains(input) || matches!(ended, Some(End::Failed | End::Skipped))
        })
    }

    /// Whether the report says what was told, and whether that is what should have come of this pipeline.
    pub fn check(&self, run: &RunDetail) -> Result<(), String> {
        let state = run.summary.state;
        ensure!(Some(state) == self.end, "the report says {state}, the last event {:?}", self.end);
        ensure!(run.nodes.len() == self.nodes.len(), "the report has {} nodes", run.nodes.len());
        let mut counts = [0_u64; 4];
        for detail in &run.nodes {
            let (node, told) = self.node(&detail.name)?;
            let says =
                format!("{} is {} after {} starts, and was told as {told:?}", node.name, detail.state, detail.attempts);
            let (index, fits) = match detail.state {
                NodeState::Succeeded => (0, told.end == Some(End::Finished)),
                // One that waited for another try, of its call or a save, when the run was cut short is told as skipped.
                NodeState::Failed => {
                    let waited = told.failed > 0 || node.makes().any(|made| self.unsaved.contains(made));
                    (1, told.end == Some(End::Failed) || (waited && told.end == Some(End::Skipped)))
                }
                NodeState::Skipped => (2, told.end == Some(End::Skipped) && told.starts == 0),
                NodeState::Cancelled => (3, told.end == Some(End::Skipped) && told.starts > 0),
                NodeState::Waiting | NodeState::Running | NodeState::Retrying => return Err(says),
            };
            ensure!(fits && detail.attempts == told.starts, "{says}");
            ensure!(
                (detail.state == NodeState::Failed) == detail.failure.is_some(),
                "{says}, with {:?}",
                detail.failure
            );
            counts[index] += 1;
        }
        let said = run.summary.counts;
        ensure!(
            [said.succeeded, said.failed, said.skipped, said.cancelled] == counts && said.waiting + said.running == 0,
            "the report counts {said:?} instead of {counts:?}"
        );
        let is_first = run.summary.cause.as_ref() == run.failures.first();
        ensure!(is_first || state == RunState::Cancelled, "its cause is not the first failure");
        ensure!(run.failures.len() >= self.failures, "{} failures are told of {}", run.failures.len(), self.failures);
        let all_finished = counts[0] == self.nodes.len() as u64;
        let fits = match state {
            RunState::Succeeded => all_finished && run.failures.is_empty(),
            RunState::Failed => !all_finished && !run.failures.is_empty(),
            RunState::Cancelled => !all_finished && self.disturbance.is_cancelled,
            RunState::Queued | RunState::Running | RunState::Interrupted => false,
        };
        ensure!(fits, "it {state} with {counts:?} and {} failures", run.failures.len());
        for (name, dataset) in self.pipeline.datasets.iter().filter(|(_, dataset)| dataset.is_read) {
            let maker = dataset.maker.as_deref().and_then(|maker| self.nodes[maker].end);
            let blocks = u32::from(maker == Some(End::Finished)) + u32::from(self.loaded.contains(name));
            let released = self.released.get(name).copied().unwrap_or(0);
            ensure!(released >= blocks, "{blocks} blocks of {name} were made, and {released} released");
        }
        let outputs = self.pipeline.datasets.values().filter(|dataset| !dataset.is_read).count() as u64;
        ensure!(run.blocks.live <= outputs, "{} blocks are left of {outputs} outputs", run.blocks.live);
        Ok(())
    }

    /// Whether the lines that nodes left are those of the attempts that were told.
    pub fn check_trace(&self, trace: &str) -> Result<(), String> {
        let mut lines = BTreeMap::<&str, u32>::new();
        trace.lines().for_each(|line| *lines.entry(line).or_default() += 1);
        for (node, told) in self.nodes().filter(|(node, _)| node.leaves_trace()) {
            let left = lines.remove(node.name.as_str()).unwrap_or(0);
            // Of an attempt that was ended from outside nobody knows whether it came to leave one.
            let unsure = told.killed + u32::from(told.end == Some(End::Skipped) && told.starts > told.failed);
            let expected = told.starts.saturating_sub(unsure)..=told.starts;
            ensure!(expected.contains(&left), "{} ran {left} times, and was told as {told:?}", node.name);
        }
        ensure!(lines.is_empty(), "nobody knows who ran here: {lines:?}");
        Ok(())
    }
}
