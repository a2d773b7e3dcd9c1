//! Random load: several clients submit pipelines drawn by chance, cancel some, and kill workers; every run is held against a model of
//! what must come of it, and at the end nothing may be left.
//!
//! [`pipeline`] draws, [`client`] submits and disturbs, [`watch`] judges a run by its events and its report. All that is left to
//! chance comes from one seed; what the machine makes of it (which node a killed worker is at) differs from time to time, so
//! the model says what may be, given what is told to have failed, and not what will be.

mod client;
mod pipeline;
mod watch;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use protocol::{BlockHolder, BlockList, RunState};

use crate::daemon::Daemon;
use crate::draw::Draw;
use crate::scene::Scene;
use crate::{processes, wait};
use client::{Client, Judged};
use watch::{End, Told};

/// How long what is left behind may take to go. Not reached unless something stays.
const SETTLING: Duration = Duration::from_secs(60);

/// So many bytes of outputs that nobody asked for are kept: the least that can be set.
const OUTPUTS_BYTES: u64 = 1;

/// What load, on what daemon.
#[derive(Clone, Copy, Debug)]
pub struct RandomLoad {
    /// `fork` or `spawn`.
    pub start_method: &'static str,
    /// How many workers.
    pub workers: u64,
    /// How many clients.
    pub clients: u64,
    /// How many runs each of them submits.
    pub runs: u64,
    /// Whether workers are killed.
    pub has_kills: bool,
    /// Whether a hook hears of everything.
    pub has_hooks: bool,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Tally {
    /// Runs by their ends.
    pub runs: BTreeMap<&'static str, usize>,
    /// Workers that were killed.
    pub kills: u64,
    /// What is wrong.
    pub wrong: Vec<String>,
}

impl Tally {
    /// How many runs ended so.
    pub fn count(&self, state: RunState) -> usize {
        self.runs.get(state.as_str()).copied().unwrap_or(0)
    }

    /// Takes in what came of another load.
    pub fn add(&mut self, other: Tally) {
        other.runs.into_iter().for_each(|(state, count)| *self.runs.entry(state).or_default() += count);
        self.kills += other.kills;
        self.wrong.extend(other.wrong);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (state, count) in &self.runs {
            write!(f, "{state}={count} ")?;
        }
        write!(f, "kills={} wrong={}", self.kills, self.wrong.len())
    }
}

impl RandomLoad {
    /// One of any kind.
    pub fn draw(draw: &mut Draw) -> RandomLoad {
        RandomLoad {
            start_method: draw.pick(&["fork", "spawn"]),
            workers: 1 + draw.below(4),
            clients: 2 + draw.below(4),
            runs: 10 + draw.below(20),
            has_kills: draw.chance(50),
            has_hooks: draw.chance(40),
        }
    }

    /// Does it, on a daemon of its own.
    #[track_caller]
    pub fn run(&self, draw: &mut Draw) -> Tally {
        let scene = self.scene();
        let mut daemon = scene.start();
        // What comes with the first run stays.
        daemon.expect_healthy();
        let files = open_files(&daemon);
        let mut tally = Tally::default();
        let judged = self.load(&scene, &daemon, draw, &mut tally);
        tally.wrong.extend(judged.iter().filter_map(|judged| judged.wrong.clone()));
        let killed: u64 = judged.iter().map(|judged| judged.kills).sum();
        if killed > tally.kills {
            tally.wrong.push(format!("{killed} attempts, loads and saves ended with {} killed workers", tally.kills));
        }
        for judged in &judged {
            *tally.runs.entry(judged.state.as_str()).or_default() += 1;
        }
        if self.has_hooks {
            tally.wrong.extend(check_heard(&scene, &judged));
        }
        // It still works; and what was fetched goes when a run leaves something that there is no room for.
        daemon.expect_healthy();
        tally.wrong.extend(self.leftovers(&daemon, &files));
        let log = daemon.log();
        let complaints = log.lines().filter(|line| line.contains(" ERROR ") || line.contains("' panicked at"));
        tally.wrong.extend(complaints.take(5).map(|line| format!("the daemon's log says: {line}")));
        if !daemon.stop().success() {
            tally.wrong.push("the daemon did not end well".to_owned());
        }
        tally
    }

    fn scene(&self) -> Scene {
        let mut builder = Scene::with(&["faults", "formats", "hook_faults"])
            .set("workers.start_method", format!("{:?}", self.start_method))
            .set("workers.count", self.workers)
            // Outputs stay for those who asked for them, so that in the end there are none.
            .set("runs.keep_outputs_bytes", OUTPUTS_BYTES)
            .set("blocks.spare_keep_seconds", 1)
            .set("hooks.disabled_plugins", "[\"hook_faults\"]");
        if self.has_hooks {
            builder = builder.set("hooks.enabled", "[\"hook_faults::Recorder\"]");
        }
        let scene = builder.build();
        if self.has_hooks {
            let options = format!("{{ file = {:?} }}", scene.path("heard"));
            scene.configure_more("hooks.settings.\"hook_faults::Recorder\".options", &options);
        }
        scene.write("given.json", pipeline::GIVEN.to_string());
        scene
    }

