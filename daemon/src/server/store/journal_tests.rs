//! What was told outlives a crash at any moment, though the database learns of it later.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::mpsc::channel;

use protocol::{RunDetail, RunState};

use super::journal::{FILE_NAME, Journal, Said};
use super::tests::{detail, ids, insert, line, long_detail, memory, open, raw, resume_by_hand, submission, summary};
use super::{NewRun, Retention, Store, StoreError};

const SECRET: &[u8] = b"secret";

fn new(id: &str, submitted_us: i64) -> NewRun {
    NewRun { summary: summary(id, RunState::Queued, submitted_us), submission: submission() }
}

fn register(store: &Store, id: &str, submitted_us: i64) {
    store.register_run(new(id, submitted_us), || ()).unwrap();
}

/// Ends a run, and looks at what a crash at the moment of its being told would leave.
fn crash_at_the_end(store: &Store, folder: &Path, ended: RunDetail) -> tempfile::TempDir {
    let (told, heard) = channel();
    let from = folder.to_owned();
    store.finish_run(ended, move |_| {
        let left = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, left.path().join(path.file_name().unwrap())).unwrap();
        }
        told.send(left).unwrap();
    });
    heard.recv().unwrap()
}

#[test]
fn the_end_of_a_run_is_told_when_its_report_is_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    insert(&store, "told", 1);
    register(&store, "awaited", 2);
    for ended in [
        detail("told", RunState::Succeeded, 1),
        detail("awaited", RunState::Failed, 2),
        // Too long for the journal.
        long_detail("long", RunState::Succeeded, 3),
    ] {
        let id = ended.summary.id.clone();
        if id == "long" {
            insert(&store, &id, 3);
        }
        let left = crash_at_the_end(&store, folder.path(), ended.clone());
        let after = open(left.path());
        assert!(after.interrupted_on_start(9, resume_by_hand).unwrap().iter().all(|run| run.id != id));
        assert_eq!(after.run(&id).unwrap(), Some(ended));
        assert_eq!(after.submission(&id).unwrap(), Some(submission()));
    }
}

#[test]
fn a_log_is_on_disk_when_the_end_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    // Alone, with its run, or with its run's end: as it comes.
    for n in 0..50 {
        let id = format!("r{n}");
        register(&store, &id, n);
        store.append_logs(&id, vec![line(1)]);
        let left = crash_at_the_end(&store, folder.path(), detail(&id, RunState::Succeeded, n));
        assert_eq!(open(left.path()).logs(&id, 0).unwrap().unwrap().lines, [line(1)]);
    }
}

#[test]
fn an_end_is_brought_into_the_database_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    register(&store, "r1", 1);
    let left = crash_at_the_end(&store, folder.path(), detail("r1", RunState::Succeeded, 1));
    {
        let store = open(left.path());
        assert_eq!(store.prune(Retention { keep_count: 0, keep_days: 1 }, i64::MAX).unwrap(), 1);
    }
    assert_eq!(ids(&open(left.path()), None, None), [""; 0], "it was forgotten, and is not found again");
}

#[test]
fn a_record_that_was_torn_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    register(&store, "r1", 1);
    let left = crash_at_the_end(&store, folder.path(), detail("r1", RunState::Succeeded, 1));
    let path = left.path().join(FILE_NAME);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(ids(&open(left.path()), None, None), [""; 0]);
}

#[test]
fn the_journal_of_another_database_is_none_of_ours() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    register(&store, "r1", 1);
    let left = crash_at_the_end(&store, folder.path(), detail("r1", RunState::Succeeded, 1));
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(left.path().join(format!("{}{suffix}", super::FILE_NAME)));
    }
    assert_eq!(ids(&open(left.path()), None, None), [""; 0]);
}

