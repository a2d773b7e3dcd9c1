//! Where a run stands: the engine's report as a line in a list, or as everything there is to say.

use std::collections::HashMap;

use engine::action;
use engine::id::{DatasetId, Id as _, NodeId};
use engine::plan::Plan;
use engine::report::{self, Failed, FailureReport, Report};
use protocol::{DatasetDetail, FailureKind, NodeDetail, NodeState, Progress, RunDetail, RunState, RunSummary};

use super::names::{dataset_name, json_or_text, node_name, path_of, signed, storage_name};
use super::{DatasetFacts, failure, run_state, skip_reason};

/// What the server knows of a run beside the engine's report.
#[derive(Debug, Clone, Copy)]
pub struct RunFacts<'f> {
    /// The run's id.
    pub id: &'f str,
    /// The generation it runs on.
    pub generation: u64,
    /// The version that its versioned datasets are saved as; none where it saves none.
    pub save_version: Option<&'f str>,
    /// When it was accepted.
    pub submitted_us: i64,
    /// When the engine started it; the engine's times count from here.
    pub started_us: Option<i64>,
    /// When it ended.
    pub finished_us: Option<i64>,
    /// The run of which it runs what had not finished.
    pub resumed_from: Option<&'f str>,
}

/// One line about a run. `state` is the engine's, none while the run is not over.
pub fn summary(
    plan: &Plan,
    facts: &RunFacts<'_>,
    state: Option<action::RunState>,
    counts: &report::NodeCounts,
    cause: Option<protocol::Failure>,
) -> RunSummary {
    let state = match (state, facts.started_us) {
        (Some(state), _) => run_state(state),
        (None, Some(_)) => RunState::Running,
        (None, None) => RunState::Queued,
    };
    RunSummary {
        id: facts.id.to_owned(),
        pipeline: plan.name().to_owned(),
        state,
        generation: facts.generation,
        submitted_us: facts.submitted_us,
        started_us: facts.started_us,
        finished_us: facts.finished_us,
        counts: node_counts(counts),
        cause,
        save_version: facts.save_version.map(str::to_owned),
        resumed_from: facts.resumed_from.map(str::to_owned),
    }
}

/// Everything about a run.
pub fn detail(
    plan: &Plan,
    report: &Report,
    facts: &RunFacts<'_>,
    dataset_facts: &dyn Fn(DatasetId) -> DatasetFacts,
    progress: &dyn Fn(NodeId) -> Option<Progress>,
) -> RunDetail {
    let failures: Vec<protocol::Failure> = report.failures.iter().map(|failed| failure_of(plan, failed)).collect();
    let mut failure_by_node: HashMap<NodeId, &protocol::Failure> = HashMap::new();
    for (failed, failure) in report.failures.iter().zip(&failures) {
        if let Some(node) = node_of(failed.what) {
            failure_by_node.entry(node).or_insert(failure);
        }
    }
    let nodes = report.nodes.iter().filter_map(|node| {
        let failure = failure_by_node.get(&node.node).map(|failure| protocol::Failure::clone(failure));
        Some(NodeDetail { progress: progress(node.node), ..node_detail(plan, node, facts, failure)? })
    });
    let datasets = plan.named_datasets().map(|dataset| {
        let facts = dataset_facts(dataset.id);
        let again = plan.again(dataset.id).iter().find_map(|&again| dataset_facts(again).load_us);
        DatasetDetail {
            name: dataset.name.to_owned(),
            storage: storage_name(dataset.storage),
            path: path_of(dataset.storage),
            version: dataset.storage.map(|storage| storage.version.clone()).filter(|version| !version.is_empty()),
            producer: dataset.producer.map(|node| node_name(plan, node)),
            is_output: dataset.is_output,
            bytes: facts.bytes,
            metadata: json_or_text(&facts.metadata_json),
            load_us: facts.load_us.or(again),
            save_us: facts.save_us,
        }
    });
    RunDetail {
        // The generation's to tell.
        plugins: Vec::new(),
        summary: summary(plan, facts, report.state, &report.counts, first_cause(plan, report)),
        nodes: nodes.collect(),
        datasets: datasets.collect(),
        failures,
        resume: report.state.filter(|state| *state != action::RunState::Succeeded).and_then(|_| {
            let finished = |node: NodeId| {
                report.nodes.get(node.index()).is_some_and(|node| node.state == report::NodeState::Finished)
            };
            resume(plan, finished)
        }),
        // The run counts them itself.
        blocks: protocol::BlockUse::default(),
    }
}

