//! The thread that writes: notes ends in the journal, gathers what can wait, commits it together, brings it to the disk, then answers those who wait.
//!
//! The end of a short run is what somebody waits for: it goes to the [`journal`](super::journal), and is told. What can wait gathers, and is committed in slices
//! between which ends that come are noted. Everything else that is waited for is committed at once, with all that has gathered, in the order in which it was said.
//! What nobody waits for is kept when it fails, and tried again ([`Kept`]): the disk may have room later.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior};

use super::StoreError;
use super::answers::{Answer, done_or_kept, refusal};
use super::apply::Scope;
use super::journal::{Journal, Said};
use super::kept::Kept;
use super::pending::Pending;
use super::queue::{Patience as _, Queue, Wait};
use super::sync::Sync;
use super::write;
use super::writer::{Job, not_synced};

/// How many jobs one commit may hold, so that nobody waits long for an answer.
const BATCH_MAX: usize = 512;

/// How many jobs one commit may hold that nobody waits for: some hundred microseconds.
const SLICE_MAX: usize = 48;

/// So many jobs are enough to begin with before their time.
const GATHERED_MAX: usize = 96;

/// How long after a failed try what was kept is tried again; at once if somebody waits for it ([`Job::Flush`]).
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// How long what nobody waits for may gather, so that a run of many small nodes is not a commit for each.
const GATHER_INTERVAL: Duration = Duration::from_millis(50);

/// How long the thread leaves runs alone that had more to write than it took, for each moment of writing.
const REST_PER_WORK: u32 = 20;

/// What the thread works with.
pub(super) struct Desk {
    connection: Arc<Mutex<Connection>>,
    sync: Arc<Sync>,
    pub(super) pending: Arc<Pending>,
    pub(super) log_lines_max: u64,
    journal: Option<Journal>,
    /// Records of the journal that the database does not have.
    ahead: BTreeSet<u64>,
    /// What nobody waits for, oldest first, and until when more of it may gather.
    gathered: VecDeque<Job>,
    due: Instant,
    kept: Kept,
    tried: Instant,
    rest_until: Instant,
}

impl Desk {
    pub(super) fn new(
        connection: Arc<Mutex<Connection>>,
        sync: Arc<Sync>,
        journal: Option<Journal>,
        pending: Arc<Pending>,
        log_lines_max: u64,
    ) -> Desk {
        let now = Instant::now();
        Desk {
            connection,
            sync,
            pending,
            log_lines_max,
            journal,
            ahead: BTreeSet::new(),
            gathered: VecDeque::new(),
            due: now,
            kept: Kept::default(),
            tried: now,
            rest_until: now,
        }
    }

    /// Works until the line is closed, and all that was in it is written.
    pub(super) fn work(mut self, jobs: &Queue<Job>) {
        loop {
            let waited = match self.gathered.is_empty() {
                true => jobs.wait(self.wakes_at()),
                false => jobs.wait_urgent(self.wakes_at().unwrap_or(self.due)),
            };
            if waited == Wait::Closed {
                break;
            }
            self.take_in(jobs.take(BATCH_MAX));
        }
        self.settle(usize::MAX);
        if !self.kept.is_empty() {
            self.retry();
        }
    }

    /// When there is something to do though nothing comes.
    fn wakes_at(&self) -> Option<Instant> {
        let due = (!self.gathered.is_empty()).then_some(self.due);
        let again = (!self.kept.is_empty()).then(|| self.tried + RETRY_INTERVAL);
        let late = self.kept.has_late().then_some(self.rest_until);
        [due, again, late].into_iter().flatten().min()
    }

    fn take_in(&mut self, mut batch: Vec<Job>) {
        let now = Instant::now();
        if self.gathered.is_empty() {
            self.due = now + GATHER_INTERVAL;
        }
        let is_urgent = batch.iter().any(Job::is_urgent) && !self.note_ends(&mut batch);
        let is_awaited = batch.iter().any(|job| matches!(job, Job::Flush { .. }));
        self.gathered.extend(batch);
        if !self.kept.is_empty() && (is_awaited || self.tried + RETRY_INTERVAL <= now) {
            self.retry();
        }
        if self.kept.has_late() && self.rest_until <= now {
            self.gathered.extend(self.kept.take_late().into_iter().map(|ledger| Job::Fetch { ledger }));
            self.due = now;
        }
        if is_urgent {
            self.settle(usize::MAX);
        } else if self.due <= now || self.gathered.len() >= GATHERED_MAX {
            self.settle(SLICE_MAX);
        }
    }

