//! Outputs of runs that are over, until somebody fetches them.
//!
//! What a run makes and nobody in it reads is its result. One that is saved is read back from where it is; the others stay in memory
//! for a while: those that the run's submission asked for until they are fetched or expire, the rest as long as the memory is not
//! needed ([`Reclaim`]) and as there is room for them (`[runs] keep_outputs_bytes`), the oldest going first.
#![forbid(unsafe_code)]

mod deposit;
mod fetch;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use engine::id::Time;
use engine::plan::Persisted;
use protocol::{OutputInfo, OutputList, OutputState};

use crate::block::Block;
use crate::server::blocks::kind_of;
use crate::server::budget::{Budget, Charge, Reclaim, in_words};
use crate::server::clock::{Alarm, Clock, Sleeper};

/// Of so many outputs at most something is remembered; of more, whole runs are forgotten, the oldest first.
const OUTPUTS_MAX: usize = 20_000;

pub use fetch::{FetchError, Fetched, FetchedFrom, Means, fetch};

/// Outputs of all runs.
#[derive(Debug)]
pub struct Outputs {
    clock: Clock,
    alarm: Arc<Alarm>,
    budget: Arc<Budget>,
    keep_us: u64,
    bytes_max: u64,
    runs: Mutex<BTreeMap<String, RunOutputs>>,
}

/// Outputs of one run. The plan is not kept: it may be large, and ten minutes are long.
#[derive(Debug)]
struct RunOutputs {
    ended: Time,
    expires: Time,
    outputs: BTreeMap<String, Output>,
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
    pub storage: Option<Persisted>,
    /// Its block, if it is in memory and the run's own.
    pub block: Option<(Block, Charge)>,
    /// Whether it was saved.
    pub is_saved: bool,
    /// Whether the submission asked for it.
    pub is_wanted: bool,
}

impl Outputs {
    /// None so far. Each is kept for `keep_us`; those nobody asked for may take `bytes_max` together.
    pub fn new(clock: Clock, alarm: &Arc<Alarm>, budget: &Arc<Budget>, keep_us: u64, bytes_max: u64) -> Arc<Outputs> {
        let outputs = Arc::new(Outputs {
            clock,
            alarm: Arc::clone(alarm),
            budget: Arc::clone(budget),
            keep_us,
            bytes_max,
            runs: Mutex::default(),
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
            let name = left.name.clone();
            let (storage, is_wanted) = (left.storage.clone().map(Arc::new), left.is_wanted);
            (name, Output { storage, place: self.place(left), is_wanted })
        });
        let outputs = outputs.collect();
        let mut runs = self.lock();
        runs.insert(run.to_owned(), RunOutputs { ended, expires, outputs });
        let forgotten = forget_oldest(&mut runs, run);
        let surplus = unasked_bytes(&runs).saturating_sub(self.bytes_max);
        let why = "there was no more room for outputs that were not asked for ([runs] keep_outputs_bytes)";
        let dropped = drop_oldest(&mut runs, surplus, why);
        drop(runs);
        drop((forgotten, dropped));
        let sleeper: Weak<dyn Sleeper> = Arc::downgrade(&(Arc::clone(self) as Arc<dyn Sleeper>));
        self.alarm.arm(expires, sleeper);
        // They are spare now: a task may wait for just that.
        self.budget.relieve();
    }

    fn place(&self, left: Left) -> Option<Place> {
        match left.block {
            Some((block, charge)) if left.is_wanted || !left.is_saved => {
                if left.is_wanted || block.size() <= self.bytes_max {
                    return Some(Place::Memory(Arc::new(Kept { block, _charge: Some(charge) })));
                }
                Some(Place::Gone(format!(
                    "it takes {}, and outputs that were not asked for may take {} together ([runs] keep_outputs_bytes)",
                    in_words(block.size()),
                    in_words(self.bytes_max)
                )))
            }
            _ => left.is_saved.then_some(Place::Saved),
        }
    }

    /// An output of a run that is over; the outer nothing where nothing is known of the run, the inner where it has no such output.
    pub fn find(&self, run: &str, name: &str) -> Option<Option<Output>> {
        Some(self.lock().get(run)?.outputs.get(name).cloned())
    }

