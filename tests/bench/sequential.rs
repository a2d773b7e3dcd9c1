//! The demonstration on two workers against one process that calls the same functions of the same files in order.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use protocol::RunDetail;
use tests::{Scene, artifacts, command, demonstration};

use crate::figure::{Goal, Table};
use crate::nodes::{run_us, span};

const REPETITIONS: usize = 5;
/// So many runs come before: after them each worker has done each part of the work, and has the memory for it.
const WARM_UPS: usize = 4;
const IN_ORDER: &str = "flights in one process, in order";

/// Measures both, stage by stage, and the first run of a daemon that has just started.
pub fn measure(table: &mut Table) {
    let scene = Scene::with(&["formats", "flights"]).set("workers.count", 2).build();
    let pipeline = demonstration::place(&scene);
    let flights = pipeline.parent().unwrap();
    let in_order = times_in_order(&scene, flights, "in_order");
    table.add(IN_ORDER, 1, times(&in_order, "all").collect(), "µs", "warm");

    let daemon = scene.start();
    for (options, name) in
        [(&[][..], "flights: speed-up over one process"), (&["--async"][..], "flights: speed-up, `--async`")]
    {
        let mut runs: Vec<RunDetail> = (0..WARM_UPS + REPETITIONS)
            .map(|_| {
                let submit = ["submit".as_ref(), pipeline.as_os_str(), "--quiet".as_ref()];
                daemon.ctl(submit.into_iter().chain(options.iter().map(AsRef::as_ref))).expect_success();
                daemon.newest_run()
            })
            .collect();
        runs.drain(..WARM_UPS);
        let inside: Vec<f64> = runs.iter().map(|run| run_us(&run.summary)).collect();
        let one = table.value(IN_ORDER);
        table.add(name, 1, inside.iter().map(|two| one / two).collect(), "×", "a warm daemon, two workers");
        table.goal(Goal::AtLeast(1.25));
        if options.is_empty() {
            let (stage, nodes, ratio) = slowest_stage(&in_order, &runs);
            table.add("flights: slowest stage over that in one process", 1, vec![ratio], "×", &stage);
            table.goal(Goal::AtMost(1.05));
            // What it loses to the memory and the caches that two processors share, without any daemon.
            let both = std::thread::scope(|scope| {
                let other = scope.spawn(|| times_in_order(&scene, flights, "beside"));
                [times_in_order(&scene, flights, "in_order"), other.join().unwrap()].concat()
            });
            let ratio = stage_us(&both, &nodes) / stage_us(&in_order, &nodes);
            table.add("flights: that stage, two such processes at once", 1, vec![ratio], "×", &stage);
        }
    }
    daemon.stop();

    let first = (0..REPETITIONS).map(|_| {
        let daemon = scene.start();
        daemon.ctl(["submit".as_ref(), pipeline.as_os_str(), "--quiet".as_ref()]).expect_success();
        let us = run_us(&daemon.newest_run().summary);
        daemon.stop();
        us / 1e6
    });
    table.add("flights: the first run of a daemon", 1, first.collect(), "s", "nothing of it is in the daemon's memory");
    table.goal(Goal::AtMost(0.35));
}

/// The times of each step, in microseconds, a map for each repetition; those that warm up are dropped.
fn times_in_order(scene: &Scene, flights: &Path, output: &str) -> Vec<BTreeMap<String, f64>> {
    let output = scene.work(output);
    std::fs::create_dir_all(&output).unwrap();
    let mut program = Command::new(artifacts::product("sequential"));
    program.args([scene.plugin_folder().as_path(), flights, &output]).arg((WARM_UPS + REPETITIONS).to_string());
    let found = command::run(&mut program).expect_success().json();
    let mut repetitions: Vec<BTreeMap<String, f64>> = serde_json::from_value(found).unwrap();
    repetitions.drain(..WARM_UPS);
    repetitions
}

fn times<'t>(repetitions: &'t [BTreeMap<String, f64>], step: &'t str) -> impl Iterator<Item = f64> + 't {
    repetitions.iter().filter_map(move |times| times.get(step).copied())
}

/// The stage that took longest as a multiple of what it took in one process, from its nodes' start to the end of their saves: what it
/// calls, its nodes, and the multiple. The nodes of one call are one stage: which of the three fits is the first to read what was just
/// made, and which one's save waits while a worker is at another, is chance. Those that are over in a moment are left out: there the
/// two are told apart by a wake-up.
fn slowest_stage(in_order: &[BTreeMap<String, f64>], runs: &[RunDetail]) -> (String, Vec<String>, f64) {
    const MOMENT_US: f64 = 5_000.0;
    let mut calls: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for node in &runs[0].nodes {
        calls.entry(node.call.clone()).or_default().push(node.name.clone());
    }
    let mine = |name: &String| {
        let nodes = runs.iter().flat_map(|run| &run.nodes).filter(|node| node.name == *name);
        median(nodes.map(|node| span(node.started_us, node.finished_us).as_secs_f64() * 1e6).collect())
    };
    let stages = calls.into_iter().filter_map(|(call, nodes)| {
        let (mine, theirs) = (nodes.iter().map(mine).sum::<f64>(), stage_us(in_order, &nodes));
        (theirs >= MOMENT_US).then_some((call, nodes, mine / theirs))
    });
    stages.max_by(|one, other| one.2.total_cmp(&other.2)).unwrap()
}

/// What nodes take in one process, with the saves of what they make.
fn stage_us(in_order: &[BTreeMap<String, f64>], nodes: &[String]) -> f64 {
    let node_us = |node: &String| {
        let saved = match node.as_str() {
            "build_features" => "save model_input".to_owned(),
            _ => format!("save {}", node.replace("train_", "model_").replace("evaluate", "metrics")),
        };
        median(times(in_order, node).collect()) + median(times(in_order, &saved).collect())
    };
    nodes.iter().map(node_us).sum()
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().unwrap_or(0.0)
}
