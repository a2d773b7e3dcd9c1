//! Brings commits to the disk: one sync for all that were there when it began.
//!
//! With `synchronous = FULL` SQLite syncs within each commit, the connection held all the while. So it commits without
//! (`synchronous = NORMAL`: a commit then outlives this process, whatever becomes of it, and not a power cut), and whoever promises
//! more syncs the log afterwards, with nothing held: others commit meanwhile, and share the next sync.
//!
//! What SQLite promises of the database's soundness holds as before. The log is an ordered list of frames, each with a checksum over
//! all before it: what a power cut leaves is a prefix of the commits. Under NORMAL SQLite still syncs the log before it copies frames
//! into the database, the database before it lets the log begin anew, and the log's header when it does. So a commit is in the
//! database on disk, or in the log, which one later sync of it covers.
//!
//! The log is opened here a second time. It stays the same file for as long as a connection is open (SQLite begins anew in place,
//! and removes it with its last connection), and SQLite locks ranges of the database and of `-shm`, never of the log: closing this
//! descriptor lets go of no lock.
//!
//! A sync that failed is not tried again: the kernel has forgotten then which pages it could not write, the next sync would say that
//! all is well, and every commit after the hole would be lost with it. From then on nothing is promised until the daemon is started
//! again, which reads the log from its beginning.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// SQLite brings the log into the database when it has so many pages, and begins anew: some milliseconds for whoever's commit it was, so
/// less often than by itself (1,000): of a hundred short runs less than one meets it.
pub(super) const LOG_PAGES: u32 = 2_000;

/// The log is made this large at once: what it grows to until then, each page with its head, and a commit beyond. A sync that need not
/// note a new size takes the disk half the time.
const LOG_BYTES: u64 = LOG_PAGES as u64 * (4096 + 24) + (256 << 10);

/// Syncs the log of one database; in memory there is nothing to sync.
#[derive(Debug, Default)]
pub(super) struct Sync {
    log: Option<File>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Syncs are numbered from 1: the last that began, and the last that ended.
    begun: u64,
    done: u64,
    /// Why one failed.
    failure: Option<String>,
    is_under_way: bool,
}

impl Sync {
    /// Syncs the log of the database in this file, which a connection has opened.
    pub(super) fn of_file(database: &Path) -> io::Result<Sync> {
        let mut path = database.as_os_str().to_owned();
        path.push("-wal");
        let log = OpenOptions::new().read(true).write(true).open(path)?;
        // On a disk that has no room for it, it grows as it is written.
        if let Err(error) = enlarge(&log) {
            log::debug!("the log of {} stays small: {error}", database.display());
        }
        Ok(Sync { log: Some(log), ..Sync::default() })
    }

