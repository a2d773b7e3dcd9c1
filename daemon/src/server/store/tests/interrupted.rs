//! What is known of runs that the daemon's end cut short, and what becomes of them at the next start.

use std::sync::Arc;

use super::*;
use crate::server::logs::RunLog;
use crate::server::store::{Describe, Ledger};

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
