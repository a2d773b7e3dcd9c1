//! What a node costs that does nothing: an integer in, an integer out, in graphs of several shapes and sizes.
#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::time::Duration;

use protocol::{RunList, RunState, RunSummary};
use serde_json::{Value, json};
use tests::{Daemon, Scene};

use crate::figure::{Goal, Table};
use crate::floors::WAKE;

const REPETITIONS: usize = 5;
/// How often a run that takes longer than expected is asked for: seldom, as whoever answers needs a processor.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// So many nodes of a chain are written out; more would be more text than the daemon takes at once.
const PARTS: u64 = 100_000;
/// The node that gathers has so many ports, each for one dataset.
const GATHERED: usize = 16;

/// Measures all of it on one daemon with two workers.
pub fn measure(table: &mut Table, is_quick: bool) {
    let scene = Scene::with(&["faults"]).set("workers.count", 2).build();
    let daemon = scene.start();
    // Nobody knows at first how long a node takes.
    finish(&daemon, &independent(1_000));
    let sizes: &[u64] = if is_quick { &[1, 1_000, 10_000] } else { &[1, 100, 1_000, 10_000, 100_000, 1_000_000] };
    for &n in sizes {
        let goal = (n >= 10_000).then_some(1.0 / 100.0);
        shape(table, &daemon, "independent nodes", n, &daemon.submission(&independent(n)), goal);
    }
    let sizes: &[u64] = if is_quick { &[1_000, 10_000] } else { &[1, 100, 1_000, 10_000, 100_000, 1_000_000] };
    for &n in sizes {
        let chain = if n > PARTS { chain_of_parts(&daemon, n / PARTS) } else { daemon.submission(&chain(n)) };
        shape(table, &daemon, "a chain", n, &chain, (n >= 1_000).then_some(1.0 / 70.0));
    }
    let sizes: &[u64] = if is_quick { &[10_000] } else { &[1_000, 10_000, 100_000] };
    for &n in sizes {
        let (fan, nodes) = fan(n);
        shape(table, &daemon, "fan-out from one, fan-in to one", nodes, &daemon.submission(&fan), None);
        let layers = daemon.submission(&layered(n));
        shape(table, &daemon, "random layers, two inputs", n, &layers, Some(1.0 / 50.0));
    }
    if !is_quick {
        for name in ["independent nodes", "a chain"] {
            let [many, few] = [1_000_000, 10_000].map(|n| table.value_of(name, n));
            table.add(&format!("{name}: linear"), 1_000_000, vec![many / few], "×", "against 10,000 nodes");
            table.goal(Goal::AtMost(1.2));
        }
    }
}

fn shape(table: &mut Table, daemon: &Daemon<'_>, name: &str, n: u64, submission: &Value, goal: Option<f64>) {
    let repetitions = if n >= 1_000_000 { 3 } else { REPETITIONS };
    let mut expected = Duration::ZERO;
    let mut sample = || {
        let taken_us = run_us(&finish_submission(daemon, submission, expected));
        expected = Duration::from_secs_f64(taken_us / 1e6);
        taken_us / n as f64
    };
    let samples = (0..repetitions).map(|_| sample()).collect();
    table.add(name, n, samples, "µs", "a node, from the run's start to its end");
    if let Some(goal) = goal {
        table.against(WAKE, Goal::AtMost(goal));
    }
}

/// As a matrix lists them.
pub fn numbers(n: u64) -> String {
    (0..n).map(|number| number.to_string()).collect::<Vec<_>>().join(",")
}

/// Nodes that wait for nothing.
pub fn independent(n: u64) -> String {
    format!(
        "name = \"wide\"\n[[node]]\nname = \"n{{i}}\"\ncall = \"faults::noop\"\nmatrix = {{ i = [{}] }}\noutputs = [\"d{{i}}\"]\n",
        numbers(n)
    )
}

/// One node, `n` that read what it makes, and nodes that gather what those make until there is one; and how many nodes that is.
fn fan(n: u64) -> (String, u64) {
    let mut text = format!(
        "name = \"fan\"\n[[node]]\nname = \"one\"\ncall = \"faults::noop\"\noutputs = [\"d\"]\n\
         [[node]]\nname = \"n{{i}}\"\ncall = \"faults::noop\"\nmatrix = {{ i = [{}] }}\ninputs = [\"d\"]\noutputs = [\"d{{i}}\"]\n",
        numbers(n)
    );
    let mut nodes = n + 1;
    let mut layer: Vec<String> = (0..n).map(|number| format!("\"d{number}\"")).collect();
    while layer.len() > 1 {
        layer = layer
            .chunks(GATHERED)
            .map(|read| {
                nodes += 1;
                let (name, read) = (format!("g{nodes}"), read.join(","));
                writeln!(
                    text,
                    "[[node]]\nname = \"{name}\"\ncall = \"faults::gather\"\ninputs = [{read}]\noutputs = [\"{name}\"]"
                )
                .unwrap();
                format!("\"{name}\"")
            })
            .collect();
    }
    (text, nodes)
}

