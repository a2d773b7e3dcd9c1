//! The thread that writes: takes what has gathered, commits it together, then answers those who wait.
//!
//! What nobody waits for is kept when it fails, and tried again ([`Kept`]): the disk may have room later.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use protocol::{LogLine, RunDetail, RunState, RunSummary};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use serde::Serialize;

use super::kept::Kept;
use super::ledger::{Entries, Ledger};
use super::pending::Pending;
use super::read;
use super::{NewRun, Retention, StoreError};

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
pub(super) type Then = Box<dyn FnOnce() + Send>;

/// Something to write.
pub(super) enum Job {
    Insert { run: Box<NewRun>, reply: Reply<()> },
    Update { summary: Box<RunSummary> },
    Finish { detail: Arc<RunDetail>, then: Option<Then> },
    Fetch { ledger: Arc<Ledger> },
    Logs { id: String, lines: Vec<LogLine> },
    Interrupt { now_us: i64, readable: Vec<String>, reply: Reply<()> },
    Prune { retention: Retention, now_us: i64, reply: Reply<usize> },
    Flush { reply: Reply<()> },
}

/// The caller's end of the thread.
#[derive(Debug)]
pub(super) struct Writer {
    /// None once the store is being dropped.
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(
        connection: Arc<Mutex<Connection>>,
        pending: Arc<Pending>,
        log_lines_max: u64,
    ) -> Result<Writer, StoreError> {
        let (sender, jobs) = sync_channel(JOBS_MAX);
        let desk = Desk { connection, pending, log_lines_max };
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || desk.work(&jobs))
            .map_err(|error| StoreError::io("start the thread that writes runs", &error))?;
        Ok(Writer { jobs: Some(sender), thread: Some(thread) })
    }

    /// Hands over a job that nobody waits for.
    pub(super) fn tell(&self, job: Job) {
        let lost = match &self.jobs {
            Some(jobs) => jobs.send(job).err().map(|unsent| unsent.0),
            None => Some(job),
        };
        if let Some(lost) = lost {
            log::error!("the store's thread has ended; a run's record was not written");
            // Whoever waits for the end of the run must not wait for ever.
            if let Job::Finish { then: Some(then), .. } = lost {
                then();
            }
        }
    }

    /// Hands over a job that can be handed over again, unless too many wait already.
    pub(super) fn tell_if_room(&self, job: Job) {
        let Some(jobs) = &self.jobs else { return };
        if let Err(TrySendError::Full(Job::Fetch { ledger }) | TrySendError::Disconnected(Job::Fetch { ledger })) =
            jobs.try_send(job)
        {
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

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // What was handed over is written before the thread ends; a panic in there was logged by the panic hook.
            let _ = thread.join();
        }
    }
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
    pending: Arc<Pending>,
    log_lines_max: u64,
}

/// To be done once the batch is committed, or has failed to.
type Answer = Box<dyn FnOnce(Result<(), StoreError>, &mut Kept)>;

