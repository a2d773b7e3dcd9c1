//! Blocks: read where they were written, never changed once sealed, and gone with their holders.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::FileExt;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use protocol::RunState;
use serde_json::Value;
use tests::processes::{self, MemoryFile, Process};
use tests::{Daemon, Draw, Scene, wait};

use crate::pipelines::{Gate, single};

/// One producer, two consumers that wait for each other, so that they sit in two processes.
const SHARED: &str = r#"
    name = "shared"
    parameters = { folder = "FOLDER", count = 2 }
    [[node]]
    name = "producer"
    call = "faults::producer"
    outputs = { block = "block", report = "report_producer" }
    [[node]]
    name = "consumer_{who}"
    matrix = { who = ["ada", "grace"] }
    call = "faults::meeting_consumer"
    inputs = { block = "block", folder = "params:folder", count = "params:count" }
    outputs = ["report_{who}"]
    [catalog."report_{who}"]
    type = "json"
    path = "{who}.json"
"#;

#[test]
fn readers_read_the_very_pages_that_the_writer_wrote() {
    for start_method in ["fork", "spawn"] {
        let scene =
            Scene::with(&["faults", "formats"]).set("workers.start_method", format!("{start_method:?}")).build();
        scene.run(&SHARED.replace("FOLDER", scene.path("meeting").to_str().unwrap())).expect_success();
        let report = |who: &str| -> Value { serde_json::from_str(&scene.read(&format!("{who}.json"))).unwrap() };
        let (producer, ada, grace) = (report("producer"), report("ada"), report("grace"));
        assert!(producer["file"].as_str().unwrap().starts_with("/memfd:"), "{producer}");
        assert_eq!(ada["inode"], producer["inode"], "{start_method}: {ada} {producer}");
        assert_eq!(grace["inode"], producer["inode"], "{start_method}: {grace} {producer}");
        assert_ne!(ada["process"], grace["process"]);
        assert!(producer["permissions"].as_str().unwrap().starts_with("rw"), "{producer}");
        for reader in [&ada, &grace] {
            assert!(reader["permissions"].as_str().unwrap().starts_with("r-"), "a reader can write: {reader}");
        }
    }
}

/// A block that a waiting node holds until the gate opens.
fn held_block(gate: &Gate) -> String {
    format!(
        "name = \"held\"\n{}\n[[node]]\nname = \"producer\"\ncall = \"faults::producer\"\n\
         outputs = {{ block = \"block\", report = \"report\" }}\n\
         [[node]]\nname = \"holder\"\ncall = \"faults::holds\"\n\
         inputs = {{ block = \"block\", file = \"params:gate\" }}\noutputs = [\"length\"]\n",
        gate.parameters()
    )
}

#[test]
fn a_sealed_block_cannot_be_changed_by_anyone() {
    let scene = Scene::with(&["faults"]).build();
    let daemon = scene.start();
    let gate = Gate::new(&scene);
    let id = daemon.begin(&held_block(&gate));
    daemon.wait_until_running(&id, "holder");

    // A block that stays within its run can be written by its maker's first mapping, which has no right to by now.
    let all = SealFlag::F_SEAL_SEAL | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_FUTURE_WRITE;
    let mut tried = 0;
    for process in daemon.processes() {
        for file in blocks_of(&process) {
            let seals = SealFlag::from_bits_truncate(fcntl(&file, FcntlArg::F_GET_SEALS).unwrap());
            assert!(seals.contains(all), "{process:?} holds a block with no more than {seals:?}");
            let length = file.metadata().unwrap().len();
            let mut first = [0; 8];
            file.read_exact_at(&mut first, 0).unwrap();
            assert!(file.write_at(b"changed!", 0).is_err(), "written through {process:?}");
            assert!((&file).write_all(b"changed!").is_err(), "written through {process:?}");
            assert!(file.set_len(length + 1).is_err(), "grown through {process:?}");
            assert!(file.set_len(length - 1).is_err(), "shrunk through {process:?}");
            let mut again = [0; 8];
            file.read_exact_at(&mut again, 0).unwrap();
            assert_eq!(first, again);
            tried += 1;
        }
        let maps = fs::read_to_string(format!("/proc/{}/maps", process.pid)).unwrap();
        let writable = |line: &&str| line.contains("/memfd:dagd-block") && line.contains(" rw");
        assert_eq!(maps.lines().find(writable), None, "{process:?}");
    }
    assert!(tried > 0, "nobody holds the block: {:#?}", daemon.processes());
    gate.open();
    assert_eq!(daemon.wait(&id).summary.state, RunState::Succeeded);
}

/// The large sealed memory files of a process, opened anew for writing, as only its own user (or root) can.
fn blocks_of(process: &Process) -> Vec<File> {
    let entries = fs::read_dir(format!("/proc/{}/fd", process.pid)).into_iter().flatten().flatten();
    let memories = entries.filter(|entry| {
        fs::read_link(entry.path()).is_ok_and(|target| target.to_string_lossy().starts_with("/memfd:"))
    });
    let opened = memories.filter_map(|entry| File::options().read(true).write(true).open(entry.path()).ok());
    opened.filter(is_block).collect()
}

