//! How a run was asked to run, as hooks are told.

use protocol::Submission;
use serde_json::json;

/// The options of a submission, JSON; its texts are not among them.
pub fn run_params(submission: &Submission, run_id: &str, resumed_from: Option<&str>) -> String {
    json!({
        "run_id": run_id,
        "pipeline_file": submission.pipeline.name,
        "base_directory": submission.base_directory,
        "runtime_params": submission.overrides,
        "filter": submission.filter,
        "only_missing_outputs": submission.only_missing_outputs,
        "max_workers": submission.max_workers,
        "sequential": submission.sequential,
        "asynchronous_saves": submission.asynchronous_saves,
        "on_failure": submission.on_failure,
        "fail_fast": submission.fail_fast,
        "timeout_seconds": submission.timeout_seconds,
        "resumed_from": resumed_from,
    })
    .to_string()
}
