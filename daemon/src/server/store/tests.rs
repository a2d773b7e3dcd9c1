//! The store keeps what it acknowledged, and stands in nobody's way.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use protocol::{
    BlockUse, DatasetDetail, Failure, FailureKind, LogLine, LogSource, NodeCounts, NodeDetail, NodeState, Resume,
    RunDetail, RunFilter, RunState, RunSummary, SourceText, Submission,
};

use super::{Describe, FILE_NAME, Ledger, Location, NewRun, Retention, Store, StoreError};
use crate::server::logs::RunLog;

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

fn resume_by_hand(run: &RunSummary, _: &[RunSummary]) -> String {
    format!("`ctl resume {}` runs the rest", run.id)
}

#[test]
fn an_acknowledged_run_is_on_disk_for_others_to_see() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    insert(&store, "r1", 10);
    let state: String = raw(folder.path()).query_row("SELECT state FROM runs", [], |row| row.get(0)).unwrap();
    assert_eq!(state, "queued");
    assert_eq!(store.submission("r1").unwrap(), Some(submission()));
    assert_eq!(store.submission("r2").unwrap(), None);
}

#[test]
fn a_commit_is_in_the_log_of_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let mut connection = super::schema::open_file(&folder.path().join(FILE_NAME)).unwrap();
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(pragma("journal_mode"), "wal");
    let synchronous: i64 = connection.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap();
    assert_eq!(synchronous, 1, "1 is NORMAL: `sync` does what FULL would do at each commit");
    connection.transaction().unwrap();
}

#[test]
fn an_id_is_taken_once() {
    let store = memory();
    insert(&store, "r1", 1);
    let again = NewRun { summary: summary("r1", RunState::Queued, 2), submission: submission() };
    let refused = store.insert_run(&again, || panic!("it must not begin")).unwrap_err();
    assert!(matches!(&refused.error, StoreError::IdTaken(id) if id == "r1"), "{refused}");
    assert!(!refused.has_begun);
}

#[test]
fn a_run_whose_row_cannot_be_committed_is_said_to_have_begun() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let other = raw(folder.path());
    other
        .execute_batch(
            "CREATE TABLE late (run INTEGER REFERENCES runs DEFERRABLE INITIALLY DEFERRED);
             CREATE TRIGGER fails AFTER INSERT ON runs BEGIN INSERT INTO late VALUES (-1); END",
        )
        .unwrap();
    let mut has_begun = false;
    let new = NewRun { summary: summary("r1", RunState::Queued, 1), submission: submission() };
    let refused = store.insert_run(&new, || has_begun = true).unwrap_err();
    assert!(has_begun && refused.has_begun, "{refused}");
    other.execute_batch("DROP TRIGGER fails; DROP TABLE late").unwrap();
    insert(&store, "r1", 1);
    assert_eq!(ids(&store, None, None), ["r1"], "the id is free");
}

#[test]
fn a_report_is_read_at_once_and_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let expected = detail("r1", RunState::Succeeded, 10);
    {
        let store = open(folder.path());
        insert(&store, "r1", 10);
        store.update_state(summary("r1", RunState::Running, 10));
        assert_eq!(store.run("r1").unwrap().unwrap().summary.state, RunState::Running);
        store.finish_run(expected.clone(), |_| {});
        assert_eq!(store.run("r1").unwrap().unwrap(), expected, "at once");
        assert_eq!(ids(&store, Some(RunState::Succeeded), None), ["r1"]);
        assert_eq!(ids(&store, Some(RunState::Queued), None), [""; 0]);
        // Dropping the store writes what was handed over.
    }
    let store = open(folder.path());
    assert_eq!(store.run("r1").unwrap().unwrap(), expected);
    assert_eq!(store.run("r2").unwrap(), None);
}

#[test]
fn a_report_of_many_parts_and_one_of_an_earlier_layout_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let expected = long_detail("r1", RunState::Failed, 10);
    {
        let store = open(folder.path());
        insert(&store, "r1", 10);
        store.finish_run(expected.clone(), |_| {});
    }
    assert_eq!(open(folder.path()).run("r1").unwrap().unwrap(), expected);
    // Before, all were kept in parts.
    raw(folder.path()).execute_batch("ALTER TABLE runs DROP COLUMN report; PRAGMA user_version = 2").unwrap();
    let store = open(folder.path());
    assert_eq!(store.run("r1").unwrap().unwrap(), expected);
    insert(&store, "r2", 20);
    let short = detail("r2", RunState::Succeeded, 20);
    store.finish_run(short.clone(), |_| {});
    store.flush().unwrap();
    assert_eq!(store.run("r2").unwrap().unwrap(), short);
}

