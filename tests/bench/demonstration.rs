//! The demonstration: as a command, and on a daemon that is up.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use protocol::RunDetail;
use tests::{Scene, demonstration};

use crate::figure::Table;
use crate::nodes::span;

const REPETITIONS: usize = 6;

/// Measures the command, the submission, the run alone and each of its nodes.
pub fn measure(table: &mut Table) {
    let scene = Scene::with(&["formats", "flights", "trace"]).build();
    let pipeline = demonstration::place(&scene);
    let commands: Vec<Duration> = (0..REPETITIONS)
        .map(|_| {
            let start = Instant::now();
            scene.run_file(&pipeline, &["--quiet"]).expect_success();
            start.elapsed()
        })
        .collect();
    table.add_times("flights as a command", 1, &commands, "`ctl run`: private daemon, plugins loaded, run, stopped");
    let daemon = scene.start();
    let mut runs: Vec<RunDetail> = Vec::new();
    let submits: Vec<Duration> = (0..REPETITIONS)
        .map(|_| {
            let start = Instant::now();
            daemon.ctl(["submit".as_ref(), pipeline.as_os_str(), "--quiet".as_ref()]).expect_success();
            let taken = start.elapsed();
            runs.push(daemon.newest_run());
            taken
        })
        .collect();
    table.add_times("flights on a warm daemon", 1, &submits, "`ctl submit`, as a command");
    let inside: Vec<Duration> = runs.iter().map(|run| span(run.summary.started_us, run.summary.finished_us)).collect();
    table.add_times("flights, the run alone", 1, &inside, "first node's start to the end");
    for node in &runs[0].nodes {
        let samples: Vec<Duration> = runs
            .iter()
            .map(|run| {
                let detail = run.nodes.iter().find(|detail| detail.name == node.name).unwrap();
                span(detail.started_us, detail.finished_us)
            })
            .collect();
        table.add_times(&format!("flights: {}", node.name), 1, &samples, "");
    }
}
