//! Exactly what is shown of a run.

use protocol::{BlockUse, EventKind, LogLine, LogSource, NodeCounts, RunEvent};

use super::*;
use crate::render::progress::Tally;

/// A run of three nodes that has just been accepted.
pub fn summary() -> RunSummary {
    RunSummary {
        id: "r-1".into(),
        pipeline: "flights".into(),
        state: RunState::Running,
        generation: 1,
        submitted_us: 1_000_000,
        started_us: Some(1_010_000),
        finished_us: None,
        counts: NodeCounts { total: 3, waiting: 3, ..NodeCounts::default() },
        cause: None,
        save_version: None,
        resumed_from: None,
    }
}

/// An event of that run.
pub fn event(kind: EventKind) -> RunEvent {
    RunEvent { sequence: 1, time_us: 1_020_000, kind }
}

fn node(name: &str, state: NodeState, times: Option<(i64, i64)>) -> NodeDetail {
    NodeDetail {
        name: name.into(),
        call: format!("flights::{name}"),
        state,
        attempts: u32::from(times.is_some()),
        worker: times.map(|_| 0),
        started_us: times.map(|(start, _)| 1_010_000 + start),
        finished_us: times.map(|(start, time)| 1_010_000 + start + time),
        progress: None,
        failure: None,
        skipped_because: None,
    }
}

fn dataset(name: &str, storage: &str, producer: Option<&str>) -> DatasetDetail {
    DatasetDetail {
        name: name.into(),
        storage: storage.into(),
        path: (storage != "memory").then(|| format!("data/{name}.{storage}")),
        version: None,
        producer: producer.map(str::to_owned),
        is_output: false,
        bytes: Some(2048),
        metadata: serde_json::json!({ "rows": 12 }),
        load_us: producer.is_none().then_some(30_000),
        save_us: (producer.is_some() && storage != "memory").then_some(4_000),
    }
}

fn succeeded() -> RunDetail {
    let mut summary = summary();
    summary.state = RunState::Succeeded;
    summary.finished_us = Some(1_500_000);
    summary.counts = NodeCounts { total: 2, succeeded: 2, ..NodeCounts::default() };
    RunDetail {
        plugins: Vec::new(),
        summary,
        nodes: vec![
            node("clean", NodeState::Succeeded, Some((31_000, 200_000))),
            node("train", NodeState::Succeeded, Some((231_000, 90_000))),
        ],
        datasets: vec![
            dataset("flights", "csv", None),
            dataset("flights_clean", "memory", Some("clean")),
            dataset("model", "json", Some("train")),
        ],
        failures: vec![],
        resume: None,
        blocks: BlockUse::default(),
    }
}

#[test]
fn a_run_that_succeeded() {
    let want = "\
node   call            worker   start    time    save  state
clean  flights::clean       0   31 ms  200 ms          succeeded  slowest
train  flights::train       0  231 ms   90 ms  4.0 ms  succeeded

dataset  type     size  rows   load    save  path
flights  csv   2.0 KiB    12  30 ms          data/flights.csv
model    json  2.0 KiB    12         4.0 ms  data/model.json

run r-1 of flights succeeded in 500 ms: 2 nodes (2 succeeded)
";
    assert_eq!(report(&succeeded(), &Rows::All, Paint::new(false)), want);
}

fn panicked() -> Failure {
    Failure {
        place: Some("src/train.rs:12:5".into()),
        causes: vec!["index out of bounds: the len is 3\nbut the index is 4".into()],
        hints: vec!["see `ctl logs r-1`".into()],
        plugin: Some("flights".into()),
        node: Some("train".into()),
        worker: Some(0),
        attempt: Some(2),
        ..Failure::new(FailureKind::Panic, "the node panicked")
    }
}

fn failed() -> RunDetail {
    let mut run = succeeded();
    run.summary.state = RunState::Failed;
    run.summary.counts = NodeCounts { total: 3, succeeded: 1, failed: 1, skipped: 1, ..NodeCounts::default() };
    run.summary.cause = Some(panicked());
    run.datasets.clear();
    run.nodes[1].state = NodeState::Failed;
    run.nodes[1].attempts = 2;
    run.nodes[1].failure = Some(panicked());
    run.nodes.push(node("chart", NodeState::Skipped, None));
    run.nodes[2].skipped_because = Some("train failed".into());
    let earlier = Failure { attempt: Some(1), ..panicked() };
    run.failures = vec![earlier, panicked()];
    run
}

#[test]
fn a_run_that_failed_tells_its_failures_first_and_each_once() {
    let want = "\
error: node train failed: the node panicked
 --> src/train.rs:12:5
  = in: plugin flights, worker 0, attempt 2
  = cause: index out of bounds: the len is 3
           but the index is 4
  = help: see `ctl logs r-1`

node   call            worker   start    time  state
clean  flights::clean       0   31 ms  200 ms  succeeded  slowest
train  flights::train       0  231 ms   90 ms  failed     attempt 2
chart  flights::chart                          skipped    train failed

run r-1 of flights failed in 500 ms: 3 nodes (1 succeeded, 1 failed, 1 skipped)
";
    // `panicked` contains the kind's word, so it is not said twice.
    assert_eq!(report(&failed(), &Rows::All, Paint::new(false)), want);
}

