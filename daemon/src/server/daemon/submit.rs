//! From a submission to a run under way.
//!
//! A run begins as soon as it is written, a short one as soon as its id is known to be its own, and is synced meanwhile. What is acknowledged is on disk before
//! that is told: a submission, or, to a client that waits for the end and is told of nothing before, the report. A run that could
//! not be written is stopped, and its submission refused; who was not told of it cannot rely on its not having begun.
#![forbid(unsafe_code)]

use std::sync::Arc;

use protocol::{LogSource, RunSummary, Submission};

use super::{Daemon, planning};
use crate::server::missing::Rest;
use crate::server::runs::{AddError, Origin, Run, RunSettings, id};
use crate::server::store::{NewRun, StoreError};
use crate::server::{convert, handed_in, versions, wanted};

/// The first step of a run of so many nodes takes some microseconds; a longer one would hold up who else has something to write.
const SHORT_NODES_MAX: usize = 64;

/// So many runs of one millisecond get ids of their own.
const SUFFIX_MAX: u32 = 1000;

/// Why a submission did not become a run.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The pipeline has problems; nothing ran.
    #[error("the pipeline has {} problem(s)", .0.len())]
    Problems(Vec<protocol::Problem>),
    /// A run of this id exists.
    #[error("a run with the id {0:?} exists already")]
    IdTaken(String),
    /// The id asked for cannot be one.
    #[error("{0:?} is no run id: use 1 to 100 letters, digits, '.', '-' and '_'")]
    BadId(String),
    /// The daemon cannot take runs now.
    #[error("{0}")]
    Unavailable(String),
    /// The daemon is ending; where the service manager holds the socket, the next one answers there.
    #[error("the daemon is stopping and takes no more runs")]
    Stopping {
        /// Whether to try again at the same socket.
        is_managed: bool,
    },
    /// There is nothing of this run to resume, or not yet.
    #[error("{message}")]
    NotResumable {
        /// Why.
        message: String,
        /// What to do.
        hint: String,
    },
}

/// A run whose client waits for its end.
#[derive(Debug)]
pub struct AwaitedReport {
    /// Its id.
    pub id: String,
    /// Its report, when it is on disk; an error if nobody tells it any more.
    pub report: tokio::sync::oneshot::Receiver<Arc<protocol::RunDetail>>,
}

impl Daemon {
    /// Plans and registers a run, which begins; on disk when this returns. Blocks for the planning and one write to disk.
    pub fn submit(&self, submission: Submission) -> Result<RunSummary, SubmitError> {
        self.start_kept(submission, None)
    }

    /// The same for a client that waits for the end and is told of nothing before: that is when the disk has to have all of it. Blocks
    /// for the planning.
    pub fn submit_for_report(&self, submission: Submission) -> Result<AwaitedReport, SubmitError> {
        let mut report = None;
        let (run, _) = self.start_run(submission, None, |run| report = Some(run.feed.report()))?;
        let report = report.ok_or_else(|| SubmitError::Unavailable("the run was not begun".to_owned()))?;
        Ok(AwaitedReport { id: run.id.clone(), report })
    }

    /// Starts a run and returns when the disk has it. It begins meanwhile: who was not told of it cannot rely on its not having begun.
    pub(super) fn start_kept(
        &self,
        submission: Submission,
        resumed_from: Option<&str>,
    ) -> Result<RunSummary, SubmitError> {
        let (run, accepted) = self.start_run(submission, resumed_from, |_| ())?;
        self.store.sync().map_err(|error| stop_unkept(&run, &error))?;
        Ok(accepted)
    }

