//! The thread that writes, as others see it: they hand over jobs, and some wait until they are on disk.
//!
//! A new run is written by whoever brings it ([`Writer::insert`]): that is short, and somebody waits for it. What nobody waits for is
//! kept when it fails, and tried again ([`Kept`](super::kept::Kept)): the disk may have room later.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use protocol::{LogLine, RunDetail, RunSummary};
use rusqlite::{Connection, TransactionBehavior};

use super::desk::Desk;
use super::ledger::{Entries, Ledger};
use super::pending::Pending;
use super::queue::Queue;
use super::sync::Sync;
use super::{InsertError, NewRun, Retention, StoreError, write};

/// How many jobs may wait; who comes then waits too.
const JOBS_MAX: usize = 4096;

/// Where the answer to a job goes.
pub(super) type Reply<T> = SyncSender<Result<T, StoreError>>;

/// What follows when something is on disk.
pub(super) type Then = Box<dyn FnOnce(Arc<RunDetail>) + Send>;

/// Something to write.
pub(super) enum Job {
    Update { summary: Box<RunSummary> },
    Finish { detail: Arc<RunDetail>, then: Option<Then> },
    Fetch { ledger: Arc<Ledger> },
    Logs { id: String, lines: Vec<LogLine> },
    Interrupt { now_us: i64, readable: Vec<String>, reply: Reply<()> },
    Prune { retention: Retention, now_us: i64, reply: Reply<usize> },
    Flush { reply: Reply<()> },
}

/// The caller's end of the thread.
pub(super) struct Writer {
    jobs: Arc<Queue<Job>>,
    thread: Option<JoinHandle<()>>,
    connection: Arc<Mutex<Connection>>,
    sync: Arc<Sync>,
}

impl Writer {
    pub(super) fn start(
        connection: Arc<Mutex<Connection>>,
        sync: Sync,
        pending: Arc<Pending>,
        log_lines_max: u64,
    ) -> Result<Writer, StoreError> {
        let jobs = Arc::new(Queue::new(JOBS_MAX));
        let taken = Arc::clone(&jobs);
        let sync = Arc::new(sync);
        let desk = Desk { connection: Arc::clone(&connection), sync: Arc::clone(&sync), pending, log_lines_max };
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || {
                // Whether it returns or panics: nobody is to wait for what nobody takes.
                let _closes = Closes(Arc::clone(&taken));
                desk.work(&taken);
            })
            .map_err(|error| StoreError::io("start the thread that writes runs", &error))?;
        Ok(Writer { jobs, thread: Some(thread), connection, sync })
    }

    /// Writes a new run, on the caller's thread. `begin` is called when its id is its own, before the commit.
    pub(super) fn insert(&self, run: &NewRun, begin: impl FnOnce()) -> Result<(), InsertError> {
        let failed = |error| StoreError::sqlite("register a run", &error);
        let not_begun = |error| InsertError { error: failed(error), has_begun: false };
        self.sync.verdict().map_err(|error| InsertError { error: not_synced(error), has_begun: false })?;
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(not_begun)?;
        if !write::insert(&transaction, run).map_err(not_begun)? {
            return Err(InsertError { error: StoreError::IdTaken(run.summary.id.clone()), has_begun: false });
        }
        begin();
        transaction.commit().map_err(|error| InsertError { error: failed(error), has_begun: true })
    }

    /// Brings what was written to the disk.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        self.sync.sync().map_err(not_synced)
    }

    /// Hands over a job that nobody waits for.
    pub(super) fn tell(&self, job: Job) {
        if let Err(lost) = self.jobs.push(job) {
            log::error!("the store's thread has ended; a run's record was not written");
            // Whoever waits for the end of the run must not wait for ever.
            if let Job::Finish { detail, then: Some(then) } = lost {
                then(detail);
            }
        }
    }

    /// Hands over a job that can be handed over again, unless too many wait already.
    pub(super) fn tell_if_room(&self, job: Job) {
        if let Err(Job::Fetch { ledger }) = self.jobs.push_if_room(job) {
            ledger.take_back(Entries::default());
        }
    }

    /// Hands over a job and waits until it is on disk.
    pub(super) fn ask<T>(&self, job: impl FnOnce(Reply<T>) -> Job) -> Result<T, StoreError> {
        let (reply, answer) = sync_channel(1);
        self.tell(job(reply));
        answer.recv().unwrap_or_else(|_| Err(gone()))
    }
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("sync", &self.sync).finish_non_exhaustive()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs.close();
        if let Some(thread) = self.thread.take() {
            // What was handed over is written before the thread ends; a panic in there was logged by the panic hook.
            let _ = thread.join();
        }
    }
}

pub(super) fn not_synced(error: std::io::Error) -> StoreError {
    StoreError::io("bring the database to the disk", &error)
}

fn gone() -> StoreError {
    StoreError::Failed {
        attempt: "write to the database".to_owned(),
        reason: "the store's thread has ended".to_owned(),
        damaged: false,
    }
}

/// Closes the line when the thread ends; who waits for an answer to a job in it is told by the job's end.
struct Closes(Arc<Queue<Job>>);

impl Drop for Closes {
    fn drop(&mut self) {
        self.0.close();
        drop(self.0.take(usize::MAX));
    }
}
