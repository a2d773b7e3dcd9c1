//! Runs, reports and logs: what is acknowledged is there, and is read as it was told.

use super::*;

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
fn a_long_submission_is_kept_packed_and_one_of_an_earlier_layout_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let pipeline = SourceText::new("p.toml", "[[node]]\ncall = \"numbers::add\"\n".repeat(1_000));
    let long = Submission { pipeline, ..Submission::default() };
    let new = NewRun { summary: summary("long", RunState::Queued, 1), submission: long.clone() };
    store.insert_run(&new, || ()).unwrap();
    insert(&store, "short", 2);
    assert_eq!(store.submission("long").unwrap().as_ref(), Some(&long));
    let plain = "SELECT id FROM runs WHERE packed_submission IS NULL AND submission <> ''";
    let plain: String = raw(folder.path()).query_row(plain, [], |row| row.get(0)).unwrap();
    assert_eq!(plain, "short");
    drop(store);
    without_packed(folder.path());
    let store = open(folder.path());
    assert_eq!(store.submission("long").unwrap(), Some(long));
    raw(folder.path()).execute("UPDATE runs SET packed_submission = x'ffffffff00' WHERE id = 'long'", []).unwrap();
    assert_eq!(store.submission("long").unwrap(), None, "it is damaged");
    assert_eq!(store.run("long").unwrap().unwrap().summary.id, "long", "and nothing else is");
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
    refuse_commits(&other, "AFTER INSERT");
    let mut has_begun = false;
    let new = NewRun { summary: summary("r1", RunState::Queued, 1), submission: submission() };
    let refused = store.insert_run(&new, || has_begun = true).unwrap_err();
    assert!(has_begun && refused.has_begun, "{refused}");
    take_commits(&other);
    insert(&store, "r1", 1);
    assert_eq!(ids(&store, None, None), ["r1"], "the id is free");
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
    without_packed(folder.path());
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
