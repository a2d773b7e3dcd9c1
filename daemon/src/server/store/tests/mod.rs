//! The store keeps what it acknowledged, and stands in nobody's way.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod file;
mod interrupted;
mod retry;
mod runs;

use std::path::Path;

use protocol::{
    BlockUse, DatasetDetail, Failure, FailureKind, LogLine, LogSource, NodeCounts, NodeDetail, NodeState, Resume,
    RunDetail, RunFilter, RunState, RunSummary, SourceText, Submission,
};

use super::{FILE_NAME, Location, NewRun, Retention, Store, StoreError, packed};

const LOG_LINES_MAX: u64 = 5;

fn summary(id: &str, state: RunState, submitted_us: i64) -> RunSummary {
    RunSummary {
        id: id.to_owned(),
        pipeline: "flights".to_owned(),
        state,
        generation: 1,
        submitted_us,
        started_us: None,
        finished_us: state.is_final().then_some(submitted_us + 1),
        counts: NodeCounts { total: 2, waiting: 2, ..NodeCounts::default() },
        cause: None,
        save_version: None,
        resumed_from: None,
    }
}

fn submission() -> Submission {
    Submission { pipeline: SourceText::new("p.toml", "name = \"flights\""), ..Submission::default() }
}

fn insert(store: &Store, id: &str, submitted_us: i64) {
    let summary = summary(id, RunState::Queued, submitted_us);
    store.insert_run(&NewRun { summary, submission: submission() }, || ()).unwrap();
}

fn detail(id: &str, state: RunState, submitted_us: i64) -> RunDetail {
    let node = NodeDetail {
        name: "clean".to_owned(),
        call: "flights::clean".to_owned(),
        state: NodeState::Succeeded,
        attempts: 1,
        worker: Some(0),
        started_us: Some(1),
        finished_us: Some(2),
        progress: None,
        failure: None,
        skipped_because: None,
    };
    let dataset = DatasetDetail {
        name: "flights".to_owned(),
        storage: "memory".to_owned(),
        path: None,
        version: None,
        producer: Some("clean".to_owned()),
        is_output: true,
        bytes: Some(7),
        metadata: serde_json::json!({ "rows": 3 }),
        load_us: None,
        save_us: None,
    };
    RunDetail {
        plugins: vec![protocol::PluginIdentity {
            name: "p".to_owned(),
            version: "1".to_owned(),
            sha256: "ab".to_owned(),
        }],
        summary: summary(id, state, submitted_us),
        nodes: vec![NodeDetail { name: "a".to_owned(), ..node.clone() }, node],
        datasets: vec![dataset],
        failures: vec![Failure::new(FailureKind::Panic, "boom")],
        resume: Some(Resume { finished: 1, unfinished: 1, nodes: 2, from_nodes: vec!["a".to_owned()] }),
        blocks: BlockUse { live: 1, live_bytes: 64, peak: 2, peak_bytes: 128 },
    }
}

/// One with too many nodes for a single value, and for a single row.
fn long_detail(id: &str, state: RunState, submitted_us: i64) -> RunDetail {
    let short = detail(id, state, submitted_us);
    let nodes = (0..600).map(|n| NodeDetail { name: format!("node{n}"), ..short.nodes[0].clone() }).collect();
    RunDetail { nodes, ..short }
}

fn line(number: u64) -> LogLine {
    LogLine {
        number,
        time_us: 0,
        level: "info".to_owned(),
        source: LogSource::Log,
        node: None,
        plugin: None,
        worker: None,
        target: String::new(),
        message: format!("line {number}"),
    }
}

fn open(directory: &Path) -> Store {
    Store::open(&Location::Directory(directory.to_owned()), LOG_LINES_MAX).unwrap()
}

fn memory() -> Store {
    Store::open(&Location::Memory, LOG_LINES_MAX).unwrap()
}

fn ids(store: &Store, state: Option<RunState>, limit: Option<u32>) -> Vec<String> {
    store.runs(&RunFilter { state, limit }).unwrap().into_iter().map(|run| run.id).collect()
}

/// Another connection, to look and to spoil.
fn raw(directory: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(directory.join(FILE_NAME)).unwrap()
}

/// Makes of a database what the layout before texts were packed had.
fn without_packed(directory: &Path) {
    let database = raw(directory);
    let columns = [
        ("runs", "submission", "packed_submission"),
        ("plugins", "body", "packed"),
        ("nodes", "body", "packed"),
        ("datasets", "body", "packed"),
        ("failures", "body", "packed"),
    ];
    for (table, plain, packed) in columns {
        let mut rows = database.prepare(&format!("SELECT {packed} FROM {table} WHERE {packed} IS NOT NULL")).unwrap();
        let rows: Vec<Vec<u8>> = rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        for row in rows {
            let unpack = format!("UPDATE {table} SET {plain} = ?1 WHERE {packed} = ?2");
            database.execute(&unpack, rusqlite::params![packed::unpack(&row).unwrap(), row]).unwrap();
        }
        database.execute_batch(&format!("ALTER TABLE {table} DROP COLUMN {packed}")).unwrap();
    }
    database.execute_batch("PRAGMA user_version = 3").unwrap();
}

/// Lets no batch be committed in which a run is written so (`BEFORE UPDATE`, `AFTER INSERT`): the constraint is looked at when the whole batch
/// is committed, and takes all of it back.
fn refuse_commits(other: &rusqlite::Connection, written: &str) {
    let refuse = format!(
        "CREATE TABLE late (run INTEGER REFERENCES runs DEFERRABLE INITIALLY DEFERRED);
         CREATE TRIGGER fails {written} ON runs BEGIN INSERT INTO late VALUES (-1); END"
    );
    other.execute_batch(&refuse).unwrap();
}

/// Ends that.
fn take_commits(other: &rusqlite::Connection) {
    other.execute_batch("DROP TRIGGER fails; DROP TABLE late").unwrap();
}

fn resume_by_hand(run: &RunSummary, _: &[RunSummary]) -> String {
    format!("`ctl resume {}` runs the rest", run.id)
}
