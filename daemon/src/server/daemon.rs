//! The daemon as its control API sees it: one value that answers every request.
//!
//! Every method may block for as long as its doc says, so the API calls them from threads that may (`spawn_blocking`).
//! What the answers about plugins look like is in [`super::offers`].
#![forbid(unsafe_code)]

mod data;
mod interrupted;
mod planning;
mod resume;
mod submit;
mod told;

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use protocol::{EventKind, RunSummary};

use crate::block::Accounts;
use crate::server::budget::Budget;
use crate::server::clock::{Alarm, Clock};
use crate::server::config::Config;
use crate::server::feed::{Feed, Subscription};
use crate::server::generations::{Generation, Generations, ReloadCause, ReloadError};
use crate::server::offers;
use crate::server::outputs::Outputs;
use crate::server::residents::Residents;
use crate::server::runs::Registry;
use crate::server::services::Services;
use crate::server::spare::SpareMemory;
use crate::server::store::{Location, Retention, Store};
use crate::server::uploads::Uploads;
use crate::server::usher::{self, Usher};

pub use submit::AwaitedReport;

/// Descriptors the server needs for everything but blocks: channels, connections, the store.
const FILES_RESERVED: u64 = 512;
/// How long the scheduler may take to show that it works.
const HEALTH_PATIENCE: Duration = Duration::from_secs(5);
/// How long runs that were cancelled at shutdown may take beyond the grace of their nodes.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(15);

/// How [`Daemon::shutdown`] ends what is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShutdownMode {
    /// New runs are refused, those under way finish first.
    Drain,
    /// Runs under way are cancelled; workers that do not stop are killed.
    Now,
    /// Runs under way are cut off as they are, and stay unfinished in the store: the next start accounts for them.
    Interrupt,
}

/// Why the daemon could not start.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct StartError {
    /// What was tried, on what, and why it failed.
    pub message: String,
    /// What to do about it; may be empty.
    pub hint: String,
}

/// Why a submission did not become a run.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The pipeline has problems; nothing ran.
    #[error("the pipeline has {} problem(s)", .0.len())]
    Problems(Vec<protocol::Problem>),
    /// A run of this id exists.
    #[error("a run with the id {0:?} exists already")]
    IdTaken(String),
    /// The id asked for cannot be one.
    #[error("{0:?} is no run id: use 1 to 100 letters, digits, '.', '-' and '_'")]
    BadId(String),
    /// The daemon cannot take runs now.
    #[error("{0}")]
    Unavailable(String),
    /// The daemon is ending; where the service manager holds the socket, the next one answers there.
    #[error("the daemon is stopping and takes no more runs")]
    Stopping {
        /// Whether to try again at the same socket.
        is_managed: bool,
    },
    /// There is nothing of this run to resume, or not yet.
    #[error("{message}")]
    NotResumable {
        /// Why.
        message: String,
        /// What to do.
        hint: String,
    },
}

/// What came of a request to cancel a run.
#[derive(Debug, Clone, PartialEq)]
pub enum CancelOutcome {
    /// The run is stopping (or had been asked to already).
    Cancelling(RunSummary),
    /// The run had ended before.
    AlreadyOver(RunSummary),
    /// There is no such run.
    Unknown,
}

/// The daemon: plugins, workers, runs.
#[derive(Debug)]
pub struct Daemon {
    services: Arc<Services>,
    store: Arc<Store>,
    registry: Arc<Registry>,
    /// What new runs start on, and the configuration that goes with it; runs keep theirs.
    generations: Arc<Generations>,
    usher_thread: Mutex<Option<JoinHandle<()>>>,
    started_us: i64,
}

