//! How long one small run takes from the question to the answer; many at once; and what a daemon costs that has nothing to do.
#![forbid(unsafe_code)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use serde_json::Value;
use tests::{Daemon, Scene, processes};

use crate::figure::{Goal, Table};
use crate::floors::WAKE;

const ONE_NODE: &str = "name = \"one\"\n[[node]]\nname = \"n\"\ncall = \"faults::noop\"\noutputs = [\"d\"]\n";

/// Name of the floor: bringing a few pages to the disk.
const DISK: &str = "D";

/// How a client asks for one run.
#[derive(Clone, Copy)]
enum Way {
    /// It is told of the end and of nothing before: `POST /v1/runs?wait=true`.
    OneRequest,
    /// It is told that the run is accepted, and then follows its events to the end.
    TwoRequests,
}

/// Measures all of it on one daemon.
pub fn measure(table: &mut Table, is_quick: bool) {
    let scene = Scene::with(&["faults"]).set("workers.count", 2).build();
    let daemon = scene.start();
    // Fewer would make the worst of them the 99th in a hundred.
    let rounds = if is_quick { 300 } else { 1_000 };
    table.add_times(DISK, 1, &syncs(&scene, rounds), "32 KiB of a file beside the store's, and on the disk");
    for (way, name, note) in [
        (Way::OneRequest, "one request", "submit and wait for the report: it waits for one D"),
        (Way::TwoRequests, "two requests", "submit, and follow to the end: it waits for two D"),
    ] {
        let samples = kept_alive(&scene, &daemon, rounds, way);
        let name = format!("one-node submit to result, kept-alive connection, {name}");
        table.add_times(&format!("{name}, p50"), 1, &samples, note);
        table.against(WAKE, Goal::AtMost(5.0));
        table.add_times(&format!("{name}, p99"), 1, &[percentile(&samples, 99)], "");
        table.against(WAKE, Goal::AtMost(30.0));
    }
    in_memory(table, rounds);
    let file = scene.write("one.toml", ONE_NODE);
    let samples: Vec<Duration> = (0..if is_quick { 5 } else { 15 })
        .map(|_| time(|| drop(daemon.ctl(["submit".as_ref(), file.as_os_str(), "--quiet".as_ref()]).expect_success())))
        .collect();
    let prints: Vec<Duration> = (0..9).map(|_| time(|| drop(daemon.ctl(["--version"]).expect_success()))).collect();
    table.add_times("a process that prints and exits", 1, &prints, "`ctl --version`");
    table.add_times("one-node submit to result, `ctl` as a process", 1, &samples, "");
    table.against("a process that prints and exits", Goal::AtMost(8.0));

    let count = if is_quick { 200 } else { 1_000 };
    let started = Instant::now();
    let mut each: Vec<Duration> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..16).map(|_| scope.spawn(|| kept_alive(&scene, &daemon, count / 16, Way::TwoRequests))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let all = started.elapsed();
    each.sort_unstable();
    table.add("submits from 16 clients", count as u64, vec![each.len() as f64 / all.as_secs_f64()], "a second", "");
    table.add_times("submits from 16 clients, p99", count as u64, &[percentile(&each, 99)], "");
    idle(table, &daemon, is_quick);
}

/// How long the disk takes to have as much as a short run has written: before its end is told it must.
fn syncs(scene: &Scene, rounds: usize) -> Vec<Duration> {
    const BYTES: usize = 32 << 10;
    let file = std::fs::File::create(scene.write("sync", "")).unwrap();
    // As the store's log: written again and again in place.
    file.write_all_at(&vec![0; BYTES * rounds], 0).unwrap();
    file.sync_all().unwrap();
    let sync = |round: usize| {
        file.write_all_at(&[b'x'; BYTES], (round * BYTES) as u64).unwrap();
        file.sync_data().unwrap();
    };
    (0..rounds).map(|round| time(|| sync(round))).collect()
}

/// The same where the store's disk is memory: what of it is the daemon's.
fn in_memory(table: &mut Table, rounds: usize) {
    let Ok(folder) = tempfile::tempdir_in("/dev/shm") else { return };
    let state = format!("{:?}", folder.path().join("state"));
    let scene = Scene::with(&["faults"]).set("workers.count", 2).set("server.state_directory", state).build();
    let daemon = scene.start();
    let samples = kept_alive(&scene, &daemon, rounds, Way::OneRequest);
    let note = "one request, without waiting for a disk";
    table.add_times("one-node submit to result, store in memory, p50", 1, &samples, note);
    table.against(WAKE, Goal::AtMost(5.0));
    daemon.stop();
}

fn time(step: impl FnOnce()) -> Duration {
    let start = Instant::now();
    step();
    start.elapsed()
}

