//! A daemon of which every answer is known: run `r1` exists, run ids decide what a submission meets.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use protocol::{
    BlockHolder, BlockInfo, BlockList, BlockUse, BrokenPipeline, CatalogDataset, CatalogList, CatalogRequest,
    DatasetDetail, DatasetExists, DatasetVersions, EvictRequest, Eviction, ExistsList, Failure, FailureKind,
    GenerationChanges, GenerationInfo, Graph, GraphBinding, GraphDataset, GraphNode, GraphOutput, Health, HookInfo,
    HookList, HookOrigin, LogLine, LogList, LogSource, NodeChange, NodeCounts, NodeDetail, NodeInfo, NodeList,
    NodeState, OutputInfo, OutputList, OutputState, PipelineInfo, PipelineList, Place, PluginChange, PluginIdentity,
    PluginInfo, PluginList, PortInfo, Problem, Progress, RefusedLibrary, ReloadOptions, ReloadReport, Resolution,
    Resume, RunDetail, RunFilter, RunList, RunState, RunSummary, Status, Submission, Validation, VersionList,
    WorkerStatus,
};

use super::super::Backend;
use crate::block::Block;
use crate::block::layout::Format;
use crate::server::blocks::EvictError;
use crate::server::budget::Budget;
use crate::server::clock::{Alarm, Clock};
use crate::server::daemon::{AwaitedReport, CancelOutcome, SubmitError};
use crate::server::feed::{Feed, Subscription};
use crate::server::generations::ReloadError;
use crate::server::outputs::{FetchError, Fetched, FetchedFrom};
use crate::server::uploads::{Arriving, UploadError, Uploads};

/// The daemon.
pub(super) struct Pretend {
    pub(super) feed: Arc<Feed>,
    pub(super) submitted: AtomicUsize,
    /// While set, planning does not end.
    planning_hangs: Mutex<bool>,
    planning_may_go_on: Condvar,
    pub(super) status_panics: AtomicBool,
    /// Outputs that were fetched whole.
    pub(super) fetched: Mutex<Vec<String>>,
    /// Up to two of a MiB together.
    uploads: Arc<Uploads>,
}

impl Default for Pretend {
    fn default() -> Pretend {
        let clock = Clock::start();
        let alarm = Arc::new(Alarm::start(clock).unwrap());
        Pretend {
            fetched: Mutex::default(),
            uploads: Uploads::new(clock, &alarm, &Budget::new(1 << 20), 2, 60_000_000),
            feed: Feed::new(8),
            submitted: AtomicUsize::new(0),
            planning_hangs: Mutex::new(false),
            planning_may_go_on: Condvar::new(),
            status_panics: AtomicBool::new(false),
        }
    }
}

impl Pretend {
    pub(super) fn hang_planning(&self, hangs: bool) {
        *self.planning_hangs.lock().unwrap() = hangs;
        self.planning_may_go_on.notify_all();
    }

    fn plan(&self, submission: &Submission) -> Result<(), SubmitError> {
        let hangs = self.planning_hangs.lock().unwrap();
        drop(self.planning_may_go_on.wait_while(hangs, |hangs| *hangs).unwrap());
        match submission.run_id.as_deref() {
            Some("taken") => Err(SubmitError::IdTaken("taken".to_owned())),
            Some("bad id") => Err(SubmitError::BadId("bad id".to_owned())),
            Some("later") => Err(SubmitError::Unavailable("the daemon is stopping".to_owned())),
            _ if submission.pipeline.text == "broken" => Err(SubmitError::Problems(vec![problem()])),
            _ => Ok(()),
        }
    }
}

impl Backend for Pretend {
    fn submit(&self, submission: Submission) -> Result<RunSummary, SubmitError> {
        self.plan(&submission)?;
        self.submitted.fetch_add(1, Ordering::Relaxed);
        Ok(summary())
    }

    fn submit_for_report(&self, submission: Submission) -> Result<AwaitedReport, SubmitError> {
        let id = self.submit(submission)?.id;
        let (tell, report) = tokio::sync::oneshot::channel();
        // It ends before anybody waits.
        let _ = tell.send(Arc::new(detail()));
        Ok(AwaitedReport { id, report })
    }

    fn validate(&self, submission: &Submission) -> Result<Validation, SubmitError> {
        self.plan(submission)?;
        Ok(Validation { pipeline: "p".to_owned(), nodes: 1, datasets: 2, generation: 1, warnings: Vec::new() })
    }

    fn graph(&self, submission: &Submission) -> Result<Graph, SubmitError> {
        self.plan(submission)?;
        Ok(graph())
    }

