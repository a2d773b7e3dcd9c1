//! Running what of a run did not finish.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;

use engine::id::NodeId;
use engine::plan::Plan;
use protocol::{RunState, RunSummary, Submission};

use super::planning::exactly;
use super::{Daemon, SubmitError};
use crate::server::convert;

impl Daemon {
    /// Runs what of a run did not finish, as a new run; none if there is no such run. Blocks like [`Daemon::submit`].
    pub fn resume(&self, id: &str) -> Result<Option<RunSummary>, SubmitError> {
        let detail = match self.registry.find(id) {
            Some(run) if !run.is_over() => {
                return Err(SubmitError::NotResumable {
                    message: format!("run {id} is still under way"),
                    hint: format!("`ctl cancel {id}` ends it; what it finished until then need not run again"),
                });
            }
            Some(run) => run.detail(),
            None => match self.stored(id) {
                Some(detail) => detail,
                None => return Ok(None),
            },
        };
        let again = || format!("submit {} again to run all of it", detail.summary.pipeline);
        if detail.summary.state == RunState::Succeeded {
            let message = format!("run {id} succeeded: nothing of it is left to do");
            return Err(SubmitError::NotResumable { message, hint: again() });
        }
        let mut submission = self.submission(id)?;
        let plan = self.plan(&submission, &self.generation())?;
        let finished = finished_nodes(&plan, &detail, &submission);
        let Some(left) = engine::resume::resume(&plan, |node| finished.contains(&node)) else {
            let message = format!("every node of run {id} finished: nothing of it is left to do");
            return Err(SubmitError::NotResumable { message, hint: again() });
        };
        if left.finished > 0 {
            let name = |&node: &NodeId| plan.node(node).map(|node| node.name);
            submission.filter = exactly(left.nodes.iter().filter_map(name));
            submission.only_missing_outputs = false;
            // What was saved before is where the catalog says, and no output of this run.
            submission.outputs.retain(|name| {
                let maker = plan.find_dataset(name).and_then(|dataset| plan.maker(dataset));
                maker.is_none_or(|maker| left.nodes.contains(&maker))
            });
        }
        submission.run_id = None;
        // It saves a version of its own, and reads what the run before it saved, whatever was saved since.
        submission.save_version = None;
        if let Some(version) = &detail.summary.save_version {
            let chosen: BTreeSet<NodeId> = left.nodes.iter().copied().collect();
            let saved = plan.datasets().filter(|dataset| {
                dataset.storage.is_some_and(|storage| storage.versioned)
                    && plan.maker(dataset.id).is_some_and(|maker| finished.contains(&maker) && !chosen.contains(&maker))
                    && plan.consumers(dataset.id).iter().any(|reader| chosen.contains(reader))
            });
            submission.load_versions.extend(saved.map(|dataset| (dataset.name.to_owned(), version.clone())));
        }
        self.start_run(submission, Some(id)).map(Some)
    }

    /// What is left of a run, where what was submitted can still be planned.
    pub(super) fn left_of(&self, detail: &protocol::RunDetail) -> Option<protocol::Resume> {
        let submission = self.submission(&detail.summary.id).ok()?;
        let plan = self.plan(&submission, &self.generation()).ok()?;
        let finished = finished_nodes(&plan, detail, &submission);
        convert::resume(&plan, |node| finished.contains(&node))
    }

    fn submission(&self, id: &str) -> Result<Submission, SubmitError> {
        let found = self.store.submission(id).map_err(|error| error.to_string());
        found.and_then(|found| found.ok_or_else(|| "it is not in the store".to_owned())).map_err(|reason| {
            SubmitError::Unavailable(format!("what was submitted as run {id} cannot be read: {reason}"))
        })
    }
}

/// The nodes of a plan that finished in a run, less those whose result somebody asked for and the end of the daemon took.
fn finished_nodes(plan: &Plan, detail: &protocol::RunDetail, submission: &Submission) -> BTreeSet<NodeId> {
    let succeeded = detail.nodes.iter().filter(|node| node.state == protocol::NodeState::Succeeded);
    let names: BTreeSet<&str> = succeeded.map(|node| node.name.as_str()).collect();
    let mut finished: BTreeSet<NodeId> =
        plan.nodes().filter(|node| names.contains(node.name)).map(|node| node.id).collect();
    // A run that ended by itself has left them where they can be fetched.
    if matches!(detail.summary.state, RunState::Queued | RunState::Running | RunState::Interrupted) {
        let wanted = submission.outputs.iter().filter_map(|name| plan.find_dataset(name));
        for maker in wanted.filter(|&dataset| !plan.is_persisted(dataset)).filter_map(|dataset| plan.maker(dataset)) {
            finished.remove(&maker);
        }
    }
    finished
}
