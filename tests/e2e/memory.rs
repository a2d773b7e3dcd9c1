//! Memory of blocks that is used again: by whom, for how long, and never while somebody reads it.

use std::fs;

use protocol::{NodeState, RunState};
use tests::processes;
use tests::{Daemon, Scene, wait};

use crate::hooks::{heard, start_recording};
use crate::pipelines::{Gate, single};

const METHODS: [&str; 2] = ["fork", "spawn"];

/// A scene with so many workers, for each way to start them.
fn scenes(workers: usize) -> impl Iterator<Item = (&'static str, Scene)> {
    METHODS.into_iter().map(move |method| {
        let scene = Scene::with(&["faults", "formats"])
            .set("workers.count", workers)
            .set("workers.start_method", format!("{method:?}"));
        (method, scene.build())
    })
}

/// A block of so many bytes, filled at once, and one who hardly looks at it.
fn filled(bytes: u64) -> String {
    made_and_read(bytes, "filled", "length", "[\"length\", \"first\"]")
}

/// A block of so many bytes, and what reads it.
fn made_and_read(bytes: u64, maker: &str, reader: &str, outputs: &str) -> String {
    format!(
        "name = \"p\"\nparameters = {{ bytes = {bytes} }}\n\
         [[node]]\nname = \"make\"\ncall = \"faults::{maker}\"\ninputs = {{ bytes = \"params:bytes\" }}\noutputs = [\"data\"]\n\
         [[node]]\nname = \"read\"\ncall = \"faults::{reader}\"\ninputs = [\"data\"]\noutputs = {outputs}\n"
    )
}

fn succeed(daemon: &Daemon<'_>, pipeline: &str) {
    let run = daemon.wait(&daemon.begin(pipeline));
    assert_eq!(run.summary.state, RunState::Succeeded, "{run:#?}");
}

/// Whether any process of the daemon has memory of blocks mapped.
fn maps_blocks(daemon: &Daemon<'_>) -> bool {
    let is_block = |line: &str| line.contains("/memfd:dagd-block") || line.contains("/memfd:dagd-segment");
    daemon.processes().iter().any(|process| {
        fs::read_to_string(format!("/proc/{}/maps", process.pid)).is_ok_and(|maps| maps.lines().any(is_block))
    })
}

#[test]
fn what_a_plugin_goes_on_reading_is_never_changed() {
    for (method, scene) in scenes(1) {
        let daemon = scene.start();
        for bytes in [8 << 10, 2 << 20] {
            for _ in 0..3 {
                succeed(&daemon, &made_and_read(bytes, "big", "keeps_input", "[\"count\"]"));
            }
            for _ in 0..8 {
                succeed(&daemon, &filled(bytes));
            }
        }
        let look = "name = \"look\"\n[[node]]\nname = \"look\"\ncall = \"faults::changed_inputs\"\noutputs = [\"kept\", \"changed\"]\n\
                    [catalog]\nkept = { type = \"json\", path = \"kept.json\" }\nchanged = { type = \"json\", path = \"changed.json\" }\n";
        succeed(&daemon, look);
        assert_eq!((scene.read("kept.json").trim(), scene.read("changed.json").trim()), ("6", "0"), "{method}");
    }
}

#[test]
fn what_a_hook_goes_on_reading_is_never_changed() {
    let scene = Scene::with(&["faults", "hook_faults"])
        .set("workers.count", 1)
        .set("hooks.enabled", "[\"hook_faults::Keeping\"]")
        .set("hooks.disabled_plugins", "[\"hook_faults\"]")
        .build();
    let daemon = start_recording(&scene, &["hook_faults::Keeping"]);
    for _ in 0..4 {
        succeed(&daemon, &made_and_read(2 << 20, "big", "length", "[\"length\", \"first\"]"));
    }
    // The end of a run is told to its clients first.
    let told =
        wait::until("the fourth run's end", || heard(&scene).into_iter().find(|line| line.starts_with("Keeping 4")));
    assert_eq!(told, "Keeping 4 after_pipeline_run 4 kept, 0 changed");
}

#[test]
fn memory_that_a_hook_only_hears_of_is_used_again() {
    let scene = Scene::with(&["faults", "hook_faults"])
        .set("workers.count", 1)
        .set("hooks.enabled", "[\"hook_faults::Recorder\"]")
        .build();
    let daemon = start_recording(&scene, &["hook_faults::Recorder"]);
    succeed(&daemon, &filled(3_000_000));
    wait::until("the memory is kept", || (daemon.status().blocks.spare_bytes >= 3_000_000).then_some(()));
}

#[test]
fn memory_is_kept_for_a_while_and_then_given_back() {
    let scene = Scene::with(&["faults"]).set("workers.count", 2).set("blocks.spare_keep_seconds", 1).build();
    let daemon = scene.start();
    let readers = "name = \"p\"\nparameters = { bytes = 3000000 }\n\
                   [[node]]\nname = \"make\"\ncall = \"faults::filled\"\ninputs = { bytes = \"params:bytes\" }\noutputs = [\"data\"]\n\
                   [[node]]\nname = \"read{i}\"\ncall = \"faults::sum\"\nmatrix = { i = [1, 2, 3, 4] }\n\
                   inputs = [\"data\"]\noutputs = [\"sum{i}\"]\n";
    succeed(&daemon, readers);
    let blocks = daemon.status().blocks;
    // Nothing of it is in use: what the run left behind is small.
    assert!(blocks.bytes < 4096, "{blocks:?}");
    wait::until("the memory is given up", || (daemon.status().blocks.spare_bytes == 0).then_some(()));
    wait::until("nobody has it mapped", || (!maps_blocks(&daemon)).then_some(()));
}