#[test]
fn what_is_on_disk_is_let_go_from_memory() {
    let store = memory();
    for n in 0..20 {
        let id = format!("r{n}");
        insert(&store, &id, n);
        store.update_state(summary(&id, RunState::Running, n));
        store.finish_run(detail(&id, RunState::Succeeded, n), |_| {});
    }
    store.flush().unwrap();
    // The answer to the flush comes after those to everything before it.
    assert!(store.pending.summaries().is_empty());
}

#[test]
fn runs_are_listed_newest_first() {
    let store = memory();
    for n in 0..5 {
        insert(&store, &format!("r{n}"), n);
    }
    store.finish_run(detail("r3", RunState::Failed, 3), |_| {});
    assert_eq!(ids(&store, None, None), ["r4", "r3", "r2", "r1", "r0"]);
    assert_eq!(ids(&store, None, Some(2)), ["r4", "r3"]);
    assert_eq!(ids(&store, Some(RunState::Queued), Some(2)), ["r4", "r2"]);
    assert_eq!(ids(&store, None, Some(0)), [""; 0]);
}

#[test]
fn unfinished_runs_are_marked_interrupted_at_start() {
    let folder = tempfile::tempdir().unwrap();
    {
        let store = open(folder.path());
        for id in ["queued", "running", "done"] {
            insert(&store, id, 1);
        }
        store.update_state(summary("running", RunState::Running, 1));
        store.finish_run(detail("done", RunState::Succeeded, 1), |_| {});
    }
    let store = open(folder.path());
    let mut interrupted: Vec<String> =
        store.interrupted_on_start(99, resume_by_hand).unwrap().into_iter().map(|run| run.id).collect();
    interrupted.sort();
    assert_eq!(interrupted, ["queued", "running"]);
    assert_eq!(store.interrupted_on_start(100, resume_by_hand).unwrap(), []);
    let run = store.run("running").unwrap().unwrap().summary;
    assert_eq!((run.state, run.finished_us), (RunState::Interrupted, Some(99)));
    let cause = run.cause.unwrap();
    assert_eq!(cause.kind, FailureKind::Interrupted);
    assert!(!cause.hints.is_empty());
    assert_eq!(run.counts.waiting, 0);
}

#[test]
fn damaged_rows_are_left_out_and_block_nothing() {
    let folder = tempfile::tempdir().unwrap();
    {
        let store = open(folder.path());
        for id in ["good", "broken", "blob", "partly"] {
            insert(&store, id, 1);
        }
        store.finish_run(long_detail("partly", RunState::Failed, 1), |_| {});
        insert(&store, "short", 1);
        store.finish_run(detail("short", RunState::Failed, 1), |_| {});
    }
    let connection = raw(folder.path());
    connection.execute("UPDATE runs SET summary = '{\"id\":' WHERE id = 'broken'", []).unwrap();
    connection.execute("UPDATE runs SET summary = CAST(x'ff' AS TEXT) WHERE id = 'blob'", []).unwrap();
    connection.execute("UPDATE nodes SET body = '[{' WHERE position = 256", []).unwrap();
    connection.execute("UPDATE runs SET report = '{' WHERE id = 'short'", []).unwrap();
    drop(connection);

    let store = open(folder.path());
    assert_eq!(store.interrupted_on_start(5, resume_by_hand).unwrap().len(), 1);
    store.flush().unwrap();
    assert_eq!(ids(&store, None, None), ["short", "partly", "good"]);
    assert_eq!(store.run("broken").unwrap(), None);
    let partly = store.run("partly").unwrap().unwrap();
    let rows = [0..256, 512..600].into_iter().flatten().map(|node| format!("node{node}"));
    assert!(partly.nodes.iter().map(|node| node.name.clone()).eq(rows), "{:?}", partly.nodes);
    assert_eq!(store.run("short").unwrap().unwrap().summary.state, RunState::Failed);
    let connection = raw(folder.path());
    let left: i64 = connection
        .query_row("SELECT count(*) FROM runs WHERE state IN ('queued', 'running')", [], |row| row.get(0))
        .unwrap();
    assert_eq!(left, 0, "also those that cannot be read are over");
    insert(&store, "new", 9);
}

