//! The desk at which the store's thread writes: what has gathered, in one transaction, on disk before anybody is answered.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::answer::{Answer, and_then, answer_with, done_or_kept, flushed, refusal};
use super::kept::Kept;
use super::pending::Pending;
use super::queue::{Patience, Queue, Wait};
use super::sync::Sync;
use super::writer::{Job, not_synced};
use super::{StoreError, write};

/// How many jobs one commit may hold, so that nobody waits long for an answer.
const BATCH_MAX: usize = 512;

/// How long after a failed try what was kept is tried again; at once if somebody waits for it ([`Job::Flush`]).
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// How long what nobody waits for may gather, so that a run of many small nodes is not a commit for each.
const GATHER_INTERVAL: Duration = Duration::from_millis(50);

/// How long the thread leaves runs alone that had more to write than it took, for each moment of writing.
const REST_PER_WORK: u32 = 20;

/// What the thread works with.
pub(super) struct Desk {
    pub(super) connection: Arc<Mutex<Connection>>,
    pub(super) sync: Arc<Sync>,
    pub(super) pending: Arc<Pending>,
    pub(super) log_lines_max: u64,
}

impl Patience for Job {
    fn is_urgent(&self) -> bool {
        // That a run goes on is soon followed by its end, if it is a short one.
        !matches!(self, Job::Fetch { .. } | Job::Update { .. })
    }
}

impl Desk {
    pub(super) fn work(&self, jobs: &Queue<Job>) {
        let mut kept = Kept::default();
        let mut tried = Instant::now();
        let mut rest_until = Instant::now();
        loop {
            let rest = rest_until.saturating_duration_since(Instant::now());
            let waited = match (kept.is_empty(), kept.has_late()) {
                (true, false) => jobs.wait(None),
                (false, false) => jobs.wait(Some(Instant::now() + RETRY_INTERVAL)),
                (_, true) => jobs.wait(Some(Instant::now() + rest)),
            };
            match waited {
                Wait::Came => drop(jobs.wait_urgent(Instant::now() + GATHER_INTERVAL)),
                Wait::Late => {}
                Wait::Closed => break,
            }
            let mut batch = jobs.take(BATCH_MAX);
            let is_awaited = batch.iter().any(|job| matches!(job, Job::Flush { .. }));
            if !kept.is_empty() && (is_awaited || tried.elapsed() >= RETRY_INTERVAL) {
                self.retry(&mut kept);
                tried = Instant::now();
            }
            if rest_until <= Instant::now() {
                batch.extend(kept.take_late().into_iter().map(|ledger| Job::Fetch { ledger }));
            }
            if !batch.is_empty() {
                let began = Instant::now();
                self.write(batch, &mut kept);
                // Runs of very many nodes need the processors themselves.
                rest_until = Instant::now() + began.elapsed() * REST_PER_WORK;
            }
        }
        if !kept.is_empty() {
            self.retry(&mut kept);
        }
    }

    /// Tries again what was kept, in a transaction of its own: what fails for ever is in no other job's way.
    fn retry(&self, kept: &mut Kept) {
        let count = kept.len();
        // What something newer was said about is of no use any more, and would undo it.
        let wanted = kept.take().into_iter().filter(|job| self.is_wanted(job)).collect();
        self.write(wanted, kept);
        if kept.is_empty() {
            log::info!("{count} records of runs that could not be written before are written");
        }
    }

    fn is_wanted(&self, job: &Job) -> bool {
        match job {
            Job::Update { summary } => self.pending.awaits_summary(summary),
            Job::Finish { detail, .. } => self.pending.awaits_detail(detail),
            _ => true,
        }
    }

    fn write(&self, batch: Vec<Job>, kept: &mut Kept) {
        let mut answers: Vec<Answer> = Vec::with_capacity(batch.len());
        // What is forgotten is forgotten again after a power cut, and those who promise something would wait for its sync.
        let is_promised = !batch.iter().all(|job| matches!(job, Job::Prune { .. }));
        // Synced with nothing held: others write meanwhile.
        let sync = || if is_promised { self.sync.sync().map_err(not_synced) } else { Ok(()) };
        let outcome = self.commit(batch, &mut answers).and_then(|()| sync());
        for answer in answers {
            answer(outcome.clone(), kept);
        }
        kept.report();
    }

    fn commit(&self, batch: Vec<Job>, answers: &mut Vec<Answer>) -> Result<(), StoreError> {
        let failed = |error| StoreError::sqlite("write to the database", &error);
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        // Immediate: if another process holds the database, that is waited for once, not once a job.
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate);
        let mut transaction = match transaction {
            Ok(transaction) => transaction,
            Err(error) => {
                answers.extend(batch.into_iter().map(refusal));
                return Err(failed(error));
            }
        };
        let ended: BTreeSet<String> = batch.iter().filter_map(ended_run).collect();
        let mut scope = Scope { is_shared: batch.len() > 1, has_failed: false, transaction: &mut transaction };
        for job in batch {
            // Its report says where it stands, too, and is tried again if it cannot be written now.
            if matches!(&job, Job::Update { summary } if ended.contains(&summary.id)) {
                answers.push(done_or_kept(Ok(()), Arc::clone(&self.pending), job));
                continue;
            }
            // SQLite may have taken the whole transaction back, as when the disk is full: what is done after that would be committed
            // on its own.
            answers.push(match scope.transaction.is_autocommit() {
                true => refusal(job),
                false => self.apply(&mut scope, job),
            });
        }
        match scope.has_failed {
            // Alone as it was: nothing of it is left.
            true => transaction.rollback().map_err(failed),
            false => transaction.commit().map_err(failed),
        }
    }

    fn apply(&self, scope: &mut Scope<'_, '_>, job: Job) -> Answer {
        match job {
            Job::Update { summary } => {
                let result = scope.within("update a run", |t| write::update(t, &summary));
                done_or_kept(result, Arc::clone(&self.pending), Job::Update { summary })
            }
            Job::Finish { detail, then } => {
                let result = scope.within("keep a run's report", |t| write::finish(t, &detail));
                let job = Job::Finish { detail: Arc::clone(&detail), then: None };
                and_then(done_or_kept(result, Arc::clone(&self.pending), job), detail, then)
            }
            Job::Fetch { ledger } => {
                let (entries, limit) = (ledger.fetch(), self.log_lines_max);
                let result =
                    scope.within("keep what happened in a run", |t| write::fetch(t, ledger.id(), &entries, limit));
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
                let result = scope.within("keep a run's log", |t| write::append_logs(t, &id, &lines, limit));
                done_or_kept(result, Arc::clone(&self.pending), Job::Logs { id, lines })
            }
            Job::Interrupt { now_us, readable, reply } => {
                answer_with(reply, scope.within("mark interrupted runs", |t| write::interrupt(t, now_us, &readable)))
            }
            Job::Prune { retention, now_us, reply } => {
                answer_with(reply, scope.within("forget old runs", |t| write::prune(t, retention, now_us)))
            }
            Job::Flush { reply } => flushed(reply),
        }
    }
}

/// The run whose report a job keeps.
fn ended_run(job: &Job) -> Option<String> {
    match job {
        Job::Finish { detail, .. } => Some(detail.summary.id.clone()),
        _ => None,
    }
}

/// What jobs are done in.
struct Scope<'t, 'c> {
    transaction: &'t mut Transaction<'c>,
    /// Whether there are several jobs.
    is_shared: bool,
    /// Whether the only one has failed.
    has_failed: bool,
}

impl Scope<'_, '_> {
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
