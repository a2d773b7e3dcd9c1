//! Reading: each function makes one answer out of rows, leaving out rows it cannot understand.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use protocol::{
    Failure, FailureKind, LogLine, LogList, NodeDetail, NodeState, RunDetail, RunFilter, RunState, RunSummary,
    Submission,
};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::de::DeserializeOwned;

use super::{StoreError, packed, schema};

/// Microseconds of a day.
pub(super) const DAY_US: u64 = 24 * 60 * 60 * 1_000_000;

/// How many log lines one answer holds at most.
const LOG_LINES_MAX: i64 = 10_000;

/// Connections for reading.
#[derive(Debug)]
pub(super) enum Readers {
    /// A database in memory has one connection, shared with the writer.
    Shared(Arc<Mutex<Connection>>),
    /// A file has as many as read at the same time: a long report holds nobody up.
    File { file: PathBuf, idle: Mutex<Vec<Connection>> },
}

/// How many idle connections are kept open.
const IDLE_MAX: usize = 4;

impl Readers {
    pub(super) fn shared(connection: Arc<Mutex<Connection>>) -> Readers {
        Readers::Shared(connection)
    }

    pub(super) fn of_file(file: PathBuf) -> Readers {
        Readers::File { file, idle: Mutex::new(Vec::new()) }
    }

    /// Reads in one transaction, so that an answer made of several queries is of one moment.
    pub(super) fn with<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let in_transaction = |connection: &mut Connection| {
            let transaction = connection.transaction()?;
            read(&transaction)
        };
        let result = match self {
            Readers::Shared(connection) => {
                in_transaction(&mut connection.lock().unwrap_or_else(PoisonError::into_inner))
            }
            Readers::File { file, idle } => {
                let taken = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
                let connection = taken.map_or_else(|| schema::open_reader(file), Ok);
                connection.and_then(|mut connection| {
                    let value = in_transaction(&mut connection)?;
                    let mut idle = idle.lock().unwrap_or_else(PoisonError::into_inner);
                    if idle.len() < IDLE_MAX {
                        idle.push(connection);
                    }
                    Ok(value)
                })
            }
        };
        result.map_err(|error| StoreError::sqlite("read the database", &error))
    }
}

/// Runs, newest first, as they stand on disk with what is pending laid over.
pub(super) fn runs(
    connection: &Connection,
    filter: &RunFilter,
    overlay: &HashMap<String, RunSummary>,
) -> rusqlite::Result<Vec<RunSummary>> {
    let limit = filter.limit_or_default() as usize;
    let mut found = Vec::new();
    // The filter by state is on what is true now, so rows that are about to change are read whatever their column says.
    let pending: Vec<&str> = overlay.keys().map(String::as_str).collect();
    let pending = serde_json::to_string(&pending).unwrap_or_else(|_| "[]".to_owned());
    let mut statement = connection.prepare_cached(
        "SELECT id, summary FROM runs
         WHERE ?1 IS NULL OR state = ?1 OR id IN (SELECT value FROM json_each(?2)) ORDER BY number DESC",
    )?;
    let mut rows = statement.query(params![filter.state.map(RunState::as_str), pending])?;
    while found.len() < limit {
        let Some(row) = rows.next()? else { break };
        let Some(mut summary) = summary_of(row) else { continue };
        if let Some(newer) = overlay.get(&summary.id) {
            summary.clone_from(newer);
        }
        if filter.state.is_none_or(|state| state == summary.state) {
            found.push(summary);
        }
    }
    Ok(found)
}

/// The summary in a row of `id, summary`.
fn summary_of(row: &Row<'_>) -> Option<RunSummary> {
    let id = text(row, 0).unwrap_or_else(|_| "?".to_owned());
    decode::<RunSummary>(row, 1, || format!("run {id:?}"))
}

/// Everything about one run.
pub(super) fn run(connection: &Connection, id: &str) -> rusqlite::Result<Option<RunDetail>> {
    let found = connection
        .prepare_cached("SELECT id, summary, number, report FROM runs WHERE id = ?1")?
        .query_row([id], |row| {
            let is_together = !matches!(row.get_ref(3)?, ValueRef::Null);
            let together = is_together.then(|| decode::<RunDetail>(row, 3, || format!("the report of run {id:?}")));
            let together = together.flatten();
            let summary = match together {
                Some(_) => None,
                None => decode::<RunDetail>(row, 1, || format!("run {id:?}")),
            };
            Ok((together, summary, row.get::<_, i64>(2)?))
        })
        .optional()?;
    let (detail, number) = match found {
        Some((Some(together), ..)) => return Ok(Some(together)),
        Some((None, Some(detail), number)) => (detail, number),
        Some((None, None, _)) | None => return Ok(None),
    };
    Ok(Some(RunDetail {
        plugins: parts(connection, "plugins", number, id)?,
        nodes: parts(connection, "nodes", number, id)?,
        datasets: parts(connection, "datasets", number, id)?,
        failures: parts(connection, "failures", number, id)?,
        ..detail
    }))
}

fn parts<T: DeserializeOwned>(
    connection: &Connection,
    table: &'static str,
    run: i64,
    id: &str,
) -> rusqlite::Result<Vec<T>> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT body, packed FROM {table} WHERE run = ?1 ORDER BY position"))?;
    let mut rows = statement.query([run])?;
    let mut parts = Vec::new();
    while let Some(row) = rows.next()? {
        let body = long_text(row, 0, 1);
        let is_one = body.as_ref().is_ok_and(|body| !body.starts_with('['));
        if is_one {
            parts.extend(parse::<T>(body, || format!("one of the {table} of run {id:?}")));
        } else {
            let list: Option<Vec<T>> = parse(body, || format!("some of the {table} of run {id:?}"));
            parts.extend(list.into_iter().flatten());
        }
    }
    Ok(parts)
}