impl Daemon {
    /// Starts the daemon: opens the store, loads the plugins, starts the workers. Blocks until it can take runs.
    pub fn start(config: Config) -> Result<Arc<Daemon>, StartError> {
        let clock = Clock::start();
        let store = Arc::new(open_store(&config)?);
        let alarm = Alarm::start(clock)
            .map(Arc::new)
            .map_err(|error| plain(format!("cannot start the clock's thread: {error}")))?;
        let registry = Arc::new(Registry::default());
        let retention = Retention { keep_count: config.runs.keep_count, keep_days: config.runs.keep_days };
        let (usher, desk) = Usher::new(&store, &registry, retention);
        if let Some(left_over) = config.exports_directory() {
            // Nothing there is the common case.
            let _ = std::fs::remove_dir_all(left_over);
        }
        let budget = Budget::new(config.block_budget_bytes());
        let accounts = Arc::new(Accounts::default());
        let services = Arc::new(Services {
            clock,
            uploads: Uploads::new(
                clock,
                &alarm,
                &budget,
                config.blocks.uploads_max,
                config.blocks.uploads_keep_seconds.saturating_mul(1_000_000),
            ),
            outputs: Outputs::new(
                clock,
                &alarm,
                &budget,
                config.runs.keep_outputs_seconds.saturating_mul(1_000_000),
                match config.runs.keep_outputs_bytes {
                    0 => config.block_budget_bytes() / 4,
                    bytes => bytes,
                },
                config.runs.keep_count,
            ),
            residents: Residents::new(clock, &budget, &accounts),
            spare: SpareMemory::new(
                clock,
                &alarm,
                &budget,
                config.blocks.spare_keep_seconds.saturating_mul(1_000_000),
                match config.blocks.spare_bytes_max {
                    0 => config.block_budget_bytes() / 4,
                    bytes => bytes,
                },
            ),
            alarm,
            budget,
            accounts,
            block_files_max: raise_open_files().saturating_sub(FILES_RESERVED).max(64),
            store: Arc::clone(&store),
            usher,
        });
        usher::prune(&store, retention, clock.unix_us_now());
        let usher_thread = desk.start().map_err(|error| plain(format!("cannot start the usher's thread: {error}")))?;
        let generations = Generations::start(config, Arc::clone(&services), Arc::clone(&store), Arc::clone(&registry))
            .map_err(plain)?;
        Ok(Arc::new(Daemon {
            services,
            store,
            registry,
            generations,
            usher_thread: Mutex::new(Some(usher_thread)),
            started_us: clock.unix_us_now(),
        }))
    }

    /// Runs, newest first: those under way from memory, those before from the store.
    pub fn runs(&self, filter: &protocol::RunFilter) -> Result<protocol::RunList, String> {
        let mut runs = self.store.runs(filter).map_err(|error| error.to_string())?;
        for summary in &mut runs {
            if let Some(run) = self.registry.find(&summary.id) {
                *summary = told::summary(&run);
            }
        }
        runs.retain(|summary| filter.state.is_none_or(|state| state == summary.state));
        Ok(protocol::RunList { runs })
    }

    /// Everything about one run.
    pub fn run(&self, id: &str) -> Option<protocol::RunDetail> {
        if let Some(run) = self.registry.find(id) {
            return Some(told::detail(&run));
        }
        let mut detail = self.stored(id)?;
        // An interrupted run could not say itself what is left of it: that is up to the run that goes on with it, if there is one.
        let is_interrupted = detail.summary.state == protocol::RunState::Interrupted;
        if is_interrupted && detail.resume.is_none() && self.store.successor(id).is_ok_and(|next| next.is_none()) {
            detail.resume = self.left_of(&detail);
        }
        Some(detail)
    }

    /// Asks a run to stop.
    pub fn cancel(&self, id: &str, reason: &str) -> CancelOutcome {
        let Some(run) = self.registry.find(id) else {
            return match self.stored(id) {
                Some(detail) => CancelOutcome::AlreadyOver(detail.summary),
                None => CancelOutcome::Unknown,
            };
        };
        if !run.is_over() {
            run.cancel(reason.to_owned());
        }
        CancelOutcome::Cancelling(told::summary(&run))
    }

    /// Log lines of a run from a line number on.
    pub fn logs(&self, id: &str, from: u64) -> Option<protocol::LogList> {
        match self.registry.find_records(id) {
            Some(run) => Some(run.log.read(from)),
            None => self.store.logs(id, from).unwrap_or_else(|error| {
                log::error!("the log of run {id} cannot be read: {error}");
                None
            }),
        }
    }

    /// Events of a run that is under way or ended lately. Never blocks.
    pub fn events_at_once(&self, id: &str, from: u64) -> Option<Subscription> {
        self.registry.find_records(id).map(|run| run.feed.subscribe(from))
    }

    /// Events of a run that follow sequence number `from`; of a run that ended long ago, its end.
    pub fn events(&self, id: &str, from: u64) -> Option<Subscription> {
        if let Some(events) = self.events_at_once(id, from) {
            return Some(events);
        }
        let summary = self.stored(id)?.summary;
        let feed = Feed::new(1);
        let duration_us = summary.duration_us().unwrap_or(0);
        let ended = EventKind::RunFinished { state: summary.state, duration_us, cause: summary.cause };
        feed.publish(summary.finished_us.unwrap_or(summary.submitted_us), ended);
        feed.close();
        Some(feed.subscribe(0))
    }

    /// The plugins of the current generation, and the libraries refused.
    pub fn plugins(&self) -> protocol::PluginList {
        offers::plugins(&self.generation(), self.generations.infos())
    }

    /// Loads the plugins anew; blocks until they are current or refused.
    pub fn reload(&self, options: protocol::ReloadOptions) -> Result<protocol::ReloadReport, ReloadError> {
        self.generations.reload(options, ReloadCause::Asked)
    }

    /// Says how the configuration is read anew at a reload.
    pub fn configure_by(&self, configure: impl Fn() -> Result<Config, Vec<protocol::Problem>> + Send + Sync + 'static) {
        self.generations.configure_by(Box::new(configure));
    }

