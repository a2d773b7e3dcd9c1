//! How a run stands, for whoever asks.
#![forbid(unsafe_code)]

use std::sync::PoisonError;

use engine::action::RunState;
use engine::failure::Failure;
use engine::id::{DatasetId, TaskId, Time};
use engine::plan::TaskKind;
use protocol::{RunDetail, RunSummary};

use super::{Run, State};
use crate::server::convert::{self, DatasetFacts, RunFacts};

impl Run {
    /// One line about it.
    pub fn summary(&self) -> RunSummary {
        let state = self.lock();
        let report = state.engine.outline();
        let cause = convert::first_cause(&self.plan, &report);
        let mut summary = convert::summary(&self.plan, &self.run_facts(&state), report.state, &report.counts, cause);
        judge(&mut summary, state.verdict.as_ref());
        summary
    }

    /// Everything about it.
    pub fn detail(&self) -> RunDetail {
        let (report, facts, verdict) = {
            let state = self.lock();
            (state.engine.report(), self.run_facts(&state), state.verdict.clone())
        };
        let progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut detail = convert::detail(&self.plan, &report, &facts, &|dataset| self.facts(dataset), &|node| {
            progress.get(&node).copied()
        });
        detail.plugins = self.generation.identities();
        detail.blocks = self.gauge.read();
        judge(&mut detail.summary, verdict.as_ref());
        if let Some(verdict) = &verdict {
            detail.failures.insert(0, convert::failure(verdict));
        }
        detail
    }

    pub(super) fn run_facts(&self, state: &State) -> RunFacts<'_> {
        let unix = |time: Time| self.services.clock.unix_us(time);
        RunFacts {
            id: &self.id,
            generation: self.generation.number,
            save_version: self.save_version(),
            submitted_us: self.submitted_us,
            started_us: state.started.map(unix),
            finished_us: state.finished.map(unix),
            resumed_from: self.resumed_from.as_deref(),
        }
    }

    /// What is known of a dataset.
    pub fn facts(&self, dataset: DatasetId) -> DatasetFacts {
        self.cell(dataset).map(|cell| cell.facts()).unwrap_or_default()
    }

    /// A name for a task, for status lists.
    pub fn task_label(&self, task: TaskId) -> String {
        let dataset = |id| self.plan.dataset(id).map_or("?", |dataset| dataset.name).to_owned();
        let what = match self.plan.task(task) {
            Some(TaskKind::Call(node)) => self.plan.node(node).map_or("?", |node| node.name).to_owned(),
            Some(TaskKind::Load(id)) => format!("load {}", dataset(id)),
            Some(TaskKind::Save(id)) => format!("save {}", dataset(id)),
            Some(TaskKind::Confirm(id)) => format!("confirm {}", dataset(id)),
            None => "?".to_owned(),
        };
        format!("{}: {what}", self.id)
    }

    /// Has the run fail for a reason that is none of its tasks'; the first one counts.
    pub fn condemn(&self, failure: Failure) {
        self.lock().verdict.get_or_insert(failure);
    }

    /// Whether the run was condemned.
    pub fn verdict(&self) -> Option<Failure> {
        self.lock().verdict.clone()
    }

    /// Whether the engine was told to start it.
    pub fn has_started(&self) -> bool {
        self.lock().started.is_some()
    }

    /// Whether the engine has ended it.
    pub fn is_over(&self) -> bool {
        self.lock().engine.state().is_some()
    }

    /// How it ended, if the engine has ended it.
    pub fn engine_state(&self) -> Option<RunState> {
        self.lock().engine.state()
    }
}

/// A condemned run has failed, whatever the engine says, and for that reason.
fn judge(summary: &mut RunSummary, verdict: Option<&Failure>) {
    if let Some(verdict) = verdict {
        if summary.state.is_final() {
            summary.state = protocol::RunState::Failed;
        }
        summary.cause = Some(convert::failure(verdict));
    }
}
