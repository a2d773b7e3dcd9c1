//! Doing a job within a transaction.

use std::collections::BTreeSet;
use std::sync::Arc;

use rusqlite::{Connection, Transaction};

use super::answers::{Answer, and_then, answer_with, done_or_kept, flushed};
use super::desk::Desk;
use super::write;
use super::writer::Job;
use super::{NewRun, StoreError};

/// What jobs are done in.
pub(super) struct Scope<'t, 'c> {
    transaction: &'t mut Transaction<'c>,
    /// Whether there are several jobs.
    is_shared: bool,
    /// Whether the only one has failed.
    has_failed: bool,
    /// The journal's records whose contents are in the transaction.
    applied: BTreeSet<u64>,
}

impl<'t, 'c> Scope<'t, 'c> {
    pub(super) fn new(transaction: &'t mut Transaction<'c>, is_shared: bool) -> Scope<'t, 'c> {
        Scope { transaction, is_shared, has_failed: false, applied: BTreeSet::new() }
    }

    /// Whether SQLite has taken the transaction back.
    pub(super) fn is_over(&self) -> bool {
        self.transaction.is_autocommit()
    }

    /// Whether all of it is to be taken back, and which of the journal's records it holds.
    pub(super) fn end(self) -> (bool, BTreeSet<u64>) {
        (self.has_failed, self.applied)
    }

    /// Does one job: in a savepoint, so that one that fails takes nothing else with it, unless there is nothing else.
    fn within<T>(
        &mut self,
        attempt: &str,
        job: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let failed = |error| StoreError::sqlite(attempt, &error);
        if !self.is_shared {
            let result = job(self.transaction);
            self.has_failed = result.is_err();
            return result.map_err(failed);
        }
        let savepoint = self.transaction.savepoint().map_err(failed)?;
        let value = job(&savepoint).map_err(failed)?;
        savepoint.commit().map_err(failed)?;
        Ok(value)
    }
}

impl Desk {
    pub(super) fn apply(&self, scope: &mut Scope<'_, '_>, job: Job) -> Answer {
        let pending = Arc::clone(&self.pending);
        match job {
            Job::Register { new } => {
                let result = scope.within("register a run", |t| register(t, Some(&new)));
                done_or_kept(result, pending, Job::Register { new })
            }
            Job::Update { summary } => {
                let result = scope.within("update a run", |t| write::update(t, &summary));
                done_or_kept(result, pending, Job::Update { summary })
            }
            Job::Finish { detail, new, record, then } => {
                let result = scope.within("keep a run's report", |t| write::finish(t, new.as_deref(), &detail));
                if result.is_ok() {
                    scope.applied.extend(record);
                }
                let job = Job::Finish { detail: Arc::clone(&detail), new, record, then: None };
                and_then(done_or_kept(result, pending, job), detail, then)
            }
            Job::Fetch { ledger } => {
                let (entries, limit) = (ledger.fetch(), self.log_lines_max);
                let new = pending.find_new(ledger.id());
                let result = scope.within("keep what happened in a run", |t| {
                    register(t, new.as_deref())?;
                    write::fetch(t, ledger.id(), &entries, limit)
                });
                Box::new(move |committed, kept| match committed.and(result) {
                    Ok(()) => {
                        ledger.note_kept(&entries);
                        if entries.is_part {
                            kept.come_again(ledger);
                        }
                    }
                    Err(error) => {
                        log::debug!("run {}: {error}; its report will hold it", ledger.id());
                        ledger.take_back(entries);
                    }
                })
            }
            Job::Logs { id, lines } => {
                let limit = self.log_lines_max;
                let new = pending.find_new(&id);
                let result = scope.within("keep a run's log", |t| {
                    register(t, new.as_deref())?;
                    write::append_logs(t, &id, &lines, limit)
                });
                done_or_kept(result, pending, Job::Logs { id, lines })
            }
            Job::Interrupt { now_us, readable, reply } => {
                answer_with(reply, scope.within("mark interrupted runs", |t| write::interrupt(t, now_us, &readable)))
            }
            Job::Prune { retention, now_us, then, .. } => {
                let result = scope.within("forget old runs", |t| write::prune(t, retention, now_us));
                Box::new(move |committed, _| then(committed.and(result)))
            }
            Job::Flush { reply } => flushed(reply),
        }
    }
}

/// Adds a run that the database may not have, before anything that belongs to it: it may be written with its report only.
fn register(connection: &Connection, new: Option<&NewRun>) -> rusqlite::Result<()> {
    new.map_or(Ok(()), |new| write::insert(connection, new).map(drop))
}