    /// Returns when everything committed before is on disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        let Some(log) = &self.log else { return Ok(()) };
        self.sync_by(|| log.sync_data())
    }

    /// An error if nothing can be promised any more.
    pub(super) fn verdict(&self) -> io::Result<()> {
        self.lock().verdict()
    }

    fn sync_by(&self, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let mut state = self.lock();
        // One that is under way may have begun too early.
        let wanted = state.begun + 1;
        while state.is_under_way && state.done < wanted {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.verdict()?;
        if state.done >= wanted {
            return Ok(());
        }
        state.begun += 1;
        state.is_under_way = true;
        let mine = state.begun;
        drop(state);
        let result = sync();
        let mut state = self.lock();
        state.is_under_way = false;
        state.done = mine;
        // All that waited for it, and all that come, hear of it.
        state.failure = result.err().map(|error| error.to_string());
        self.changed.notify_all();
        state.verdict()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn verdict(&self) -> io::Result<()> {
        match &self.failure {
            None => Ok(()),
            Some(failure) => Err(io::Error::other(format!(
                "the disk did not take what was written ({failure}); nothing more is kept until the daemon is started again"
            ))),
        }
    }
}

/// Writes zeros behind what there is: SQLite reads its log up to the first frame that is none.
fn enlarge(log: &File) -> io::Result<()> {
    let zeros = [0; 64 << 10];
    let mut length = log.metadata()?.len();
    while length < LOG_BYTES {
        let count = usize::try_from(LOG_BYTES - length).map_or(zeros.len(), |left| left.min(zeros.len()));
        log.write_all_at(&zeros[..count], length)?;
        length += count as u64;
    }
    log.sync_data()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn each_caller_waits_for_a_sync_that_began_after_it_came_and_shares_it() {
        const CALLERS: u64 = 8;
        const ROUNDS: u64 = 50;
        let sync = Sync::default();
        // What callers "commit", and how far of it each sync that is over has seen.
        let (committed, synced, syncs) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        let work = || {
            let seen = committed.load(Ordering::SeqCst);
            syncs.fetch_add(1, Ordering::SeqCst);
            std::thread::yield_now();
            synced.fetch_max(seen, Ordering::SeqCst);
            Ok(())
        };
        std::thread::scope(|scope| {
            for _ in 0..CALLERS {
                scope.spawn(|| {
                    for _ in 0..ROUNDS {
                        let mine = committed.fetch_add(1, Ordering::SeqCst) + 1;
                        sync.sync_by(work).unwrap();
                        assert!(synced.load(Ordering::SeqCst) >= mine);
                    }
                });
            }
        });
        assert!(syncs.load(Ordering::SeqCst) <= CALLERS * ROUNDS);
        let state = sync.lock();
        assert_eq!((state.begun, state.done), (syncs.load(Ordering::SeqCst), syncs.load(Ordering::SeqCst)));
    }

    #[test]
    fn those_who_come_during_a_sync_share_the_next() {
        let sync = Sync::default();
        let (begin, began) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let syncs = AtomicU64::new(0);
        std::thread::scope(|scope| {
            let first = move || {
                begin.send(()).unwrap();
                ended.recv().unwrap();
                Ok(())
            };
            let sync = &sync;
            scope.spawn(move || sync.sync_by(first).unwrap());
            began.recv().unwrap();
            let later: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        sync.sync_by(|| {
                            syncs.fetch_add(1, Ordering::SeqCst);
                            Ok(())
                        })
                        .unwrap();
                    })
                })
                .collect();
            assert_eq!(syncs.load(Ordering::SeqCst), 0, "one at a time");
            end.send(()).unwrap();
            later.into_iter().for_each(|one| one.join().unwrap());
        });
        // Whoever came after the second had begun had one more.
        assert!((1..=4).contains(&syncs.load(Ordering::SeqCst)));
    }

    #[test]
    fn after_one_that_failed_nothing_is_promised() {
        let sync = Sync::default();
        sync.sync_by(|| Ok(())).unwrap();
        sync.verdict().unwrap();
        let error = sync.sync_by(|| Err(io::Error::other("input/output error"))).unwrap_err();
        assert!(error.to_string().contains("input/output error"), "{error}");
        let again = sync.sync_by(|| Ok(())).unwrap_err();
        assert_eq!(again.to_string(), error.to_string(), "the kernel would say that all is well");
        assert!(sync.verdict().is_err());
    }

    #[test]
    fn the_log_is_enlarged_and_what_it_holds_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let (database, log) = (folder.path().join("some.sqlite"), folder.path().join("some.sqlite-wal"));
        assert!(Sync::of_file(&database).is_err(), "there is no log");
        std::fs::write(&log, "frames").unwrap();
        Sync::of_file(&database).unwrap().sync().unwrap();
        let written = std::fs::read(&log).unwrap();
        assert_eq!(written.len() as u64, LOG_BYTES);
        assert!(written.starts_with(b"frames\0\0"));
        Sync::of_file(&database).unwrap().sync().unwrap();
        assert_eq!(std::fs::metadata(&log).unwrap().len(), LOG_BYTES);
        Sync::default().sync().unwrap();
    }
}
