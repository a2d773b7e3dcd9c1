//! What dagd costs, measured: prints a table and writes it as JSON. `make bench` builds what it needs, in release.
//!
//! Each figure is the median and the worst of several samples, beside the floor it is compared with, which was measured in the same
//! run: the ratio is what another machine would show. `QUICK=1` leaves out the largest sizes; `BASE=file.json` shows the change
//! against the figures of an earlier run; `ONLY=planning,data` measures some parts only.

#![allow(clippy::unwrap_used, reason = "a bench that cannot measure ends")]

mod busy;
mod data;
mod demonstration;
mod figure;
mod floors;
mod hooked;
mod latency;
mod nodes;
mod planning;
mod reloading;
mod sequential;
mod sharing;

use std::path::PathBuf;
use std::process::ExitCode;

use figure::Table;

/// Measures one thing; quickly, if asked to.
type Measure = fn(&mut Table, bool);

/// What is measured beside the floors, in this order.
const PARTS: [(&str, Measure); 10] = [
    ("planning", planning::measure),
    ("nodes", nodes::measure),
    ("busy", busy::measure),
    ("hooked", hooked::measure),
    ("latency", latency::measure),
    ("data", data::measure),
    ("sharing", sharing::measure),
    ("demonstration", |table, _| demonstration::measure(table)),
    ("sequential", |table, _| sequential::measure(table)),
    ("reloading", |table, _| reloading::measure(table)),
];

fn main() -> ExitCode {
    let file =
        std::env::args_os().nth(1).map_or_else(|| tests::artifacts::products().join("bench.json"), PathBuf::from);
    let given = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let is_quick = given("QUICK").is_some();
    let base = given("BASE").map(PathBuf::from);
    let mut table = Table::new(base.as_deref());
    // First, while this process has one thread and little memory.
    floors::measure(&mut table, is_quick);
    let only = std::env::var("ONLY").unwrap_or_default();
    for (part, measure) in PARTS {
        if only.is_empty() || only.split(',').any(|wanted| wanted == part) {
            measure(&mut table, is_quick);
        }
    }
    println!("{table}");
    match table.write(&file) {
        Ok(()) => {
            println!("written to {}", file.display());
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("cannot write {}: {problem}", file.display());
            ExitCode::FAILURE
        }
    }
}
