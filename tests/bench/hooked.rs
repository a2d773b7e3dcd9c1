//! What hooks cost: nodes that do nothing, with a hook that hears of each before and after, and with one that hears of runs only.
#![forbid(unsafe_code)]

use tests::{Daemon, Scene, SceneBuilder};

use crate::figure::{Goal, Table};
use crate::floors::WAKE;
use crate::nodes::{chain, finish, independent, run_us};

const REPETITIONS: usize = 7;

/// Measures the same pipelines on three daemons, one after the other in turns, so that whatever else the machine does meets
/// all of them.
pub fn measure(table: &mut Table, is_quick: bool) {
    let scene = |plugins: &[&str]| -> SceneBuilder { Scene::with(plugins).set("workers.count", 2) };
    let off = scene(&["faults"]).build();
    let each = scene(&["faults", "hooks_c"]).build();
    let runs = scene(&["faults", "hook_faults"])
        .set("hooks.enabled", "[\"hook_faults::Distant\"]")
        .set("hooks.disabled_plugins", "[\"hook_faults\"]")
        .build();
    let daemons = [off.start(), each.start(), runs.start()];
    for daemon in &daemons {
        // Nobody knows at first how long a node takes, nor a hook.
        finish(daemon, &independent(1_000));
    }
    let sizes: &[u64] = if is_quick { &[1_000, 10_000] } else { &[1, 100, 1_000, 10_000, 100_000] };
    for &n in sizes {
        compare(table, &daemons, "independent nodes", n, &independent(n), n >= 1_000);
    }
    compare(table, &daemons, "a chain", 1_000, &chain(1_000), false);
}

/// Measures one pipeline on each daemon, and what the hooks add.
fn compare(table: &mut Table, daemons: &[Daemon<'_>; 3], shape: &str, n: u64, pipeline: &str, has_goal: bool) {
    let mut rounds: Vec<[f64; 3]> = Vec::new();
    for _ in 0..REPETITIONS {
        rounds.push(daemons.each_ref().map(|daemon| run_us(&finish(daemon, pipeline)) / n as f64));
    }
    let column = |place: usize| rounds.iter().map(|round| round[place]).collect::<Vec<f64>>();
    table.add(&format!("{shape}, no hooks"), n, column(0), "µs", "a node");
    let more = rounds.iter().map(|[off, each, _]| (each - off).max(0.0)).collect();
    table.add(&format!("{shape}, a blocking hook on both events"), n, more, "µs", "more a node");
    if has_goal {
        table.against(WAKE, Goal::AtMost(1.0 / 7.0));
    }
    let times = rounds.iter().map(|[off, _, runs]| runs / off).collect();
    table.add(&format!("{shape}, a hook that hears of runs only"), n, times, "×", "against no hooks");
    if has_goal {
        table.goal(Goal::AtMost(1.05));
    }
}
