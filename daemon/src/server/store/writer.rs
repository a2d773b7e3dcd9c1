//! The thread that writes: takes what has gathered, commits it together, brings it to the disk, then answers those who wait.
//!
//! A new run is written by whoever brings it ([`Writer::insert`]): that is short, and somebody waits for it. What nobody waits for is
//! kept when it fails, and tried again ([`Kept`]): the disk may have room later.

use std::collections::BTreeSet;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use protocol::{LogLine, RunDetail, RunSummary};
use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::kept::Kept;
use super::ledger::{Entries, Ledger};
use super::pending::Pending;
use super::queue::{Patience, Queue, Wait};
use super::sync::Sync;
use super::{InsertError, NewRun, Retention, StoreError, write};

/// How many jobs may wait; who comes then waits too.
const JOBS_MAX: usize = 4096;

/// How many jobs one commit may hold, so that nobody waits long for an answer.
const BATCH_MAX: usize = 512;

/// How long after a failed try what was kept is tried again; at once if somebody waits for it ([`Job::Flush`]).
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// How long what nobody waits for may gather, so that a run of many small nodes is not a commit for each.
const GATHER_INTERVAL: Duration = Duration::from_millis(50);

/// How long the thread leaves runs alone that had more to write than it took, for each moment of writing.
const REST_PER_WORK: u32 = 20;

/// Where the answer to a job goes.
pub(super) type Reply<T> = SyncSender<Result<T, StoreError>>;

/// What follows when something is on disk.
pub(super) type Then = Box<dyn FnOnce(Arc<RunDetail>) + Send>;

/// Something to write.
pub(super) enum Job {
    Update { summary: Box<RunSummary> },
    Finish { detail: Arc<RunDetail>, then: Option<Then> },
    Fetch { ledger: Arc<Ledger> },
    Logs { id: String, lines: Vec<LogLine> },
    Interrupt { now_us: i64, readable: Vec<String>, reply: Reply<()> },
    Prune { retention: Retention, now_us: i64, reply: Reply<usize> },
    Flush { reply: Reply<()> },
}

/// The caller's end of the thread.
pub(super) struct Writer {
    jobs: Arc<Queue<Job>>,
    thread: Option<JoinHandle<()>>,
    connection: Arc<Mutex<Connection>>,
    sync: Arc<Sync>,
}

impl Writer {
    pub(super) fn start(
        connection: Arc<Mutex<Connection>>,
        sync: Sync,
        pending: Arc<Pending>,
        log_lines_max: u64,
    ) -> Result<Writer, StoreError> {
        let jobs = Arc::new(Queue::new(JOBS_MAX));
        let taken = Arc::clone(&jobs);
        let sync = Arc::new(sync);
        let desk = Desk { connection: Arc::clone(&connection), sync: Arc::clone(&sync), pending, log_lines_max };
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || {
                // Whether it returns or panics: nobody is to wait for what nobody takes.
                let _closes = Closes(Arc::clone(&taken));
                desk.work(&taken);
            })
            .map_err(|error| StoreError::io("start the thread that writes runs", &error))?;
        Ok(Writer { jobs, thread: Some(thread), connection, sync })
    }

    /// Writes a new run, on the caller's thread. `begin` is called when its id is its own, before the commit.
    pub(super) fn insert(&self, run: &NewRun, begin: impl FnOnce()) -> Result<(), InsertError> {
        let failed = |error| StoreError::sqlite("register a run", &error);
        let not_begun = |error| InsertError { error: failed(error), has_begun: false };
        self.sync.verdict().map_err(|error| InsertError { error: not_synced(error), has_begun: false })?;
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(not_begun)?;
        if !write::insert(&transaction, run).map_err(not_begun)? {
            return Err(InsertError { error: StoreError::IdTaken(run.summary.id.clone()), has_begun: false });
        }
        begin();
        transaction.commit().map_err(|error| InsertError { error: failed(error), has_begun: true })
    }

    /// Brings what was written to the disk.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        self.sync.sync().map_err(not_synced)
    }

    /// Hands over a job that nobody waits for.
    pub(super) fn tell(&self, job: Job) {
        if let Err(lost) = self.jobs.push(job) {
            log::error!("the store's thread has ended; a run's record was not written");
            // Whoever waits for the end of the run must not wait for ever.
            if let Job::Finish { detail, then: Some(then) } = lost {
                then(detail);
            }
        }
    }

    /// Hands over a job that can be handed over again, unless too many wait already.
    pub(super) fn tell_if_room(&self, job: Job) {
        if let Err(Job::Fetch { ledger }) = self.jobs.push_if_room(job) {
            ledger.take_back(Entries::default());
        }
    }

    /// Hands over a job and waits until it is on disk.
    pub(super) fn ask<T>(&self, job: impl FnOnce(Reply<T>) -> Job) -> Result<T, StoreError> {
        let (reply, answer) = sync_channel(1);
        self.tell(job(reply));
        answer.recv().unwrap_or_else(|_| Err(gone()))
    }
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("sync", &self.sync).finish_non_exhaustive()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs.close();
        if let Some(thread) = self.thread.take() {
            // What was handed over is written before the thread ends; a panic in there was logged by the panic hook.
            let _ = thread.join();
        }
    }
}