/// Everything about one node but its progress; none if the plan does not know it.
pub fn node_detail(
    plan: &Plan,
    node: &report::NodeReport,
    facts: &RunFacts<'_>,
    failure: Option<protocol::Failure>,
) -> Option<NodeDetail> {
    let planned = plan.node(node.node)?;
    let started_us = node.started_us.and_then(|since| Some(facts.started_us?.saturating_add(signed(since))));
    Some(NodeDetail {
        name: planned.name.to_owned(),
        call: planned.call.label.clone(),
        state: node_state(node.state),
        attempts: node.attempts,
        worker: node.worker,
        started_us,
        finished_us: started_us
            .and_then(|started| Some(started.saturating_add(signed(node.duration_us?))))
            .filter(|_| node.state.is_final()),
        progress: None,
        failure,
        skipped_because: match node.state {
            report::NodeState::Skipped(reason) => Some(skip_reason(plan, reason)),
            _ => None,
        },
    })
}

/// What is left to do of a run of which these nodes finished; none if all did.
pub fn resume(plan: &Plan, finished: impl Fn(NodeId) -> bool) -> Option<protocol::Resume> {
    let left = engine::resume::resume(plan, finished)?;
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let from_nodes = match left.finished {
        0 => Vec::new(),
        _ => left.from.iter().map(|&node| node_name(plan, node)).collect(),
    };
    Some(protocol::Resume {
        finished: count(left.finished),
        unfinished: count(left.unfinished),
        nodes: count(left.nodes.len()),
        from_nodes,
    })
}

/// Why a run did not succeed: its first failure, or that it was cancelled.
pub fn first_cause(plan: &Plan, report: &Report) -> Option<protocol::Failure> {
    let cancelled = || {
        let reason = report.cancel_reason.as_ref()?;
        Some(protocol::Failure::new(FailureKind::Cancelled, reason.clone()))
    };
    match report.state {
        // Asked to stop too late: what had begun by then was all that was left.
        Some(action::RunState::Succeeded) => None,
        Some(action::RunState::Cancelled) => cancelled(),
        _ => report.failures.first().map(|failed| failure_of(plan, failed)).or_else(cancelled),
    }
}

/// A final failure with the names of what failed.
fn failure_of(plan: &Plan, failed: &FailureReport) -> protocol::Failure {
    let mut failure = failure(&failed.failure);
    failure.node = node_of(failed.what).map(|node| node_name(plan, node));
    if let Failed::Dataset { dataset, .. } = failed.what {
        failure.dataset = Some(dataset_name(plan, dataset));
    }
    failure
}

fn node_of(failed: Failed) -> Option<NodeId> {
    match failed {
        Failed::Call(node) => Some(node),
        Failed::Dataset { node, .. } => node,
        Failed::Run => None,
    }
}

fn node_state(state: report::NodeState) -> NodeState {
    match state {
        report::NodeState::Waiting | report::NodeState::Ready => NodeState::Waiting,
        report::NodeState::Running | report::NodeState::Saving => NodeState::Running,
        report::NodeState::Retrying => NodeState::Retrying,
        report::NodeState::Finished => NodeState::Succeeded,
        report::NodeState::Failed => NodeState::Failed,
        report::NodeState::Skipped(_) => NodeState::Skipped,
        report::NodeState::Cancelled => NodeState::Cancelled,
    }
}

/// How many nodes stand where, for clients.
pub fn node_counts(counts: &report::NodeCounts) -> protocol::NodeCounts {
    protocol::NodeCounts {
        total: counts.total.into(),
        waiting: counts.waiting.into(),
        running: counts.running.into(),
        succeeded: counts.finished.into(),
        failed: counts.failed.into(),
        skipped: counts.skipped.into(),
        cancelled: counts.cancelled.into(),
    }
}
