//! What is told of runs, and how one is cancelled: those under way from memory, those before from the store.

use protocol::{EventKind, RunSummary};

use super::{Daemon, told};
use crate::server::feed::{Feed, Subscription};

/// What came of a request to cancel a run.
#[derive(Debug, Clone, PartialEq)]
pub enum CancelOutcome {
    /// The run is stopping (or had been asked to already).
    Cancelling(RunSummary),
    /// The run had ended before.
    AlreadyOver(RunSummary),
    /// There is no such run.
    Unknown,
}

impl Daemon {
    /// Runs, newest first: those under way from memory, those before from the store.
    pub fn runs(&self, filter: &protocol::RunFilter) -> Result<protocol::RunList, String> {
        let mut runs = self.store.runs(filter).map_err(|error| error.to_string())?;
        for summary in &mut runs {
            if let Some(run) = self.registry.find(&summary.id) {
                *summary = told::summary(&run);
            }
        }
        runs.retain(|summary| filter.state.is_none_or(|state| state == summary.state));
        Ok(protocol::RunList { runs })
    }

    /// Everything about one run.
    pub fn run(&self, id: &str) -> Option<protocol::RunDetail> {
        if let Some(run) = self.registry.find(id) {
            return Some(told::detail(&run));
        }
        let mut detail = self.stored(id)?;
        // An interrupted run could not say itself what is left of it: that is up to the run that goes on with it, if there is one.
        let is_interrupted = detail.summary.state == protocol::RunState::Interrupted;
        if is_interrupted && detail.resume.is_none() && self.store.successor(id).is_ok_and(|next| next.is_none()) {
            detail.resume = self.left_of(&detail);
        }
        Some(detail)
    }

    /// Asks a run to stop.
    pub fn cancel(&self, id: &str, reason: &str) -> CancelOutcome {
        let Some(run) = self.registry.find(id) else {
            return match self.stored(id) {
                Some(detail) => CancelOutcome::AlreadyOver(detail.summary),
                None => CancelOutcome::Unknown,
            };
        };
        if !run.is_over() {
            run.cancel(reason.to_owned());
        }
        CancelOutcome::Cancelling(told::summary(&run))
    }

    /// Log lines of a run from a line number on.
    pub fn logs(&self, id: &str, from: u64) -> Option<protocol::LogList> {
        match self.registry.find_records(id) {
            Some(run) => Some(run.log.read(from)),
            None => self.store.logs(id, from).unwrap_or_else(|error| {
                log::error!("the log of run {id} cannot be read: {error}");
                None
            }),
        }
    }

    /// Events of a run that is under way or ended lately. Never blocks.
    pub fn events_at_once(&self, id: &str, from: u64) -> Option<Subscription> {
        self.registry.find_records(id).map(|run| run.feed.subscribe(from))
    }

    /// Events of a run that follow sequence number `from`; of a run that ended long ago, its end.
    pub fn events(&self, id: &str, from: u64) -> Option<Subscription> {
        if let Some(events) = self.events_at_once(id, from) {
            return Some(events);
        }
        let summary = self.stored(id)?.summary;
        let feed = Feed::new(1);
        let duration_us = summary.duration_us().unwrap_or(0);
        let ended = EventKind::RunFinished { state: summary.state, duration_us, cause: summary.cause };
        feed.publish(summary.finished_us.unwrap_or(summary.submitted_us), ended);
        feed.close();
        Some(feed.subscribe(0))
    }

    pub(super) fn stored(&self, id: &str) -> Option<protocol::RunDetail> {
        self.store.run(id).unwrap_or_else(|error| {
            log::error!("run {id} cannot be read: {error}");
            None
        })
    }
}