#[test]
fn a_file_that_is_no_database_is_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(FILE_NAME), b"this is not a database, and long enough to tell".repeat(100))
        .unwrap();
    let store = open(folder.path());
    insert(&store, "r1", 1);
    assert_eq!(ids(&store, None, None), ["r1"]);
    let aside = std::fs::read_dir(folder.path())
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
        .filter(|name| name.contains(".damaged-"))
        .count();
    assert_eq!(aside, 1);
}

#[test]
fn a_database_of_a_later_version_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    raw(folder.path()).pragma_update(None, "user_version", super::schema::VERSION + 1).unwrap();
    let error = Store::open(&Location::Directory(folder.path().to_owned()), 1).unwrap_err();
    assert!(matches!(error, StoreError::TooNew { .. }), "{error}");
    assert!(error.to_string().contains("later version"), "{error}");
}

#[test]
fn an_empty_file_is_brought_to_the_latest_layout() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(FILE_NAME), b"").unwrap();
    insert(&open(folder.path()), "r1", 1);
    let version: i64 = raw(folder.path()).pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(version, super::schema::VERSION);
}

#[test]
fn two_daemons_do_not_share_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path());
    let location = Location::Directory(folder.path().to_owned());
    let error = Store::open(&location, 1).unwrap_err();
    assert!(matches!(error, StoreError::InUse(_)), "{error}");
    drop(first);
    Store::open(&location, 1).unwrap();
}

#[test]
fn the_state_is_nobody_elses_business() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("deep/state");
    let _store = open(&directory);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    assert_eq!(mode(&directory.join(FILE_NAME)), 0o600);
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let error = Store::open(&Location::Directory("/proc/no/such".into()), 1).unwrap_err();
    assert!(error.to_string().contains("/proc/no/such"), "{error}");
}

#[test]
fn old_runs_are_forgotten_by_count_and_by_age() {
    let day = 24 * 60 * 60 * 1_000_000;
    let store = memory();
    for n in 0..6 {
        insert(&store, &format!("r{n}"), n * day);
        if n != 0 {
            store.finish_run(detail(&format!("r{n}"), RunState::Succeeded, n * day), |_| {});
        }
    }
    let keep = |keep_count, keep_days| Retention { keep_count, keep_days };
    assert_eq!(store.prune(keep(0, 0), 100 * day).unwrap(), 0, "0 keeps all");
    assert_eq!(store.prune(keep(0, 4), 6 * day).unwrap(), 1);
    assert_eq!(ids(&store, None, None), ["r5", "r4", "r3", "r2", "r0"], "r0 has not ended");
    assert_eq!(store.prune(keep(2, 0), 6 * day).unwrap(), 2);
    assert_eq!(ids(&store, None, None), ["r5", "r4", "r0"]);
    assert!(store.run("r3").unwrap().is_none());
}

#[test]
fn the_newest_lines_of_a_log_are_kept() {
    let store = memory();
    insert(&store, "r1", 1);
    assert_eq!(store.logs("r2", 0).unwrap(), None);
    let empty = store.logs("r1", 0).unwrap().unwrap();
    assert_eq!((empty.lines.len(), empty.next, empty.missed), (0, 1, 0));
    store.append_logs("r1", (1..=3).map(line).collect());
    store.append_logs("r1", (4..=8).map(line).collect());
    store.append_logs("unknown", vec![line(1)]);
    let list = store.logs("r1", 0).unwrap().unwrap();
    let numbers: Vec<u64> = list.lines.iter().map(|line| line.number).collect();
    assert_eq!((numbers, list.next, list.missed), (vec![4, 5, 6, 7, 8], 9, 3));
    let list = store.logs("r1", 8).unwrap().unwrap();
    assert_eq!((list.lines.len(), list.next, list.missed), (1, 9, 0));
}