    fn catalog(&self, request: &CatalogRequest) -> Result<CatalogList, SubmitError> {
        self.plan(&request.submission)?;
        Ok(CatalogList { datasets: vec![catalog_dataset()] })
    }

    fn catalog_exists(&self, request: &CatalogRequest) -> Result<ExistsList, SubmitError> {
        self.plan(&request.submission)?;
        Ok(ExistsList { datasets: vec![dataset_exists()] })
    }

    fn catalog_versions(&self, request: &CatalogRequest) -> Result<VersionList, SubmitError> {
        self.plan(&request.submission)?;
        Ok(versions())
    }

    fn runs(&self, filter: &RunFilter) -> Result<RunList, String> {
        let shown = filter.state.is_none_or(|state| state == RunState::Running) && filter.limit_or_default() > 0;
        Ok(RunList { runs: shown.then(summary).into_iter().collect() })
    }

    fn run(&self, id: &str) -> Option<RunDetail> {
        (id == "r1").then(detail)
    }

    fn resume(&self, id: &str, _: protocol::Credentials) -> Result<Option<RunSummary>, SubmitError> {
        match id {
            "over" => {
                let (message, hint) = ("run over succeeded".to_owned(), "submit it again".to_owned());
                Err(SubmitError::NotResumable { message, hint })
            }
            _ => Ok((id == "r1").then(summary)),
        }
    }

    fn cancel(&self, id: &str, _: &str) -> CancelOutcome {
        match id {
            "r1" => CancelOutcome::Cancelling(summary()),
            "over" => CancelOutcome::AlreadyOver(RunSummary { state: RunState::Succeeded, ..summary() }),
            _ => CancelOutcome::Unknown,
        }
    }

    fn logs(&self, id: &str, from: u64) -> Option<LogList> {
        (id == "r1").then(|| LogList { lines: vec![line(from.max(1))], next: from.max(1) + 1, missed: 1 })
    }

    fn events(&self, id: &str, from: u64) -> Option<Subscription> {
        (id == "r1").then(|| self.feed.subscribe(from))
    }

    fn plugins(&self) -> PluginList {
        plugins()
    }

    fn reload(&self, options: ReloadOptions) -> Result<ReloadReport, ReloadError> {
        match options {
            ReloadOptions { rollback: true, .. } => Err(ReloadError::NothingBefore),
            ReloadOptions { dry_run: true, .. } => {
                let (message, problems) = ("refused".to_owned(), vec![problem()]);
                Err(ReloadError::Refused { message, problems })
            }
            ReloadOptions { .. } => Ok(reload_report()),
        }
    }

    fn nodes(&self) -> NodeList {
        NodeList { nodes: vec![node_info()] }
    }

    fn hooks(&self) -> HookList {
        HookList { hooks: vec![hook()] }
    }

    fn status(&self) -> Status {
        assert!(!self.status_panics.load(Ordering::Relaxed), "told to panic");
        status()
    }

    fn health(&self) -> Result<Health, String> {
        Ok(health())
    }

    fn outputs(&self, id: &str) -> Result<OutputList, FetchError> {
        match id {
            "r1" => Ok(OutputList { outputs: vec![output_info()] }),
            _ => Err(FetchError::NoRun { run: id.to_owned(), is_known: false }),
        }
    }

    fn output(&self, id: &str, name: &str, _: Option<&str>) -> Result<Fetched, FetchError> {
        self.outputs(id)?;
        let (run, name, known) = (id.to_owned(), name.to_owned(), vec!["model".to_owned()]);
        let gone = name == "gone";
        let is_there = ["model", "{name}"].contains(&name.as_str());
        match (gone, is_there) {
            (true, _) => Err(FetchError::Gone { name, reason: "its memory was needed".to_owned() }),
            (_, false) => Err(FetchError::NoOutput { run, name, known }),
            _ => {
                let payload = vec![b'x'; 1_000_000];
                let block = Block::of_payload(&Arc::default(), Format::Text, "{\"a\":1}", payload).unwrap();
                Ok(Fetched {
                    content_type: "text/plain".to_owned(),
                    bytes: block.payload_length(),
                    metadata: block.metadata().to_owned(),
                    from: FetchedFrom::Block(block, None),
                })
            }
        }
    }

    fn output_fetched(&self, _: &str, name: &str) {
        self.fetched.lock().unwrap().push(name.to_owned());
    }

    fn pipelines(&self) -> Result<PipelineList, String> {
        Ok(PipelineList { pipelines: vec![pipeline_info()] })
    }

    fn begin_upload(&self, announced: Option<u64>) -> Result<Arriving, UploadError> {
        self.uploads.begin(announced)
    }

    fn blocks(&self) -> BlockList {
        BlockList { blocks: vec![block_info()] }
    }

