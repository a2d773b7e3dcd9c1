//! Bytes that clients send ahead of a run.
//!
//! They go into a sealed memory file as they arrive, counted in the budget. A run that names them takes them; what no run
//! takes expires. How many there may be at once is bounded, those still arriving included, so that a client cannot fill the
//! daemon's descriptors with what nobody uses.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use engine::id::Time;

use crate::server::budget::{Budget, Charge, in_words};
use crate::server::clock::{Alarm, Clock, Sleeper};
use crate::sys::memfd;

/// The budget is asked for so much at a time: few locks, little that is taken and not needed.
const STEP_BYTES: u64 = 1 << 20;

/// Why bytes were not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UploadError {
    /// There are as many as there may be.
    #[error("{0} uploads wait for a run already, and no more may ([blocks] uploads_max)")]
    TooMany(u64),
    /// They do not fit into the budget.
    #[error("the upload does not fit into the daemon's memory: {0}")]
    Budget(String),
    /// The system refused.
    #[error("the upload cannot be kept: {0}")]
    System(String),
}

/// All of them.
#[derive(Debug)]
pub struct Uploads {
    clock: Clock,
    alarm: Arc<Alarm>,
    budget: Arc<Budget>,
    count_max: u64,
    keep_us: u64,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    there: BTreeMap<String, Arc<Upload>>,
    /// Those still arriving.
    arriving: u64,
    last_number: u64,
}

/// Bytes that have arrived, immutable.
#[derive(Debug)]
pub struct Upload {
    /// Its id.
    pub id: String,
    /// How many bytes it has.
    pub bytes: u64,
    /// When it arrived.
    pub since_us: i64,
    /// When it goes if no run takes it.
    pub expires_us: i64,
    /// The bytes, sealed.
    pub file: Arc<File>,
    expires: Time,
    _charge: Charge,
}

/// Bytes that arrive. Dropped before the end, they are gone.
#[derive(Debug)]
pub struct Arriving {
    place: Place,
    file: File,
    charge: Charge,
    /// What the budget has granted.
    granted: u64,
    written: u64,
}

/// One of the places that there are.
#[derive(Debug)]
struct Place(Arc<Uploads>);

impl Uploads {
    /// None so far; at most `count_max` at once, each kept for `keep_us` at most.
    pub fn new(clock: Clock, alarm: &Arc<Alarm>, budget: &Arc<Budget>, count_max: u64, keep_us: u64) -> Arc<Uploads> {
        let (alarm, budget) = (Arc::clone(alarm), Arc::clone(budget));
        Arc::new(Uploads { clock, alarm, budget, count_max, keep_us, table: Mutex::default() })
    }

    /// Makes room for bytes; `announced` says how many will come, if that is known.
    pub fn begin(self: &Arc<Uploads>, announced: Option<u64>) -> Result<Arriving, UploadError> {
        let mut table = self.lock();
        if table.arriving + table.there.len() as u64 >= self.count_max {
            return Err(UploadError::TooMany(self.count_max));
        }
        table.arriving += 1;
        drop(table);
        let place = Place(Arc::clone(self));
        let granted = announced.unwrap_or(0);
        let charge = self.budget.take(granted).map_err(UploadError::Budget)?;
        let file = memfd::create("dagd-upload", memfd::Purpose::Data).map_err(|error| system(&error))?;
        Ok(Arriving { place, file: File::from(file), charge, granted, written: 0 })
    }

    /// One that has arrived and was not taken.
    pub fn find(&self, id: &str) -> Option<Arc<Upload>> {
        self.lock().there.get(id).cloned()
    }

    /// Takes one off the list: whoever holds it now is the last to.
    pub fn take(&self, id: &str) {
        let taken = self.lock().there.remove(id);
        drop(taken);
    }

