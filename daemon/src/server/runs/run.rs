//! One run: the engine's state, and what the engine only knows by number.
//!
//! The engine's state is behind one lock, held for a step only. What happened is published under it, because that is memory
//! and must be seen in one order; what is to be done is done after it was let go (`perform`).
#![forbid(unsafe_code)]

mod blocks;
mod cell;
mod settle;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use engine::action::{Action, Happening, RunState};
use engine::credentials::Redactor;
use engine::event::Event;
use engine::failure::Failure;
use engine::id::{Attempt, DatasetId, Id as _, NodeId, TaskId, Time};
use engine::plan::{Plan, TaskKind};
use engine::policy::RunPolicy;
use engine::report::NodeReport;
use protocol::{EventKind, LogLine, LogSource, NodeDetail, Progress, RunDetail, RunSummary};

pub use cell::{HeldBlock, Keep};
pub use settle::{Ending, Made};

use cell::{Cell, Held};

use super::gate::Gate;
use super::gauge::Gauge;
use crate::server::budget::Charge;
use crate::server::clock::Sleeper;
use crate::server::convert::{self, DatasetFacts, RunFacts};
use crate::server::feed::Feed;
use crate::server::generations::Generation;
use crate::server::logging;
use crate::server::logs::RunLog;
use crate::server::perform::perform;
use crate::server::pool::{Job, Local};
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

