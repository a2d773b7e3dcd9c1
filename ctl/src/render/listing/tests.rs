//! Exactly what lists look like.

use protocol::{
    BlockStatus, DatasetTypeInfo, Failure, FailureKind, HookInfo, PluginInfo, RunCounts, RunState, WorkerStatus,
};

use super::*;
use crate::render::report::tests::summary;

const PLAIN: fn() -> Paint = || Paint::new(false);

#[test]
fn of_runs() {
    let mut failed = summary();
    failed.id = "r-2".into();
    failed.state = RunState::Failed;
    failed.finished_us = Some(1_250_000);
    failed.cause = Some(Failure { node: Some("train".into()), ..Failure::new(FailureKind::Panic, "no rows") });
    failed.resumed_from = Some("r-0".into());
    let list = RunList { runs: vec![failed, summary()] };
    let want = "\
run  pipeline  state    submitted               time  nodes  remarks
r-2  flights   failed   1970-01-01 00:00:01Z  250 ms    0/3  goes on with r-0; train: panic: no rows
r-1  flights   running  1970-01-01 00:00:01Z            0/3
";
    assert_eq!(runs(&list, PLAIN()), want);
}

#[test]
fn of_plugins() {
    let list = PluginList {
        generation: 2,
        start_method: "fork".into(),
        plugins: vec![PluginInfo {
            name: "formats".into(),
            version: "0.1.0".into(),
            path: "/lib/libformats.so".into(),
            dataset_types: vec![DatasetTypeInfo { name: "csv".into(), ..DatasetTypeInfo::default() }],
            ..PluginInfo::default()
        }],
        refused: vec![RefusedLibrary {
            path: "/lib/libold.so".into(),
            reason: "ABI 1 expected, 0 found".into(),
            hint: "build it again".into(),
        }],
        warnings: vec!["plugin busy starts a thread".into()],
        generations: Vec::new(),
    };
    let want = "\
plugin   version  nodes  dataset types  library
formats  0.1.0        0  csv            /lib/libformats.so

generation 2: 1 plugin, workers start by fork
refused: /lib/libold.so: ABI 1 expected, 0 found
  help: build it again
warning: plugin busy starts a thread
";
    assert_eq!(plugins(&list, PLAIN()), want);
}

#[test]
fn of_hooks() {
    let on = HookInfo {
        name: "trace::ChromeTrace".into(),
        plugin: "trace".into(),
        version: "0.1.0".into(),
        doc: String::new(),
        events: vec!["after_node_run".into(), "after_pipeline_run".into()],
        origin: HookOrigin::Configuration,
        active: true,
        off_because: None,
        position: 1,
        on_error: "fail".into(),
        deadline_ms: 5000,
    };
    let off = HookInfo {
        name: "flights::Timing".into(),
        origin: HookOrigin::Plugin,
        active: false,
        off_because: Some("its plugin is in disabled_plugins".into()),
        position: 0,
        ..on.clone()
    };
    // A line feed first: a backslash there would swallow the blanks too.
    let want = "
     hook                version  from           on error  deadline  events
  1  trace::ChromeTrace  0.1.0    configuration  fail        5.00 s  after_node_run, after_pipeline_run
off  flights::Timing     0.1.0    its plugin     fail                its plugin is in disabled_plugins
";
    let list = HookList { hooks: vec![on, off] };
    assert_eq!(format!("\n{}", hooks(&list, PLAIN())), want);
}

#[test]
fn of_the_daemon() {
    let worker = WorkerStatus { number: 0, pid: 42, state: "busy".into(), task: Some("train".into()), restarts: 1 };
    let shown = Status {
        version: "0.1.0".into(),
        pid: 41,
        started_us: 0,
        state: "running".into(),
        generation: 1,
        start_method: "fork".into(),
        plugins: 3,
        plugins_refused: 1,
        workers: vec![worker, WorkerStatus { number: 1, state: "starting".into(), ..WorkerStatus::default() }],
        runs: RunCounts { queued: 0, running: 1, finished: 7 },
        blocks: BlockStatus { count: 2, bytes: 2048, budget_bytes: 1 << 30, spare_bytes: 4096 },
        state_file: "/var/lib/dagd/runs.sqlite".into(),
    };
    let want = "\
dagd 0.1.0 is running, process 41, up since 1970-01-01 00:00:00Z
  plugins  generation 1, 3 loaded, 1 set aside (ctl plugins tells why)
  runs     1 running, 0 queued, 7 finished; kept /var/lib/dagd/runs.sqlite
  blocks   2, 2.0 KiB of 1.0 GiB; 4.0 KiB kept for others
  workers  2, by fork

  worker  process  state     task   restarts
       0       42  busy      train         1
       1           starting
";
    assert_eq!(status(&shown, PLAIN()), want);
}

#[test]
fn of_a_sound_pipeline() {
    let one = Validation { pipeline: "flights".into(), nodes: 9, datasets: 1, generation: 3, warnings: Vec::new() };
    assert_eq!(validation(&one, PLAIN()), "flights is sound: 9 nodes, 1 dataset, checked against generation 3\n");
}
