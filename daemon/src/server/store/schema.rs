//! The database's layout: made, migrated, opened.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::fcntl::{Flock, FlockArg};
use rusqlite::{Connection, OpenFlags};

use super::StoreError;
use super::sync::LOG_PAGES;

/// One step per layout version: step `n` turns version `n` into `n + 1`. Steps are never changed once released, only added.
const MIGRATIONS: [&str; 4] = [
    "
    CREATE TABLE runs (
        number       INTEGER PRIMARY KEY AUTOINCREMENT,  -- order of acceptance
        id           TEXT NOT NULL UNIQUE,
        state        TEXT NOT NULL,
        submitted_us INTEGER NOT NULL,
        finished_us  INTEGER,
        summary      TEXT NOT NULL,                      -- JSON of protocol::RunSummary
        submission   TEXT NOT NULL                       -- JSON of protocol::Submission
    ) STRICT;
    CREATE INDEX runs_by_state ON runs (state, number);
    -- The parts of a report: JSON of protocol::{NodeDetail, DatasetDetail, Failure}, in the report's order.
    CREATE TABLE nodes (
        run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE, position INTEGER NOT NULL, body TEXT NOT NULL,
        PRIMARY KEY (run, position)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE datasets (
        run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE, position INTEGER NOT NULL, body TEXT NOT NULL,
        PRIMARY KEY (run, position)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE failures (
        run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE, position INTEGER NOT NULL, body TEXT NOT NULL,
        PRIMARY KEY (run, position)
    ) STRICT, WITHOUT ROWID;
    -- JSON of protocol::LogLine by its number.
    CREATE TABLE logs (
        run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE, position INTEGER NOT NULL, body TEXT NOT NULL,
        PRIMARY KEY (run, position)
    ) STRICT, WITHOUT ROWID;
",
    "
    -- The plugins a run had: JSON of protocol::PluginIdentity.
    CREATE TABLE plugins (
        run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE, position INTEGER NOT NULL, body TEXT NOT NULL,
        PRIMARY KEY (run, position)
    ) STRICT, WITHOUT ROWID;
",
    "
    -- JSON of protocol::RunDetail where it is short; otherwise its lists are in the tables of its parts, whose rows may hold a JSON list of
    -- several, and the position of the first.
    ALTER TABLE runs ADD COLUMN report TEXT;
",
    "
    -- A long text as `packed` makes it; `submission`, or `body`, is empty then.
    ALTER TABLE runs ADD COLUMN packed_submission BLOB;
    ALTER TABLE plugins ADD COLUMN packed BLOB;
    ALTER TABLE nodes ADD COLUMN packed BLOB;
    ALTER TABLE datasets ADD COLUMN packed BLOB;
    ALTER TABLE failures ADD COLUMN packed BLOB;
",
];

/// What a connection keeps of the database in memory, which the kernel keeps anyway: a quarter of SQLite's own bound.
const CACHE_KIB: i64 = 512;

/// The latest layout.
pub(super) const VERSION: i64 = MIGRATIONS.len() as i64;

/// Holds the state directory for this daemon; let go when dropped, or when the process ends.
#[derive(Debug)]
pub(super) struct DirectoryLock {
    _directory: Flock<File>,
}

/// Makes the state directory if it is missing, for its owner only, and takes it.
pub(super) fn lock_directory(directory: &Path) -> Result<DirectoryLock, StoreError> {
    let shown = directory.display();
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|error| StoreError::io(format!("make the state directory {shown}"), &error))?;
    let opened =
        File::open(directory).map_err(|error| StoreError::io(format!("open the state directory {shown}"), &error))?;
    match Flock::lock(opened, FlockArg::LockExclusiveNonblock) {
        Ok(directory) => Ok(DirectoryLock { _directory: directory }),
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => Err(StoreError::InUse(directory.to_owned())),
        Err((_, error)) => Err(StoreError::io(format!("lock the state directory {shown}"), &error.into())),
    }
}

/// Opens the database for writing. One that is damaged beyond opening is set aside and a new one begun.
pub(super) fn open_file(file: &Path) -> Result<Connection, StoreError> {
    match try_open_file(file) {
        Err(StoreError::Failed { reason, damaged: true, .. }) => {
            let aside = set_aside(file)?;
            log::error!(
                "the database {} cannot be read ({reason}); it was set aside as {} and a new one begun",
                file.display(),
                aside.display()
            );
            try_open_file(file)
        }
        result => result,
    }
}

fn try_open_file(file: &Path) -> Result<Connection, StoreError> {
    let attempt = || format!("open the database {}", file.display());
    // Pipelines and their parameters are nobody else's business, and SQLite would make the file with the process's umask:
    // whoever opened it before its mode was set could read on.
    let made = OpenOptions::new().create(true).append(true).mode(0o600).open(file);
    drop(made.map_err(|error| StoreError::io(attempt(), &error))?);
    let mut connection = Connection::open(file).map_err(|error| StoreError::sqlite(attempt(), &error))?;
    // One that was there already.
    if let Err(error) = std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)) {
        log::warn!("cannot make {} private to its owner: {error}", file.display());
    }
    prepare(&mut connection, file).map_err(|error| match error {
        PrepareError::Sqlite(error) => StoreError::sqlite(attempt(), &error),
        PrepareError::TooNew(found) => StoreError::TooNew { path: file.to_owned(), found, known: VERSION },
    })?;
    Ok(connection)
}

