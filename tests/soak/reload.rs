//! Reloads under load, at length: see `tests::reloads`. The last line on standard output is the result.
//!
//! `soak-reload [RELOADS BROKEN]`; without arguments 200 and 40. The exit code is 1 if anything went wrong.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use tests::reloads::Soak;

/// What the server's memory may differ by: noise of the allocator is well below, a leak of one library's size is above.
const DRIFT_MAX_PERCENT: f64 = 5.0;

fn main() -> ExitCode {
    let numbers: Vec<usize> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let (reloads, broken) = match numbers[..] {
        [reloads, broken] => (reloads, broken),
        _ => (200, 40),
    };
    let tally = Soak { reloads, broken, load_timeout_ms: 1500, runs_before: 2000 }.run(|line| println!("{line}"));
    for reason in tally.reasons.iter().take(5) {
        println!("{reason}");
    }
    println!("descriptors more than at first: {}, threads more: {}", tally.leaked_files, tally.leaked_threads);
    println!("{tally}");
    let wrong = tally.failed + tally.mixed + tally.leaked_processes;
    if wrong == 0 && tally.rss_drift_percent <= DRIFT_MAX_PERCENT { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
