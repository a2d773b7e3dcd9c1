//! Runs, their node states, reports and logs, in SQLite.
//!
//! A new run is written by whoever brings it ([`Store::insert_run`]), and begins meanwhile; all else by one thread ([`writer`]), what has
//! gathered in one transaction. A commit outlives the process. What is told outlives a power cut: a submission is acknowledged after
//! [`Store::sync`], in one sync with others that come at once ([`sync`]), and the end of a run is told after the sync of its report,
//! which covers all that was committed before.
//!
//! [`Store::update_state`] and [`Store::finish_run`] return at once, and reading sees what they said from that moment on: what is not on
//! disk yet is read from memory ([`pending`]), and what could not be written is tried again ([`kept`]).
//!
//! A row that cannot be read is logged and left out: it stands in nobody's way, neither in a list nor at start-up. A file
//! that is no database, or a damaged one, is set aside under another name and a new one begun; a file of a later version
//! is refused and left alone.
//!
//! Long submissions and reports are kept [`packed`], all else as JSON that any tool reads.
//!
//! Two daemons on one folder would call each other's runs interrupted, so the folder is locked (`flock` on the folder
//! itself, which leaves no lock file and dies with the process).
#![forbid(unsafe_code)]

mod answer;
mod desk;
mod kept;
mod ledger;
mod packed;
mod pending;
mod queue;
mod read;
mod schema;
mod sync;
#[cfg(test)]
mod tests;
mod write;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use protocol::{LogLine, LogList, RunDetail, RunFilter, RunState, RunSummary, Submission};

pub use ledger::{Describe, Ledger};
use pending::Pending;
use read::Readers;
use sync::Sync;
use writer::{Job, Writer};

/// Name of the database in the state directory.
pub const FILE_NAME: &str = "dagd.sqlite";

/// The store is behind when so many runs have something that is not on disk.
const BEHIND_COUNT: usize = 256;

/// Where a store keeps its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// In memory, for a private daemon and for tests.
    Memory,
    /// In this folder, which is made if it is missing.
    Directory(PathBuf),
}

/// A run as it is accepted.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// What lists show of it; state `queued`.
    pub summary: RunSummary,
    /// What was submitted, kept so that it can be run again.
    pub submission: Submission,
}

/// Why the store could not do something.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// There is a run of this id.
    #[error("there is already a run with the id {0:?}")]
    IdTaken(String),
    /// The folder is used by another daemon.
    #[error("another daemon keeps its runs in {}; end it, or choose another [server] state_directory", .0.display())]
    InUse(PathBuf),
    /// The database was written by a later version.
    #[error(
        "{} was written by a later version of dagd (layout {found}, this one knows up to {known}); use that version, or \
         another [server] state_directory", .path.display()
    )]
    TooNew {
        /// The database.
        path: PathBuf,
        /// Its layout.
        found: i64,
        /// The latest layout known here.
        known: i64,
    },
    /// The folder or the file cannot be used.
    #[error("cannot {attempt}: {reason}")]
    Failed {
        /// What was tried, on what.
        attempt: String,
        /// Why it failed.
        reason: String,
        /// Whether the reason is that the file is no sound database.
        damaged: bool,
    },
}

/// Why a run is not registered.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{error}")]
pub struct InsertError {
    /// What went wrong.
    pub error: StoreError,
    /// Whether the run has begun nevertheless.
    pub has_begun: bool,
}

impl StoreError {
    fn sqlite(attempt: impl Into<String>, error: &rusqlite::Error) -> StoreError {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        let damaged = matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase));
        StoreError::Failed { attempt: attempt.into(), reason: error.to_string(), damaged }
    }

    fn io(attempt: impl Into<String>, error: &std::io::Error) -> StoreError {
        StoreError::Failed { attempt: attempt.into(), reason: error.to_string(), damaged: false }
    }
}

/// How much of the ended runs is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    /// How many; 0 for all.
    pub keep_count: u64,
    /// For how many days; 0 for ever.
    pub keep_days: u64,
}

/// The store.
#[derive(Debug)]
pub struct Store {
    // Dropped in this order: the writer's thread ends, then the readers close, then the folder's lock goes.
    writer: Writer,
    readers: Readers,
    pending: Arc<Pending>,
    file: Option<PathBuf>,
    _lock: Option<schema::DirectoryLock>,
}

impl Store {
    /// Opens the store, making or migrating the database as needed; `log_lines_max` bounds the log of one run.
    pub fn open(location: &Location, log_lines_max: u64) -> Result<Store, StoreError> {
        let pending = Arc::new(Pending::default());
        match location {
            Location::Memory => {
                let connection = Arc::new(std::sync::Mutex::new(schema::open_in_memory()?));
                Ok(Store {
                    writer: Writer::start(
                        Arc::clone(&connection),
                        Sync::default(),
                        Arc::clone(&pending),
                        log_lines_max,
                    )?,
                    readers: Readers::shared(connection),
                    pending,
                    file: None,
                    _lock: None,
                })
            }
            Location::Directory(directory) => {
                let lock = schema::lock_directory(directory)?;
                let file = directory.join(FILE_NAME);
                let connection = Arc::new(std::sync::Mutex::new(schema::open_file(&file)?));
                let sync = Sync::of_file(&file)
                    .map_err(|error| StoreError::io(format!("open the log of {}", file.display()), &error))?;
                Ok(Store {
                    writer: Writer::start(connection, sync, Arc::clone(&pending), log_lines_max)?,
                    readers: Readers::of_file(file.clone()),
                    pending,
                    file: Some(file),
                    _lock: Some(lock),
                })
            }
        }
    }

    /// The database's file; none in memory.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Says whether what it keeps outlives the process.
    pub fn survives(&self) -> bool {
        self.file.is_some()
    }