#[test]
fn none_is_kept_where_none_is_wanted() {
    let scene = Scene::with(&["faults"]).set("workers.count", 1).set("blocks.spare_keep_seconds", 0).build();
    let daemon = scene.start();
    succeed(&daemon, &filled(3_000_000));
    assert_eq!(daemon.status().blocks.spare_bytes, 0);
    wait::until("nobody has it mapped", || (!maps_blocks(&daemon)).then_some(()));
}

#[test]
fn kept_memory_makes_room_for_what_does_not_fit_beside_it() {
    let scene = Scene::with(&["faults"])
        .set("workers.count", 2)
        .set("blocks.memory_budget_bytes", 64 << 20)
        .set("blocks.spare_bytes_max", 64 << 20)
        .build();
    let daemon = scene.start();
    for bytes in [40 << 20, 60 << 20, 30 << 20, 63 << 20, 63 << 20] {
        succeed(&daemon, &filled(bytes));
        let blocks = daemon.status().blocks;
        assert!(blocks.bytes + blocks.spare_bytes <= 64 << 20, "{blocks:?}");
    }
}

#[test]
fn a_block_outlives_the_worker_that_made_it() {
    for (method, scene) in scenes(1) {
        let daemon = scene.start();
        let gate = Gate::new(&scene);
        let pipeline = format!(
            "name = \"p\"\non_failure = \"continue\"\nparameters = {{ gate = {}, bytes = 3000000 }}\n\
             [[node]]\nname = \"make\"\ncall = \"faults::filled\"\ninputs = {{ bytes = \"params:bytes\" }}\noutputs = [\"data\"]\n\
             [[node]]\nname = \"hold\"\ncall = \"faults::holds\"\n\
             inputs = {{ block = \"data\", file = \"params:gate\" }}\noutputs = [\"length\"]\n\
             [[node]]\nname = \"later\"\ncall = \"faults::sum\"\ninputs = [\"data\"]\noutputs = [\"sum\"]\n\
             [catalog]\nsum = {{ type = \"json\", path = \"sum.json\" }}\n",
            gate.value()
        );
        let id = daemon.begin(&pipeline);
        daemon.wait_until_running(&id, "hold");
        processes::kill_hard(i32::try_from(daemon.status().workers[0].pid).unwrap());
        let run = daemon.wait(&id);
        let state = |name: &str| run.nodes.iter().find(|node| node.name == name).unwrap().state;
        assert_eq!((state("hold"), state("later")), (NodeState::Failed, NodeState::Succeeded), "{run:#?}");
        assert_eq!(scene.read("sum.json").trim(), "3000000", "{method}");
        // The next run's memory is the new worker's.
        succeed(&daemon, &filled(3_000_000));
    }
}

#[test]
fn what_is_read_is_what_was_made_however_often_memory_is_used_again() {
    let sizes = [5_000, 20_000, 90_000, 300_000, 1_500_000, 300_000];
    for (method, scene) in scenes(2) {
        let daemon = scene.start();
        for round in 0..8 {
            let mut pipeline = "name = \"p\"\n[parameters]\n".to_owned();
            for (index, size) in sizes.iter().enumerate() {
                pipeline.push_str(&format!("bytes{index} = {}\n", size + round));
            }
            for index in 0..sizes.len() {
                // Every other one counts up, and all are read twice.
                let maker = if index % 2 == 0 { "big" } else { "filled" };
                pipeline.push_str(&format!(
                    "[[node]]\nname = \"make{index}\"\ncall = \"faults::{maker}\"\n\
                     inputs = {{ bytes = \"params:bytes{index}\" }}\noutputs = [\"data{index}\"]\n\
                     [[node]]\nname = \"one{index}\"\ncall = \"faults::sum\"\ninputs = [\"data{index}\"]\noutputs = [\"one_of_{index}\"]\n\
                     [[node]]\nname = \"other{index}\"\ncall = \"faults::sum\"\ninputs = [\"data{index}\"]\noutputs = [\"other_of_{index}\"]\n\
                     [catalog.one_of_{index}]\ntype = \"json\"\npath = \"one{index}.json\"\n\
                     [catalog.other_of_{index}]\ntype = \"json\"\npath = \"other{index}.json\"\n"
                ));
            }
            succeed(&daemon, &pipeline);
            for (index, size) in sizes.iter().enumerate() {
                let bytes = size + round;
                let sum: u64 = if index % 2 == 0 { (0..bytes).map(|byte| byte % 251).sum() } else { bytes };
                for reader in ["one", "other"] {
                    let found = scene.read(&format!("{reader}{index}.json"));
                    assert_eq!(found.trim(), sum.to_string(), "{method}, round {round}, {reader} of {bytes} bytes");
                }
            }
        }
        succeed(&daemon, &single("after", "faults::noop"));
    }
}
