//! Opens and closes runs: calls their hooks and writes the store.
//!
//! Hooks may take seconds, and the report of a large run a while to write, so neither the client that submits nor the driver that
//! ended the last task waits for it: one thread does it, so a run is always opened before it is closed. What takes no time is done
//! by whoever asks, and wakes nobody: opening a run that no hook is to hear of, and handing the report of a short one to the store
//! ([`Run::admit`] lets it be closed when it is opened). A client learns that a run has finished when its hooks have
//! seen it and its report is on disk: whatever they write is there by then.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use engine::action::RunState;
use engine::event::Event;
use engine::failure::Failure;
use protocol::{EventKind, LogSource};

use crate::server::hooks::HookEventName;
use crate::server::json::{JsonObject, array, list};
use crate::server::pool::failure_json;
use crate::server::runs::{Origin, Registry, Run};
use crate::server::store::{Retention, Store};

/// After so many closed runs old ones are forgotten: few at a time, for the next run may wait for it.
const PRUNE_INTERVAL: u32 = 5;

/// The report of a run of so many nodes and datasets is made in some microseconds.
const SHORT_REPORT_MAX: usize = 32;

/// The sending end.
#[derive(Debug)]
pub struct Usher {
    jobs: Mutex<Sender<UsherJob>>,
    works: Arc<Works>,
}

/// What closing a run takes.
#[derive(Debug)]
struct Works {
    store: Arc<Store>,
    /// Its runs hold the services, and those the usher.
    registry: Weak<Registry>,
    retention: Retention,
    closed: AtomicU32,
    /// What ends now is not written down.
    is_stopped: AtomicBool,
}

/// What the thread is asked to do.
#[derive(Debug)]
enum UsherJob {
    Open(Arc<Run>),
    Close(Arc<Run>),
    Prune(i64),
    Stop,
}

/// The receiving end, before its thread is started.
#[derive(Debug)]
pub struct UsherDesk {
    jobs: Receiver<UsherJob>,
    works: Arc<Works>,
}

impl Usher {
    /// Both ends.
    pub fn new(store: &Arc<Store>, registry: &Arc<Registry>, retention: Retention) -> (Usher, UsherDesk) {
        let (sender, jobs) = channel();
        let works = Arc::new(Works {
            store: Arc::clone(store),
            registry: Arc::downgrade(registry),
            retention,
            closed: AtomicU32::new(0),
            is_stopped: AtomicBool::new(false),
        });
        (Usher { jobs: Mutex::new(sender), works: Arc::clone(&works) }, UsherDesk { jobs, works })
    }

    /// Has a run begin. [`Usher::begun`] and [`Run::admit`] follow. Never waits.
    pub fn begin(&self, run: &Arc<Run>) {
        match hears_of_begin(run) {
            true => self.send(UsherJob::Open(Arc::clone(run))),
            false => begin(run),
        }
    }

    /// Notes that a run goes on, when it is in the store.
    pub fn begun(&self, run: &Arc<Run>) {
        if !hears_of_begin(run) {
            note_begun(run, &self.works.store);
        }
    }

    /// Has a run that was admitted, and that the engine has ended, be closed.
    pub fn close(&self, run: &Arc<Run>) {
        let is_short = run.plan.node_count() + run.plan.dataset_count() <= SHORT_REPORT_MAX;
        // Whose opening is the thread's, whose closing is too: in this order.
        let hears = hears_of_begin(run) || hears_of_end(run);
        if !is_short || hears || run.save_version().is_some() || !self.works.store.has_room() {
            self.send(UsherJob::Close(Arc::clone(run)));
        } else if !self.works.is_stopped.load(Ordering::SeqCst) {
            let now_us = run.unix_us_now();
            if self.works.close(run) {
                self.send(UsherJob::Prune(now_us));
            }
        }
    }

    /// Ends the thread after what was asked before; what ends from now on is not closed.
    pub fn stop(&self) {
        self.works.is_stopped.store(true, Ordering::SeqCst);
        self.send(UsherJob::Stop);
    }

