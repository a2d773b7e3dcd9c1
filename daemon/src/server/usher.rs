//! Opens and closes runs: one thread that calls their hooks and writes the store.
//!
//! Both may take a while (a hook has seconds, the store a disk), so neither the client that submits nor the driver that ended the
//! last task waits for it. One thread, so a run is always opened before it is closed. A client learns that a run has
//! finished when its hooks have seen it: whatever they write is there by then.
#![forbid(unsafe_code)]

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use engine::action::RunState;
use engine::event::Event;
use engine::failure::Failure;
use protocol::{EventKind, LogSource};

use crate::server::hooks::HookEventName;
use crate::server::json::{JsonObject, array, list};
use crate::server::pool::failure_json;
use crate::server::runs::{Origin, Registry, Run};
use crate::server::store::{Retention, Store};

/// After so many closed runs old ones are forgotten.
const PRUNE_INTERVAL: u32 = 20;

/// The sending end.
#[derive(Debug)]
pub struct Usher {
    jobs: Mutex<Sender<UsherJob>>,
}

/// What the thread is asked to do.
#[derive(Debug)]
enum UsherJob {
    Open(Arc<Run>),
    Close(Arc<Run>),
    Stop,
}

/// The receiving end, before its thread is started.
#[derive(Debug)]
pub struct UsherDesk(Receiver<UsherJob>);

impl Usher {
    /// Both ends.
    pub fn new() -> (Usher, UsherDesk) {
        let (sender, receiver) = channel();
        (Usher { jobs: Mutex::new(sender) }, UsherDesk(receiver))
    }

    /// Has a run begin; it is on disk, and [`Run::admit`] follows.
    pub fn open(&self, run: &Arc<Run>) {
        self.send(UsherJob::Open(Arc::clone(run)));
    }

    /// Has a run that the engine has ended be closed.
    pub fn close(&self, run: &Arc<Run>) {
        self.send(UsherJob::Close(Arc::clone(run)));
    }

    /// Ends the thread after what was asked before.
    pub fn stop(&self) {
        self.send(UsherJob::Stop);
    }

    fn send(&self, job: UsherJob) {
        // Nobody listens only after the daemon has ended.
        let _ = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).send(job);
    }
}

impl UsherDesk {
    /// Starts the thread.
    pub fn start(
        self,
        store: Arc<Store>,
        registry: Arc<Registry>,
        retention: Retention,
    ) -> std::io::Result<std::thread::JoinHandle<()>> {
        std::thread::Builder::new().name("usher".to_owned()).spawn(move || {
            let mut closed = 0_u32;
            while let Ok(job) = self.0.recv() {
                match job {
                    UsherJob::Open(run) => open(&run, &store),
                    UsherJob::Close(run) => {
                        let now_us = run.unix_us_now();
                        close(run, &store, &registry);
                        closed = closed.wrapping_add(1);
                        if closed.is_multiple_of(PRUNE_INTERVAL) {
                            prune(&store, retention, now_us);
                        }
                    }
                    UsherJob::Stop => return,
                }
            }
        })
    }
}

/// Forgets ended runs beyond the retention.
pub fn prune(store: &Store, retention: Retention, now_us: i64) {
    match store.prune(retention, now_us) {
        Ok(0) => {}
        Ok(count) => log::info!("{count} old runs were forgotten ([runs] keep_count, keep_days)"),
        Err(error) => log::warn!("old runs could not be forgotten: {error}"),
    }
}

fn open(run: &Arc<Run>, store: &Store) {
    for warning in crate::server::versions::warnings(&run.plan) {
        let origin = Origin { node: None, plugin: "", worker: None };
        run.log_line(&origin, LogSource::Daemon, "warn", "versions".to_owned(), warning);
    }
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
            if !run.is_over() {
                store.update_state(run.summary());
            }
        }
        Err(failure) => {
            let reason = failure.to_string();
            run.condemn(failure);
            run.step(Event::Cancel { reason }, None);
        }
    }
}

fn close(run: Arc<Run>, store: &Store, registry: &Arc<Registry>) {
    let run = &run;
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
    let summary = detail.summary.clone();
    let kept = run.close_ledger();
    store.append_logs(&run.id, run.log.read(kept + 1).lines);
    let duration_us = summary.duration_us().unwrap_or(0);
    let ms = duration_us / 1000;
    log::info!(RUN_ID = run.id.as_str(); "run {} of {} {} after {ms} ms", run.id, summary.pipeline, summary.state);
    // Whoever hears of the end finds the report, whatever happens to the daemon then.
    let (run, registry) = (Arc::clone(run), Arc::clone(registry));
    store.finish_run(detail, move || {
        run.publish(EventKind::RunFinished { state: summary.state, duration_us, cause: summary.cause });
        run.feed.close();
        registry.end(&run);
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
