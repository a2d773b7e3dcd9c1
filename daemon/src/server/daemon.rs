//! The daemon as its control API sees it: one value that answers every request.
//!
//! Every method may block for as long as its doc says, so the API calls them from threads that may (`spawn_blocking`).
//! What the answers about plugins look like is in [`super::offers`].
#![forbid(unsafe_code)]

mod data;
mod interrupted;
mod planning;
mod resume;

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use protocol::{EventKind, LogSource, RunSummary, Submission};

use crate::block::Accounts;
use crate::server::budget::Budget;
use crate::server::clock::{Alarm, Clock};
use crate::server::config::Config;
use crate::server::feed::{Feed, Subscription};
use crate::server::generations::{Generation, Generations, ReloadCause, ReloadError};
use crate::server::handed_in;
use crate::server::missing::Rest;
use crate::server::offers;
use crate::server::outputs::Outputs;
use crate::server::residents::Residents;
use crate::server::runs::{AddError, Origin, Registry, Run, RunSettings, id};
use crate::server::services::Services;
use crate::server::spare::SpareMemory;
use crate::server::store::{Location, NewRun, Retention, Store, StoreError};
use crate::server::uploads::Uploads;
use crate::server::usher::{self, Usher};
use crate::server::{convert, versions, wanted};

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
        let (usher, desk) = Usher::new();
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
        let registry = Arc::new(Registry::default());
        let retention = Retention { keep_count: config.runs.keep_count, keep_days: config.runs.keep_days };
        usher::prune(&store, retention, clock.unix_us_now());
        let usher_thread = desk
            .start(Arc::clone(&store), Arc::clone(&registry), retention)
            .map_err(|error| plain(format!("cannot start the usher's thread: {error}")))?;
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

    /// Plans and registers a run; durable when this returns. Blocks for the planning and one write to disk.
    pub fn submit(&self, submission: Submission) -> Result<RunSummary, SubmitError> {
        self.start_run(submission, None)
    }

    fn start_run(&self, mut submission: Submission, resumed_from: Option<&str>) -> Result<RunSummary, SubmitError> {
        if self.registry.is_closed() {
            return Err(self.stopping());
        }
        if let Some(id) = submission.run_id.as_ref().filter(|wanted| !id::is_valid(wanted)) {
            return Err(SubmitError::BadId(id.clone()));
        }
        let (generation, config) = (self.generation(), self.generations.config());
        let Rest { mut plan, lines } = self.plan_to_run(&mut submission, &generation)?;
        let policy = self.policy(&submission, &plan, &generation)?;
        let uploads = handed_in::uploads(&self.services.uploads, &submission, &plan).map_err(SubmitError::Problems)?;
        let wanted_outputs = wanted::outputs(&submission.outputs, &plan).map_err(SubmitError::Problems)?;
        let submitted_us = self.services.clock.unix_us_now();
        let save_version = submission.save_version.as_deref();
        let versions =
            versions::assign(Arc::make_mut(&mut plan), save_version, submitted_us).map_err(planning::refused)?;
        let versions = versions.map(Arc::new);
        let base = submission.run_id.clone().unwrap_or_else(|| id::of_time(submitted_us));
        for n in 1.. {
            let id = id::with_suffix(&base, n);
            let settings = RunSettings {
                run_params: convert::run_params(&submission, &id, resumed_from),
                id,
                plan: Arc::clone(&plan),
                policy,
                generation: Arc::clone(&generation),
                base_directory: submission.base_directory.clone(),
                versions: versions.clone(),
                submitted_us,
                resumed_from: resumed_from.map(str::to_owned),
                log_lines_max: config.runs.log_lines_max,
                events_max: config.runs.events_max,
                uploads: uploads.clone(),
                wanted_outputs: wanted_outputs.clone(),
            };
            let run = Run::new(settings, Arc::clone(&self.services));
            run.hold_values().map_err(|error| {
                SubmitError::Unavailable(format!("the values that came with the run cannot be kept: {error}"))
            })?;
            match self.register(&run, &submission) {
                Ok(summary) => {
                    let (pipeline, nodes) = (&summary.pipeline, summary.counts.total);
                    log::info!(RUN_ID = run.id.as_str(); "run {} of {pipeline}: {nodes} nodes", run.id);
                    // They are the run's from now on.
                    uploads.values().for_each(|upload| self.services.uploads.take(&upload.id));
                    for (level, text) in &lines {
                        let origin = Origin { node: None, plugin: "", worker: None };
                        run.log_line(&origin, LogSource::Daemon, level, "dagd".to_owned(), text.clone());
                    }
                    self.services.usher.open(&run);
                    // Only now: whatever closes it comes after what opens it.
                    run.admit();
                    return Ok(summary);
                }
                // Two runs within a millisecond: the later one gets a suffix. A chosen id is not changed.
                Err(SubmitError::IdTaken(_)) if submission.run_id.is_none() && n < 1000 => {}
                Err(error) => return Err(error),
            }
        }
        Err(SubmitError::IdTaken(base))
    }

    fn register(&self, run: &Arc<Run>, submission: &Submission) -> Result<RunSummary, SubmitError> {
        match self.registry.add(run) {
            Ok(()) => {}
            Err(AddError::Closed) => return Err(self.stopping()),
            Err(AddError::Taken) => return Err(SubmitError::IdTaken(run.id.clone())),
        }
        let summary = run.summary();
        let new = NewRun { summary: summary.clone(), submission: submission.without_secrets() };
        self.store.insert_run(new).map_err(|error| {
            self.registry.withdraw(run);
            match error {
                StoreError::IdTaken(id) => SubmitError::IdTaken(id),
                error => SubmitError::Unavailable(format!("the run could not be kept, so it was not begun: {error}")),
            }
        })?;
        Ok(summary)
    }

    /// Runs, newest first: those under way from memory, those before from the store.
    pub fn runs(&self, filter: &protocol::RunFilter) -> Result<protocol::RunList, String> {
        let mut runs = self.store.runs(filter).map_err(|error| error.to_string())?;
        for summary in &mut runs {
            if let Some(run) = self.registry.find(&summary.id).filter(|_| !summary.state.is_final()) {
                *summary = run.summary();
            }
        }
        Ok(protocol::RunList { runs })
    }

    /// Everything about one run.
    pub fn run(&self, id: &str) -> Option<protocol::RunDetail> {
        if let Some(run) = self.registry.find(id) {
            return Some(run.detail());
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
        if run.is_over() {
            return CancelOutcome::AlreadyOver(run.summary());
        }
        run.cancel(reason.to_owned());
        CancelOutcome::Cancelling(run.summary())
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

    /// Events of a run that follow sequence number `from`; of a run that ended long ago, its end.
    pub fn events(&self, id: &str, from: u64) -> Option<Subscription> {
        if let Some(run) = self.registry.find_records(id) {
            return Some(run.feed.subscribe(from));
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
        let blocks = self.services.accounts.usage();
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
                count: blocks.blocks,
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