/// Nodes each of which reads what the one before it makes.
pub fn chain(n: u64) -> String {
    let mut text = "name = \"chain\"\n".to_owned();
    for index in 0..n {
        let inputs = if index == 0 { String::new() } else { format!("inputs = [\"d{}\"]\n", index - 1) };
        writeln!(text, "[[node]]\nname = \"n{index}\"\ncall = \"faults::noop\"\n{inputs}outputs = [\"d{index}\"]")
            .unwrap();
    }
    text
}

/// A chain whose text is short: a part of [`PARTS`] nodes, included again and again.
fn chain_of_parts(daemon: &Daemon<'_>, parts: u64) -> Value {
    let mut text =
        "name = \"chain\"\n[[node]]\nname = \"first\"\ncall = \"faults::noop\"\noutputs = [\"d0\"]\n".to_owned();
    for part in 0..parts {
        writeln!(
            text,
            "[[include]]\nfile = \"part.toml\"\nnamespace = \"p{part}\"\ninputs = {{ first = \"d{part}\" }}\noutputs = {{ last = \"d{}\" }}",
            part + 1
        )
        .unwrap();
    }
    let mut included = String::new();
    for index in 0..PARTS {
        let read = if index == 0 { "first".to_owned() } else { format!("d{index}") };
        let made = if index + 1 == PARTS { "last".to_owned() } else { format!("d{}", index + 1) };
        writeln!(
            included,
            "[[node]]\nname = \"n{index}\"\ncall = \"faults::noop\"\ninputs = [\"{read}\"]\noutputs = [\"{made}\"]"
        )
        .unwrap();
    }
    let mut submission = daemon.submission(&text);
    submission["includes"] = json!([{ "name": "part.toml", "text": included }]);
    submission
}

/// Layers of a hundred nodes, each adding two numbers of the layer before.
fn layered(n: u64) -> String {
    const WIDTH: u64 = 100;
    let mut text = "name = \"layers\"\n".to_owned();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % WIDTH
    };
    for index in 0..n {
        let layer = index / WIDTH;
        if layer == 0 {
            writeln!(text, "[[node]]\nname = \"n{index}\"\ncall = \"faults::noop\"\noutputs = [\"d{index}\"]").unwrap();
        } else {
            let base = (layer - 1) * WIDTH;
            let (left, right) = (base + draw(), base + draw());
            let right = if left == right { base + (right - base + 1) % WIDTH } else { right };
            writeln!(
                text,
                "[[node]]\nname = \"n{index}\"\ncall = \"faults::add\"\ninputs = {{ left = \"d{left}\", right = \"d{right}\" }}\noutputs = [\"d{index}\"]"
            )
            .unwrap();
        }
    }
    text
}

/// Runs a pipeline to its good end.
pub fn finish(daemon: &Daemon<'_>, pipeline: &str) -> RunSummary {
    finish_after(daemon, pipeline, Duration::ZERO)
}

/// Runs a pipeline to its good end, and looks away for as long as that is `expected` to take: who answers needs a processor that
/// the nodes would have. Gives it when its report is written, so that this is not done beside the next.
pub fn finish_after(daemon: &Daemon<'_>, pipeline: &str, expected: Duration) -> RunSummary {
    finish_submission(daemon, &daemon.submission(pipeline), expected)
}

fn finish_submission(daemon: &Daemon<'_>, submission: &Value, expected: Duration) -> RunSummary {
    let begun: RunSummary = daemon.post("/v1/runs", submission).expect(201).read();
    let id = begun.id;
    std::thread::sleep(expected);
    let summary = loop {
        std::thread::sleep(LOOK_INTERVAL);
        let list: RunList = daemon.get("/v1/runs?limit=1").expect(200).read();
        let newest = list.runs.into_iter().next().unwrap();
        assert!(newest.id == id, "{newest:#?} came after {id}");
        if newest.finished_us.is_some() {
            break newest;
        }
    };
    assert!(summary.state == RunState::Succeeded, "{summary:#?}");
    // The events of a run end when its report is on disk.
    daemon.get(&format!("/v1/runs/{id}/events?from={}", u64::MAX));
    summary
}

/// From a run's start to its end.
pub fn run_us(run: &RunSummary) -> f64 {
    span(run.started_us, run.finished_us).as_secs_f64() * 1e6
}

/// From one moment to another.
pub fn span(from_us: Option<i64>, to_us: Option<i64>) -> Duration {
    let (from, to) = (from_us.unwrap_or_default(), to_us.unwrap_or_default());
    Duration::from_micros(to.saturating_sub(from).max(0).unsigned_abs())
}
