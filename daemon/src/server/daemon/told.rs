//! What is told of a run that has ended while its report is on its way to the disk: that it goes on.
//!
//! Its hooks may still make a failure of it, and a power cut would undo the end: who was told of it must find it again.
#![forbid(unsafe_code)]

use protocol::{RunDetail, RunState, RunSummary};

use crate::server::runs::Run;

/// One line about a run under way.
pub(super) fn summary(run: &Run) -> RunSummary {
    goes_on(run.summary())
}

/// Everything about a run under way.
pub(super) fn detail(run: &Run) -> RunDetail {
    let detail = run.detail();
    match detail.summary.state.is_final() {
        true => RunDetail { summary: goes_on(detail.summary), resume: None, ..detail },
        false => detail,
    }
}

fn goes_on(summary: RunSummary) -> RunSummary {
    if !summary.state.is_final() {
        return summary;
    }
    let state = if summary.started_us.is_some() { RunState::Running } else { RunState::Queued };
    RunSummary { state, finished_us: None, cause: None, ..summary }
}
