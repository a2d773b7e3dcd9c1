//! Reloads under load: submits without pause while a plugin changes under them, and what went wrong is counted.

use std::fmt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use protocol::{GenerationInfo, GenerationState, PluginList, RunState, RunSummary};

use crate::daemon::Daemon;
use crate::scene::Scene;
use crate::versions::{self, Broken, Versions};
use crate::{http, processes, wait};

/// The two versions that take turns.
const VERSIONS: [&str; 2] = ["1.000", "2.000"];
/// Nodes of the pipeline, each of which says its version.
const NODES: usize = 4;
/// Workers of the daemon.
const WORKERS: usize = 2;
/// Clients that submit one run after the other.
const CLIENTS: usize = 2;
/// The memory of so many reloads is averaged, at the beginning and at the end.
const SAMPLES: usize = 50;

/// What is to be done.
#[derive(Clone, Copy, Debug)]
pub struct Soak {
    /// How many libraries are put in place.
    pub reloads: usize,
    /// How many of them are broken, evenly spread.
    pub broken: usize,
    /// How long loading may take: what the hanging ones cost.
    pub load_timeout_ms: u64,
    /// So many runs come before the first reload, so that what the server keeps of runs (the store's pages, the last few runs) is
    /// not taken for something that reloads leave behind.
    pub runs_before: usize,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Libraries put in place.
    pub reloads: usize,
    /// Those of them that were broken, and were refused.
    pub broken: usize,
    /// Runs that were submitted.
    pub runs: usize,
    /// Runs that were refused or did not succeed.
    pub failed: usize,
    /// Runs in which nodes came from different versions.
    pub mixed: usize,
    /// Processes of the daemon at the end beyond those it needs.
    pub leaked_processes: usize,
    /// Descriptors of the server at the end beyond those after the first reload.
    pub leaked_files: usize,
    /// Threads of the server at the end beyond those after the first reload.
    pub leaked_threads: usize,
    /// By how much the server's memory differs between the first and the last reloads.
    pub rss_drift_percent: f64,
    /// From the finished write to the start of the first node on the new code.
    pub to_first_node: Vec<Duration>,
    /// What the first failures were.
    pub reasons: Vec<String>,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut times = self.to_first_node.clone();
        times.sort_unstable();
        let milliseconds = |time: Option<&Duration>| time.map_or(0, Duration::as_millis);
        write!(
            f,
            "reloads={} broken={} runs={} failed={} mixed={} leaked_processes={} rss_drift_percent={:.1} to_first_node_ms={}/{}",
            self.reloads,
            self.broken,
            self.runs,
            self.failed,
            self.mixed,
            self.leaked_processes,
            self.rss_drift_percent,
            milliseconds(times.get(times.len() / 2)),
            milliseconds(times.last()),
        )
    }
}

/// What the clients have seen.
#[derive(Debug, Default)]
struct Seen {
    tally: Tally,
    /// Version and start, in microseconds since 1970, of the runs since the last change.
    runs: Vec<(String, u64)>,
    /// Descriptors and threads of the server after the first reload.
    files: usize,
    threads: usize,
}

impl Soak {
    /// Does it, on a daemon of its own that watches its plugin directory. `tell` hears of each reload.
    #[track_caller]
    pub fn run(&self, mut tell: impl FnMut(&str)) -> Tally {
        let scene = Scene::with(&[])
            .set("workers.count", WORKERS)
            .set("plugins.load_timeout_ms", self.load_timeout_ms)
            .set("runs.keep_count", 200)
            .build();
        let library = Versions::new(&scene);
        library.put(VERSIONS[0]);
        let daemon = scene.start();
        let (seen, over) = (Mutex::new(Seen::default()), AtomicBool::new(false));
        std::thread::scope(|scope| {
            for client in 0..CLIENTS {
                let (scene, daemon, seen, over) = (&scene, &daemon, &seen, &over);
                scope.spawn(move || {
                    for number in 0.. {
                        if over.load(Ordering::Relaxed) {
                            return;
                        }
                        let file = scene.work(&format!("report-{client}-{number}"));
                        submit(daemon, &scene.socket(), &file, seen);
                    }
                });
            }
            // Whatever happens, the clients end: or a panic here would wait for them.
            let ending = Ending(&over);
            wait::until_true("the first runs", || seen.lock().unwrap().tally.runs >= self.runs_before);
            self.reload(&daemon, &library, &seen, &mut tell);
            drop(ending);
        });
        let Seen { mut tally, files, threads, .. } = seen.into_inner().unwrap();
        // The server, the zygote, the workers; no plugin here has hooks.
        let needed = 2 + WORKERS;
        wait::within(Duration::from_secs(20), || (daemon.processes().len() <= needed).then_some(()));
        tally.leaked_processes = daemon.processes().len().saturating_sub(needed);
        let settled = || processes::open_files(daemon.pid()) <= files && processes::threads(daemon.pid()) <= threads;
        wait::within(Duration::from_secs(20), || settled().then_some(()));
        tally.leaked_files = processes::open_files(daemon.pid()).saturating_sub(files);
        tally.leaked_threads = processes::threads(daemon.pid()).saturating_sub(threads);
        tally
    }