fn not_synced(error: std::io::Error) -> StoreError {
    StoreError::io("bring the database to the disk", &error)
}

fn gone() -> StoreError {
    StoreError::Failed {
        attempt: "write to the database".to_owned(),
        reason: "the store's thread has ended".to_owned(),
        damaged: false,
    }
}

/// What the thread works with.
struct Desk {
    connection: Arc<Mutex<Connection>>,
    sync: Arc<Sync>,
    pending: Arc<Pending>,
    log_lines_max: u64,
}

/// Closes the line when the thread ends; who waits for an answer to a job in it is told by the job's end.
struct Closes(Arc<Queue<Job>>);

impl Drop for Closes {
    fn drop(&mut self) {
        self.0.close();
        drop(self.0.take(usize::MAX));
    }
}

impl Patience for Job {
    fn is_urgent(&self) -> bool {
        // That a run goes on is soon followed by its end, if it is a short one.
        !matches!(self, Job::Fetch { .. } | Job::Update { .. })
    }
}

/// To be done once the batch is committed, or has failed to.
type Answer = Box<dyn FnOnce(Result<(), StoreError>, &mut Kept)>;

impl Desk {
    fn work(&self, jobs: &Queue<Job>) {
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
        // Synced with nothing held: others write meanwhile.
        let outcome = self.commit(batch, &mut answers).and_then(|()| self.sync.sync().map_err(not_synced));
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

/// The answer of a job that was never tried, for a batch that failed.
fn refusal(job: Job) -> Answer {
    match job {
        Job::Interrupt { reply, .. } => answer_with(reply, Ok(())),
        Job::Prune { reply, .. } => answer_with(reply, Ok(0)),
        Job::Flush { reply } => flushed(reply),
        Job::Fetch { ledger } => Box::new(move |_, _| ledger.take_back(Entries::default())),
        Job::Finish { detail, then } => {
            let job = Job::Finish { detail: Arc::clone(&detail), then: None };
            and_then(kept_if_failed(job), detail, then)
        }
        job @ (Job::Update { .. } | Job::Logs { .. }) => kept_if_failed(job),
    }
}

fn kept_if_failed(job: Job) -> Answer {
    Box::new(move |committed, kept| {
        if let Err(error) = committed {
            kept.keep(job, error);
        }
    })
}

/// Calls what follows when the answer was given, whether it was good or not.
fn and_then(answer: Answer, detail: Arc<RunDetail>, then: Option<Then>) -> Answer {
    Box::new(move |committed, kept| {
        answer(committed, kept);
        if let Some(then) = then {
            then(detail);
        }
    })
}

fn answer_with<T: 'static>(reply: Reply<T>, result: Result<T, StoreError>) -> Answer {
    Box::new(move |committed, _| {
        // Who asked may have given up waiting.
        let _ = reply.send(committed.and(result));
    })
}

/// Everything is on disk if the batch is, and nothing from before is kept.
fn flushed(reply: Reply<()>) -> Answer {
    Box::new(move |committed, kept| {
        // Who asked may have given up waiting.
        let _ = reply.send(committed.and_then(|()| kept.verdict()));
    })
}

/// For a job that nobody waits for: what it said is let go from memory when it is on disk, and kept until then.
fn done_or_kept(result: Result<(), StoreError>, pending: Arc<Pending>, job: Job) -> Answer {
    Box::new(move |committed, kept| match (committed.and(result), &job) {
        (Ok(()), Job::Update { summary }) => pending.written_summary(summary),
        (Ok(()), Job::Finish { detail, .. }) => pending.written_detail(detail),
        (Ok(()), _) => (),
        (Err(error), _) => kept.keep(job, error),
    })
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