fn is_block(file: &File) -> bool {
    let mut magic = [0; 8];
    file.read_exact_at(&mut magic, 0).is_ok() && &magic == b"DAGDBLK1"
}

#[test]
fn a_block_is_released_with_its_last_reader() {
    let scene = Scene::with(&["faults"]).build();
    let daemon = scene.start();
    let gate = Gate::new(&scene);
    let id = daemon.begin(&held_block(&gate));
    daemon.wait_until_running(&id, "holder");
    assert!(daemon.status().blocks.bytes >= 256 << 10, "{:#?}", daemon.status().blocks);
    gate.open();
    daemon.wait(&id);
    wait::until_true("the block to be released", || daemon.status().blocks.bytes < 256 << 10);
    wait::until_true("its memory to be closed", || {
        daemon.processes().iter().all(|process| blocks_of(process).is_empty())
    });
}

#[test]
fn descriptors_do_not_pile_up() {
    let scene = Scene::with(&["faults"]).build();
    let daemon = scene.start();
    let run = || {
        let gate = Gate::new(&scene);
        gate.open();
        assert_eq!(daemon.wait(&daemon.begin(&held_block(&gate))).summary.state, RunState::Succeeded);
    };
    let open = || daemon.processes().iter().map(|process| processes::open_files(process.pid)).sum::<usize>();
    run();
    let before = open();
    for _ in 0..20 {
        run();
    }
    // A few may be open at any moment (a connection, a block about to be dropped); twenty would be one a run.
    wait::until_true("descriptors to be closed", || open() < before + 10);
}

#[test]
fn a_worker_holds_no_descriptor_but_its_own() {
    let scene = Scene::with(&["faults", "formats"]).build();
    let daemon = scene.start();
    let gate = Gate::new(&scene);
    let id = daemon.begin(&gate.pipeline());
    daemon.wait_until_running(&id, "waits");
    for worker in daemon.status().workers {
        let mut held = BTreeMap::<String, usize>::new();
        for entry in fs::read_dir(format!("/proc/{}/fd", worker.pid)).unwrap().flatten() {
            let target = fs::read_link(entry.path()).unwrap().to_string_lossy().into_owned();
            let kind = target.split([':', ' ']).next().unwrap_or_default().to_owned();
            *held.entry(kind).or_default() += 1;
        }
        // Nothing to read from, its channel, the pipe of what it prints (twice), its page, its driver's bell; no listening
        // socket, no store.
        let own = BTreeMap::from([("/dev/null", 1), ("/memfd", 1), ("pipe", 2), ("socket", 1), ("anon_inode", 1)]);
        let most = |kind: &str| own.get(kind).copied().unwrap_or(0);
        assert!(held.iter().all(|(kind, count)| *count <= most(kind)), "worker {} holds {held:?}", worker.number);
    }
    gate.open();
    daemon.wait(&id);
}

/// Which process is killed.
#[derive(Clone, Copy, Debug)]
pub enum Victim {
    Server,
    Zygote,
    Worker,
    HookHost,
}

impl Victim {
    /// The process to kill; `which` chooses among workers.
    pub fn find(self, daemon: &Daemon<'_>, which: usize) -> Option<i32> {
        let processes = daemon.processes();
        let status = daemon.status();
        let workers: Vec<i32> =
            status.workers.iter().map(|worker| worker.pid.cast_signed()).filter(|pid| *pid > 0).collect();
        let child_of = |parent: i32| processes.iter().filter(move |process| process.parent == parent);
        let zygote = child_of(daemon.pid()).next()?.pid;
        match self {
            Victim::Server => Some(daemon.pid()),
            Victim::Zygote => Some(zygote),
            Victim::Worker => workers.get(which % workers.len().max(1)).copied(),
            Victim::HookHost => child_of(zygote).map(|process| process.pid).find(|pid| !workers.contains(pid)),
        }
    }
}

/// Blocks made and read all the time; at the gate a node waits, so that the run is not over before the kill.
const BUSY: &str = r#"
    name = "busy"
    parameters = { bytes = 300000, gate = "GATE" }
    [[node]]
    name = "make_{i}"
    matrix = { i = [NUMBERS] }
    call = "faults::big"
    inputs = { bytes = "params:bytes" }
    outputs = ["block_{i}"]
    [[node]]
    name = "read_{i}"
    matrix = { i = [NUMBERS] }
    call = "faults::length"
    inputs = ["block_{i}"]
    outputs = { length = "length_{i}", first = "first_{i}" }
"#;

#[test]
fn killing_the_server_leaves_nothing() {
    check_kills(Victim::Server, 4);
}

#[test]
fn killing_the_zygote_leaves_nothing() {
    check_kills(Victim::Zygote, 2);
}

#[test]
fn killing_a_worker_leaves_nothing() {
    check_kills(Victim::Worker, 2);
}