#[test]
fn very_many_ends_pass_through_the_journal_and_none_is_lost() {
    const COUNT: i64 = 1_500;
    let folder = tempfile::tempdir().unwrap();
    let (told, heard) = channel();
    {
        let store = open(folder.path());
        for n in 0..COUNT {
            let id = format!("r{n}");
            register(&store, &id, n);
            let told = told.clone();
            store.finish_run(detail(&id, RunState::Succeeded, n), move |_| told.send(()).unwrap());
        }
        heard.iter().take(COUNT as usize).for_each(drop);
        assert_eq!(ids(&store, Some(RunState::Succeeded), Some(u32::MAX)).len(), COUNT as usize);
        store.flush().unwrap();
        assert!(store.pending.summaries().is_empty(), "let go from memory");
    }
    let store = open(folder.path());
    assert_eq!(ids(&store, Some(RunState::Succeeded), Some(u32::MAX)).len(), COUNT as usize);
    let applied: i64 = raw(folder.path()).query_row("SELECT applied FROM journal", [], |row| row.get(0)).unwrap();
    assert!(applied > 0, "some went through it");
}

#[test]
fn a_run_that_the_database_does_not_have_yet_is_there() {
    let store = memory();
    insert(&store, "r1", 1);
    register(&store, "r2", 2);
    assert_eq!(ids(&store, None, None), ["r2", "r1"]);
    assert_eq!(ids(&store, Some(RunState::Queued), Some(1)), ["r2"]);
    assert_eq!(store.submission("r2").unwrap(), Some(submission()));
    for taken in ["r1", "r2"] {
        let refused = store.register_run(new(taken, 3), || panic!("it must not begin")).unwrap_err();
        assert!(matches!(&refused.error, StoreError::IdTaken(id) if id == taken), "{refused}");
        assert!(store.insert_run(&new(taken, 3), || panic!("it must not begin")).is_err());
    }
    store.finish_run(detail("r2", RunState::Succeeded, 2), |_| ());
    assert_eq!(store.run("r2").unwrap(), Some(detail("r2", RunState::Succeeded, 2)));
    assert!(store.insert_run(&new("r2", 3), || panic!("it must not begin")).is_err());
    store.flush().unwrap();
    assert!(store.register_run(new("r2", 3), || panic!("it must not begin")).is_err());
    assert_eq!(ids(&store, None, None), ["r2", "r1"]);
}

#[test]
fn a_run_that_takes_longer_is_in_the_database_soon() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    register(&store, "r1", 1);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let count = || -> i64 { raw(folder.path()).query_row("SELECT count(*) FROM runs", [], |row| row.get(0)).unwrap() };
    while count() == 0 {
        assert!(std::time::Instant::now() < deadline, "nobody wrote it");
        std::thread::yield_now();
    }
}

#[test]
fn a_place_is_used_again_when_it_was_released_and_not_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    let open = |applied| Journal::open(&path, SECRET.to_vec(), applied).unwrap();
    let (mut journal, found) = open(0);
    assert!(found.is_empty());
    journal.prepare(&path).unwrap();
    let ended = detail("r1", RunState::Succeeded, 1);
    let append = |journal: &mut Journal| journal.append(&[Said { new: None, detail: &ended }]).unwrap();
    let mut count = 0;
    while append(&mut journal).is_some() {
        count += 1;
        assert_eq!(journal.last(), count);
    }
    journal.release(2);
    assert_eq!(append(&mut journal), Some(count + 1));
    assert_eq!(append(&mut journal), Some(count + 2));
    assert_eq!(append(&mut journal), None);
    let numbers = |applied| open(applied).1.iter().map(|(number, _)| *number).collect::<Vec<_>>();
    assert_eq!(numbers(2), (3..=count + 2).collect::<Vec<_>>());
    assert_eq!(numbers(count + 1), [count + 2]);
    let (journal, found) = open(count + 2);
    assert_eq!((journal.last(), found.len()), (count + 2, 0));
    // More than there is place for at all, and more than a record may be.
    let (mut journal, _) = open(count + 2);
    journal.prepare(&path).unwrap();
    let many: Vec<_> = (0..=count).map(|_| Said { new: None, detail: &ended }).collect();
    assert_eq!(journal.append(&many).unwrap(), None);
    let long = long_detail("r1", RunState::Succeeded, 1);
    assert_eq!(journal.append(&[Said { new: None, detail: &long }]).unwrap(), None);
    assert!(journal.append(&many[..2]).unwrap().is_some());
}
