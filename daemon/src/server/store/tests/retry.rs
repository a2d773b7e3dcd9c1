//! What could not be written is tried again, and is read from memory until then.

use super::*;

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
    refuse_commits(&other, "BEFORE UPDATE");
    store.append_logs("r1", vec![line(1)]);
    store.finish_run(detail("r1", RunState::Succeeded, 10), |_| {});
    assert!(store.flush().is_err());
    assert!(store.logs("r1", 0).unwrap().is_some(), "what is there can be read");
    take_commits(&other);
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