    fn evict(&self, _: &EvictRequest) -> Result<Eviction, EvictError> {
        Ok(Eviction { dropped: vec![block_info()], leaving: vec![block_info()] })
    }
}

// Every field is set, so that the description can be held against the JSON of each.

pub(super) fn failure() -> Failure {
    let text = || Some("x".to_owned());
    Failure {
        signal: Some(11),
        exit_code: Some(0),
        place: text(),
        causes: vec![String::new()],
        hints: vec![String::new()],
        plugin: text(),
        node: text(),
        dataset: text(),
        worker: Some(1),
        attempt: Some(1),
        ..Failure::new(FailureKind::Signal, "killed")
    }
}

pub(super) fn problem() -> Problem {
    Problem {
        code: "unknown-node".to_owned(),
        message: "there is no node flights::cleen".to_owned(),
        place: Some(Place { file: "pipeline.toml".to_owned(), line: 3, column: 8 }),
        causes: vec![String::new()],
        hints: vec!["did you mean flights::clean?".to_owned()],
    }
}

pub(super) fn summary() -> RunSummary {
    RunSummary {
        id: "r1".to_owned(),
        pipeline: "p".to_owned(),
        state: RunState::Running,
        generation: 1,
        submitted_us: 1,
        started_us: Some(2),
        finished_us: Some(3),
        counts: NodeCounts { total: 1, running: 1, ..NodeCounts::default() },
        cause: Some(failure()),
        save_version: Some("2026-11-22T10.11.12.123Z".to_owned()),
        resumed_from: Some("r0".to_owned()),
    }
}

pub(super) fn detail() -> RunDetail {
    let node = NodeDetail {
        name: "a".to_owned(),
        call: "p::a".to_owned(),
        state: NodeState::Running,
        attempts: 1,
        worker: Some(0),
        started_us: Some(2),
        finished_us: Some(3),
        progress: Some(Progress { done: 1, total: 2 }),
        failure: Some(failure()),
        skipped_because: Some(String::new()),
    };
    let dataset = DatasetDetail {
        name: "d".to_owned(),
        storage: "csv".to_owned(),
        path: Some("/d.csv".to_owned()),
        version: Some("2026-11-22T10.11.12.123Z".to_owned()),
        producer: Some("a".to_owned()),
        is_output: true,
        bytes: Some(1),
        metadata: serde_json::json!({ "rows": 1 }),
        load_us: Some(1),
        save_us: Some(1),
    };
    let resume = Resume { finished: 1, unfinished: 2, nodes: 2, from_nodes: vec!["a".to_owned()] };
    RunDetail {
        summary: summary(),
        plugins: vec![identity()],
        nodes: vec![node],
        datasets: vec![dataset],
        failures: vec![failure()],
        resume: Some(resume),
        blocks: BlockUse::default(),
    }
}

pub(super) fn graph() -> Graph {
    let text = |text: &str| text.to_owned();
    let inputs = vec![
        GraphBinding::Dataset { port: text("in"), kind: text("table"), dataset: text("d") },
        GraphBinding::Parameter {
            port: text("p"),
            kind: text("number"),
            parameter: text("params:p"),
            value: serde_json::json!(1),
        },
    ];
    let node = GraphNode {
        name: text("a"),
        call: text("p::a"),
        tags: vec![text("t")],
        layer: 0,
        inputs,
        outputs: vec![GraphOutput { port: text("out"), kind: text("json"), dataset: text("e") }],
        confirms: vec![text("d")],
    };
    let dataset = GraphDataset {
        name: text("e"),
        storage: text("csv"),
        path: Some(text("/e")),
        producer: Some(text("a")),
        consumers: vec![text("b")],
        is_output: true,
        description: text("what comes out"),
        layer: text("results"),
        preview: serde_json::json!({ "rows": 5 }),
        metadata: serde_json::json!({ "owner": "me" }),
    };
    Graph { name: text("p"), nodes: vec![node], datasets: vec![dataset], parameters: serde_json::json!({ "p": 1 }) }
}

pub(super) fn catalog_dataset() -> CatalogDataset {
    let text = |text: &str| text.to_owned();
    CatalogDataset {
        name: text("e_1"),
        entry: Some(text("e_{n}")),
        place: Some(Place { file: text("catalog.toml"), line: 1, column: 1 }),
        resolution: Resolution::CatchAll,
        why: text("it matches"),
        captures: [(text("n"), text("1"))].into(),
        passed_over: vec![text("{any}")],
        storage: text("csv"),
        plugin: Some(text("formats")),
        path: Some(text("/e")),
        options: serde_json::json!({ "delimiter": ";" }),
        versioned: true,
        credentials: Some(text("db")),
        schema: vec![(text("x"), text("integer"))],
        description: text("what comes out"),
        layer: text("results"),
        preview: serde_json::json!(5),
        metadata: serde_json::json!({ "owner": "me" }),
        used: true,
        near: Some(text("e_2")),
    }
}