#[test]
fn the_kind_is_named_where_the_message_does_not() {
    let mut failure = Failure::new(FailureKind::Timeout, "it took longer than 5 s");
    assert_eq!(headline(&failure), "time-out: it took longer than 5 s");
    failure.dataset = Some("flights".into());
    assert_eq!(headline(&failure), "dataset flights failed: time-out: it took longer than 5 s");
    assert_eq!(reason(&Failure::new(FailureKind::Error, "no")), "no");
    assert_eq!(reason(&Failure::new(FailureKind::Signal, "Signal 11 (SIGSEGV)")), "Signal 11 (SIGSEGV)");
}

#[test]
fn of_a_long_run_the_slowest_are_shown_in_order() {
    let mut run = succeeded();
    run.nodes = (0..100).map(|index| node(&format!("n{index}"), NodeState::Succeeded, Some((0, index * 10)))).collect();
    let rows = Rows::Slowest { most: 3, others: "ctl show r-1".into() };
    let text = report(&run, &rows, Paint::new(false));
    let names: Vec<&str> = text.lines().skip(1).take(3).filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(names, ["n97", "n98", "n99"]);
    assert!(text.contains("… and 97 nodes, none slower: ctl show r-1\n"), "{text}");
    assert_eq!(report(&run, &Rows::All, Paint::new(false)).lines().filter(|line| line.starts_with('n')).count(), 101);
}

#[test]
fn a_run_under_way_tells_since_when() {
    let want = "run r-1 of flights running since 1970-01-01 00:00:01Z: 3 nodes (3 waiting)\n";
    assert_eq!(verdict(&summary(), Paint::new(false)), want);
}

#[test]
fn plain_lines_while_a_run_goes_on() {
    let mut tally = Tally::new(&summary());
    let finished = |node: &str| EventKind::NodeFinished {
        node: node.into(),
        attempt: 1,
        worker: 0,
        duration_us: 12_345,
        completed: 3,
        total: 9,
    };
    let failed = |retry| EventKind::NodeFailed {
        node: "train".into(),
        attempt: 1,
        failure: Failure::new(FailureKind::Signal, "killed by SIGSEGV"),
        will_retry_in_ms: retry,
    };
    let log = LogLine {
        number: 1,
        time_us: 0,
        level: "info".into(),
        source: LogSource::Log,
        node: Some("train".into()),
        plugin: None,
        worker: None,
        target: String::new(),
        message: "fitted".into(),
    };
    let kinds = [
        EventKind::RunStarted { pipeline: "flights".into(), nodes: 3 },
        EventKind::NodeStarted { node: "clean".into(), attempt: 1, worker: 0 },
        EventKind::Log { line: log },
        finished("clean"),
        failed(Some(500)),
        failed(None),
        EventKind::NodeSkipped { node: "chart".into(), because: "train failed".into() },
        EventKind::Missed { count: 7 },
        EventKind::Unknown,
    ];
    let lines: Vec<String> = kinds.into_iter().filter_map(|kind| tally.line(&event(kind), Paint::new(false))).collect();
    let want = [
        "Running flights (3 nodes) as r-1",
        "  info  train: fitted",
        "Completed node clean (1 of 3) in 12 ms",
        "Retrying node train in 500 ms: attempt 1 failed: killed by SIGSEGV",
        "Failed node train: killed by SIGSEGV",
        "Skipped node chart: train failed",
        "(7 events went by too fast to be shown)",
    ];
    assert_eq!(lines, want);
    assert_eq!((tally.counts(), tally.over()), ((1, 3), 3));
    tally.resynchronise(&failed_detail());
    assert_eq!((tally.counts(), tally.over()), ((1, 3), 3));
}

fn failed_detail() -> RunDetail {
    failed()
}

#[test]
fn parity_r11_what_is_left_is_told_as_it_can_be_run() {
    let mut run = succeeded();
    let told = |run: &RunDetail, place| left(run, place, Paint::new(false));
    assert_eq!(told(&run, Left::InService), "");
    run.summary.state = RunState::Failed;
    let names = vec!["clean".to_owned(), "train".to_owned()];
    run.resume = Some(protocol::Resume { finished: 4, unfinished: 1, nodes: 3, from_nodes: names });
    assert_eq!(
        told(&run, Left::InService),
        "help: 1 node has not finished; `ctl resume r-1` runs the rest (3 nodes), as does the same command with \
         --from-nodes \"clean,train\"\n"
    );
    assert_eq!(
        told(&run, Left::Forgotten),
        "help: 1 node has not finished; repeat the command with --from-nodes \"clean,train\" to run the rest\n"
    );
    run.resume = Some(protocol::Resume { unfinished: 3, nodes: 3, ..protocol::Resume::default() });
    assert_eq!(told(&run, Left::InService), "help: no node finished; `ctl resume r-1` repeats the run\n");
    assert_eq!(told(&run, Left::Forgotten), "help: no node finished; repeat the command\n");
}