    /// The outputs of a run that is over, by name; nothing if none are known.
    pub fn list(&self, run: &str) -> Option<OutputList> {
        let runs = self.lock();
        let run = runs.get(run)?;
        let expires_us = self.clock.unix_us(run.expires);
        let outputs = run.outputs.iter().map(|(name, output)| output.info(name, expires_us));
        Some(OutputList { outputs: outputs.collect() })
    }

    /// Every block that is kept: run, output, block, since when.
    pub fn blocks(&self) -> Vec<(String, String, Block, i64)> {
        let runs = self.lock();
        let all = runs.iter().flat_map(|(run, outputs)| {
            outputs.outputs.iter().filter_map(move |(name, output)| match &output.place {
                Some(Place::Memory(kept)) => {
                    Some((run.clone(), name.clone(), kept.block.clone(), self.clock.unix_us(outputs.ended)))
                }
                _ => None,
            })
        });
        all.collect()
    }

    /// Somebody has fetched it: from now on it stays only while nobody needs its memory.
    pub fn fetched(&self, run: &str, name: &str) {
        if let Some(output) = self.lock().get_mut(run).and_then(|run| run.outputs.get_mut(name)) {
            output.is_wanted = false;
        }
        self.budget.relieve();
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, RunOutputs>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reclaim for Outputs {
    fn reclaim(&self, bytes: u64) -> u64 {
        let mut runs = self.lock();
        let dropped =
            drop_oldest(&mut runs, bytes, "other tasks needed its memory, and it was not asked for or fetched already");
        drop(runs);
        dropped.iter().map(|kept| kept.block.size()).sum()
    }
}

impl Sleeper for Outputs {
    fn wake(self: Arc<Self>) {
        let now = self.clock.now();
        let mut runs = self.lock();
        let late: Vec<String> = runs.iter().filter(|(_, run)| run.expires <= now).map(|(id, _)| id.clone()).collect();
        let gone: Vec<_> = late.iter().filter_map(|id| runs.remove(id)).collect();
        drop(runs);
        drop(gone);
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

/// Forgets whole runs beyond the bound, the oldest first; the newest stays, however many outputs it has.
fn forget_oldest(runs: &mut BTreeMap<String, RunOutputs>, newest: &str) -> Vec<RunOutputs> {
    let mut count: usize = runs.values().map(|run| run.outputs.len()).sum();
    if count <= OUTPUTS_MAX {
        return Vec::new();
    }
    let mut by_age: Vec<(Time, String)> = runs.iter().map(|(id, run)| (run.ended, id.clone())).collect();
    by_age.sort();
    let mut forgotten = Vec::new();
    for (_, id) in by_age.into_iter().filter(|(_, id)| id != newest) {
        if count <= OUTPUTS_MAX {
            break;
        }
        if let Some(run) = runs.remove(&id) {
            count -= run.outputs.len();
            forgotten.push(run);
        }
    }
    forgotten
}

fn unasked_bytes(runs: &BTreeMap<String, RunOutputs>) -> u64 {
    let outputs = runs.values().flat_map(|run| run.outputs.values()).filter(|output| !output.is_wanted);
    let sizes = outputs.map(|output| match &output.place {
        Some(Place::Memory(kept)) => kept.block.size(),
        _ => 0,
    });
    sizes.sum()
}

/// Drops so many bytes of what nobody asked for, the oldest first. The blocks are the caller's to let go of, without the lock.
fn drop_oldest(runs: &mut BTreeMap<String, RunOutputs>, bytes: u64, why: &str) -> Vec<Arc<Kept>> {
    let mut dropped = Vec::new();
    let mut freed = 0_u64;
    let mut by_age: Vec<&mut RunOutputs> = runs.values_mut().collect();
    by_age.sort_by_key(|run| run.ended);
    for output in by_age.into_iter().flat_map(|run| run.outputs.values_mut()).filter(|output| !output.is_wanted) {
        if freed >= bytes {
            break;
        }
        if let Some(Place::Memory(kept)) = &output.place {
            freed += kept.block.size();
            dropped.push(Arc::clone(kept));
            output.place = Some(Place::Gone(why.to_owned()));
        }
    }
    dropped
}
