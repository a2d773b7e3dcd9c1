//! Running what of a run did not finish.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;

use engine::id::NodeId;
use engine::plan::Plan;
use protocol::{Credentials, RunState, RunSummary, Submission};

use super::planning::exactly;
use super::{Daemon, SubmitError};
use crate::server::convert;

impl Daemon {
    /// Runs what of a run did not finish, as a new run; none if there is no such run. Credentials are given once more, as they are
    /// kept with no run. Blocks like [`Daemon::submit`].
    pub fn resume(&self, id: &str, credentials: Credentials) -> Result<Option<RunSummary>, SubmitError> {
        self.resume_with(id, credentials).map_err(|error| with_what_was_not_kept(error, id))
    }

    fn resume_with(&self, id: &str, credentials: Credentials) -> Result<Option<RunSummary>, SubmitError> {
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
        submission.credentials = credentials;
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
            // What only finished nodes read is not needed again.
            let is_left = |reader: &NodeId| left.nodes.contains(reader);
            let is_read =
                |name: &str| plan.find_dataset(name).is_some_and(|dataset| plan.consumers(dataset).iter().any(is_left));
            submission.inputs.retain(|name, _| is_read(name));
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
        self.start_kept(submission, Some(id)).map(Some)
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

/// Says what to do about what a run had and nobody keeps: its secrets, and bytes that were handed in.
fn with_what_was_not_kept(error: SubmitError, id: &str) -> SubmitError {
    let SubmitError::Problems(mut problems) = error else { return error };
    for problem in &mut problems {
        match problem.code.as_str() {
            "missing-credentials" | "missing-variable" => problem.hints.push(format!(
                "credentials are kept with no run: give them again, `ctl resume {id} --credentials credentials.toml`"
            )),
            "unknown-block" => {
                problem.hints = vec![
                    "what is handed in is not kept with a run: submit the pipeline again with `--input NAME=@FILE`"
                        .to_owned(),
                    "or keep it in a file that the catalog names, so that a run can go on from it".to_owned(),
                ];
            }
            _ => {}
        }
    }
    SubmitError::Problems(problems)
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
