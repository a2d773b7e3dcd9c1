//! What runs take on a real daemon: the overhead of a node, the handover of data, the demonstration.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use protocol::{RunDetail, RunState, RunSummary};
use tests::{Daemon, Scene, demonstration};

use crate::figure::Table;

const NODES: u32 = 10_000;
const REPETITIONS: usize = 6;

/// The overhead of a node that does nothing: 10,000 of them that wait for nothing, and 1,000 in a chain.
pub fn overhead(table: &mut Table) {
    let scene = Scene::with(&["faults"]).build();
    let daemon = scene.start();
    let numbers = |count: u32| (0..count).map(|number| number.to_string()).collect::<Vec<_>>().join(",");
    let wide = format!(
        "name = \"wide\"\n[[node]]\nname = \"n{{i}}\"\ncall = \"faults::noop\"\nmatrix = {{ i = [{}] }}\noutputs = [\"d{{i}}\"]\n",
        numbers(NODES)
    );
    let runs: Vec<RunSummary> = (0..REPETITIONS).map(|_| finish(&daemon, &wide)).collect();
    let each = |runs: &[RunSummary], nodes: u32| {
        runs.iter().map(|run| span(run.started_us, run.finished_us) / nodes).collect()
    };
    let floor = table.median("floor: message and answer").as_secs_f64();
    let samples: Vec<Duration> = each(&runs, NODES);
    let last = samples[samples.len() - 1].as_secs_f64();
    table.add(
        "a node that does nothing",
        samples,
        format!("10,000 independent ones; {:.1} of the floor's messages", last / floor),
    );
    let planning = runs.iter().map(|run| span(Some(run.submitted_us), run.started_us)).collect();
    table.add("from submit to the first of 10,000 nodes", planning, "durable, planned");

    let mut chain = "name = \"chain\"\n".to_owned();
    for index in 0..1_000 {
        let inputs = if index == 0 { String::new() } else { format!("inputs = [\"d{}\"]\n", index - 1) };
        chain += &format!("[[node]]\nname = \"n{index}\"\ncall = \"faults::noop\"\n{inputs}outputs = [\"d{index}\"]\n");
    }
    let runs: Vec<RunSummary> = (0..REPETITIONS).map(|_| finish(&daemon, &chain)).collect();
    table.add("a step of a chain", each(&runs, 1_000), "1,000 nodes, each waiting for the one before");
}

/// The handover: from the producer's end to the end of a consumer that reads the first element.
pub fn handover(table: &mut Table) {
    let scene = Scene::with(&["faults"]).build();
    let daemon = scene.start();
    for (name, bytes) in [("1 KiB", 1_u64 << 10), ("1 MiB", 1 << 20), ("1 GiB", 1 << 30)] {
        let pipeline = format!(
            "name = \"handover\"\nparameters = {{ bytes = {bytes} }}\n\
             [[node]]\nname = \"make\"\ncall = \"faults::big\"\ninputs = {{ bytes = \"params:bytes\" }}\noutputs = [\"data\"]\n\
             [[node]]\nname = \"read\"\ncall = \"faults::length\"\ninputs = [\"data\"]\noutputs = [\"length\", \"first\"]\n"
        );
        let samples = (0..REPETITIONS).map(|_| {
            let run = daemon.run(&finish(&daemon, &pipeline).id);
            let ended = |node: &str| run.nodes.iter().find(|detail| detail.name == node).unwrap().finished_us;
            span(ended("make"), ended("read"))
        });
        table.add(
            &format!("handover of {name}"),
            samples.collect(),
            "producer's end to consumer's end, which reads one byte",
        );
    }
}

/// The flights pipeline: as a command, and on a daemon that is up.
pub fn demonstration(table: &mut Table) {
    let scene = Scene::with(&["formats", "flights", "trace"]).build();
    let pipeline = demonstration::place(&scene);
    let commands = (0..REPETITIONS).map(|_| {
        let start = Instant::now();
        scene.run_file(&pipeline, &["--quiet"]).expect_success();
        start.elapsed()
    });
    table.add("flights as a command", commands.collect(), "`ctl run`: private daemon, plugins loaded, run, stopped");
    let daemon = scene.start();
    let mut nodes: Vec<RunDetail> = Vec::new();
    let submits = (0..REPETITIONS).map(|_| {
        let start = Instant::now();
        daemon.ctl(["submit".as_ref(), pipeline.as_os_str(), "--quiet".as_ref()]).expect_success();
        let taken = start.elapsed();
        nodes.push(daemon.newest_run());
        taken
    });
    table.add("flights on a warm daemon", submits.collect(), "`ctl submit`, as a command");
    let inside = nodes.iter().map(|run| span(run.summary.started_us, run.summary.finished_us));
    table.add("flights, the run alone", inside.collect(), "first node's start to the end");
    for node in &nodes[0].nodes {
        let samples = nodes.iter().map(|run| {
            let detail = run.nodes.iter().find(|detail| detail.name == node.name).unwrap();
            span(detail.started_us, detail.finished_us)
        });
        table.add(&format!("flights: {}", node.name), samples.collect(), "");
    }
}

fn finish(daemon: &Daemon<'_>, pipeline: &str) -> RunSummary {
    let summary = daemon.wait_while_it_goes_on(&daemon.begin(pipeline));
    assert!(summary.state == RunState::Succeeded, "{summary:#?}");
    summary
}

fn span(from_us: Option<i64>, to_us: Option<i64>) -> Duration {
    let (from, to) = (from_us.unwrap_or_default(), to_us.unwrap_or_default());
    Duration::from_micros(to.saturating_sub(from).max(0).unsigned_abs())
}
