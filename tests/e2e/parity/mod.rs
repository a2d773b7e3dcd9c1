//! What Kedro's users rely on, where it crosses processes: a test's name begins with its row. A module a topic.

mod catalog;
mod chunks;
mod credentials;
mod dataset_types;
mod hooks;
mod incremental;
mod inputs;
mod missing;
mod outputs;
mod partitions;
mod pipelines;
mod resident;
mod resume;
mod runner;
mod versions;

use std::fs;

/// What a process has resident at most beside files: memory of its own, and shared memory while it is mapped.
fn peak_kib(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let field = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim_start_matches(':').trim_end_matches("kB").trim().parse().unwrap()
    };
    field("VmHWM") - field("RssFile")
}
