//! From a submission to what would run: plans, policies, graphs, and what a catalog makes of names. Nothing here starts a run.
#![forbid(unsafe_code)]

use std::sync::Arc;

use engine::plan::{Plan, PlanOptions};
use engine::policy::{RunPolicy, workers_for_run};
use protocol::Submission;

use super::{Daemon, SubmitError};
use crate::server::generations::Generation;
use crate::server::missing::{self, Rest};
use crate::server::{catalog, convert, credentials, versions, wanted};

/// How many tasks a run may have in the pool for each worker: enough that no worker waits for the engine, few enough that
/// another run's tasks are not far behind.
const TASKS_PER_WORKER: u32 = 4;
impl Daemon {
    /// Plans a submission without running it.
    pub fn validate(&self, submission: &Submission) -> Result<protocol::Validation, SubmitError> {
        let generation = self.generation();
        let plan = self.plan(submission, &generation)?;
        self.policy(submission, &plan, &generation)?;
        wanted::outputs(&submission.outputs, &plan).map_err(SubmitError::Problems)?;
        versions::loads(&plan).map_err(refused)?;
        Ok(convert::validation(&plan, generation.number))
    }

    /// The graph of a submission.
    pub fn graph(&self, submission: &Submission) -> Result<protocol::Graph, SubmitError> {
        Ok(convert::graph(&*self.plan(submission, &self.generation())?))
    }

    /// What the catalog of a submission makes of names.
    pub fn catalog(&self, request: &protocol::CatalogRequest) -> Result<protocol::CatalogList, SubmitError> {
        catalog::list(&sources(&request.submission), &self.generation().signature, &request.datasets).map_err(refused)
    }

    /// Whether the data of a submission's datasets is there. Blocks for as long as their types take to tell.
    pub fn catalog_exists(&self, request: &protocol::CatalogRequest) -> Result<protocol::ExistsList, SubmitError> {
        catalog::exists(&sources(&request.submission), &self.generation(), &request.datasets).map_err(refused)
    }

    /// The versions of a submission's versioned datasets.
    pub fn catalog_versions(&self, request: &protocol::CatalogRequest) -> Result<protocol::VersionList, SubmitError> {
        catalog::versions(&sources(&request.submission), &self.generation().signature, &request.datasets)
            .map_err(refused)
    }

    pub(super) fn plan(&self, submission: &Submission, generation: &Generation) -> Result<Arc<Plan>, SubmitError> {
        let workers = if submission.sequential { Some(1) } else { submission.max_workers };
        let pool = u32::try_from(generation.pool.size()).unwrap_or(u32::MAX);
        let filter = convert::filter(&submission.filter);
        let options = PlanOptions { workers: Some(workers.unwrap_or(pool).min(pool)), filter };
        engine::plan::check(&sources(submission), &generation.signature, &options).map(Arc::new).map_err(|problems| {
            let problems = problems.into_iter().map(convert::problem);
            SubmitError::Problems(problems.map(|problem| self.with_refusal(problem)).collect())
        })
    }

    /// What a pipeline misses may be in plugins that were refused.
    fn with_refusal(&self, mut problem: protocol::Problem) -> protocol::Problem {
        let misses =
            matches!(problem.code.as_str(), "unknown-plugin" | "unknown-node" | "unknown-type" | "unknown-port");
        if let Some(refused) = self.generations.refused().filter(|_| misses) {
            problem.hints.push(format!(
                "the plugins found since were refused as generation {}: `ctl plugins` tells why",
                refused.number
            ));
        }
        problem
    }

    pub(super) fn policy(
        &self,
        submission: &Submission,
        plan: &Plan,
        generation: &Generation,
    ) -> Result<RunPolicy, SubmitError> {
        let pool = u32::try_from(generation.pool.size()).unwrap_or(u32::MAX);
        let wanted = if submission.sequential { Some(1) } else { submission.max_workers.map(i64::from) };
        // With asynchronous saves what is loaded and saved keeps workers busy beside the nodes.
        let beside = if submission.asynchronous_saves { plan.task_count() - plan.node_count() } else { 0 };
        let workers =
            workers_for_run(wanted, pool, plan.node_count() + beside, plan.layer_count()).map_err(|message| {
                let problem = engine::problem::Problem::new("max-workers", message)
                    .hint("leave it out to use as many workers as there are");
                SubmitError::Problems(vec![convert::problem(problem)])
            })?;
        // As many workers as there are: then only the number of waiting tasks is bounded, so that runs take turns.
        let tasks_max = if workers < pool { workers } else { pool.saturating_mul(TASKS_PER_WORKER) };
        Ok(RunPolicy {
            on_failure: submission.on_failure.map(convert::on_failure).or(plan.on_failure()).unwrap_or_default(),
            asynchronous_saves: submission.asynchronous_saves,
            fail_fast: submission.fail_fast,
            tasks_max: Some(if submission.sequential { 1 } else { tasks_max }),
            timeout_us: submission.timeout_seconds.map(microseconds),
        })
    }

    /// Plans what will really run, and says what is told of that. What was asked is written into the submission as nodes, so
    /// that the run can be resumed for what it was.
    pub(super) fn plan_to_run(
        &self,
        submission: &mut Submission,
        generation: &Generation,
    ) -> Result<Rest, SubmitError> {
        let plan = self.plan(submission, generation)?;
        let warnings = plan.warnings().iter().map(|warning| ("warn", warning.clone())).collect();
        if !submission.only_missing_outputs {
            return Ok(Rest { plan, lines: warnings });
        }
        let mut rest = missing::rest(&plan, generation)
            .map_err(|problem| SubmitError::Problems(vec![convert::problem(problem)]))?;
        rest.lines.splice(0..0, warnings);
        if (1..plan.node_count()).contains(&rest.plan.node_count()) {
            submission.only_missing_outputs = false;
            submission.filter = exactly(rest.plan.nodes().map(|node| node.name));
        }
        Ok(rest)
    }
}

/// What a submission says, and the secrets that the daemon itself has.
fn sources(submission: &Submission) -> engine::source::Sources {
    let mut sources = convert::sources(submission);
    sources.credentials.splice(0..0, credentials::of_the_daemon());
    sources
}

pub(super) fn refused(problems: Vec<engine::problem::Problem>) -> SubmitError {
    SubmitError::Problems(problems.into_iter().map(convert::problem).collect())
}

/// A filter that takes exactly these nodes.
pub(super) fn exactly<'a>(nodes: impl Iterator<Item = &'a str>) -> protocol::Filter {
    protocol::Filter { nodes: nodes.map(str::to_owned).collect(), ..protocol::Filter::default() }
}

fn microseconds(seconds: f64) -> u64 {
    // Saturates: a negative time-out is over at once, an endless one never.
    (seconds * 1e6) as u64
}
