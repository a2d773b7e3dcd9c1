//! What dagd costs, measured: prints a table and writes it as JSON. `make bench` builds what it needs, in release.
//!
//! Each figure is the median and the worst of several samples, beside the floor it is compared with, which was measured in the same
//! run: the ratio is what another machine would show. `QUICK=1` leaves out the largest sizes; `BASE=file.json` shows the change
//! against the figures of an earlier run.

#![allow(clippy::unwrap_used, reason = "a bench that cannot measure ends")]

mod data;
mod demonstration;
mod figure;
mod floors;
mod latency;
mod nodes;

use std::path::PathBuf;
use std::process::ExitCode;

use figure::Table;

fn main() -> ExitCode {
    let file =
        std::env::args_os().nth(1).map_or_else(|| tests::artifacts::products().join("bench.json"), PathBuf::from);
    let given = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let is_quick = given("QUICK").is_some();
    let base = given("BASE").map(PathBuf::from);
    let mut table = Table::new(base.as_deref());
    // First, while this process has one thread and little memory.
    floors::measure(&mut table, is_quick);
    nodes::measure(&mut table, is_quick);
    latency::measure(&mut table, is_quick);
    data::measure(&mut table, is_quick);
    demonstration::measure(&mut table);
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