/// Whose line a log line is.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// The node or dataset.
    pub node: Option<&'a str>,
    /// The plugin.
    pub plugin: &'a str,
    /// The worker.
    pub worker: Option<u32>,
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

    /// Asks whether an attempt may still begin, and tells the engine that it does. One that is asked back from the worker it was
    /// sent to may, too: the engine waits to be told.
    pub fn begin(self: &Arc<Run>, task: TaskId, attempt: Attempt, worker: u32, driver: &Local<Job>) -> bool {
        let mut actions = Vec::new();
        let waited = {
            let mut state = self.lock();
            if !state.engine.is_live(task, attempt) {
                return false;
            }
            self.step_locked(&mut state, Event::Started { task, attempt, worker }, &mut actions)
        };
        self.perform(&mut actions, waited, Some(driver));
        true
    }

    /// Asks it to stop; if it is not admitted yet, it stops when it is.
    pub fn cancel(self: &Arc<Run>, reason: String) {
        if let Some(reason) = self.gate.pass(reason) {
            self.step(Event::Cancel { reason }, None);
        }
    }

    /// To be called once, when the usher has opened it or was asked to.
    pub fn admit(self: &Arc<Run>) {
        let kept = self.gate.open();
        if let Some(reason) = kept.cancellation {
            self.step(Event::Cancel { reason }, None);
        }
        if kept.end {
            self.services.usher.close(self);
        }
    }

    /// Tells the engine of an event and does what follows from it.
    pub fn step(self: &Arc<Run>, event: Event, driver: Option<&Local<Job>>) {
        let mut actions = Vec::new();
        let waited = self.step_locked(&mut self.lock(), event, &mut actions);
        self.perform(&mut actions, waited, driver);
    }

    /// Does what follows from a step after which `waited` tasks fewer wait for their next attempt.
    fn perform(self: &Arc<Run>, actions: &mut Vec<Action>, waited: u32, driver: Option<&Local<Job>>) {
        perform(self, actions, driver);
        if waited > 0 {
            self.generation.pool.backing_off_ended(waited as usize);
        }
    }

    /// Gives how many tasks fewer wait for their next attempt now.
    fn step_locked(self: &Arc<Run>, state: &mut State, event: Event, actions: &mut Vec<Action>) -> u32 {
        let now = self.services.clock.now();
        let is_start = matches!(event, Event::Start);
        state.engine.on(event, now, actions);
        if is_start && state.started.is_none() {
            state.started = Some(now);
        }
        self.follow(state, now, actions)
    }

    /// Does what is to be done with the actions of a step while the lock is held. Gives how many tasks fewer wait for their next
    /// attempt now.
    fn follow(self: &Arc<Run>, state: &mut State, now: Time, actions: &[Action]) -> u32 {
        let tells_nodes = logging::tells_nodes();
        let mut finished = Vec::new();
        let mut batch = self.feed.batch(self.services.clock.unix_us(now));
        for action in actions {
            match action {
                // Its end is told when the hooks have seen it: `usher`.
                Action::Emit(Happening::RunFinished { .. }) => state.finished = Some(now),
                Action::Emit(
                    happening @ (Happening::NodeStarted { .. }
                    | Happening::NodeFinished { .. }
                    | Happening::DatasetReleased { .. }),
                ) if !tells_nodes => {
                    if let Happening::NodeFinished { node, .. } = happening {
                        finished.push(node.0);
                    }
                    batch.add_later(happening.clone());
                }
                Action::Emit(happening) => {
                    if let Some(kind) = self.event_of(state, happening, now) {
                        logging::event_of_run(&self.id, &kind);
                        batch.add(kind);
                    }
                }
                _ => {}
            }
        }
        drop(batch);
        self.note_finished(&finished);
        // One alarm at a time is enough: when it goes off, the engine is asked again.
        if let Some(deadline) = state.engine.next_deadline()
            && state.armed.is_none_or(|armed| deadline < armed || armed <= now)
        {
            state.armed = Some(deadline);
            let sleeper: Weak<dyn Sleeper> = Arc::downgrade(&(Arc::clone(self) as Arc<dyn Sleeper>));
            self.services.alarm.arm(deadline, sleeper);
        }
        let before = std::mem::replace(&mut state.backing_off, state.engine.backing_off());
        if state.backing_off > before {
            self.generation.pool.backing_off_added((state.backing_off - before) as usize);
        }
        before.saturating_sub(state.backing_off)
    }

    fn event_of(&self, state: &State, happening: &Happening, now: Time) -> Option<EventKind> {
        match happening {
            Happening::DatasetLoaded { dataset, duration_us, .. } => {
                self.note(*dataset, |facts| facts.load_us = i64::try_from(*duration_us).ok());
            }
            Happening::DatasetSaved { dataset, duration_us, .. } => {
                self.note(*dataset, |facts| facts.save_us = i64::try_from(*duration_us).ok());
            }
            _ => {}
        }
        self.note_ended(state, happening);
        let duration_us = state.started.map_or(0, |started| now.since(started));
        let facts = |dataset: DatasetId| self.facts(dataset);
        convert::happening(&self.plan, happening, &facts, duration_us, None)
    }

    /// Has the store keep nodes that finished, so that a crash of the daemon does not forget them.
    fn note_finished(&self, positions: &[u32]) {
        if self.keeps_ledger && !positions.is_empty() && self.ledger.note_finished(positions) {
            self.services.store.fetch(&self.ledger);
        }
    }

    /// The same of one that ended in whatever way.
    fn note_ended(&self, state: &State, happening: &Happening) {
        let (node, failure) = match happening {
            Happening::NodeFinished { node, .. } => return self.note_finished(&[node.0]),
            Happening::NodeFailed { node, failure, will_retry_in_ms: None, .. } => {
                (*node, Some(convert::failure(failure)))
            }
            _ => return,
        };
        if !self.keeps_ledger {
            return;
        }
        let report = state.engine.node_report(node);
        if let Some(detail) = convert::node_detail(&self.plan, &report, &self.run_facts(state), failure)
            && self.ledger.note_node(node.0, detail)
        {
            self.services.store.fetch(&self.ledger);
        }
    }

    /// Says that the report is about to be kept, and gives the number of the last line of the log that is kept already.
    pub fn close_ledger(&self) -> u64 {
        self.ledger.close()
    }

    /// Tells how far a node says it is.
    pub fn tell_progress(&self, node: NodeId, progress: Progress) {
        let name = self.plan.node(node).map_or("", |node| node.name).to_owned();
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).insert(node, progress);
        self.publish(EventKind::NodeProgress { node: name, done: progress.done, total: progress.total });
    }

    /// Publishes an event that is none of the engine's.
    pub fn publish(&self, kind: EventKind) {
        self.feed.publish(self.services.clock.unix_us_now(), kind);
    }

    /// Adds a line to the run's log and tells its readers.
    pub fn log_line(&self, origin: &Origin<'_>, source: LogSource, level: &str, target: String, message: String) {
        let line = self.log.add(LogLine {
            number: 0,
            time_us: self.services.clock.unix_us_now(),
            level: level.to_owned(),
            source,
            node: origin.node.map(str::to_owned),
            plugin: Some(origin.plugin.to_owned()).filter(|plugin| !plugin.is_empty()),
            worker: origin.worker,
            target,
            message: self.redactor.redact(message).into_owned(),
        });
        logging::line_of_run(&self.id, &line);
        self.publish(EventKind::Log { line });
        if self.keeps_ledger && self.ledger.note_line() {
            self.services.store.fetch(&self.ledger);
        }
    }

    /// Takes secrets out of what is told of a failure: whoever failed may quote what it was given.
    pub fn redacted(&self, failure: Failure) -> Failure {
        self.redactor.redact_failure(failure)
    }

    /// Takes secrets out of a text that a plugin wrote.
    pub fn redacted_text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.redactor.redact(text)
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

    /// What is known of a dataset.
    pub fn facts(&self, dataset: DatasetId) -> DatasetFacts {
        self.cell(dataset).map(|cell| cell.facts()).unwrap_or_default()
    }

    /// The number of the next event that hooks are told of this run, from 1.
    pub fn next_hook_sequence(&self) -> u64 {
        self.hook_events.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The event that was numbered last is not told after all.
    pub fn keep_hook_sequence(&self) {
        self.hook_events.fetch_sub(1, Ordering::Relaxed);
    }

    /// The time of day.
    pub fn unix_us_now(&self) -> i64 {
        self.services.clock.unix_us_now()
    }

    /// A name for a task, for status lists.
    pub fn task_label(&self, task: TaskId) -> String {
        let dataset = |id| self.plan.dataset(id).map_or("?", |dataset| dataset.name).to_owned();
        let what = match self.plan.task(task) {
            Some(TaskKind::Call(node)) => self.plan.node(node).map_or("?", |node| node.name).to_owned(),
            Some(TaskKind::Load(id)) => format!("load {}", dataset(id)),
            Some(TaskKind::Save(id)) => format!("save {}", dataset(id)),
            Some(TaskKind::Confirm(id)) => format!("confirm {}", dataset(id)),
            None => "?".to_owned(),
        };
        format!("{}: {what}", self.id)
    }

    /// Has the usher close it: the engine is done with it.
    pub fn close(self: &Arc<Run>) {
        if self.gate.pass_end() {
            self.services.usher.close(self);
        }
    }

    /// Has the run fail for a reason that is none of its tasks'; the first one counts.
    pub fn condemn(&self, failure: Failure) {
        self.lock().verdict.get_or_insert(failure);
    }

    /// Whether the run was condemned.
    pub fn verdict(&self) -> Option<Failure> {
        self.lock().verdict.clone()
    }

    /// Whether the engine was told to start it.
    pub fn has_started(&self) -> bool {
        self.lock().started.is_some()
    }

    /// Whether the engine has ended it.
    pub fn is_over(&self) -> bool {
        self.lock().engine.state().is_some()
    }

    /// How it ended, if the engine has ended it.
    pub fn engine_state(&self) -> Option<RunState> {
        self.lock().engine.state()
    }

    /// One line about it.
    pub fn summary(&self) -> RunSummary {
        let state = self.lock();
        let report = state.engine.outline();
        let cause = convert::first_cause(&self.plan, &report);
        let mut summary = convert::summary(&self.plan, &self.run_facts(&state), report.state, &report.counts, cause);
        judge(&mut summary, state.verdict.as_ref());
        summary
    }

    /// Everything about it.
    pub fn detail(&self) -> RunDetail {
        let (report, facts, verdict) = {
            let state = self.lock();
            (state.engine.report(), self.run_facts(&state), state.verdict.clone())
        };
        let progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut detail = convert::detail(&self.plan, &report, &facts, &|dataset| self.facts(dataset), &|node| {
            progress.get(&node).copied()
        });
        detail.plugins = self.generation.identities();
        detail.blocks = self.gauge.read();
        judge(&mut detail.summary, verdict.as_ref());
        if let Some(verdict) = &verdict {
            detail.failures.insert(0, convert::failure(verdict));
        }
        detail
    }

    fn run_facts(&self, state: &State) -> RunFacts<'_> {
        let unix = |time: Time| self.services.clock.unix_us(time);
        RunFacts {
            id: &self.id,
            generation: self.generation.number,
            save_version: self.save_version(),
            submitted_us: self.submitted_us,
            started_us: state.started.map(unix),
            finished_us: state.finished.map(unix),
            resumed_from: self.resumed_from.as_deref(),
        }
    }

    fn note(&self, dataset: DatasetId, change: impl FnOnce(&mut DatasetFacts)) {
        if let Some(mut cell) = self.cell(dataset) {
            change(&mut cell.more().facts);
        }
    }

    fn cell(&self, dataset: DatasetId) -> Option<MutexGuard<'_, Cell>> {
        Some(self.datasets.get(dataset.index())?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The engine does not panic by its laws; if it did, going on with what it says is better than losing every run.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A condemned run has failed, whatever the engine says, and for that reason.
fn judge(summary: &mut RunSummary, verdict: Option<&Failure>) {
    if let Some(verdict) = verdict {
        if summary.state.is_final() {
            summary.state = protocol::RunState::Failed;
        }
        summary.cause = Some(convert::failure(verdict));
    }
}

impl Describe for Run {
    fn describe(&self, positions: &[u32]) -> Vec<(u32, NodeDetail)> {
        let (reports, facts): (Vec<_>, _) = {
            let state = self.lock();
            let known =
                |position: &u32| self.plan.node(NodeId(*position)).map(|node| state.engine.node_report(node.id));
            (positions.iter().filter_map(known).collect(), self.run_facts(&state))
        };
        let detail =
            |report: &NodeReport| Some((report.node.0, convert::node_detail(&self.plan, report, &facts, None)?));
        reports.iter().filter_map(detail).collect()
    }
}

impl Sleeper for Run {
    fn wake(self: Arc<Self>) {
        self.step(Event::Tick, None);
    }
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run").field("id", &self.id).finish_non_exhaustive()
    }
}
