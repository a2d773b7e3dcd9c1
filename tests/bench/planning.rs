//! What planning costs: from a pipeline's text to a frozen plan, in a process of its own that does nothing else.
#![forbid(unsafe_code)]

use serde_json::Value;
use tests::{artifacts, command};

use crate::figure::{Goal, Table};

const SHAPES: [&str; 4] = ["independent", "chain", "layered", "matrix"];

/// Measures written-out pipelines of several shapes, and one node with a matrix, from a thousand nodes up.
pub fn measure(table: &mut Table, is_quick: bool) {
    let sizes: &[u64] = if is_quick { &[1_000, 100_000] } else { &[1_000, 10_000, 100_000, 1_000_000] };
    for shape in SHAPES {
        for &n in sizes {
            let name = format!("planning, {shape}");
            let found = plan(shape, n);
            let times = found["us"].as_array().into_iter().flatten().filter_map(Value::as_f64);
            table.add(&name, n, times.map(|us| us / n as f64).collect(), "µs", "a node: read, checked, frozen");
            table.goal(Goal::AtMost(2.0));
            let bytes = found["bytes"].as_f64().unwrap() / n as f64;
            table.add(&format!("{name}: memory"), n, vec![bytes], "bytes", "a node, at the peak, beside the text");
            table.goal(Goal::AtMost(600.0));
        }
    }
}

fn plan(shape: &str, n: u64) -> Value {
    let repetitions = (200_000 / n).clamp(5, 50).to_string();
    let mut program = std::process::Command::new(artifacts::product("planning"));
    command::run(program.args([shape, &n.to_string(), &repetitions])).expect_success().json()
}