    /// Every node of the current generation.
    pub fn nodes(&self) -> protocol::NodeList {
        offers::nodes(&self.generation())
    }

    /// Every hook, on or off, and why.
    pub fn hooks(&self) -> protocol::HookList {
        protocol::HookList { hooks: self.generation().hooks.infos() }
    }

    /// Goes through every part of the scheduler that must never be in anybody's way; an error says which was.
    pub fn health(&self) -> Result<protocol::Health, String> {
        if !self.services.alarm.answers_within(HEALTH_PATIENCE) {
            return Err(format!("the clock of the scheduler did not answer within {} s", HEALTH_PATIENCE.as_secs()));
        }
        let generation = self.generation();
        let workers = generation.pool.workers();
        Ok(protocol::Health {
            state: self.state_word().to_owned(),
            runs: self.run_counts(),
            workers: workers.len() as u64,
            workers_busy: workers.iter().filter(|worker| worker.state == "busy").count() as u64,
        })
    }

    /// How the daemon is doing.
    pub fn status(&self) -> protocol::Status {
        let generation = self.generation();
        // Read first: what is freed in between is in neither, rather than in both.
        let spare_bytes = self.services.spare.bytes();
        let budget = self.services.budget.usage();
        protocol::Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started_us: self.started_us,
            state: self.state_word().to_owned(),
            generation: generation.number,
            start_method: generation.start_method().to_owned(),
            plugins: generation.manifest.plugins.len() as u64,
            plugins_refused: generation.refused.len() as u64,
            workers: generation.pool.workers(),
            runs: self.run_counts(),
            blocks: protocol::BlockStatus {
                count: self.block_count(),
                bytes: budget.bytes.saturating_sub(spare_bytes),
                budget_bytes: budget.limit,
                spare_bytes,
            },
            state_file: self.store.file().map(|file| file.display().to_string()).unwrap_or_default(),
        }
    }

    fn state_word(&self) -> &'static str {
        if self.registry.is_closed() { "stopping" } else { "running" }
    }

    fn run_counts(&self) -> protocol::RunCounts {
        let mut runs = protocol::RunCounts { finished: self.registry.ended_count(), ..Default::default() };
        for run in self.registry.active() {
            match run.has_started() {
                true => runs.running += 1,
                false => runs.queued += 1,
            }
        }
        runs
    }

    /// Ends the daemon; blocks until every process of it is gone (bounded in mode `Now`).
    pub fn shutdown(&self, mode: ShutdownMode) {
        self.registry.close();
        if mode == ShutdownMode::Now {
            for run in self.registry.active() {
                run.cancel("the daemon is stopping".to_owned());
            }
        }
        let grace = Duration::from_millis(self.generations.config().workers.cancel_grace_ms);
        let patience = (mode == ShutdownMode::Now).then(|| grace + SHUTDOWN_PATIENCE);
        if mode == ShutdownMode::Interrupt {
            // First of all: whoever loses its worker now must not be written down as failed.
            self.stop_usher();
            for run in self.registry.active() {
                log::warn!(RUN_ID = run.id.as_str(); "run {} is interrupted: the daemon is stopping", run.id);
                self.store.append_logs(&run.id, run.log.read(0).lines);
            }
        } else if !self.registry.await_none_active(patience) {
            log::warn!("runs that could not be ended in time are interrupted; the next start says which");
        }
        self.generations.stop();
        self.stop_usher();
        self.services.alarm.stop();
        if let Err(error) = self.store.flush() {
            log::error!("the last changes could not be written: {error}");
        }
    }

    fn stopping(&self) -> SubmitError {
        SubmitError::Stopping { is_managed: self.generations.config().managed_socket }
    }

    /// What all runs share.
    pub(super) fn services(&self) -> &Services {
        &self.services
    }

    fn stop_usher(&self) {
        self.services.usher.stop();
        let thread = self.usher_thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }

    fn generation(&self) -> Arc<Generation> {
        self.generations.current()
    }

    fn stored(&self, id: &str) -> Option<protocol::RunDetail> {
        self.store.run(id).unwrap_or_else(|error| {
            log::error!("run {id} cannot be read: {error}");
            None
        })
    }
}

fn open_store(config: &Config) -> Result<Store, StartError> {
    let directory = config.state_directory().map_err(plain)?;
    let location = directory.map_or(Location::Memory, Location::Directory);
    Store::open(&location, config.runs.log_lines_max).map_err(|error| StartError {
        message: format!("cannot open the store of runs: {error}"),
        hint:
            "[server] state_directory says where runs are kept; the user the daemon runs as must be able to write there"
                .to_owned(),
    })
}

/// Lets this process open as many files as it may, and says how many that is.
fn raise_open_files() -> u64 {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 1024 };
    match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        Err(_) => soft,
    }
}

fn plain(message: String) -> StartError {
    StartError { message, hint: String::new() }
}