/// The number of the run with this id.
pub(super) fn number_of(connection: &Connection, id: &str) -> rusqlite::Result<Option<i64>> {
    connection.prepare_cached("SELECT number FROM runs WHERE id = ?1")?.query_row([id], |row| row.get(0)).optional()
}

/// The newest run that goes on with this one.
pub(super) fn successor(connection: &Connection, id: &str) -> rusqlite::Result<Option<String>> {
    // What is no JSON is no run's successor.
    connection
        .prepare_cached(
            "SELECT id FROM runs
             WHERE CASE WHEN json_valid(summary) THEN json_extract(summary, '$.resumed_from') END = ?1
             ORDER BY number DESC LIMIT 1",
        )?
        .query_row([id], |row| row.get(0))
        .optional()
}

/// What was submitted as this run.
pub(super) fn submission(connection: &Connection, id: &str) -> rusqlite::Result<Option<Submission>> {
    connection
        .prepare_cached("SELECT submission, packed_submission FROM runs WHERE id = ?1")?
        .query_row([id], |row| Ok(parse(long_text(row, 0, 1), || format!("the submission of run {id:?}"))))
        .optional()
        .map(Option::flatten)
}

/// A run's log from line `from` on.
pub(super) fn logs(connection: &Connection, id: &str, from: u64) -> rusqlite::Result<Option<LogList>> {
    let Some(number) = number_of(connection, id)? else { return Ok(None) };
    // Lines are numbered from 1.
    let from = i64::try_from(from.max(1)).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(
        "SELECT position, body FROM logs WHERE run = ?1 AND position >= ?2 ORDER BY position LIMIT ?3",
    )?;
    let mut rows = statement.query([number, from, LOG_LINES_MAX])?;
    let mut list = LogList { lines: Vec::new(), next: from.unsigned_abs(), missed: 0 };
    let mut first = true;
    while let Some(row) = rows.next()? {
        let position = row.get::<_, i64>(0)?.max(from);
        if std::mem::take(&mut first) {
            list.missed = (position - from).unsigned_abs();
        }
        list.next = position.unsigned_abs().saturating_add(1);
        list.lines.extend(decode::<LogLine>(row, 1, || format!("line {position} of the log of run {id:?}")));
    }
    Ok(Some(list))
}

/// How many nodes of a run are known to have ended well, and how many badly.
pub(super) fn ended_nodes(connection: &Connection, id: &str) -> rusqlite::Result<(u64, u64)> {
    let Some(number) = number_of(connection, id)? else { return Ok((0, 0)) };
    let nodes: Vec<NodeDetail> = parts(connection, "nodes", number, id)?;
    let count = |state| nodes.iter().filter(|node| node.state == state).count() as u64;
    Ok((count(NodeState::Succeeded), count(NodeState::Failed)))
}

/// Turns a summary into that of an interrupted run, of which so many nodes ended well and badly before.
pub(super) fn interrupt(summary: &mut RunSummary, (succeeded, failed): (u64, u64), hint: String, now_us: i64) {
    let mut failure = Failure::new(FailureKind::Interrupted, "the daemon ended before the run did");
    failure.hints.push(hint);
    // The counts were written when the run began.
    summary.counts.succeeded = summary.counts.succeeded.max(succeeded);
    summary.counts.failed = summary.counts.failed.max(failed);
    summary.counts.waiting = summary.counts.waiting.saturating_sub(succeeded + failed);
    summary.state = RunState::Interrupted;
    summary.finished_us = Some(now_us);
    summary.cause.get_or_insert(failure);
    // Nothing of it is under way any more.
    summary.counts.cancelled = summary.counts.cancelled.saturating_add(summary.counts.running);
    summary.counts.skipped = summary.counts.skipped.saturating_add(summary.counts.waiting);
    summary.counts.running = 0;
    summary.counts.waiting = 0;
}

/// Reads JSON out of a column; what cannot be read is logged and left out.
fn decode<T: DeserializeOwned>(row: &Row<'_>, column: usize, what: impl FnOnce() -> String) -> Option<T> {
    parse(text(row, column), what)
}

fn parse<T: DeserializeOwned>(body: Result<String, String>, what: impl FnOnce() -> String) -> Option<T> {
    body.and_then(|body| serde_json::from_str(&body).map_err(|error| error.to_string()))
        .inspect_err(|error| log::warn!("the store's record of {} cannot be read ({error}); left out", what()))
        .ok()
}

/// A text that may be [`packed`] in a column of its own.
fn long_text(row: &Row<'_>, plain: usize, packed: usize) -> Result<String, String> {
    match row.get_ref(packed) {
        Ok(ValueRef::Blob(bytes)) => packed::unpack(bytes),
        _ => text(row, plain),
    }
}

fn text(row: &Row<'_>, column: usize) -> Result<String, String> {
    let text = match row.get_ref(column) {
        Ok(ValueRef::Text(bytes)) => std::str::from_utf8(bytes).ok(),
        _ => None,
    };
    text.map(str::to_owned).ok_or_else(|| "it is no text".to_owned())
}
