//! Outputs of runs that are over, until somebody fetches them.
//!
//! What a run makes and nobody in it reads is its result. One that is saved is read back from where it is; the others stay in memory
//! for a while: those that the run's submission asked for until they are fetched or expire, the rest as long as the memory is not
//! needed ([`Reclaim`]) and as there is room for them (`[runs] keep_outputs_bytes`), the oldest going first.
#![forbid(unsafe_code)]

mod deposit;
mod fetch;
mod table;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use engine::id::Time;
use engine::plan::Persisted;
use protocol::{OutputInfo, OutputList, OutputState};

use crate::block::Block;
use crate::server::blocks::kind_of;
use crate::server::budget::{Budget, Charge, Reclaim, in_words};
use crate::server::clock::{Alarm, Clock, Sleeper};

pub use fetch::{FetchError, Fetched, FetchedFrom, Means, fetch};
use table::{RunOutputs, Table};

/// Outputs of all runs.
#[derive(Debug)]
pub struct Outputs {
    clock: Clock,
    alarm: Arc<Alarm>,
    budget: Arc<Budget>,
    keep_us: u64,
    bytes_max: u64,
    table: Mutex<Table>,
}

/// One output.
#[derive(Debug, Clone)]
pub struct Output {
    /// How it is saved, if the catalog says so.
    pub storage: Option<Arc<Persisted>>,
    /// Where it is; nothing if it was not made.
    pub place: Option<Place>,
    /// Whether it was asked for, and not fetched yet.
    pub is_wanted: bool,
}

/// Where an output is.
#[derive(Debug, Clone)]
pub enum Place {
    /// In memory.
    Memory(Arc<Kept>),
    /// Where the catalog says.
    Saved,
    /// Nowhere any more, and why.
    Gone(String),
}

/// A block that is kept.
#[derive(Debug)]
pub struct Kept {
    /// The block.
    pub block: Block,
    /// None while its run has it on its own account.
    _charge: Option<Charge>,
}

impl Kept {
    /// Of a run that is under way.
    pub fn of_run(block: Block) -> Kept {
        Kept { block, _charge: None }
    }
}

/// What a run leaves behind of one output.
#[derive(Debug)]
pub struct Left {
    /// Its name.
    pub name: String,
    /// How it is saved, if the catalog says so.
    pub storage: Option<Arc<Persisted>>,
    /// Its block, if it is in memory and the run's own.
    pub block: Option<(Block, Charge)>,
    /// Whether it was saved.
    pub is_saved: bool,
    /// Whether the submission asked for it.
    pub is_wanted: bool,
}

impl Outputs {
    /// None so far. Each is kept for `keep_us`; those nobody asked for may take `bytes_max` together, and be of `runs_max` runs (0: of
    /// any number): as many as the store remembers, for nobody asks for outputs of a run that is forgotten.
    pub fn new(
        clock: Clock,
        alarm: &Arc<Alarm>,
        budget: &Arc<Budget>,
        keep_us: u64,
        bytes_max: u64,
        runs_max: u64,
    ) -> Arc<Outputs> {
        let outputs = Arc::new(Outputs {
            clock,
            alarm: Arc::clone(alarm),
            budget: Arc::clone(budget),
            keep_us,
            bytes_max,
            table: Mutex::new(Table::new(usize::try_from(runs_max).unwrap_or(usize::MAX))),
        });
        budget.add_spare(Arc::downgrade(&outputs) as Weak<dyn Reclaim>);
        outputs
    }

    /// Keeps what a run left behind.
    pub fn keep(self: &Arc<Outputs>, run: &str, left: Vec<Left>) {
        if left.is_empty() {
            return;
        }
        let ended = self.clock.now();
        let expires = ended.after(self.keep_us);
        let outputs = left.into_iter().map(|left| {
            let Left { name, storage, block, is_saved, is_wanted } = left;
            (name, Output { storage, place: self.place(block, is_saved, is_wanted), is_wanted })
        });
        let outputs = RunOutputs::new(ended, expires, outputs.collect());
        let mut table = self.lock();
        let is_armed = table.next_expiry().is_some();
        let forgotten = table.insert(run, outputs);
        let surplus = table.spare_bytes().saturating_sub(self.bytes_max);
        let why = "there was no more room for outputs that were not asked for ([runs] keep_outputs_bytes)";
        let dropped = table.drop_oldest(surplus, why);
        drop(table);
        drop((forgotten, dropped));
        // Whoever was there before has an alarm, which is set again as long as there is somebody.
        if !is_armed {
            self.wake_at(expires);
        }
        // They are spare now: a task may wait for just that.
        self.budget.relieve();
    }

