//! What dagd costs, measured: prints a table and writes it as JSON. `make bench` builds what it needs, in release.
//!
//! Figures are medians over several runs, the first dropped. Each is shown beside what the machine itself takes for the
//! step below it (a process, a message and its answer), measured in the same run: the ratio is what another machine would show.

#![allow(clippy::unwrap_used, reason = "a bench that cannot measure ends")]

mod figure;
mod floors;
mod runs;

use std::path::PathBuf;
use std::process::ExitCode;

use figure::Table;

fn main() -> ExitCode {
    let file =
        std::env::args_os().nth(1).map_or_else(|| tests::artifacts::products().join("bench.json"), PathBuf::from);
    let mut table = Table::new();
    // First, while this process has one thread and little memory.
    floors::measure(&mut table);
    runs::overhead(&mut table);
    runs::handover(&mut table);
    runs::demonstration(&mut table);
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