    fn send(&self, job: UsherJob) {
        // Nobody listens only after the daemon has ended.
        let _ = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).send(job);
    }
}

impl UsherDesk {
    /// Starts the thread.
    pub fn start(self) -> std::io::Result<std::thread::JoinHandle<()>> {
        let UsherDesk { jobs, works } = self;
        std::thread::Builder::new().name("usher".to_owned()).spawn(move || {
            while let Ok(job) = jobs.recv() {
                match job {
                    UsherJob::Open(run) => open(&run, &works.store),
                    UsherJob::Close(run) => {
                        let now_us = run.unix_us_now();
                        if works.close(&run) {
                            prune(&works.store, works.retention, now_us);
                        }
                    }
                    UsherJob::Prune(now_us) => prune(&works.store, works.retention, now_us),
                    UsherJob::Stop => return,
                }
            }
        })
    }
}

impl Works {
    /// Closes a run; says whether old ones are to be forgotten.
    fn close(&self, run: &Arc<Run>) -> bool {
        // It is there for as long as there are runs under way.
        let Some(registry) = self.registry.upgrade() else { return false };
        close(run, &self.store, registry);
        (self.closed.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(PRUNE_INTERVAL)
    }
}

fn hears_of_begin(run: &Run) -> bool {
    let hooks = &run.generation.hooks;
    hooks.wants(HookEventName::AfterCatalogCreated) || hooks.wants(HookEventName::BeforePipelineRun)
}

fn hears_of_end(run: &Run) -> bool {
    let hooks = &run.generation.hooks;
    hooks.wants(HookEventName::AfterPipelineRun) || hooks.wants(HookEventName::OnPipelineError)
}

/// Forgets ended runs beyond the retention.
pub fn prune(store: &Store, retention: Retention, now_us: i64) {
    match store.prune(retention, now_us) {
        Ok(0) => {}
        Ok(count) => log::info!("{count} old runs were forgotten ([runs] keep_count, keep_days)"),
        Err(error) => log::warn!("old runs could not be forgotten: {error}"),
    }
}

/// Begins a run of whose beginning no hook is to hear.
fn begin(run: &Arc<Run>) {
    warn(run);
    run.step(Event::Start, None);
}

/// The disk learns of it soon, and of a run with it that nobody was told of so far.
fn note_begun(run: &Run, store: &Store) {
    if !run.is_over() {
        store.update_state(run.summary());
    }
}

fn warn(run: &Run) {
    for warning in crate::server::versions::warnings(&run.plan) {
        let origin = Origin { node: None, plugin: "", worker: None };
        run.log_line(&origin, LogSource::Daemon, "warn", "versions".to_owned(), warning);
    }
}

fn open(run: &Arc<Run>, store: &Store) {
    // Hooks may take a while.
    store.update_state(run.summary());
    warn(run);
    let hooks = &run.generation.hooks;
    let announced = hooks
        .call(HookEventName::AfterCatalogCreated, Some(run), |event| describe_catalog(event, run), &mut [])
        .and_then(|()| {
            let describe = |event: &mut JsonObject| {
                event.raw("parameters", run.plan.parameters_json());
                event.text("base_directory", &run.base_directory);
                event.raw("run_params", &run.run_params);
                event.raw("nodes", &list(run.plan.nodes().map(|node| node.name)));
            };
            hooks.call(HookEventName::BeforePipelineRun, Some(run), describe, &mut [])
        });
    match announced {
        Ok(()) => {
            run.step(Event::Start, None);
            note_begun(run, store);
        }
        Err(failure) => {
            let reason = failure.to_string();
            run.condemn(failure);
            run.step(Event::Cancel { reason }, None);
        }
    }
}

fn close(run: &Arc<Run>, store: &Store, registry: Arc<Registry>) {
    let state = run.engine_state().unwrap_or(RunState::Failed);
    if let Err(failure) = tell_end(run, state) {
        if run.verdict().is_none() && state == RunState::Succeeded {
            run.condemn(failure);
        } else {
            log::warn!(RUN_ID = run.id.as_str(); "{}: {failure}", run.id);
        }
    }
    run.settle_versions();
    let detail = run.detail();
    let (state, duration_us) = (detail.summary.state, detail.summary.duration_us().unwrap_or(0));
    let kept = run.close_ledger();
    store.append_logs(&run.id, run.log.read(kept + 1).lines);
    // Whoever hears of the end finds the report, whatever happens to the daemon then.
    let ended = Arc::clone(run);
    store.finish_run(detail, move |report| {
        let cause = report.summary.cause.clone();
        ended.publish(EventKind::RunFinished { state, duration_us, cause });
        ended.feed.close();
        registry.end(&ended);
        // Last: whoever is told finds it ended, however it asks.
        ended.feed.tell_report(&report);
        let (id, pipeline, ms) = (ended.id.as_str(), ended.plan.name(), duration_us / 1000);
        log::info!(RUN_ID = id; "run {id} of {pipeline} {state} after {ms} ms");
    });
}

fn tell_end(run: &Arc<Run>, state: RunState) -> Result<(), Failure> {
    let hooks = &run.generation.hooks;
    if state == RunState::Succeeded {
        let describe = |event: &mut JsonObject| {
            event.text("state", "succeeded");
            event.raw("duration_us", &run.summary().duration_us().unwrap_or(0).to_string());
            event.text("base_directory", &run.base_directory);
            event.raw("run_params", &run.run_params);
            let outputs = run.plan.datasets().filter(|dataset| dataset.is_output).map(|dataset| dataset.name);
            event.raw("outputs", &list(outputs));
        };
        return hooks.call(HookEventName::AfterPipelineRun, Some(run), describe, &mut []);
    }
    let describe = |event: &mut JsonObject| {
        let summary = run.summary();
        event.text("state", summary.state.as_str());
        event.raw("duration_us", &summary.duration_us().unwrap_or(0).to_string());
        event.text("base_directory", &run.base_directory);
        event.raw("run_params", &run.run_params);
        let failure = match (run.verdict(), summary.cause) {
            (Some(verdict), _) => failure_json(&verdict),
            (None, Some(cause)) => serde_json::to_string(&cause).unwrap_or_default(),
            (None, None) => String::new(),
        };
        event.raw("failure", &failure);
    };
    hooks.call(HookEventName::OnPipelineError, Some(run), describe, &mut [])
}

/// What the hooks are told of the catalog. Of credentials they learn the names.
fn describe_catalog(event: &mut JsonObject, run: &Run) {
    let mut credentials = JsonObject::new();
    let named = run.plan.datasets().filter_map(|dataset| dataset.storage).map(|storage| &*storage.credentials_name);
    for name in named.filter(|name| !name.is_empty()).collect::<std::collections::BTreeSet<_>>() {
        credentials.text(name, engine::credentials::REDACTED);
    }
    event.raw("credentials", &credentials.end());
    match run.save_version() {
        Some(version) => event.text("save_version", version),
        None => event.raw("save_version", "null"),
    }
    let mut load_versions = JsonObject::new();
    for (dataset, version) in run.plan.load_versions() {
        load_versions.text(dataset, version);
    }
    event.raw("load_versions", &load_versions.end());
    let datasets = run.plan.named_datasets().map(|dataset| {
        let mut object = JsonObject::new();
        object.text("name", dataset.name);
        object.text("type", dataset.storage.map_or("memory", |storage| &storage.type_name));
        object.text("path", dataset.storage.map_or("", |storage| &storage.path));
        if let Some(version) = dataset.storage.map(|storage| &*storage.version).filter(|version| !version.is_empty()) {
            object.text("version", version);
        }
        object.end()
    });
    event.raw("datasets", &array(datasets));
    event.raw("parameters", run.plan.parameters_json());
}
