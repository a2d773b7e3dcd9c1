//! The file and its folder: made, guarded, of another version, damaged.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::server::store::schema;

#[test]
fn a_commit_is_in_the_log_of_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let mut connection = schema::open_file(&folder.path().join(FILE_NAME)).unwrap();
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(pragma("journal_mode"), "wal");
    let synchronous: i64 = connection.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap();
    assert_eq!(synchronous, 1, "1 is NORMAL: `sync` does what FULL would do at each commit");
    connection.transaction().unwrap();
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
    connection.execute("UPDATE nodes SET body = '[{', packed = NULL WHERE position = 256", []).unwrap();
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
    raw(folder.path()).pragma_update(None, "user_version", schema::VERSION + 1).unwrap();
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
    assert_eq!(version, schema::VERSION);
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