    #[track_caller]
    fn reload(&self, daemon: &Daemon<'_>, library: &Versions, seen: &Mutex<Seen>, tell: &mut impl FnMut(&str)) {
        let every = self.reloads / self.broken.max(1);
        let (mut good, mut broken) = (0, 0);
        let mut memory_kib = Vec::new();
        let mut to_first_node = Vec::new();
        for number in 1..=self.reloads {
            if broken < self.broken && number % every == 0 {
                let how = Broken::ALL[broken % Broken::ALL.len()];
                let before = newest(daemon);
                library.spoil(how);
                broken += 1;
                let refused = wait::until(&format!("a library that is {how:?} to be refused"), || {
                    let all = generations(daemon);
                    all.into_iter().find(|info| info.state == GenerationState::Refused && info.number > before)
                });
                tell(&format!(
                    "{number}: {how:?}: {}",
                    refused.problems.first().map_or("", |problem| &problem.message)
                ));
            } else {
                good += 1;
                let version = VERSIONS[good % VERSIONS.len()];
                seen.lock().unwrap().runs.clear();
                library.put(version);
                let written_us = now_us();
                let first_us = wait::until(&format!("a run on version {version}"), || {
                    let seen = seen.lock().unwrap();
                    let mut new = seen.runs.iter().filter(|(ran, begun)| ran == version && *begun >= written_us);
                    new.next().map(|(_, begun)| *begun)
                });
                let taken = Duration::from_micros(first_us.saturating_sub(written_us));
                to_first_node.push(taken);
                tell(&format!("{number}: version {version} after {} ms", taken.as_millis()));
            }
            memory_kib.push(processes::resident_now_kib(daemon.pid()));
            if number == 1 {
                let mut seen = seen.lock().unwrap();
                seen.files = processes::open_files(daemon.pid());
                seen.threads = processes::threads(daemon.pid());
            }
        }
        let samples = SAMPLES.min(memory_kib.len() / 2).max(1);
        let mean = |part: &[u64]| part.iter().sum::<u64>() as f64 / part.len().max(1) as f64;
        let (first, last) = (mean(&memory_kib[..samples]), mean(&memory_kib[memory_kib.len() - samples..]));
        for (number, part) in memory_kib.chunks(samples).enumerate() {
            tell(&format!("memory of the server from reload {}: {:.0} KiB", number * samples + 1, mean(part)));
        }
        let tally = &mut seen.lock().unwrap().tally;
        tally.reloads = self.reloads;
        tally.broken = broken;
        tally.rss_drift_percent = (last - first) / first * 100.0;
        tally.to_first_node = to_first_node;
    }
}

/// Says that it is over when it goes away.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// One run, from its submit to its report.
fn submit(daemon: &Daemon<'_>, socket: &Path, file: &Path, seen: &Mutex<Seen>) {
    let outcome = ran(daemon, socket, file);
    let _ = std::fs::remove_file(file);
    let mut seen = seen.lock().unwrap();
    seen.tally.runs += 1;
    match outcome {
        Ok((begun, versions)) => {
            if versions.len() != NODES || versions.iter().any(|version| *version != versions[0]) {
                seen.tally.mixed += 1;
                seen.tally.reasons.push(format!("nodes of {versions:?} in one run"));
            }
            seen.runs.extend(versions.into_iter().next().map(|version| (version, begun)));
        }
        Err(reason) => {
            seen.tally.failed += 1;
            seen.tally.reasons.push(reason);
        }
    }
}

/// When its first node began, and the version of each.
fn ran(daemon: &Daemon<'_>, socket: &Path, file: &Path) -> Result<(u64, Vec<String>), String> {
    let submission = daemon.submission(&versions::pipeline(file));
    let answer =
        http::try_request(socket, "POST", "/v1/runs", Some(&submission)).map_err(|problem| problem.to_string())?;
    if answer.status != 201 {
        return Err(format!("{}\n{}", answer.head, String::from_utf8_lossy(&answer.body)));
    }
    let summary: RunSummary = answer.read();
    let run = daemon.wait(&summary.id);
    if run.summary.state != RunState::Succeeded {
        return Err(format!("run {} {}: {:?}", run.summary.id, run.summary.state, run.summary.cause));
    }
    let report = std::fs::read_to_string(file).map_err(|problem| problem.to_string())?;
    let mut lines = report.lines();
    let begun = lines.next().and_then(|line| line.parse().ok()).ok_or_else(|| format!("no time in {report:?}"))?;
    Ok((begun, lines.map(str::to_owned).collect()))
}

fn generations(daemon: &Daemon<'_>) -> Vec<GenerationInfo> {
    daemon.get("/v1/plugins").expect(200).read::<PluginList>().generations
}

fn newest(daemon: &Daemon<'_>) -> u64 {
    generations(daemon).iter().map(|info| info.number).max().unwrap_or(0)
}

fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