    /// Has a run begin, and says how it was accepted. `made` is called before that; once for each id that is tried.
    fn start_run(
        &self,
        mut submission: Submission,
        resumed_from: Option<&str>,
        mut made: impl FnMut(&Arc<Run>),
    ) -> Result<(Arc<Run>, RunSummary), SubmitError> {
        if self.registry.is_closed() {
            return Err(self.stopping());
        }
        if let Some(id) = submission.run_id.as_ref().filter(|wanted| !id::is_valid(wanted)) {
            return Err(SubmitError::BadId(id.clone()));
        }
        let (generation, config) = (self.generation(), self.generations.config());
        let Rest { mut plan, lines } = self.plan_to_run(&mut submission, &generation)?;
        let policy = self.policy(&submission, &plan, &generation)?;
        let uploads = handed_in::uploads(&self.services.uploads, &submission, &plan).map_err(SubmitError::Problems)?;
        let wanted_outputs = wanted::outputs(&submission.outputs, &plan).map_err(SubmitError::Problems)?;
        let submitted_us = self.services.clock.unix_us_now();
        let save_version = submission.save_version.as_deref();
        let versions =
            versions::assign(Arc::make_mut(&mut plan), save_version, submitted_us).map_err(planning::refused)?;
        let versions = versions.map(Arc::new);
        let base = submission.run_id.clone().unwrap_or_else(|| id::of_time(submitted_us));
        for n in 1.. {
            let id = id::with_suffix(&base, n);
            // Two runs within a millisecond: the later one gets a suffix, best before it is made. A chosen id is not changed.
            let may_change = submission.run_id.is_none() && n < SUFFIX_MAX;
            if may_change && self.registry.has(&id) {
                continue;
            }
            let settings = RunSettings {
                run_params: convert::run_params(&submission, &id, resumed_from),
                id,
                plan: Arc::clone(&plan),
                policy,
                generation: Arc::clone(&generation),
                base_directory: submission.base_directory.clone(),
                versions: versions.clone(),
                submitted_us,
                resumed_from: resumed_from.map(str::to_owned),
                log_lines_max: config.runs.log_lines_max,
                events_max: config.runs.events_max,
                uploads: uploads.clone(),
                wanted_outputs: wanted_outputs.clone(),
            };
            let run = Run::new(settings, Arc::clone(&self.services));
            made(&run);
            run.hold_values().map_err(|error| {
                SubmitError::Unavailable(format!("the values that came with the run cannot be kept: {error}"))
            })?;
            let begin = || {
                // They are the run's from now on.
                uploads.values().for_each(|upload| self.services.uploads.take(&upload.id));
                for (level, text) in &lines {
                    let origin = Origin { node: None, plugin: "", worker: None };
                    run.log_line(&origin, LogSource::Daemon, level, "dagd".to_owned(), text.clone());
                }
                self.services.usher.begin(&run);
            };
            match self.register(&run, &submission, begin) {
                Ok(accepted) => return Ok((run, accepted)),
                Err(SubmitError::IdTaken(_)) if may_change => {}
                Err(error) => return Err(error),
            }
        }
        Err(SubmitError::IdTaken(base))
    }

    /// Registers a run, and has it `begin`, a short one while it is written. Gives it as it was accepted.
    fn register(
        &self,
        run: &Arc<Run>,
        submission: &Submission,
        begin: impl FnOnce(),
    ) -> Result<RunSummary, SubmitError> {
        match self.registry.add(run) {
            Ok(()) => {}
            Err(AddError::Closed) => return Err(self.stopping()),
            Err(AddError::Taken) => return Err(SubmitError::IdTaken(run.id.clone())),
        }
        let summary = run.summary();
        let new = NewRun { summary, submission: submission.without_secrets() };
        let mut begin = Some(begin);
        let mut begin = || begin.take().map_or((), |begin| begin());
        let is_short = run.plan.node_count() <= SHORT_NODES_MAX;
        let meanwhile = || {
            if is_short {
                begin();
            }
        };
        match self.store.insert_run(&new, meanwhile) {
            Ok(()) => {
                // Before a long one begins: its driver is woken on this processor, and waits for what is still to be done here.
                let (id, pipeline, nodes) = (run.id.as_str(), run.plan.name(), run.plan.node_count());
                log::info!(RUN_ID = id; "run {id} of {pipeline}: {nodes} nodes");
                begin();
                self.services.usher.begun(run);
                // Only now: whatever closes it comes after what opens it.
                run.admit();
                Ok(new.summary)
            }
            Err(refused) if refused.has_begun => {
                run.admit();
                Err(stop_unkept(run, &refused.error))
            }
            Err(refused) => {
                self.registry.withdraw(run);
                Err(match refused.error {
                    StoreError::IdTaken(id) => SubmitError::IdTaken(id),
                    error => {
                        SubmitError::Unavailable(format!("the run could not be kept, so it was not begun: {error}"))
                    }
                })
            }
        }
    }

    pub(super) fn stopping(&self) -> SubmitError {
        SubmitError::Stopping { is_managed: self.generations.config().managed_socket }
    }
}

/// Stops a run that began while it was written, and could not be.
fn stop_unkept(run: &Arc<Run>, error: &StoreError) -> SubmitError {
    run.cancel("it could not be kept".to_owned());
    SubmitError::Unavailable(format!("the run could not be kept, so it was stopped: {error}"))
}
