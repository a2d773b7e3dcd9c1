//! Resident datasets: loaded once for all runs of the daemon.
//!
//! A dataset whose catalog entry says `resident = true` is the same for two runs when type, path, options and the library
//! that loads it are the same ([`Key`]), whatever each pipeline calls it. The first run that needs it loads it as any dataset, hooks
//! and all; runs that come meanwhile wait for that one load; later ones are given the block at once. It is loaded anew when its
//! file is another ([`fingerprint`]), looked at whenever a run needs it.
//!
//! **Waiting holds no worker.** A job that would wait is parked here before it begins, so its run can take it back without an
//! answer, and the budget does not count it among those that can make progress. The end of the load, good or bad, gives
//! all parked jobs back to their pools: they find the block, or one of them loads in its turn.
//!
//! **How long it stays.** A run holds a [`Lease`] from load to release; its own release never drops the block. Without
//! readers the block is spare: the budget may ask for its memory ([`Reclaim`]), the least recently used first. On request it goes
//! at once if nobody reads it, else with its last reader.
#![forbid(unsafe_code)]

mod deposit;
mod fingerprint;
mod table;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::plan::{Persisted, TaskKind};
use serde::{Deserialize, Serialize};

use crate::block::{Accounts, Block};
use crate::server::budget::{Budget, Charge, Reclaim};
use crate::server::clock::Clock;
use crate::server::generations::Generation;
use crate::server::pool::Job;

pub use deposit::Deposit;
use fingerprint::Fingerprint;
use table::{Slot, Table};

/// What makes two datasets the same one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    /// `plugin::type`.
    pub dataset_type: String,
    /// Where it is.
    pub path: String,
    /// The type's options, JSON with sorted keys.
    pub options_json: String,
    /// SHA-256 of the library that loads it: another build may read the same file otherwise.
    pub library: String,
    /// Of its credentials, as they may decide what is there: a hash that means nothing outside of this process; 0 if it has none.
    #[serde(skip)]
    pub credentials: u64,
}

/// A resident dataset in memory.
#[derive(Debug)]
pub struct Resident {
    key: Key,
    block: Block,
    fingerprint: Fingerprint,
    loaded_us: i64,
    used_us: AtomicI64,
    readers: AtomicU64,
    /// What pipelines call it.
    names: Mutex<std::collections::BTreeSet<String>>,
    _charge: Charge,
}

/// What a list shows of a resident dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResidentInfo {
    /// What pipelines call it.
    pub names: Vec<String>,
    /// What it is.
    pub key: Key,
    /// Its block.
    pub block: BlockFacts,
    /// Runs that hold it.
    pub readers: u64,
    /// When it was loaded.
    pub loaded_us: i64,
    /// Whether it goes with its last reader.
    pub is_leaving: bool,
}

/// What a list shows of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockFacts {
    /// Its format.
    pub format: &'static str,
    /// The memory it takes.
    pub bytes: u64,
}

impl BlockFacts {
    /// Of this block.
    pub fn of(block: &Block) -> BlockFacts {
        BlockFacts { format: block.format().as_str(), bytes: block.size() }
    }
}

/// All resident datasets of the daemon.
#[derive(Debug)]
pub struct Residents {
    clock: Clock,
    budget: Arc<Budget>,
    accounts: Arc<Accounts>,
    table: Mutex<Table>,
}

/// What became of a job that may be about a resident dataset.
#[derive(Debug)]
pub enum Entered {
    /// Go on with it.
    Begin(Job, Share),
    /// It waits for another run's load, and comes back to its pool by itself.
    Parked,
}

/// What a job has to do with resident datasets.
#[derive(Debug)]
pub enum Share {
    /// Nothing.
    None,
    /// It loads one for everybody.
    Load(Box<Loading>),
    /// The one it would load is there.
    There(Lease),
}

/// A load for everybody, under way. Dropped before it is done, it has failed, and whoever waits tries in turn.
#[derive(Debug)]
pub struct Loading {
    residents: Arc<Residents>,
    /// Taken when it is done.
    key: Option<Key>,
    name: String,
    fingerprint: Fingerprint,
}

/// A run's hold of a resident dataset.
#[derive(Debug)]
pub struct Lease {
    residents: Arc<Residents>,
    resident: Arc<Resident>,
}

