//! Handing data to four consumers at once: how long it takes, and what all processes together take of memory.
#![forbid(unsafe_code)]

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tests::{Daemon, Scene};

use crate::figure::{Goal, Table};
use crate::nodes::{finish, span};

const REPETITIONS: usize = 5;
/// More where two medians are told apart that differ by less than what a wake-up more or less makes of one run.
const REPETITIONS_OF_SHORT: usize = 15;
const GIBIBYTE: u64 = 1 << 30;
const GIB: f64 = GIBIBYTE as f64;

/// Measures sizes from 1 KiB to 1 GiB, read by one byte and read whole.
pub fn measure(table: &mut Table, is_quick: bool) {
    let scene = Scene::with(&["faults"]).set("workers.count", 2).build();
    let daemon = scene.start();
    let sizes: &[u64] = if is_quick { &[1 << 10, 64 << 20, 1 << 30] } else { &[1 << 10, 1 << 20, 64 << 20, 1 << 30] };
    for (reader, what) in [("length", "one element each"), ("sum", "all of it")] {
        let mut least_us = 0.0;
        for &bytes in sizes {
            let pipeline = pipeline(bytes, reader);
            finish(&daemon, &pipeline);
            let repetitions = if reader == "length" { REPETITIONS_OF_SHORT } else { REPETITIONS };
            let samples: Vec<Duration> = (0..repetitions).map(|_| handed(&daemon, &pipeline)).collect();
            let note = "producer's end to the last consumer's end";
            let name = format!("four consumers reading {what}, bytes");
            table.add_times(&name, bytes, &samples, note);
            let median_us = median_us(&samples);
            match bytes {
                1_024 => least_us = median_us,
                GIBIBYTE if reader == "length" => {
                    let more = vec![median_us - least_us];
                    table.add(
                        "four consumers, 1 GiB against 1 KiB",
                        bytes,
                        more,
                        "µs",
                        "the difference of the medians",
                    );
                    table.goal(Goal::AtMost(50.0));
                }
                _ => {}
            }
        }
    }
    memory(table, &sizes[sizes.len() - 2..]);
}

/// What all processes take at most above what they took before the daemon had run anything.
fn memory(table: &mut Table, sizes: &[u64]) {
    for (reader, what) in [("length", "one element each"), ("sum", "all of it")] {
        for &bytes in sizes {
            let scene = Scene::with(&["faults"]).set("workers.count", 2).build();
            let daemon = scene.start();
            let pipeline = pipeline(bytes, reader);
            let idle = proportional_bytes(&daemon);
            let peaks = (0..REPETITIONS).map(|_| peak(&daemon, idle, || drop(finish(&daemon, &pipeline)))).collect();
            let name = format!("four consumers reading {what}: memory, bytes");
            table.add(&name, bytes, peaks, "GiB", "above idle, all processes together");
            table.goal(Goal::AtMost(1.05 * bytes as f64 / GIB));
        }
    }
}

fn median_us(samples: &[Duration]) -> f64 {
    let mut samples = samples.to_vec();
    samples.sort_unstable();
    samples.get(samples.len() / 2).map_or(0.0, |sample| sample.as_secs_f64() * 1e6)
}

fn pipeline(bytes: u64, reader: &str) -> String {
    let outputs = if reader == "length" { "[\"length{i}\", \"first{i}\"]" } else { "[\"sum{i}\"]" };
    format!(
        "name = \"sharing\"\nparameters = {{ bytes = {bytes} }}\n\
         [[node]]\nname = \"make\"\ncall = \"faults::big\"\ninputs = {{ bytes = \"params:bytes\" }}\noutputs = [\"data\"]\n\
         [[node]]\nname = \"read{{i}}\"\ncall = \"faults::{reader}\"\nmatrix = {{ i = [1, 2, 3, 4] }}\n\
         inputs = [\"data\"]\noutputs = {outputs}\n"
    )
}

fn handed(daemon: &Daemon<'_>, pipeline: &str) -> Duration {
    let run = daemon.run(&finish(daemon, pipeline).id);
    let made = run.nodes.iter().find(|node| node.name == "make").and_then(|node| node.finished_us);
    span(made, run.nodes.iter().filter_map(|node| node.finished_us).max())
}

/// The most memory above `idle`, in GiB, that the daemon's processes take while `work` is done. What several share is counted once.
fn peak(daemon: &Daemon<'_>, idle: u64, work: impl FnOnce()) -> f64 {
    let is_over = AtomicBool::new(false);
    let highest = std::thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let mut highest = idle;
            while !is_over.load(Ordering::Relaxed) {
                highest = highest.max(proportional_bytes(daemon));
                std::thread::sleep(Duration::from_millis(2));
            }
            highest
        });
        work();
        is_over.store(true, Ordering::Relaxed);
        looking.join().unwrap()
    });
    (highest - idle) as f64 / GIB
}

fn proportional_bytes(daemon: &Daemon<'_>) -> u64 {
    daemon.processes().iter().map(|process| proportional_kib(process.pid) * 1024).sum()
}

/// A process's memory, of what it shares its part.
fn proportional_kib(pid: i32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