/// What every connection does alike: how long it waits for another one, and what it keeps in memory.
fn settle(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)
}

/// Opens another connection to a prepared database, for reading.
pub(super) fn open_reader(file: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    settle(&connection)?;
    Ok(connection)
}

/// Makes a database in memory.
pub(super) fn open_in_memory() -> Result<Connection, StoreError> {
    let attempt = "make a database in memory";
    let mut connection = Connection::open_in_memory().map_err(|error| StoreError::sqlite(attempt, &error))?;
    match prepare(&mut connection, Path::new(":memory:")) {
        Ok(()) => Ok(connection),
        Err(PrepareError::Sqlite(error)) => Err(StoreError::sqlite(attempt, &error)),
        Err(PrepareError::TooNew(found)) => {
            Err(StoreError::TooNew { path: PathBuf::from(":memory:"), found, known: VERSION })
        }
    }
}

enum PrepareError {
    Sqlite(rusqlite::Error),
    TooNew(i64),
}

impl From<rusqlite::Error> for PrepareError {
    fn from(error: rusqlite::Error) -> PrepareError {
        PrepareError::Sqlite(error)
    }
}

fn prepare(connection: &mut Connection, file: &Path) -> Result<(), PrepareError> {
    settle(connection)?;
    // Before anything is written: a database of a later version is left exactly as it is.
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if !(0..=VERSION).contains(&version) {
        return Err(PrepareError::TooNew(version));
    }
    // WAL: readers and the writer do not wait for each other. NORMAL: a commit is in the log when
    // it returns, and `sync` brings that to the disk.
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    for (step, migration) in MIGRATIONS.iter().enumerate().skip(usize::try_from(version).unwrap_or(0)) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "user_version", step as i64 + 1)?;
        transaction.commit()?;
        log::debug!("{}: layout {}", file.display(), step + 1);
    }
    Ok(())
}

/// Renames a database and what belongs to it out of the way.
fn set_aside(file: &Path) -> Result<PathBuf, StoreError> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let renamed = |suffix: &str| {
        let mut name = file.as_os_str().to_owned();
        name.push(format!(".damaged-{seconds}{suffix}"));
        PathBuf::from(name)
    };
    let aside = renamed("");
    std::fs::rename(file, &aside)
        .map_err(|error| StoreError::io(format!("set the damaged database {} aside", file.display()), &error))?;
    for suffix in ["-wal", "-shm"] {
        let mut companion = file.as_os_str().to_owned();
        companion.push(suffix);
        // They need not exist; if one stays, SQLite checks it against the new database and ignores it.
        let _ = std::fs::rename(&companion, renamed(suffix));
    }
    Ok(aside)
}