    fn place(&self, block: Option<(Block, Charge)>, is_saved: bool, is_wanted: bool) -> Option<Place> {
        match block {
            Some((block, charge)) if is_wanted || !is_saved => {
                if is_wanted || block.size() <= self.bytes_max {
                    return Some(Place::Memory(Arc::new(Kept { block, _charge: Some(charge) })));
                }
                Some(Place::Gone(format!(
                    "it takes {}, and outputs that were not asked for may take {} together ([runs] keep_outputs_bytes)",
                    in_words(block.size()),
                    in_words(self.bytes_max)
                )))
            }
            _ => is_saved.then_some(Place::Saved),
        }
    }

    /// An output of a run that is over; the outer nothing where nothing is known of the run, the inner where it has no such output.
    pub fn find(&self, run: &str, name: &str) -> Option<Option<Output>> {
        Some(self.lock().get(run)?.get(name).cloned())
    }

    /// The outputs of a run that is over, by name; nothing if none are known.
    pub fn list(&self, run: &str) -> Option<OutputList> {
        let table = self.lock();
        let run = table.get(run)?;
        let expires_us = self.clock.unix_us(run.expires);
        let outputs = run.iter().map(|(name, output)| output.info(name, expires_us));
        Some(OutputList { outputs: outputs.collect() })
    }

    /// Every block that is kept: run, output, block, since when.
    pub fn blocks(&self) -> Vec<(String, String, Block, i64)> {
        let table = self.lock();
        let all = table.iter().flat_map(|(run, outputs)| {
            outputs.iter().filter_map(move |(name, output)| match &output.place {
                Some(Place::Memory(kept)) => {
                    Some((run.to_owned(), name.to_owned(), kept.block.clone(), self.clock.unix_us(outputs.ended)))
                }
                _ => None,
            })
        });
        all.collect()
    }

    /// How many of the blocks the daemon's accounts do not count.
    pub fn uncounted_blocks(&self) -> u64 {
        let table = self.lock();
        let outputs = table.iter().flat_map(|(_, outputs)| outputs.iter());
        let uncounted = outputs.filter(|(_, output)| match &output.place {
            Some(Place::Memory(kept)) => !kept.block.is_counted(),
            _ => false,
        });
        uncounted.count() as u64
    }

    /// Somebody has fetched it: from now on it stays only while nobody needs its memory.
    pub fn fetched(&self, run: &str, name: &str) {
        self.lock().fetched(run, name);
        self.budget.relieve();
    }

    fn wake_at(self: &Arc<Outputs>, moment: Time) {
        let sleeper: Weak<dyn Sleeper> = Arc::downgrade(&(Arc::clone(self) as Arc<dyn Sleeper>));
        self.alarm.arm(moment, sleeper);
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reclaim for Outputs {
    fn reclaim(&self, bytes: u64) -> u64 {
        let mut table = self.lock();
        let dropped =
            table.drop_oldest(bytes, "other tasks needed its memory, and it was not asked for or fetched already");
        drop(table);
        dropped.iter().map(|kept| kept.block.size()).sum()
    }
}

impl Sleeper for Outputs {
    fn wake(self: Arc<Self>) {
        let now = self.clock.now();
        let mut table = self.lock();
        let gone = table.take_expired(now);
        let next = table.next_expiry();
        drop(table);
        drop(gone);
        if let Some(next) = next {
            self.wake_at(next);
        }
    }
}

impl Output {
    /// What the API tells of it.
    pub fn info(&self, name: &str, expires_us: i64) -> OutputInfo {
        let storage = self.storage.as_deref();
        let mut info = OutputInfo {
            name: name.to_owned(),
            state: OutputState::Pending,
            kind: None,
            format: None,
            bytes: None,
            storage: storage.map_or("memory", |storage| &storage.type_name).to_owned(),
            path: storage.map(|storage| storage.path.clone()).filter(|path| !path.is_empty()),
            reason: None,
            expires_us: self.place.as_ref().map(|_| expires_us),
        };
        match &self.place {
            None => {}
            Some(Place::Saved) => info.state = OutputState::Ready,
            Some(Place::Gone(reason)) => {
                info.state = OutputState::Gone;
                info.reason = Some(reason.clone());
            }
            Some(Place::Memory(kept)) => {
                let format = kept.block.format().as_str();
                info.state = OutputState::Ready;
                info.kind = Some(kind_of(format).to_owned());
                info.format = Some(format.to_owned());
                info.bytes = Some(kept.block.size());
            }
        }
        info
    }
}