    /// Those that wait for a run.
    pub fn list(&self) -> Vec<Arc<Upload>> {
        self.lock().there.values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sleeper for Uploads {
    fn wake(self: Arc<Self>) {
        let now = self.clock.now();
        let mut table = self.lock();
        let late: Vec<String> =
            table.there.values().filter(|upload| upload.expires <= now).map(|upload| upload.id.clone()).collect();
        let gone: Vec<_> = late.iter().filter_map(|id| table.there.remove(id)).collect();
        drop(table);
        for upload in &gone {
            log::info!("the upload {} of {} was dropped: no run has used it", upload.id, in_words(upload.bytes));
        }
    }
}

impl Arriving {
    /// Adds bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), UploadError> {
        let after = self.written + bytes.len() as u64;
        if after > self.granted {
            let more = (after - self.granted).next_multiple_of(STEP_BYTES);
            self.charge.grow(more).map_err(UploadError::Budget)?;
            self.granted += more;
        }
        self.file.write_all(bytes).map_err(|error| system(&error))?;
        self.written = after;
        Ok(())
    }

    /// That was all: from now on nobody can change them.
    pub fn finish(self) -> Result<Arc<Upload>, UploadError> {
        let Arriving { place, file, mut charge, granted, written: bytes } = self;
        memfd::seal(&file, memfd::IMMUTABLE).map_err(|error| system(&error))?;
        charge.shrink(granted - bytes);
        let uploads = &place.0;
        let since_us = uploads.clock.unix_us_now();
        let expires = uploads.clock.now().after(uploads.keep_us);
        let expires_us = uploads.clock.unix_us(expires);
        let mut table = uploads.lock();
        table.last_number += 1;
        // The time keeps ids of an earlier daemon apart.
        let id = format!("b{}-{}", table.last_number, since_us.unsigned_abs());
        let file = Arc::new(file);
        let upload = Arc::new(Upload { id: id.clone(), bytes, since_us, expires_us, file, expires, _charge: charge });
        table.there.insert(id, Arc::clone(&upload));
        drop(table);
        let sleeper: Weak<dyn Sleeper> = Arc::downgrade(&(Arc::clone(uploads) as Arc<dyn Sleeper>));
        uploads.alarm.arm(expires, sleeper);
        Ok(upload)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.lock().arriving -= 1;
    }
}

fn system(error: &std::io::Error) -> UploadError {
    UploadError::System(error.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::os::unix::fs::FileExt as _;

    use super::*;

    fn uploads(limit: u64, count_max: u64) -> (Arc<Uploads>, Arc<Budget>) {
        let (clock, budget) = (Clock::start(), Budget::new(limit));
        let alarm = Arc::new(Alarm::start(clock).unwrap());
        (Uploads::new(clock, &alarm, &budget, count_max, 1_000_000), budget)
    }

    #[test]
    fn what_arrived_is_sealed_and_counted_until_it_goes() {
        let (uploads, budget) = uploads(10 << 20, 3);
        let mut arriving = uploads.begin(None).unwrap();
        arriving.write(b"hello, ").unwrap();
        arriving.write(b"world").unwrap();
        let upload = arriving.finish().unwrap();
        assert_eq!((upload.bytes, budget.usage().bytes), (12, 12));
        let mut text = [0; 12];
        upload.file.read_exact_at(&mut text, 0).unwrap();
        assert_eq!(&text, b"hello, world");
        assert!(upload.file.write_at(b"x", 0).is_err());
        let id = upload.id.clone();
        assert!(uploads.find(&id).is_some());
        uploads.take(&id);
        assert!(uploads.find(&id).is_none());
        assert_eq!(budget.usage().bytes, 12);
        drop(upload);
        assert_eq!((budget.usage().bytes, budget.usage().blocks), (0, 0));
    }

    #[test]
    fn too_many_and_too_much_are_refused_with_the_figures() {
        let (uploads, budget) = uploads(3 << 20, 2);
        let one = uploads.begin(Some(100)).unwrap();
        let mut two = uploads.begin(None).unwrap();
        assert_eq!(uploads.begin(None).unwrap_err(), UploadError::TooMany(2));
        drop(one);
        let announced = uploads.begin(Some(4 << 20)).unwrap_err();
        assert!(announced.to_string().contains("4.0 MiB"), "{announced}");
        let all: Result<(), _> = (0..8).try_for_each(|_| two.write(&[0; 1 << 20]));
        assert!(matches!(all, Err(UploadError::Budget(_))));
        drop(two);
        assert_eq!((budget.usage().bytes, budget.usage().blocks), (0, 0));
        assert!(uploads.begin(None).is_ok());
    }

    #[test]
    fn what_no_run_takes_expires() {
        let (uploads, budget) = uploads(3 << 20, 2);
        let mut arriving = uploads.begin(None).unwrap();
        arriving.write(b"x").unwrap();
        let upload = arriving.finish().unwrap();
        Arc::clone(&uploads).wake();
        assert_eq!(uploads.list().len(), 1);
        let late = Upload {
            id: "late".to_owned(),
            bytes: 0,
            since_us: 0,
            expires_us: 0,
            expires: Time(0),
            file: Arc::new(File::from(memfd::create("test", memfd::Purpose::Data).unwrap())),
            _charge: budget.charge(0),
        };
        uploads.lock().there.insert("late".to_owned(), Arc::new(late));
        Arc::clone(&uploads).wake();
        let left: Vec<String> = uploads.list().iter().map(|one| one.id.clone()).collect();
        assert_eq!(left, [upload.id.as_str()]);
    }
}