    fn load(&self, scene: &Scene, daemon: &Daemon<'_>, draw: &mut Draw, tally: &mut Tally) -> Vec<Judged> {
        let kills = AtomicU64::new(0);
        let clients: Vec<Client<'_>> = (0..self.clients)
            .map(|_| Client { scene, daemon, draw: draw.split(), has_kills: self.has_kills, kills: &kills })
            .collect();
        let judged = std::thread::scope(|scope| {
            let mut threads = Vec::new();
            for (number, mut client) in clients.into_iter().enumerate() {
                let names = (0..self.runs).map(move |run| format!("c{number}r{run}"));
                threads.push(scope.spawn(move || names.map(|name| client.run(&name)).collect::<Vec<_>>()));
            }
            threads.into_iter().flat_map(|thread| thread.join().expect("a client came to its end")).collect()
        });
        tally.kills = kills.into_inner();
        judged
    }

    /// What of the load is still there though nothing goes on.
    fn leftovers(&self, daemon: &Daemon<'_>, files: &[PathBuf]) -> Vec<String> {
        // The server, the zygote, the workers, and who calls the hooks.
        let needed = 2 + self.workers as usize + usize::from(self.has_hooks);
        let look = || {
            let mut left = Vec::new();
            let status = daemon.status();
            let list: BlockList = daemon.get("/v1/datasets").expect(200).read();
            let outputs = list.blocks.iter().filter(|block| block.holder == BlockHolder::Output);
            let runs = status.runs.queued + status.runs.running;
            let busy = status.workers.iter().filter(|worker| worker.state != "idle").count();
            let found = daemon.processes().len();
            let open = open_files(daemon);
            let mut expect = |holds: bool, text: String| (!holds).then(|| left.push(text));
            expect(runs == 0, format!("{runs} runs are under way"));
            expect(busy == 0, format!("{busy} workers are busy: {:?}", status.workers));
            expect(
                status.workers.len() == self.workers as usize,
                format!("there are {} workers", status.workers.len()),
            );
            // Outputs that are no longer than that may be there; nothing else.
            expect(status.blocks.count == outputs.count() as u64, format!("{} blocks are held", status.blocks.count));
            let bytes = status.blocks.bytes + status.blocks.spare_bytes;
            expect(bytes <= OUTPUTS_BYTES, format!("{bytes} bytes of the budget are used: {:?}", status.blocks));
            expect(found == needed, format!("{found} processes instead of {needed}: {:?}", daemon.processes()));
            expect(open.len() <= files.len(), format!("open is {open:?}\n  and was {files:?}"));
            left
        };
        match wait::within(SETTLING, || look().is_empty().then_some(())) {
            Some(()) => Vec::new(),
            None => look(),
        }
    }
}

/// What the server has open, but for the store: each that reads it at the same time as others has a connection, which is kept.
fn open_files(daemon: &Daemon<'_>) -> Vec<PathBuf> {
    let mut targets = processes::open_targets(daemon.pid());
    targets.retain(|target| !target.to_string_lossy().contains("dagd.sqlite"));
    targets
}

/// Whether the hook heard of each attempt once, before and after.
fn check_heard(scene: &Scene, judged: &[Judged]) -> Vec<String> {
    let text = fs::read_to_string(scene.path("heard")).unwrap_or_default();
    let mut heard = BTreeMap::<&str, Vec<&str>>::new();
    for line in text.lines().filter(|line| line.contains("_node_")) {
        let words: Vec<&str> = line.split(' ').collect();
        if let [_, _, event, node] = words[..] {
            heard.entry(node).or_default().push(event);
        }
    }
    let nodes = judged.iter().flat_map(|judged| &judged.nodes);
    nodes
        .filter_map(|(node, told)| {
            let events = heard.get(node.as_str()).map_or(&[][..], Vec::as_slice);
            check_heard_of(events, *told)
                .err()
                .map(|wrong| format!("hooks heard of {node} {wrong}: {events:?}, {told:?}"))
        })
        .collect()
}

/// Each attempt is announced, and then ends well or badly. One that a kill or the end of the run kept from running may have been announced.
fn check_heard_of(events: &[&str], told: Told) -> Result<(), &'static str> {
    let count = |name: &str| events.iter().filter(|event| **event == name).count() as u32;
    let (before, after, errors) = (count("before_node_run"), count("after_node_run"), count("on_node_error"));
    let unsure = told.killed + u32::from(told.end == Some(End::Skipped));
    if before < told.starts.saturating_sub(told.killed) || before > told.starts + unsure {
        return Err("another number of times than it began");
    }
    let may_end_well = told.end == Some(End::Finished) || (told.end == Some(End::Skipped) && told.starts > told.failed);
    if after > 1 || (after == 0 && told.end == Some(End::Finished)) || (after == 1 && !may_end_well) {
        return Err("another number of good ends");
    }
    if errors < told.failed.saturating_sub(told.killed) || errors > told.failed + unsure {
        return Err("another number of bad ends");
    }
    if after > 0 && events.last() != Some(&"after_node_run") {
        return Err("after its end");
    }
    Ok(())
}