impl Desk {
    fn work(&self, jobs: &Receiver<Job>) {
        let mut kept = Kept::default();
        let mut tried = Instant::now();
        let mut rest_until = Instant::now();
        loop {
            let rest = rest_until.saturating_duration_since(Instant::now());
            let first = match (kept.is_empty(), kept.has_late()) {
                (true, false) => jobs.recv().map_err(|_| RecvTimeoutError::Disconnected),
                (false, false) => jobs.recv_timeout(RETRY_INTERVAL),
                (_, true) => jobs.recv_timeout(rest),
            };
            if matches!(first, Err(RecvTimeoutError::Disconnected)) {
                break;
            }
            let mut batch: Vec<Job> = first.into_iter().collect();
            gather(jobs, &mut batch);
            batch.extend(std::iter::from_fn(|| jobs.try_recv().ok()).take(BATCH_MAX - 1));
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
        let outcome = self.commit(batch, &mut answers);
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
        for job in batch {
            // A job of its own savepoint: one that fails takes nothing else with it. Unless SQLite has taken the whole
            // transaction back, as it may when the disk is full: what is done after that would be committed on its own.
            answers.push(match transaction.is_autocommit() {
                true => refusal(job),
                false => self.apply(&mut transaction, job),
            });
        }
        transaction.commit().map_err(failed)
    }

    fn apply(&self, transaction: &mut Transaction<'_>, job: Job) -> Answer {
        match job {
            Job::Insert { run, reply } => {
                let result = within(transaction, "register a run", |t| insert(t, &run));
                let result = result.and_then(|inserted| match inserted {
                    true => Ok(()),
                    false => Err(StoreError::IdTaken(run.summary.id.clone())),
                });
                answer_with(reply, result)
            }
            Job::Update { summary } => {
                let result = within(transaction, "update a run", |t| update(t, &summary));
                done_or_kept(result, Arc::clone(&self.pending), Job::Update { summary })
            }
            Job::Finish { detail, then } => {
                let result = within(transaction, "keep a run's report", |t| finish(t, &detail));
                let answer = done_or_kept(result, Arc::clone(&self.pending), Job::Finish { detail, then: None });
                and_then(answer, then)
            }
            Job::Fetch { ledger } => {
                let (entries, limit) = (ledger.fetch(), self.log_lines_max);
                let result =
                    within(transaction, "keep what happened in a run", |t| fetch(t, ledger.id(), &entries, limit));
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
                let result = within(transaction, "keep a run's log", |t| append_logs(t, &id, &lines, limit));
                done_or_kept(result, Arc::clone(&self.pending), Job::Logs { id, lines })
            }
            Job::Interrupt { now_us, readable, reply } => {
                answer_with(reply, within(transaction, "mark interrupted runs", |t| interrupt(t, now_us, &readable)))
            }
            Job::Prune { retention, now_us, reply } => {
                answer_with(reply, within(transaction, "forget old runs", |t| prune(t, retention, now_us)))
            }
            Job::Flush { reply } => flushed(reply),
        }
    }
}

/// The answer of a job that was never tried, for a batch that failed.
fn refusal(job: Job) -> Answer {
    match job {
        Job::Insert { reply, .. } | Job::Interrupt { reply, .. } => answer_with(reply, Ok(())),
        Job::Prune { reply, .. } => answer_with(reply, Ok(0)),
        Job::Flush { reply } => flushed(reply),
        Job::Fetch { ledger } => Box::new(move |_, _| ledger.take_back(Entries::default())),
        Job::Finish { detail, then } => and_then(kept_if_failed(Job::Finish { detail, then: None }), then),
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
fn and_then(answer: Answer, then: Option<Then>) -> Answer {
    Box::new(move |committed, kept| {
        answer(committed, kept);
        if let Some(then) = then {
            then();
        }
    })
}

/// Waits for more, as long as all there is can wait itself.
fn gather(jobs: &Receiver<Job>, batch: &mut Vec<Job>) {
    let until = Instant::now() + GATHER_INTERVAL;
    while !batch.is_empty() && batch.len() < BATCH_MAX && batch.iter().all(|job| matches!(job, Job::Fetch { .. })) {
        match jobs.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(job) => batch.push(job),
            Err(_) => return,
        }
    }
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

/// Does one job in a savepoint.
fn within<T>(
    transaction: &mut Transaction<'_>,
    attempt: &str,
    job: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> Result<T, StoreError> {
    let failed = |error| StoreError::sqlite(attempt, &error);
    let savepoint = transaction.savepoint().map_err(failed)?;
    let value = job(&savepoint).map_err(failed)?;
    savepoint.commit().map_err(failed)?;
    Ok(value)
}

fn json(value: &impl Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

/// Adds a run; false if its id is taken.
fn insert(connection: &Connection, run: &NewRun) -> rusqlite::Result<bool> {
    let summary = &run.summary;
    let inserted = connection
        .prepare_cached(
            "INSERT INTO runs (id, state, submitted_us, finished_us, summary, submission)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (id) DO NOTHING",
        )?
        .execute(params![
            summary.id,
            summary.state.as_str(),
            summary.submitted_us,
            summary.finished_us,
            json(summary)?,
            json(&run.submission)?
        ])?;
    Ok(inserted == 1)
}

fn update(connection: &Connection, summary: &RunSummary) -> rusqlite::Result<()> {
    update_as(connection, summary, &json(summary)?)
}

fn update_as(connection: &Connection, summary: &RunSummary, body: &str) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE runs SET state = ?2, finished_us = ?3, summary = ?4 WHERE id = ?1")?
        .execute(params![summary.id, summary.state.as_str(), summary.finished_us, body])?;
    Ok(())
}

fn finish(connection: &Connection, detail: &RunDetail) -> rusqlite::Result<()> {
    // What a report says of the run as a whole stands with the summary; its lists have tables of their own.
    let whole = RunDetail {
        plugins: Vec::new(),
        nodes: Vec::new(),
        datasets: Vec::new(),
        failures: Vec::new(),
        // Not the rest of a clone: the lists may be long.
        summary: detail.summary.clone(),
        resume: detail.resume.clone(),
        blocks: detail.blocks,
    };
    update_as(connection, &detail.summary, &json(&whole)?)?;
    let Some(run) = read::number_of(connection, &detail.summary.id)? else { return Ok(()) };
    replace_parts(connection, "plugins", run, &detail.plugins)?;
    replace_parts(connection, "nodes", run, &detail.nodes)?;
    replace_parts(connection, "datasets", run, &detail.datasets)?;
    replace_parts(connection, "failures", run, &detail.failures)
}

fn replace_parts<T: Serialize>(
    connection: &Connection,
    table: &'static str,
    run: i64,
    parts: &[T],
) -> rusqlite::Result<()> {
    connection.prepare_cached(&format!("DELETE FROM {table} WHERE run = ?1"))?.execute([run])?;
    let mut insert =
        connection.prepare_cached(&format!("INSERT INTO {table} (run, position, body) VALUES (?1, ?2, ?3)"))?;
    for (position, part) in (0_i64..).zip(parts) {
        insert.execute(params![run, position, json(part)?])?;
    }
    Ok(())
}

/// Adds what a ledger held. The report, when it comes, replaces the nodes.
fn fetch(connection: &Connection, id: &str, entries: &Entries, limit: u64) -> rusqlite::Result<()> {
    if entries.is_empty() {
        return Ok(());
    }
    if let Some(run) = read::number_of(connection, id)? {
        let mut insert =
            connection.prepare_cached("INSERT OR REPLACE INTO nodes (run, position, body) VALUES (?1, ?2, ?3)")?;
        for (position, node) in &entries.nodes {
            insert.execute(params![run, position, json(node)?])?;
        }
    }
    if !entries.lines.is_empty() {
        append_logs(connection, id, &entries.lines, limit)?;
    }
    Ok(())
}

fn append_logs(connection: &Connection, id: &str, lines: &[LogLine], limit: u64) -> rusqlite::Result<()> {
    let Some(run) = read::number_of(connection, id)? else { return Ok(()) };
    let mut insert =
        connection.prepare_cached("INSERT OR REPLACE INTO logs (run, position, body) VALUES (?1, ?2, ?3)")?;
    let mut last: i64 = 0;
    for line in lines {
        let position = i64::try_from(line.number).unwrap_or(i64::MAX);
        insert.execute(params![run, position, json(line)?])?;
        last = last.max(position);
    }
    let oldest = last.saturating_sub(i64::try_from(limit).unwrap_or(i64::MAX));
    connection.prepare_cached("DELETE FROM logs WHERE run = ?1 AND position <= ?2")?.execute([run, oldest])?;
    Ok(())
}

/// Marks unfinished runs whose summary cannot be read, and so not be updated.
fn interrupt(connection: &Connection, now_us: i64, readable: &[String]) -> rusqlite::Result<()> {
    let readable = serde_json::to_string(readable).unwrap_or_else(|_| "[]".to_owned());
    connection
        .prepare_cached(
            "UPDATE runs SET state = ?1, finished_us = ?2
             WHERE state IN (?3, ?4) AND id NOT IN (SELECT value FROM json_each(?5))",
        )?
        .execute(params![
            RunState::Interrupted.as_str(),
            now_us,
            RunState::Queued.as_str(),
            RunState::Running.as_str(),
            readable
        ])?;
    Ok(())
}

fn prune(connection: &Connection, retention: Retention, now_us: i64) -> rusqlite::Result<usize> {
    let ended = "state NOT IN ('queued', 'running')";
    let mut pruned = 0;
    if retention.keep_days > 0 {
        let days_us = i64::try_from(retention.keep_days.saturating_mul(read::DAY_US)).unwrap_or(i64::MAX);
        let sql = format!("DELETE FROM runs WHERE {ended} AND coalesce(finished_us, submitted_us) < ?1");
        pruned += connection.prepare_cached(&sql)?.execute([now_us.saturating_sub(days_us)])?;
    }
    if retention.keep_count > 0 {
        let keep = i64::try_from(retention.keep_count).unwrap_or(i64::MAX);
        let sql = format!(
            "DELETE FROM runs WHERE {ended} AND number NOT IN
             (SELECT number FROM runs WHERE {ended} ORDER BY number DESC LIMIT ?1)"
        );
        pruned += connection.prepare_cached(&sql)?.execute([keep])?;
    }
    Ok(pruned)
}
