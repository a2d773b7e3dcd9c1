//! Writing: each function makes one change to the rows, within whatever transaction its caller has begun.

use protocol::{LogLine, RunDetail, RunState, RunSummary};
use rusqlite::{Connection, params};
use serde::Serialize;

use super::ledger::Entries;
use super::{NewRun, Retention, packed, read};

/// A report with so few parts (plugins, nodes, datasets, failures) is one value of its run's row: a row in each of four tables for a run of
/// one node would be three times the pages, and the disk waits for each.
const PARTS_TOGETHER_MAX: usize = 64;

/// So many parts of a longer report are one row: with a row for each, most of what a run of very many short nodes costs would be its report.
const PARTS_A_ROW: usize = 256;

fn json(value: &impl Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

/// Adds a run; false if its id is taken.
pub(super) fn insert(connection: &Connection, run: &NewRun) -> rusqlite::Result<bool> {
    let summary = &run.summary;
    let (submission, packed) = packed::long(json(&run.submission)?);
    let inserted = connection
        .prepare_cached(
            "INSERT INTO runs (id, state, submitted_us, finished_us, summary, submission, packed_submission)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (id) DO NOTHING",
        )?
        .execute(params![
            summary.id,
            summary.state.as_str(),
            summary.submitted_us,
            summary.finished_us,
            json(summary)?,
            submission,
            packed
        ])?;
    Ok(inserted == 1)
}

pub(super) fn update(connection: &Connection, summary: &RunSummary) -> rusqlite::Result<()> {
    update_as(connection, summary, &json(summary)?)
}

fn update_as(connection: &Connection, summary: &RunSummary, body: &str) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE runs SET state = ?2, finished_us = ?3, summary = ?4 WHERE id = ?1")?
        .execute(params![summary.id, summary.state.as_str(), summary.finished_us, body])?;
    Ok(())
}

pub(super) fn finish(connection: &Connection, detail: &RunDetail) -> rusqlite::Result<()> {
    let parts = detail.plugins.len() + detail.nodes.len() + detail.datasets.len() + detail.failures.len();
    if parts <= PARTS_TOGETHER_MAX {
        let summary = &detail.summary;
        connection
            .prepare_cached("UPDATE runs SET state = ?2, finished_us = ?3, summary = ?4, report = ?5 WHERE id = ?1")?
            .execute(params![summary.id, summary.state.as_str(), summary.finished_us, json(summary)?, json(detail)?])?;
        return Ok(());
    }
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
    let mut insert = connection
        .prepare_cached(&format!("INSERT INTO {table} (run, position, body, packed) VALUES (?1, ?2, ?3, ?4)"))?;
    for (position, parts) in (0_i64..).step_by(PARTS_A_ROW).zip(parts.chunks(PARTS_A_ROW)) {
        let (body, packed) = packed::long(json(&parts)?);
        insert.execute(params![run, position, body, packed])?;
    }
    Ok(())
}

/// Adds what a ledger held. The report, when it comes, replaces the nodes.
pub(super) fn fetch(connection: &Connection, id: &str, entries: &Entries, limit: u64) -> rusqlite::Result<()> {
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

pub(super) fn append_logs(connection: &Connection, id: &str, lines: &[LogLine], limit: u64) -> rusqlite::Result<()> {
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
pub(super) fn interrupt(connection: &Connection, now_us: i64, readable: &[String]) -> rusqlite::Result<()> {
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

/// Deletes ended runs beyond the retention. It looks at the oldest only, for this is done again and again while runs come and go, and
/// to walk over all that are kept would take longer than a short run.
pub(super) fn prune(connection: &Connection, retention: Retention, now_us: i64) -> rusqlite::Result<usize> {
    let ended = "state NOT IN ('queued', 'running')";
    let mut pruned = 0;
    if retention.keep_days > 0 {
        let days_us = i64::try_from(retention.keep_days.saturating_mul(read::DAY_US)).unwrap_or(i64::MAX);
        // What ended long ago was accepted long ago, and so lies before all that came since.
        let sql = format!(
            "DELETE FROM runs WHERE {ended} AND coalesce(finished_us, submitted_us) < ?1
             AND number < ifnull((SELECT number FROM runs WHERE submitted_us >= ?1 ORDER BY number LIMIT 1), {max})",
            max = i64::MAX
        );
        pruned += connection.prepare_cached(&sql)?.execute([now_us.saturating_sub(days_us)])?;
    }
    if retention.keep_count > 0 {
        let keep = i64::try_from(retention.keep_count).unwrap_or(i64::MAX);
        // Both counts are an index's.
        let sql = format!(
            "DELETE FROM runs WHERE number IN (SELECT number FROM runs WHERE {ended} ORDER BY number LIMIT max(0,
             (SELECT count(*) FROM runs) - (SELECT count(*) FROM runs WHERE state IN ('queued', 'running')) - ?1))"
        );
        pruned += connection.prepare_cached(&sql)?.execute([keep])?;
    }
    Ok(pruned)
}