#[test]
fn killing_the_hook_host_leaves_nothing() {
    check_kills(Victim::HookHost, 2);
}

/// Kills so many times, each when a drawn number of nodes is done.
#[track_caller]
fn check_kills(victim: Victim, times: usize) {
    let mut draw = Draw::new();
    for _ in 0..times {
        let (moment, which) = (draw.below(400), draw.below(1000));
        let what = format!("{victim:?} killed after {moment} nodes ({draw})");
        eprintln!("{what}"); // Shown when the test fails, whatever failed.
        check_kill(victim, moment, usize::try_from(which).unwrap(), &what);
    }
}

#[track_caller]
fn check_kill(victim: Victim, moment: u64, which: usize, what: &str) {
    // One worker may be at the gate; the others are at work.
    let scene = Scene::with(&["faults", "hook_faults"])
        .set("workers.count", 3)
        .set("hooks.enabled", "[\"hook_faults::Recorder\"]")
        .build();
    let mut daemon = scene.start();
    let gate = Gate::new(&scene);
    let numbers: Vec<String> = (0..300).map(|number| number.to_string()).collect();
    let busy = BUSY.replace("NUMBERS", &numbers.join(",")).replace("\"GATE\"", &gate.value());
    let id = daemon.begin(&format!("{busy}{}", gate.node("waits")));
    let (pid, memories) = wait::until("the moment to kill", || {
        let run = daemon.run(&id);
        assert!(run.summary.finished_us.is_none(), "over before {what}: {:#?}", run.summary);
        if run.summary.counts.succeeded < moment {
            return None;
        }
        let pid = victim.find(&daemon, which)?;
        let memories: BTreeSet<MemoryFile> =
            daemon.processes().iter().flat_map(|process| processes::memory_files(process.pid)).collect();
        Some((pid, memories))
    });
    assert!(!memories.is_empty(), "a daemon at work holds shared memory");
    processes::kill_hard(pid);

    if matches!(victim, Victim::Server) {
        daemon.kill();
    } else {
        gate.open();
        let run = daemon.wait(&id);
        assert_ne!(run.summary.state, RunState::Queued);
        if run.summary.state != RunState::Succeeded {
            let cause = run.summary.cause.expect("a run that did not succeed says why");
            assert!(!cause.message.is_empty() && !cause.hints.is_empty(), "{cause:#?}");
        }
        daemon.expect_healthy();
        assert!(daemon.stop().success());
    }
    scene.expect_no_process();
    let holders = processes::holders(&memories);
    assert!(holders.is_empty(), "{what}: shared memory is still held by {holders:?}");
}

#[test]
fn nothing_has_a_name_in_shared_memory() {
    let scene = Scene::with(&["faults"]).build();
    let daemon = scene.start();
    let gate = Gate::new(&scene);
    let id = daemon.begin(&held_block(&gate));
    daemon.wait_until_running(&id, "holder");
    let names: Vec<String> = fs::read_dir("/dev/shm")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    assert!(!names.iter().any(|name| name.contains("dagd")), "{names:?}");
    gate.open();
    daemon.wait(&id);
}

#[test]
fn a_table_of_no_rows_passes_through_every_format() {
    let scene = Scene::with(&["faults", "formats"]).build();
    scene.write("in.csv", "origin,delay\n");
    let pipeline = r#"
        name = "nothing"
        [[node]]
        name = "first"
        call = "faults::pass"
        inputs = ["in"]
        outputs = ["parquet_copy"]
        [[node]]
        name = "second"
        call = "faults::pass"
        inputs = ["parquet_copy"]
        outputs = ["arrow_copy"]
        [[node]]
        name = "third"
        call = "faults::pass"
        inputs = ["arrow_copy"]
        outputs = ["csv_copy"]
        [[node]]
        name = "count"
        call = "faults::rows"
        inputs = ["arrow_copy"]
        outputs = ["rows"]
        [catalog]
        in = { type = "csv", path = "in.csv" }
        parquet_copy = { type = "parquet", path = "copy.parquet" }
        arrow_copy = { type = "arrow", path = "copy.arrow" }
        csv_copy = { type = "csv", path = "copy.csv" }
        rows = { type = "json", path = "rows.json" }
    "#;
    scene.run(pipeline).expect_success();
    assert_eq!(scene.read("rows.json").trim(), "0");
    assert_eq!(scene.read("copy.csv").trim(), "origin,delay");
}

#[test]
fn a_block_that_can_never_fit_fails_with_the_figures() {
    let scene = Scene::with(&["faults"]).set("blocks.memory_budget_bytes", 1 << 20).build();
    let mut daemon = scene.start();
    let pipeline = format!(
        "{}inputs = {{ bytes = \"params:bytes\" }}\n[parameters]\nbytes = 5000000\n",
        single("big", "faults::big")
    );
    daemon.submit(&pipeline).expect_code(1).expect_said(&["big", "budget", "help: "]);
    daemon.expect_healthy();
}
