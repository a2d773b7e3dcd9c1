//! What happened in a run: the engine's happenings as events for clients.

use engine::action::{Happening, SkipReason};
use engine::id::DatasetId;
use engine::plan::Plan;
use protocol::EventKind;

use super::names::{dataset_name, json_or_text, node_name, signed};
use super::{DatasetFacts, failure, operation, run_state};

/// What happened, for clients; none for what is of no interest to them. `facts` tells what is known of a dataset now;
/// `cause` is the first failure, for the end of the run.
pub fn happening(
    plan: &Plan,
    happening: &Happening,
    facts: &dyn Fn(DatasetId) -> DatasetFacts,
    duration_us: u64,
    cause: Option<&protocol::Failure>,
) -> Option<EventKind> {
    Some(match happening {
        Happening::RunStarted => {
            EventKind::RunStarted { pipeline: plan.name().to_owned(), nodes: plan.node_count() as u64 }
        }
        Happening::NodeStarted { node, attempt, worker } => {
            EventKind::NodeStarted { node: node_name(plan, *node), attempt: attempt.0, worker: *worker }
        }
        Happening::NodeFinished { node, attempt, worker, duration_us, finished } => EventKind::NodeFinished {
            node: node_name(plan, *node),
            attempt: attempt.0,
            worker: *worker,
            duration_us: signed(*duration_us),
            completed: u64::from(*finished),
            total: plan.node_count() as u64,
        },
        Happening::NodeFailed { node, attempt, during_save_of, failure: why, will_retry_in_ms } => {
            let mut failure = failure(why);
            failure.node = Some(node_name(plan, *node));
            failure.dataset = during_save_of.map(|dataset| dataset_name(plan, dataset));
            failure.attempt = Some(attempt.0);
            EventKind::NodeFailed {
                node: node_name(plan, *node),
                attempt: attempt.0,
                failure,
                will_retry_in_ms: *will_retry_in_ms,
            }
        }
        Happening::NodeSkipped { node, because } => {
            EventKind::NodeSkipped { node: node_name(plan, *node), because: skip_reason(plan, *because) }
        }
        Happening::DatasetLoaded { dataset, worker, duration_us } => {
            let facts = facts(*dataset);
            EventKind::DatasetLoaded {
                dataset: dataset_name(plan, *dataset),
                worker: *worker,
                bytes: facts.bytes.unwrap_or(0),
                duration_us: signed(*duration_us),
                metadata: json_or_text(&facts.metadata_json),
            }
        }
        Happening::DatasetSaved { dataset, worker, duration_us, .. } => EventKind::DatasetSaved {
            dataset: dataset_name(plan, *dataset),
            worker: *worker,
            bytes: facts(*dataset).bytes.unwrap_or(0),
            duration_us: signed(*duration_us),
        },
        Happening::DatasetConfirmed { dataset, node, worker, duration_us } => EventKind::DatasetConfirmed {
            dataset: dataset_name(plan, *dataset),
            node: node_name(plan, *node),
            worker: *worker,
            duration_us: signed(*duration_us),
        },
        Happening::DatasetFailed { dataset, operation: what, attempt, failure: why, will_retry_in_ms } => {
            let mut failure = failure(why);
            failure.dataset = Some(dataset_name(plan, *dataset));
            failure.attempt = Some(attempt.0);
            EventKind::DatasetFailed {
                dataset: dataset_name(plan, *dataset),
                operation: operation(*what),
                failure,
                will_retry_in_ms: *will_retry_in_ms,
            }
        }
        Happening::DatasetReleased { dataset } => EventKind::DatasetReleased { dataset: dataset_name(plan, *dataset) },
        Happening::RunFinished { state } => {
            EventKind::RunFinished { state: run_state(*state), duration_us: signed(duration_us), cause: cause.cloned() }
        }
        // A call's end shows as its node's; a load or save shows when it is over.
        Happening::CallFinished { .. } | Happening::DatasetStarted { .. } => return None,
    })
}

/// Why a node never ran, in words.
pub fn skip_reason(plan: &Plan, reason: SkipReason) -> String {
    match reason {
        SkipReason::NodeFailed(node) => format!("node {:?} failed", node_name(plan, node)),
        SkipReason::LoadFailed(dataset) => format!("dataset {:?} could not be loaded", dataset_name(plan, dataset)),
        SkipReason::RunStopped => "the run stopped after a failure".to_owned(),
        SkipReason::RunCancelled => "the run was cancelled".to_owned(),
    }
}
