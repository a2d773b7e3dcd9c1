//! The thread that writes: takes what has gathered, commits it together, then answers those who wait.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use protocol::{LogLine, RunDetail, RunState, RunSummary};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde::Serialize;

use super::pending::Pending;
use super::read;
use super::{NewRun, Retention, StoreError};

/// How many jobs may wait; who comes then waits too.
const JOBS_MAX: usize = 4096;

/// How many jobs one commit may hold, so that nobody waits long for an answer.
const BATCH_MAX: usize = 512;

/// Where the answer to a job goes.
pub(super) type Reply<T> = SyncSender<Result<T, StoreError>>;

/// Something to write.
pub(super) enum Job {
    Insert { run: Box<NewRun>, reply: Reply<()> },
    Update { summary: Box<RunSummary> },
    Finish { detail: Arc<RunDetail> },
    Logs { id: String, lines: Vec<LogLine> },
    Interrupt { now_us: i64, reply: Reply<()> },
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
        let sent = self.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok());
        if !sent {
            log::error!("the store's thread has ended; a run's record was not written");
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
type Answer = Box<dyn FnOnce(Result<(), StoreError>)>;

impl Desk {
    fn work(&self, jobs: &Receiver<Job>) {
        while let Ok(first) = jobs.recv() {
            let mut batch = vec![first];
            batch.extend(std::iter::from_fn(|| jobs.try_recv().ok()).take(BATCH_MAX - 1));
            self.write(batch);
        }
    }

    fn write(&self, batch: Vec<Job>) {
        let mut answers: Vec<Answer> = Vec::with_capacity(batch.len());
        let outcome = self.commit(batch, &mut answers);
        for answer in answers {
            answer(outcome.clone());
        }
        if let Err(error) = outcome {
            log::error!("{error}; reports of runs that ended meanwhile are in memory only");
        }
    }

    fn commit(&self, batch: Vec<Job>, answers: &mut Vec<Answer>) -> Result<(), StoreError> {
        let failed = |error| StoreError::sqlite("write to the database", &error);
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = connection.transaction();
        let mut transaction = match transaction {
            Ok(transaction) => transaction,
            Err(error) => {
                let error = failed(error);
                answers.extend(batch.into_iter().filter_map(refusal));
                return Err(error);
            }
        };
        for job in batch {
            // A job of its own savepoint: one that fails takes nothing else with it.
            answers.push(self.apply(&mut transaction, job));
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
                let pending = Arc::clone(&self.pending);
                done_or_logged(result, move || pending.written_summary(&summary))
            }
            Job::Finish { detail } => {
                let result = within(transaction, "keep a run's report", |t| finish(t, &detail));
                let pending = Arc::clone(&self.pending);
                done_or_logged(result, move || pending.written_detail(&detail))
            }
            Job::Logs { id, lines } => {
                let limit = self.log_lines_max;
                let result = within(transaction, "keep a run's log", |t| append_logs(t, &id, &lines, limit));
                done_or_logged(result, || ())
            }
            Job::Interrupt { now_us, reply } => {
                answer_with(reply, within(transaction, "mark interrupted runs", |t| interrupt(t, now_us)))
            }
            Job::Prune { retention, now_us, reply } => {
                answer_with(reply, within(transaction, "forget old runs", |t| prune(t, retention, now_us)))
            }
            Job::Flush { reply } => answer_with(reply, Ok(())),
        }
    }
}

/// The answers of a job that was never tried.
fn refusal(job: Job) -> Option<Answer> {
    match job {
        Job::Insert { reply, .. } | Job::Interrupt { reply, .. } | Job::Flush { reply } => {
            Some(answer_with(reply, Ok(())))
        }
        Job::Prune { reply, .. } => Some(answer_with(reply, Ok(0))),
        Job::Update { .. } | Job::Finish { .. } | Job::Logs { .. } => None,
    }
}

fn answer_with<T: 'static>(reply: Reply<T>, result: Result<T, StoreError>) -> Answer {
    Box::new(move |committed| {
        // Who asked may have given up waiting.
        let _ = reply.send(committed.and(result));
    })
}

fn done_or_logged(result: Result<(), StoreError>, done: impl FnOnce() + 'static) -> Answer {
    Box::new(move |committed| match (committed, result) {
        (Ok(()), Ok(())) => done(),
        (Ok(()), Err(error)) => log::error!("{error}"),
        // Logged once for the whole batch.
        (Err(_), _) => (),
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
    connection
        .prepare_cached("UPDATE runs SET state = ?2, finished_us = ?3, summary = ?4 WHERE id = ?1")?
        .execute(params![summary.id, summary.state.as_str(), summary.finished_us, json(summary)?])?;
    Ok(())
}

fn finish(connection: &Connection, detail: &RunDetail) -> rusqlite::Result<()> {
    update(connection, &detail.summary)?;
    let Some(run) = number_of(connection, &detail.summary.id)? else { return Ok(()) };
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

fn append_logs(connection: &Connection, id: &str, lines: &[LogLine], limit: u64) -> rusqlite::Result<()> {
    let Some(run) = number_of(connection, id)? else { return Ok(()) };
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

fn number_of(connection: &Connection, id: &str) -> rusqlite::Result<Option<i64>> {
    connection.prepare_cached("SELECT number FROM runs WHERE id = ?1")?.query_row([id], |row| row.get(0)).optional()
}

/// Marks what is left of unfinished runs: rows whose summary could not be read and so was not updated.
fn interrupt(connection: &Connection, now_us: i64) -> rusqlite::Result<()> {
    connection.prepare_cached("UPDATE runs SET state = ?1, finished_us = ?2 WHERE state IN (?3, ?4)")?.execute(
        params![RunState::Interrupted.as_str(), now_us, RunState::Queued.as_str(), RunState::Running.as_str()],
    )?;
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