    /// Registers a run, and has it `begin` as soon as its id is known to be its own: it runs while it is written. When this returns, the
    /// run outlives this process; a power cut only after [`Store::sync`]. `begin` must not wait for the store.
    pub fn insert_run(&self, run: &NewRun, begin: impl FnOnce()) -> Result<(), InsertError> {
        self.writer.insert(run, begin)
    }

    /// Returns when every run registered before is on disk.
    pub fn sync(&self) -> Result<(), StoreError> {
        self.writer.sync()
    }

    /// Says where a run stands now. Returns at once; what cannot be written is tried again later.
    pub fn update_state(&self, summary: RunSummary) {
        self.pending.put_summary(summary.clone());
        self.writer.tell(Job::Update { summary: Box::new(summary) });
    }

    /// Whether [`Store::finish_run`] returns without waiting for a disk that is behind.
    pub fn has_room(&self) -> bool {
        self.pending.len() < BEHIND_COUNT
    }

    /// Has what a ledger holds written soon. Never waits: while the store is behind, the ledger keeps it.
    pub fn fetch(&self, ledger: &Arc<Ledger>) {
        self.writer.tell_if_room(Job::Fetch { ledger: Arc::clone(ledger) });
    }

    /// Keeps a run's report. Returns at once; `then` is called when it is on disk. What cannot be written stays in memory and
    /// is tried again later, and `then` is called after the first try: nobody waits for a disk that is full.
    pub fn finish_run(&self, detail: RunDetail, then: impl FnOnce(Arc<RunDetail>) + Send + 'static) {
        let detail = Arc::new(detail);
        self.pending.put_detail(Arc::clone(&detail));
        self.writer.tell(Job::Finish { detail, then: Some(Box::new(then)) });
    }

    /// Adds lines to a run's log. Returns at once; only the newest lines are kept, up to the store's limit.
    pub fn append_logs(&self, id: &str, lines: Vec<LogLine>) {
        if !lines.is_empty() {
            self.writer.tell(Job::Logs { id: id.to_owned(), lines });
        }
    }

    /// Runs, newest first.
    pub fn runs(&self, filter: &RunFilter) -> Result<Vec<RunSummary>, StoreError> {
        let overlay = self.pending.summaries();
        self.readers.with(|connection| read::runs(connection, filter, &overlay))
    }

    /// Everything known about a run.
    pub fn run(&self, id: &str) -> Result<Option<RunDetail>, StoreError> {
        loop {
            if let Some(detail) = self.pending.detail(id) {
                return Ok(Some(RunDetail::clone(&detail)));
            }
            let was_pending = self.pending.summary(id).is_some();
            let detail = self.readers.with(|connection| read::run(connection, id))?;
            match self.pending.summary(id) {
                Some(summary) => return Ok(detail.map(|detail| RunDetail { summary, ..detail })),
                // It reached the disk meanwhile, perhaps after the look at it.
                None if was_pending => {}
                None => return Ok(detail),
            }
        }
    }

    /// What was submitted as this run.
    pub fn submission(&self, id: &str) -> Result<Option<Submission>, StoreError> {
        self.readers.with(|connection| read::submission(connection, id))
    }

    /// Lines of a run's log, from number `from` on; none if there is no such run.
    pub fn logs(&self, id: &str, from: u64) -> Result<Option<LogList>, StoreError> {
        // Lines on their way to the disk count as written. Those that cannot be written are no reason to hide the others.
        if let Err(error) = self.flush() {
            log::warn!("the log of run {id} may be incomplete: {error}");
        }
        self.readers.with(|connection| read::logs(connection, id, from))
    }

    /// Marks every run that had not ended as interrupted, the oldest first, and returns them. Before each is marked, `becomes` says in a
    /// sentence what becomes of it, and may begin a run for that: if this process ends in between, the next start finds both. To be
    /// called once, before other runs come.
    pub fn interrupted_on_start(
        &self,
        now_us: i64,
        mut becomes: impl FnMut(&RunSummary, &[RunSummary]) -> String,
    ) -> Result<Vec<RunSummary>, StoreError> {
        let mut unfinished = Vec::new();
        for state in [RunState::Queued, RunState::Running] {
            let filter = RunFilter { state: Some(state), limit: Some(u32::MAX) };
            unfinished.extend(self.runs(&filter)?);
        }
        unfinished.sort_by_key(|summary| summary.submitted_us);
        // Rows whose summary cannot be read are marked by their column alone.
        let readable = unfinished.iter().map(|summary| summary.id.clone()).collect();
        self.writer.ask(|reply| Job::Interrupt { now_us, readable, reply })?;
        let mut interrupted = Vec::with_capacity(unfinished.len());
        for summary in &unfinished {
            let hint = becomes(summary, &unfinished);
            let ended = self.readers.with(|connection| read::ended_nodes(connection, &summary.id))?;
            let mut summary = summary.clone();
            read::interrupt(&mut summary, ended, hint, now_us);
            self.update_state(summary.clone());
            interrupted.push(summary);
        }
        self.flush()?;
        Ok(interrupted)
    }

    /// The run that went on with this one last; none if none did.
    pub fn successor(&self, id: &str) -> Result<Option<String>, StoreError> {
        self.readers.with(|connection| read::successor(connection, id))
    }

    /// Forgets ended runs beyond the retention; returns how many.
    pub fn prune(&self, retention: Retention, now_us: i64) -> Result<usize, StoreError> {
        self.writer.ask(|reply| Job::Prune { retention, now_us, reply })
    }

    /// Waits until everything said so far is on disk; what failed before is tried again, and an error if it fails again.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.writer.ask(|reply| Job::Flush { reply })
    }
}