fn percentile(samples: &[Duration], percent: usize) -> Duration {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable();
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

/// Runs of one node over one connection, each from its submission to its end.
fn kept_alive(scene: &Scene, daemon: &Daemon<'_>, rounds: usize, way: Way) -> Vec<Duration> {
    let body = daemon.submission(ONE_NODE).to_string();
    let mut connection = Connection::open(scene);
    let mut round = || match way {
        Way::OneRequest => {
            let answer = connection.ask("POST", "/v1/runs?wait=true", &body);
            assert_eq!(answer["state"], "succeeded", "{answer}");
        }
        Way::TwoRequests => {
            let answer = connection.ask("POST", "/v1/runs", &body);
            let id = answer["id"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
            connection.follow(&format!("/v1/runs/{id}/events"));
        }
    };
    round();
    (0..rounds).map(|_| time(&mut round)).collect()
}

/// One connection, used again and again.
struct Connection(BufReader<UnixStream>);

impl Connection {
    fn open(scene: &Scene) -> Connection {
        Connection(BufReader::new(UnixStream::connect(scene.socket()).unwrap()))
    }

    fn ask(&mut self, method: &str, target: &str, body: &str) -> Value {
        self.send(method, target, body);
        let length: usize = self.head("content-length").unwrap().parse().unwrap();
        let mut text = vec![0; length];
        self.0.read_exact(&mut text).unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    /// Reads a stream of events to its end: chunks, the last of which is empty.
    fn follow(&mut self, target: &str) {
        self.send("GET", target, "");
        self.head("transfer-encoding");
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).unwrap();
            let length = usize::from_str_radix(line.trim(), 16).unwrap_or_else(|_| panic!("a chunk: {line:?}"));
            let mut chunk = vec![0; length + 2];
            self.0.read_exact(&mut chunk).unwrap();
            if length == 0 {
                return;
            }
        }
    }

    fn send(&mut self, method: &str, target: &str, body: &str) {
        let head = format!(
            "{method} {target} HTTP/1.1\r\nhost: dagd\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        self.0.get_mut().write_all((head + body).as_bytes()).unwrap();
    }

    /// Reads the head of an answer; one of its fields.
    fn head(&mut self, field: &str) -> Option<String> {
        let (mut found, mut is_first) = (None, true);
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).unwrap();
            if is_first {
                assert!(line.contains(" 2"), "{line}");
                is_first = false;
            }
            let line = line.trim();
            if line.is_empty() {
                return found;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case(field)
            {
                found = Some(value.trim().to_owned());
            }
        }
    }
}

/// A daemon with nothing to do: processor time, wake-ups, memory.
fn idle(table: &mut Table, daemon: &Daemon<'_>, is_quick: bool) {
    let seconds = if is_quick { 5 } else { 60 };
    // What the runs before left to be done.
    std::thread::sleep(Duration::from_secs(2));
    let before = daemon.processes().iter().map(|process| Usage::of(process.pid)).fold(Usage::default(), Usage::plus);
    std::thread::sleep(Duration::from_secs(seconds));
    let after = daemon.processes().iter().map(|process| Usage::of(process.pid)).fold(Usage::default(), Usage::plus);
    table.add("idle: processor time", seconds, vec![(after.ticks - before.ticks) as f64 * 10.0], "ms", "all processes");
    let switches = after.switches.saturating_sub(before.switches) as f64;
    table.add("idle: wake-ups", seconds, vec![switches], "switches", "all threads of all processes");
    let resident = processes::resident_kib(daemon.pid()) as f64 / 1024.0;
    table.add("idle: resident memory of the server", 1, vec![resident], "MiB", "");
    table.goal(Goal::AtMost(15.0));
    for worker in daemon.status().workers {
        let private = private_kib(worker.pid.cast_signed()) as f64 / 1024.0;
        table.add("idle: private memory of a worker", u64::from(worker.number), vec![private], "MiB", "");
        table.goal(Goal::AtMost(3.0));
    }
}

#[derive(Default)]
struct Usage {
    ticks: u64,
    switches: u64,
}

impl Usage {
    fn of(pid: i32) -> Usage {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let number = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
        let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let switches = threads
            .filter_map(|thread| std::fs::read_to_string(thread.path().join("status")).ok())
            .flat_map(|status| status.lines().map(str::to_owned).collect::<Vec<_>>())
            .filter(|line| line.starts_with("voluntary_ctxt_switches"))
            .filter_map(|line| line.split_whitespace().last()?.parse::<u64>().ok())
            .sum();
        Usage { ticks: number(11) + number(12), switches }
    }

    fn plus(self, other: Usage) -> Usage {
        Usage { ticks: self.ticks + other.ticks, switches: self.switches + other.switches }
    }
}

/// Memory that a process shares with nobody.
pub fn private_kib(pid: i32) -> u64 {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let private = rollup.lines().filter(|line| line.starts_with("Private_"));
    private.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum()
}
