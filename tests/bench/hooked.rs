//! What hooks cost: nodes that do nothing, with a hook that hears of each before and after, and with one that hears of runs only.
#![forbid(unsafe_code)]

use tests::Scene;

use crate::figure::{Goal, Table};
use crate::floors::WAKE;
use crate::nodes::{finish, independent, run_us};

const REPETITIONS: usize = 5;
const OFF: &str = "a node without hooks";

/// Measures the same pipeline three times, each on a daemon of its own, and what the hooks add.
pub fn measure(table: &mut Table, is_quick: bool) {
    let n = if is_quick { 1_000 } else { 10_000 };
    let each = |plugins: &[&str]| -> Vec<f64> {
        let scene = Scene::with(plugins).set("workers.count", 2).build();
        let daemon = scene.start();
        finish(&daemon, &independent(n));
        (0..REPETITIONS).map(|_| run_us(&finish(&daemon, &independent(n))) / n as f64).collect()
    };
    table.add(OFF, n, each(&["faults"]), "µs", "independent nodes");
    let off = table.value(OFF);
    let more = each(&["faults", "hooks_c"]).into_iter().map(|us| (us - off).max(0.0)).collect();
    table.add("a blocking hook on every event of a node", n, more, "µs", "more a node; it hears both its events");
    table.against(WAKE, Goal::AtMost(1.0 / 7.0));
}