impl Residents {
    /// None so far.
    pub fn new(clock: Clock, budget: &Arc<Budget>, accounts: &Arc<Accounts>) -> Arc<Residents> {
        let residents = Arc::new(Residents {
            clock,
            budget: Arc::clone(budget),
            accounts: Arc::clone(accounts),
            table: Mutex::default(),
        });
        budget.add_spare(Arc::downgrade(&residents) as std::sync::Weak<dyn Reclaim>);
        residents
    }

    /// Looks whether a job would load a resident dataset, and what is to be done then. Looks at the dataset's file.
    pub fn enter(self: &Arc<Residents>, job: Job) -> Entered {
        let Some((key, name)) = wanted(&job) else { return Entered::Begin(job, Share::None) };
        let fingerprint = Fingerprint::of(&key.path);
        let mut table = self.lock();
        let changed = match table.slots.get_mut(&key) {
            Some(Slot::Loading(parked)) => {
                parked.push(job);
                return Entered::Parked;
            }
            Some(Slot::There(resident)) if resident.fingerprint == fingerprint => {
                let lease = Lease::new(self, resident, &name);
                return Entered::Begin(job, Share::There(lease));
            }
            Some(Slot::There(_)) => table.take(&key),
            None => None,
        };
        table.slots.insert(key.clone(), Slot::Loading(Vec::new()));
        drop(table);
        // Outside the lock: it may give memory back to those who wait for it.
        drop(changed);
        let loading = Loading { residents: Arc::clone(self), key: Some(key), name, fingerprint };
        Entered::Begin(job, Share::Load(Box::new(loading)))
    }

    /// All there are, by name; those that are to go come last.
    pub fn list(&self) -> Vec<ResidentInfo> {
        let table = self.lock();
        let there = table.slots.values().filter_map(|slot| match slot {
            Slot::There(resident) => Some(resident.info(false)),
            Slot::Loading(_) => None,
        });
        let leaving = table.leaving.iter().filter_map(std::sync::Weak::upgrade);
        let mut infos: Vec<ResidentInfo> = there.chain(leaving.map(|resident| resident.info(true))).collect();
        infos.sort_by(|one, other| {
            (one.is_leaving, &one.names, &one.key).cmp(&(other.is_leaving, &other.names, &other.key))
        });
        infos
    }