#[test]
fn many_writers_share_commits_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let store = &store;
            scope.spawn(move || {
                for n in 0..25 {
                    insert(store, &format!("r{thread}-{n}"), n);
                }
            });
        }
    });
    assert_eq!(ids(&store, None, Some(1000)).len(), 200);
}

#[test]
fn what_could_not_be_written_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    insert(&store, "r1", 10);
    let other = raw(folder.path());
    other.execute_batch("CREATE TRIGGER full BEFORE UPDATE ON runs BEGIN SELECT raise(ABORT, 'no room'); END").unwrap();
    store.update_state(summary("r1", RunState::Running, 10));
    store.finish_run(detail("r1", RunState::Succeeded, 10), |_| {});
    let error = store.flush().unwrap_err();
    assert!(error.to_string().contains("no room"), "{error}");
    insert(&store, "r2", 20);
    assert_eq!(ids(&store, Some(RunState::Succeeded), None), ["r1"], "from memory");
    other.execute_batch("DROP TRIGGER full").unwrap();
    store.flush().unwrap();
    assert!(store.pending.summaries().is_empty());
    drop(store);
    let store = open(folder.path());
    assert_eq!(store.interrupted_on_start(99, resume_by_hand).unwrap().len(), 1, "r2 only");
    assert_eq!(store.run("r1").unwrap().unwrap(), detail("r1", RunState::Succeeded, 10));
}

#[test]
fn a_batch_that_could_not_be_committed_is_tried_again_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    insert(&store, "r1", 10);
    let other = raw(folder.path());
    // The constraint is looked at when the whole batch is committed, and takes all of it back.
    other
        .execute_batch(
            "CREATE TABLE late (run INTEGER REFERENCES runs DEFERRABLE INITIALLY DEFERRED);
             CREATE TRIGGER fails BEFORE UPDATE ON runs BEGIN INSERT INTO late VALUES (-1); END",
        )
        .unwrap();
    store.append_logs("r1", vec![line(1)]);
    store.finish_run(detail("r1", RunState::Succeeded, 10), |_| {});
    assert!(store.flush().is_err());
    assert!(store.logs("r1", 0).unwrap().is_some(), "what is there can be read");
    other.execute_batch("DROP TRIGGER fails; DROP TABLE late").unwrap();
    drop(store);
    let store = open(folder.path());
    assert!(store.interrupted_on_start(99, resume_by_hand).unwrap().is_empty());
    assert_eq!(store.run("r1").unwrap().unwrap(), detail("r1", RunState::Succeeded, 10));
    assert_eq!(store.logs("r1", 0).unwrap().unwrap().lines, [line(1)]);
}

#[test]
fn a_batch_that_sqlite_took_back_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    insert(&store, "r1", 10);
    let other = raw(folder.path());
    // Takes the whole transaction back, as a full disk may.
    other
        .execute_batch("CREATE TRIGGER full BEFORE UPDATE ON runs BEGIN SELECT raise(ROLLBACK, 'no room'); END")
        .unwrap();
    store.append_logs("r1", vec![line(1)]);
    store.finish_run(detail("r1", RunState::Succeeded, 10), |_| {});
    assert!(store.flush().is_err());
    insert(&store, "r2", 20);
    other.execute_batch("DROP TRIGGER full").unwrap();
    store.flush().unwrap();
    assert!(store.pending.summaries().is_empty());
    assert_eq!(store.logs("r1", 0).unwrap().unwrap().lines, [line(1)]);
    assert_eq!(ids(&store, None, None), ["r2", "r1"]);
}

/// Says the same of every node.
struct Same(NodeDetail);

impl Describe for Same {
    fn describe(&self, positions: &[u32]) -> Vec<(u32, NodeDetail)> {
        positions.iter().map(|position| (*position, self.0.clone())).collect()
    }
}

#[test]
fn very_many_nodes_that_finished_are_kept_in_parts_and_all_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    insert(&store, "r1", 1);
    let ledger = Ledger::new("r1".to_owned(), Arc::new(RunLog::new(LOG_LINES_MAX)));
    let run: Arc<dyn Describe> = Arc::new(Same(detail("r1", RunState::Running, 1).nodes.remove(0)));
    ledger.set_run(Arc::downgrade(&run));
    assert!(ledger.note_finished(&[0]), "the first asks");
    assert!(!(1..2_500).any(|position| ledger.note_finished(&[position])), "one request is enough");
    store.fetch(&ledger);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let kept = || -> i64 { raw(folder.path()).query_row("SELECT count(*) FROM nodes", [], |row| row.get(0)).unwrap() };
    while kept() < 2_500 {
        assert!(std::time::Instant::now() < deadline, "{} of 2500 nodes are kept", kept());
        std::thread::yield_now();
    }
    assert!(ledger.note_finished(&[2_500]), "what comes later asks again");
}