pub(super) fn dataset_exists() -> DatasetExists {
    let text = |text: &str| text.to_owned();
    let (path, failure) = (Some(text("/e")), Some(failure()));
    DatasetExists { name: text("e"), storage: text("csv"), path, exists: Some(true), failure }
}

pub(super) fn versions() -> VersionList {
    let text = |text: &str| text.to_owned();
    VersionList { datasets: vec![DatasetVersions { name: text("e"), path: text("/e"), versions: vec![text("v")] }] }
}

pub(super) fn line(number: u64) -> LogLine {
    let text = |text: &str| text.to_owned();
    LogLine {
        number,
        time_us: 1,
        level: text("info"),
        source: LogSource::Log,
        node: Some(text("a")),
        plugin: Some(text("p")),
        worker: Some(0),
        target: text("p::a"),
        message: text("hello"),
    }
}

pub(super) fn plugins() -> PluginList {
    PluginList {
        generation: 1,
        plugins: vec![PluginInfo { name: "p".to_owned(), ..PluginInfo::default() }],
        generations: vec![generation()],
        refused: vec![RefusedLibrary { path: "libx.so".to_owned(), ..RefusedLibrary::default() }],
        ..PluginList::default()
    }
}

fn identity() -> PluginIdentity {
    PluginIdentity { name: "p".to_owned(), version: "1".to_owned(), sha256: "ab".to_owned() }
}

pub(super) fn generation() -> GenerationInfo {
    GenerationInfo { plugins: vec![identity()], problems: vec![problem()], ..GenerationInfo::default() }
}

pub(super) fn plugin_change() -> PluginChange {
    PluginChange { name: "p".to_owned(), before: Some(identity()), after: Some(identity()) }
}

pub(super) fn reload_report() -> ReloadReport {
    let names = || vec!["p::a".to_owned()];
    let changes = GenerationChanges {
        plugins: vec![plugin_change()],
        nodes_added: names(),
        nodes_removed: names(),
        nodes_changed: vec![NodeChange { call: "p::a".to_owned(), changes: names() }],
        dataset_types_added: names(),
        dataset_types_removed: names(),
        hooks_added: names(),
        hooks_removed: names(),
    };
    let broken =
        BrokenPipeline { pipeline: "p".to_owned(), run: "r1".to_owned(), refuses: true, problems: vec![problem()] };
    ReloadReport {
        generation: 2,
        previous: 1,
        changes,
        pipelines: vec![broken],
        problems: vec![problem()],
        ..ReloadReport::default()
    }
}

pub(super) fn node_info() -> NodeInfo {
    NodeInfo { call: "p::a".to_owned(), inputs: vec![PortInfo::default()], ..NodeInfo::default() }
}

pub(super) fn hook() -> HookInfo {
    HookInfo {
        name: "p::H".to_owned(),
        plugin: "p".to_owned(),
        version: String::new(),
        doc: String::new(),
        events: vec![String::new()],
        origin: HookOrigin::Configuration,
        active: false,
        off_because: Some("its plugin is disabled".to_owned()),
        position: 0,
        on_error: "fail".to_owned(),
        deadline_ms: 1,
    }
}

pub(super) fn health() -> Health {
    Health { state: "running".to_owned(), ..Health::default() }
}

pub(super) fn status() -> Status {
    let worker = WorkerStatus { task: Some("a".to_owned()), ..WorkerStatus::default() };
    Status { version: "0".to_owned(), workers: vec![worker], ..Status::default() }
}

pub(super) fn block_info() -> BlockInfo {
    BlockInfo {
        name: "d".to_owned(),
        holder: BlockHolder::Run,
        run: Some("r1".to_owned()),
        kind: "table".to_owned(),
        format: "arrow".to_owned(),
        bytes: 1,
        readers: 1,
        since_us: 1,
        dataset_type: Some("formats::csv".to_owned()),
        path: Some("/d.csv".to_owned()),
        is_leaving: true,
    }
}

pub(super) fn output_info() -> OutputInfo {
    OutputInfo {
        name: "model".to_owned(),
        state: OutputState::Ready,
        kind: Some("json".to_owned()),
        format: Some("json".to_owned()),
        bytes: Some(1),
        storage: "json".to_owned(),
        path: Some("/m.json".to_owned()),
        reason: Some("x".to_owned()),
        expires_us: Some(1),
    }
}

pub(super) fn pipeline_info() -> PipelineInfo {
    PipelineInfo { name: "p".to_owned(), runs: 1, last_run: summary() }
}