    /// Notes in the journal the ends of runs that are waited for, and tells of them; false, and nothing is done, if more than that is waited for.
    fn note_ends(&mut self, batch: &mut [Job]) -> bool {
        let Some(journal) = &mut self.journal else { return false };
        let mut said = Vec::new();
        for job in batch.iter() {
            match job {
                Job::Finish { detail, new, .. } if write::is_short(detail) => {
                    said.push(Said { new: new.as_deref(), detail });
                }
                job if job.is_urgent() => return false,
                _ => {}
            }
        }
        let first = match journal.append(&said) {
            Ok(Some(first)) => first,
            Ok(None) => return false,
            Err(error) => {
                log::error!("the journal of runs is not written any more, the database is: {error}");
                self.journal = None;
                return false;
            }
        };
        let mut number = first;
        for job in batch {
            if let Job::Finish { detail, record, then, .. } = job {
                *record = Some(number);
                self.ahead.insert(number);
                number += 1;
                if let Some(then) = then.take() {
                    then(Arc::clone(detail));
                }
            }
        }
        true
    }

    /// Commits what has gathered, or the first so many of it, and brings the last of it to the disk.
    fn settle(&mut self, count_max: usize) {
        let mut left = count_max;
        while left > 0 && !self.gathered.is_empty() {
            let count = left.min(BATCH_MAX).min(self.gathered.len());
            left -= count;
            let batch = self.gathered.drain(..count).collect();
            let began = Instant::now();
            // What somebody waits for, and what is the last.
            let syncs = count_max == usize::MAX || self.gathered.is_empty();
            self.write(batch, syncs);
            // Runs of very many nodes need the processors themselves.
            self.rest_until = Instant::now() + began.elapsed() * REST_PER_WORK;
        }
    }

    /// Tries again what was kept, in a transaction of its own: what fails for ever is in no other job's way.
    fn retry(&mut self) {
        self.tried = Instant::now();
        let count = self.kept.len();
        let mut wanted = Vec::new();
        for job in self.kept.take() {
            // What something newer was said about is of no use any more, and would undo it.
            match &job {
                Job::Update { summary } if !self.pending.awaits_summary(summary) => {}
                Job::Finish { detail, record, .. } if !self.pending.awaits_detail(detail) => {
                    record.map(|record| self.ahead.remove(&record));
                }
                _ => wanted.push(job),
            }
        }
        self.write(wanted, true);
        if self.kept.is_empty() {
            log::info!("{count} records of runs that could not be written before are written");
        }
    }

    fn write(&mut self, batch: Vec<Job>, syncs: bool) {
        let mut answers: Vec<Answer> = Vec::with_capacity(batch.len());
        let mut outcome = self.commit(batch, &mut answers);
        if syncs && outcome.is_ok() {
            // Synced with nothing held: others write meanwhile.
            outcome = self.sync.sync().map_err(not_synced);
            if let (Ok(()), Some(journal)) = (&outcome, &mut self.journal) {
                journal.release(self.ahead.first().map_or(journal.last(), |first| first - 1));
            }
        }
        for answer in answers {
            answer(outcome.clone(), &mut self.kept);
        }
        self.kept.report();
    }

    fn commit(&mut self, batch: Vec<Job>, answers: &mut Vec<Answer>) -> Result<(), StoreError> {
        let failed = |error| StoreError::sqlite("write to the database", &error);
        let connection = Arc::clone(&self.connection);
        let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
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
        let mut scope = Scope::new(&mut transaction, batch.len() > 1);
        for job in batch {
            // Its report says that, too, and is tried again if it cannot be written now.
            let is_said_again = match &job {
                Job::Register { new } => ended.contains(&new.summary.id),
                Job::Update { summary } => ended.contains(&summary.id),
                _ => false,
            };
            if is_said_again {
                answers.push(done_or_kept(Ok(()), Arc::clone(&self.pending), job));
                continue;
            }
            // SQLite may have taken the whole transaction back, as when the disk is full: what is done after that would be committed
            // on its own.
            answers.push(match scope.is_over() {
                true => refusal(job),
                false => self.apply(&mut scope, job),
            });
        }
        let (has_failed, applied) = scope.end();
        if has_failed {
            // Alone as it was: nothing of it is left.
            return transaction.rollback().map_err(failed);
        }
        if !applied.is_empty() {
            let first_left = self.ahead.iter().find(|record| !applied.contains(record));
            let last = self.ahead.last().copied().unwrap_or(0);
            write::set_applied(&transaction, first_left.map_or(last, |first| first - 1)).map_err(failed)?;
        }
        transaction.commit().map_err(failed)?;
        self.ahead.retain(|record| !applied.contains(record));
        Ok(())
    }
}

/// The run whose report a job keeps.
fn ended_run(job: &Job) -> Option<String> {
    match job {
        Job::Finish { detail, .. } => Some(detail.summary.id.clone()),
        _ => None,
    }
}