#[test]
fn parity_r11_what_happened_in_a_run_under_way_outlives_the_daemon() {
    let folder = tempfile::tempdir().unwrap();
    {
        let store = open(folder.path());
        insert(&store, "r1", 1);
        store.update_state(summary("r1", RunState::Running, 1));
        let log = Arc::new(RunLog::new(LOG_LINES_MAX));
        let ledger = Ledger::new("r1".to_owned(), Arc::clone(&log));
        log.add(line(0));
        assert!(ledger.note_line(), "the first asks");
        let node = detail("r1", RunState::Running, 1).nodes.remove(0);
        assert!(!ledger.note_node(1, NodeDetail { state: NodeState::Succeeded, ..node }), "one request is enough");
        store.fetch(&ledger);
        // What was handed over before is written with what is waited for.
        store.flush().unwrap();
        let kept: i64 = raw(folder.path())
            .query_row("SELECT count(*) FROM nodes WHERE position = 1", [], |row| row.get(0))
            .unwrap();
        assert_eq!(kept, 1);
        log.add(line(0));
        assert!(ledger.note_line(), "what comes later asks again");
        assert_eq!(ledger.close(), 1);
        assert!(!ledger.note_line(), "the report follows");
    }
    let store = open(folder.path());
    let interrupted = store.interrupted_on_start(9, resume_by_hand).unwrap();
    let counts = interrupted.iter().find(|run| run.id == "r1").unwrap().counts;
    assert_eq!((counts.total, counts.succeeded, counts.skipped, counts.waiting), (2, 1, 1, 0));
    let run = store.run("r1").unwrap().unwrap();
    assert_eq!((run.nodes.len(), run.nodes[0].state), (1, NodeState::Succeeded));
    assert!(run.summary.cause.unwrap().hints[0].contains("ctl resume r1"));
    assert_eq!(store.logs("r1", 0).unwrap().unwrap().lines.len(), 1);
}

#[test]
fn the_end_of_a_run_is_told_when_its_report_is_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    insert(&store, "r1", 1);
    let (told, heard) = std::sync::mpsc::channel();
    let path = folder.path().to_owned();
    store.finish_run(detail("r1", RunState::Succeeded, 1), move |_| {
        let state: String = raw(&path).query_row("SELECT state FROM runs", [], |row| row.get(0)).unwrap();
        told.send(state).unwrap();
    });
    assert_eq!(heard.recv().unwrap(), "succeeded");
}

#[test]
fn what_goes_on_with_a_run_is_begun_before_the_run_is_marked() {
    let folder = tempfile::tempdir().unwrap();
    {
        let store = open(folder.path());
        insert(&store, "first", 1);
        insert(&store, "second", 2);
    }
    let store = open(folder.path());
    let begin = |run: &RunSummary, unfinished: &[RunSummary]| {
        assert_eq!(unfinished.len(), 2);
        assert_eq!(store.run(&run.id).unwrap().unwrap().summary.state, RunState::Queued);
        let summary = RunSummary {
            resumed_from: Some(run.id.clone()),
            ..summary(&format!("{}-again", run.id), RunState::Queued, 3)
        };
        store.insert_run(&NewRun { summary, submission: Submission::default() }, || ()).unwrap();
        format!("run {}-again goes on with it", run.id)
    };
    let interrupted = store.interrupted_on_start(99, begin).unwrap();
    let hints: Vec<_> = interrupted.into_iter().map(|run| run.cause.unwrap().hints.remove(0)).collect();
    assert_eq!(hints, ["run first-again goes on with it", "run second-again goes on with it"]);
    assert_eq!(store.successor("first").unwrap().as_deref(), Some("first-again"));
    assert_eq!(store.successor("first-again").unwrap(), None);
    assert_eq!(ids(&store, Some(RunState::Queued), None), ["second-again", "first-again"]);
}