    /// Drops those that `is_meant` chooses: at once where nobody reads them, else with their last reader. Gives each as it was,
    /// and whether it is leaving.
    pub fn evict(&self, is_meant: impl Fn(&ResidentInfo) -> bool) -> Vec<ResidentInfo> {
        let mut table = self.lock();
        let chosen: Vec<(Key, ResidentInfo)> = (table.slots.iter())
            .filter_map(|(key, slot)| match slot {
                Slot::There(resident) => Some((key.clone(), resident.info(resident.readers() > 0))),
                Slot::Loading(_) => None,
            })
            .filter(|(_, info)| is_meant(info))
            .collect();
        let taken: Vec<_> = chosen.iter().map(|(key, _)| table.take(key)).collect();
        drop(table);
        drop(taken);
        chosen.into_iter().map(|(_, info)| info).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reclaim for Residents {
    fn reclaim(&self, bytes: u64) -> u64 {
        let mut table = self.lock();
        let mut idle: Vec<(i64, Key, u64)> = (table.slots.iter())
            .filter_map(|(key, slot)| match slot {
                Slot::There(resident) if resident.readers() == 0 => {
                    Some((resident.used_us.load(Ordering::Relaxed), key.clone(), resident.block.size()))
                }
                _ => None,
            })
            .collect();
        idle.sort_unstable();
        let mut freed = 0_u64;
        let mut taken = Vec::new();
        for (_, key, size) in idle {
            if freed >= bytes {
                break;
            }
            freed += size;
            taken.extend(table.take(&key));
        }
        drop(table);
        for resident in &taken {
            log::info!("the resident dataset {} was dropped: other tasks need its memory", resident.told());
        }
        freed
    }
}

impl Resident {
    fn readers(&self) -> u64 {
        self.readers.load(Ordering::SeqCst)
    }

    fn names(&self) -> Vec<String> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn told(&self) -> String {
        format!("{:?} ({} at {})", self.names().join(", "), self.key.dataset_type, self.key.path)
    }

    fn info(&self, is_leaving: bool) -> ResidentInfo {
        ResidentInfo {
            names: self.names(),
            key: self.key.clone(),
            block: BlockFacts::of(&self.block),
            readers: self.readers(),
            loaded_us: self.loaded_us,
            is_leaving,
        }
    }
}

impl Loading {
    /// The load has ended well: from now on the block is everybody's.
    pub fn finish(mut self, block: Block, charge: Charge) -> Lease {
        let residents = Arc::clone(&self.residents);
        let now_us = residents.clock.unix_us_now();
        let resident = Arc::new(Resident {
            key: self.key.clone().unwrap_or_else(Key::none),
            block,
            fingerprint: self.fingerprint.clone(),
            loaded_us: now_us,
            used_us: AtomicI64::new(now_us),
            readers: AtomicU64::new(0),
            names: Mutex::default(),
            _charge: charge,
        });
        // Before others can see it: it has a reader, so nobody reclaims it.
        let lease = Lease::new(&residents, &resident, &self.name);
        self.end(Some(resident));
        lease
    }

    fn end(&mut self, resident: Option<Arc<Resident>>) {
        let Some(key) = self.key.take() else { return };
        let mut table = self.residents.lock();
        let before = match resident {
            Some(resident) => table.slots.insert(key, Slot::There(resident)),
            None => table.slots.remove(&key),
        };
        drop(table);
        let Some(Slot::Loading(parked)) = before else { return };
        for job in parked {
            let run = Arc::clone(&job.run);
            run.generation.pool.take(&mut vec![job], None);
        }
    }
}

impl Drop for Loading {
    fn drop(&mut self) {
        self.end(None);
    }
}

impl Key {
    /// Of nothing: a load that was ended twice would have it, and none is.
    fn none() -> Key {
        Key {
            dataset_type: String::new(),
            path: String::new(),
            options_json: String::new(),
            library: String::new(),
            credentials: 0,
        }
    }

    fn of(storage: &Persisted, generation: &Generation) -> Key {
        let plugin = generation.manifest.plugins.get(storage.plugin as usize);
        let library = plugin.and_then(|plugin| generation.libraries.get(plugin.library as usize));
        Key {
            dataset_type: format!("{}::{}", storage.plugin_name, storage.type_name),
            path: storage.path.clone(),
            options_json: storage.options_json.clone(),
            library: library.map(|library| library.sha256().to_owned()).unwrap_or_default(),
            credentials: fingerprint::of_secret(&storage.credentials),
        }
    }
}

impl Share {
    /// The load for everybody that the job is, once.
    pub fn take_loading(&mut self) -> Option<Box<Loading>> {
        match std::mem::replace(self, Share::None) {
            Share::Load(loading) => Some(loading),
            other => {
                *self = other;
                None
            }
        }
    }
}

impl Clone for Lease {
    fn clone(&self) -> Lease {
        self.resident.readers.fetch_add(1, Ordering::SeqCst);
        Lease { residents: Arc::clone(&self.residents), resident: Arc::clone(&self.resident) }
    }
}

impl Lease {
    fn new(residents: &Arc<Residents>, resident: &Arc<Resident>, name: &str) -> Lease {
        resident.readers.fetch_add(1, Ordering::SeqCst);
        let mut names = resident.names.lock().unwrap_or_else(PoisonError::into_inner);
        if !names.contains(name) {
            names.insert(name.to_owned());
        }
        drop(names);
        Lease { residents: Arc::clone(residents), resident: Arc::clone(resident) }
    }

    /// The block.
    pub fn block(&self) -> Block {
        self.resident.block.clone()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let resident = &self.resident;
        resident.used_us.store(self.residents.clock.unix_us_now(), Ordering::Relaxed);
        if resident.readers.fetch_sub(1, Ordering::SeqCst) == 1 {
            // It is spare now: somebody may be waiting for just that.
            let missing = self.residents.budget.shortfall();
            if missing > 0 {
                self.residents.reclaim(missing);
            }
        }
    }
}

/// What a job would load, if that is a resident dataset, and what its pipeline calls it.
fn wanted(job: &Job) -> Option<(Key, String)> {
    let Some(TaskKind::Load(id)) = job.run.plan.task(job.task) else { return None };
    let dataset = job.run.plan.dataset(id)?;
    let storage = dataset.storage.filter(|storage| storage.resident)?;
    Some((Key::of(storage, &job.run.generation), dataset.name.to_owned()))
}
