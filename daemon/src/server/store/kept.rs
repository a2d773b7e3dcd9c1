//! Jobs that failed and will be tried again, and ledgers that hold more than was fetched.

use std::collections::VecDeque;
use std::sync::Arc;

use super::StoreError;
use super::ledger::Ledger;
use super::writer::Job;

/// How many are kept at most.
const KEPT_MAX: usize = 1024;

/// Jobs that nobody waits for, oldest first. All of them may be done twice.
#[derive(Default)]
pub(super) struct Kept {
    jobs: VecDeque<Job>,
    late: Vec<Arc<Ledger>>,
    given_up: u64,
    /// Why the last one failed.
    error: Option<StoreError>,
    /// How many were kept when that was last logged.
    reported: usize,
}

impl Kept {
    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Keeps a job. When there are too many, logs go first: a report says more.
    pub(super) fn keep(&mut self, job: Job, error: StoreError) {
        self.jobs.push_back(job);
        self.error = Some(error);
        if self.jobs.len() > KEPT_MAX {
            let oldest_log = self.jobs.iter().position(|job| matches!(job, Job::Logs { .. }));
            self.jobs.remove(oldest_log.unwrap_or(0));
            self.given_up += 1;
        }
    }

    /// Remembers a ledger from which more is to be fetched.
    pub(super) fn come_again(&mut self, ledger: Arc<Ledger>) {
        self.late.push(ledger);
    }

    /// Whether there is such a ledger.
    pub(super) fn has_late(&self) -> bool {
        !self.late.is_empty()
    }

    /// Takes out the ledgers from which more is to be fetched.
    pub(super) fn take_late(&mut self) -> Vec<Arc<Ledger>> {
        std::mem::take(&mut self.late)
    }

    /// Takes all of them out, to be tried again.
    pub(super) fn take(&mut self) -> Vec<Job> {
        self.jobs.drain(..).collect()
    }

    /// An error if something is not on disk yet.
    pub(super) fn verdict(&self) -> Result<(), StoreError> {
        match &self.error {
            Some(error) if !self.jobs.is_empty() => Err(error.clone()),
            _ => Ok(()),
        }
    }

    /// Logs what changed since the last time; a try that changes nothing is no news.
    pub(super) fn report(&mut self) {
        if self.jobs.len() > self.reported
            && let Some(error) = &self.error
        {
            log::error!("{error}; {} records of runs are kept in memory and will be tried again", self.jobs.len());
        }
        if self.given_up > 0 {
            log::error!("{} records of runs were not written: as many as may be kept are waiting", self.given_up);
            self.given_up = 0;
        }
        self.reported = self.jobs.len();
    }
}
