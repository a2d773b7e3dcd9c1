//! One run: the engine's state, and what the engine only knows by number.
//!
//! The engine's state is behind one lock, held for a step only. What happened is published under it, because that is memory
//! and must be seen in one order; what is to be done is done after it was let go (`perform`). [`step`] is one event,
//! [`settle`] many ends of tasks; [`tell`] is what listeners hear, [`status`] what whoever asks does, [`ledger`] what a crash must not
//! forget, [`blocks`] what its datasets hold.
#![forbid(unsafe_code)]

mod blocks;
mod cell;
mod ledger;
mod settle;
mod status;
mod step;
mod tell;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::credentials::Redactor;
use engine::failure::Failure;
use engine::id::{DatasetId, Id as _, NodeId, Time};
use engine::plan::Plan;
use engine::policy::RunPolicy;
use protocol::Progress;

pub use cell::{HeldBlock, Keep};
pub use settle::{Ending, Made};
pub use tell::Origin;

use cell::{Cell, Held};

use super::gate::Gate;
use super::gauge::Gauge;
use crate::server::budget::Charge;
use crate::server::feed::Feed;
use crate::server::generations::Generation;
use crate::server::logs::RunLog;
use crate::server::services::Services;
use crate::server::store::{Describe, Ledger};
use crate::server::uploads::Upload;
use crate::server::versions::Reservation;

/// How many short tasks a run may have in the pool for each worker: enough to fill its ring twice.
const SHORT_TASKS_PER_WORKER: u32 = 2 * crate::ipc::ring::indices::SLOTS;

/// How many tasks of a run may be in the pool at a time.
#[derive(Debug, Clone, Copy)]
struct TasksMax {
    /// Of long ones.
    few: u32,
    /// Of the shortest.
    many: u32,
    /// Those who share them.
    workers: u32,
}

/// What a run is made of.
pub struct RunSettings {
    /// Its id.
    pub id: String,
    /// What it runs.
    pub plan: Arc<Plan>,
    /// How.
    pub policy: RunPolicy,
    /// Where.
    pub generation: Arc<Generation>,
    /// The directory its paths start from.
    pub base_directory: String,
    /// The version that it saves, and the folders taken for it.
    pub versions: Option<Arc<Reservation>>,
    /// When it was accepted.
    pub submitted_us: i64,
    /// The run of which it runs what had not finished.
    pub resumed_from: Option<String>,
    /// How it was asked to run, JSON.
    pub run_params: String,
    /// Bound on log lines.
    pub log_lines_max: u64,
    /// Bound on events.
    pub events_max: u32,
    /// Bytes that came with it, by the dataset that they are loaded as.
    pub uploads: BTreeMap<DatasetId, Arc<Upload>>,
    /// Outputs that its submission asked for.
    pub wanted_outputs: BTreeSet<DatasetId>,
}

/// One run.
pub struct Run {
    /// Its id.
    pub id: String,
    /// What it runs.
    pub plan: Arc<Plan>,
    /// The generation it began with and keeps.
    pub generation: Arc<Generation>,
    /// The directory its paths start from.
    pub base_directory: String,
    /// How it was asked to run, JSON.
    pub run_params: String,
    /// Its events.
    pub feed: Arc<Feed>,
    /// Its log.
    pub log: Arc<RunLog>,
    services: Arc<Services>,
    versions: Option<Arc<Reservation>>,
    redactor: Redactor,
    submitted_us: i64,
    resumed_from: Option<String>,
    ledger: Arc<Ledger>,
    keeps_ledger: bool,
    gauge: Gauge,
    gate: Gate,
    hook_events: AtomicU64,
    /// What nodes under way last said of their progress.
    progress: Mutex<BTreeMap<NodeId, Progress>>,
    state: Mutex<State>,
    datasets: Box<[Mutex<Cell>]>,
    wanted_outputs: BTreeSet<DatasetId>,
    /// Whether there were any, ever.
    has_uploads: bool,
    /// Each until it is loaded.
    uploads: Mutex<BTreeMap<DatasetId, Arc<Upload>>>,
    /// Whether some attempt was called off, ever: what was sent ahead is then looked at again.
    has_aborts: AtomicBool,
    /// Nothing if the client gave a bound.
    tasks_max: Option<TasksMax>,
}

struct State {
    engine: engine::run::Run,
    /// The earliest moment the alarm is set to; nothing when it is not set.
    armed: Option<Time>,
    started: Option<Time>,
    finished: Option<Time>,
    verdict: Option<Failure>,
    /// Tasks that wait for their next attempt, as the budget counts them.
    backing_off: u32,
    /// Paid for small blocks: so many bytes.
    small_charge: Option<(u64, Charge)>,
}

impl Run {
    /// Makes a run that has not begun.
    pub fn new(settings: RunSettings, services: Arc<Services>) -> Arc<Run> {
        // More than there are workers: not what a client asked for, but what lets runs take turns.
        let workers = u32::try_from(settings.generation.pool.size()).unwrap_or(u32::MAX);
        let many = workers.saturating_mul(SHORT_TASKS_PER_WORKER);
        let few = settings.policy.tasks_max.filter(|few| *few > workers);
        let tasks_max = few.map(|few| TasksMax { few, many: many.max(few), workers });
        let datasets = (0..settings.plan.dataset_count()).map(|_| Mutex::default()).collect();
        let log = Arc::new(RunLog::new(settings.log_lines_max));
        let run = Arc::new(Run {
            keeps_ledger: services.store.survives(),
            ledger: Ledger::new(settings.id.clone(), Arc::clone(&log)),
            gauge: Gauge::default(),
            resumed_from: settings.resumed_from,
            run_params: settings.run_params,
            id: settings.id,
            generation: settings.generation,
            base_directory: settings.base_directory,
            feed: Feed::of_plan(usize::try_from(settings.events_max).unwrap_or(usize::MAX), Arc::clone(&settings.plan)),
            log,
            services,
            versions: settings.versions,
            redactor: Redactor::new(settings.plan.secrets()),
            submitted_us: settings.submitted_us,
            gate: Gate::default(),
            hook_events: AtomicU64::new(0),
            progress: Mutex::default(),
            state: Mutex::new(State {
                engine: engine::run::Run::new(Arc::clone(&settings.plan), settings.policy),
                armed: None,
                started: None,
                finished: None,
                verdict: None,
                backing_off: 0,
                small_charge: None,
            }),
            plan: settings.plan,
            datasets,
            has_uploads: !settings.uploads.is_empty(),
            uploads: Mutex::new(settings.uploads),
            wanted_outputs: settings.wanted_outputs,
            has_aborts: AtomicBool::new(false),
            tasks_max,
        });
        run.ledger.set_run(Arc::downgrade(&(Arc::clone(&run) as Arc<dyn Describe>)));
        run
    }

    /// The version that its versioned datasets are saved as.
    pub fn save_version(&self) -> Option<&str> {
        self.versions.as_ref().map(|versions| versions.version())
    }

    /// Gives back what was taken for versions that were not saved in the end.
    pub fn settle_versions(&self) {
        if let Some(versions) = &self.versions {
            versions.settle();
        }
    }

    /// The time of day.
    pub fn unix_us_now(&self) -> i64 {
        self.services.clock.unix_us_now()
    }

    fn cell(&self, dataset: DatasetId) -> Option<MutexGuard<'_, Cell>> {
        Some(self.datasets.get(dataset.index())?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The engine does not panic by its laws; if it did, going on with what it says is better than losing every run.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run").field("id", &self.id).finish_non_exhaustive()
    }
}
