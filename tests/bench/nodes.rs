//! What a node costs that does nothing: an integer in, an integer out, in graphs of several shapes and sizes; and what two
//! workers make of nodes that do much.
#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::time::Duration;

use protocol::{RunState, RunSummary};
use tests::{Daemon, Scene};

use crate::figure::{Goal, Table};
use crate::floors::WAKE;

const REPETITIONS: usize = 5;
/// Rounds of arithmetic that take about a second.
const LONG_ROUNDS: u64 = 400_000_000;

/// Measures all of it on one daemon with two workers.
pub fn measure(table: &mut Table, is_quick: bool) {
    let scene = Scene::with(&["faults"]).set("workers.count", 2).build();
    let daemon = scene.start();
    // Nobody knows at first how long a node takes.
    finish(&daemon, &independent(1_000));
    let sizes: &[u64] = if is_quick { &[1, 1_000, 10_000] } else { &[1, 100, 1_000, 10_000, 100_000, 1_000_000] };
    for &n in sizes {
        let goal = (n >= 10_000).then_some(1.0 / 100.0);
        shape(table, &daemon, "independent nodes", n, &independent(n), goal);
    }
    let sizes: &[u64] = if is_quick { &[1_000, 10_000] } else { &[100, 1_000, 10_000, 100_000] };
    for &n in sizes {
        shape(table, &daemon, "a chain", n, &chain(n), (n >= 1_000).then_some(1.0 / 70.0));
    }
    let sizes: &[u64] = if is_quick { &[10_000] } else { &[1_000, 10_000, 100_000] };
    for &n in sizes {
        shape(table, &daemon, "fan-out from one", n, &fan_out(n), None);
        shape(table, &daemon, "random layers, two inputs", n, &layered(n), Some(1.0 / 50.0));
    }
    busy(table, &daemon, is_quick);
}

fn shape(table: &mut Table, daemon: &Daemon<'_>, name: &str, n: u64, pipeline: &str, goal: Option<f64>) {
    let repetitions = if n >= 1_000_000 { 3 } else { REPETITIONS };
    let samples: Vec<f64> = (0..repetitions).map(|_| run_us(&finish(daemon, pipeline)) / n as f64).collect();
    table.add(name, n, samples, "µs", "a node, from the run's start to its end");
    if let Some(goal) = goal {
        table.against(WAKE, Goal::AtMost(goal));
    }
}

/// Two long nodes on two workers, and a long one beside a thousand short ones.
fn busy(table: &mut Table, daemon: &Daemon<'_>, is_quick: bool) {
    let rounds = if is_quick { LONG_ROUNDS / 4 } else { LONG_ROUNDS };
    let repetitions = if is_quick { 3 } else { REPETITIONS };
    let times = |long: u64, short: u64| -> Vec<f64> {
        let pipeline = format!(
            "name = \"busy\"\nparameters = {{ long = {rounds}, short = {} }}\n{}{}",
            rounds / 1_000,
            busy_nodes("long", long),
            busy_nodes("short", short)
        );
        (0..repetitions).map(|_| run_us(&finish(daemon, &pipeline))).collect()
    };
    table.add(ONE_LONG, 1, times(1, 0), "µs", "arithmetic, about a second");
    let two = times(2, 0).iter().map(|two| 2.0 * table.value(ONE_LONG) / two).collect();
    table.add("two long nodes: speed-up", 2, two, "×", "two workers");
    table.goal(Goal::AtLeast(1.95));
    table.add(
        "one long node beside short ones",
        1_001,
        times(1, 1_000),
        "µs",
        "as much work in the short ones as in the long one",
    );
    table.against(ONE_LONG, Goal::AtMost(1.05));
}

const ONE_LONG: &str = "one long node";

fn busy_nodes(name: &str, count: u64) -> String {
    if count == 0 {
        return String::new();
    }
    format!(
        "[[node]]\nname = \"{name}{{i}}\"\ncall = \"faults::busy\"\nmatrix = {{ i = [{}] }}\n\
         inputs = {{ rounds = \"params:{name}\" }}\noutputs = [\"{name}{{i}}\"]\n",
        numbers(count)
    )
}

fn numbers(n: u64) -> String {
    (0..n).map(|number| number.to_string()).collect::<Vec<_>>().join(",")
}

/// Nodes that wait for nothing.
pub fn independent(n: u64) -> String {
    format!(
        "name = \"wide\"\n[[node]]\nname = \"n{{i}}\"\ncall = \"faults::noop\"\nmatrix = {{ i = [{}] }}\noutputs = [\"d{{i}}\"]\n",
        numbers(n)
    )
}

fn fan_out(n: u64) -> String {
    format!(
        "name = \"fan\"\n[[node]]\nname = \"one\"\ncall = \"faults::noop\"\noutputs = [\"d\"]\n\
         [[node]]\nname = \"n{{i}}\"\ncall = \"faults::noop\"\nmatrix = {{ i = [{}] }}\ninputs = [\"d\"]\noutputs = [\"d{{i}}\"]\n",
        numbers(n)
    )
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
    let summary = daemon.wait_while_it_goes_on(&daemon.begin(pipeline));
    assert!(summary.state == RunState::Succeeded, "{summary:#?}");
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
