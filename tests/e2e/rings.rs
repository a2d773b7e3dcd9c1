//! Many short tasks in a worker's ring: none is lost or run twice, whatever becomes of those before it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use protocol::{NodeState, RunDetail, RunState};
use tests::Scene;

use crate::pipelines::Gate;

const METHODS: [&str; 2] = ["fork", "spawn"];

fn numbers(count: usize) -> String {
    (0..count).map(|number| number.to_string()).collect::<Vec<_>>().join(",")
}

#[test]
fn a_death_fails_only_the_task_that_was_running() {
    for method in METHODS {
        let scene = Scene::with(&["faults"]).set("workers.start_method", format!("{method:?}")).build();
        let mut daemon = scene.start();
        let pipeline = format!(
            "name = \"p\"\non_failure = \"continue\"\nparameters = {{ file = {:?} }}\n\
             [[node]]\nname = \"n{{i}}\"\ncall = \"faults::append\"\nmatrix = {{ i = [{}] }}\n\
             inputs = {{ file = \"params:file\" }}\noutputs = [\"d{{i}}\"]\n\
             [[node]]\nname = \"n{{i}}x\"\ncall = \"faults::segfaults\"\nmatrix = {{ i = [{}] }}\noutputs = [\"e{{i}}\"]\n",
            scene.work("ran"),
            numbers(400),
            numbers(5),
        );
        let id = daemon.begin(&pipeline);
        let run = daemon.wait(&id);
        assert_eq!(run.summary.state, RunState::Failed);
        let failed: Vec<&str> =
            run.nodes.iter().filter(|node| node.state != NodeState::Succeeded).map(|node| node.name.as_str()).collect();
        assert_eq!(failed, ["n0x", "n1x", "n2x", "n3x", "n4x"], "{method}");
        let ran = scene.read("ran");
        let lines: Vec<&str> = ran.lines().collect();
        assert_eq!(lines.len(), 400, "{method}: a node ran twice, or not at all");
        assert_eq!(lines.iter().collect::<BTreeSet<_>>().len(), 400, "{method}");
        daemon.expect_healthy();
    }
}

/// A chain of nodes that count.
fn counting(length: usize, fails_at: usize) -> String {
    let mut text = format!("name = \"chain\"\nparameters = {{ at = {fails_at} }}\n");
    for index in 0..length {
        let value = if index == 0 { String::new() } else { format!("value = \"d{}\", ", index - 1) };
        writeln!(
            text,
            "[[node]]\nname = \"n{index}\"\ncall = \"faults::counts\"\ninputs = {{ {value}fails_at = \"params:at\" }}\noutputs = [\"d{index}\"]"
        )
        .unwrap();
    }
    text
}

#[test]
fn a_chain_gives_what_its_steps_give_one_by_one() {
    for method in METHODS {
        let scene = Scene::with(&["faults", "formats"]).set("workers.start_method", format!("{method:?}")).build();
        let daemon = scene.start();
        let mut pipeline = counting(2_000, 0);
        pipeline += "[catalog.d1999]\ntype = \"json\"\npath = \"last.json\"\n";
        for _ in 0..2 {
            daemon.submit(&pipeline).expect_success();
            assert_eq!(scene.read("last.json").trim(), "2000");
        }
    }
}

#[test]
fn what_follows_a_failure_in_a_chain_does_not_run() {
    let scene = Scene::with(&["faults"]).build();
    let daemon = scene.start();
    daemon.submit(&counting(500, 0)).expect_success();
    daemon.submit(&counting(500, 300)).expect_code(1).expect_said(&["n299", "300 is where it fails"]);
    let run = daemon.newest_run();
    let counts = &run.summary.counts;
    assert_eq!((counts.succeeded, counts.failed, counts.skipped), (299, 1, 200));
}

#[test]
fn a_chain_whose_data_outgrow_the_ring_goes_on() {
    let scene = Scene::with(&["faults", "formats"]).build();
    let daemon = scene.start();
    for bytes in [20, 2_000, 20_000] {
        let words = "word ".repeat(bytes / 5);
        let mut text = format!(
            "name = \"chain\"\nparameters = {{ text = {words:?} }}\n[[node]]\nname = \"first\"\ncall = \"faults::text\"\n\
             inputs = {{ text = \"params:text\" }}\noutputs = [\"d0\"]\n\
             [catalog.d100]\ntype = \"text\"\npath = \"last.txt\"\n"
        );
        for index in 1..=100 {
            let before = index - 1;
            writeln!(text, "[[node]]\nname = \"n{index}\"\ncall = \"faults::shout\"\ninputs = [\"d{before}\"]\noutputs = [\"d{index}\"]")
                .unwrap();
        }
        for _ in 0..2 {
            daemon.submit(&text).expect_success();
            assert_eq!(scene.read("last.txt"), words.to_uppercase());
        }
    }
}

#[test]
fn short_tasks_behind_a_long_one_go_on_elsewhere() {
    let scene = Scene::with(&["faults"]).set("workers.count", 2).build();
    let daemon = scene.start();
    daemon.submit(&format!("name = \"p\"\n[[node]]\nname = \"n{{i}}\"\ncall = \"faults::noop\"\nmatrix = {{ i = [{}] }}\noutputs = [\"d{{i}}\"]\n", numbers(1_000)))
        .expect_success();
    // While a node waits at the gate, everything else ends on the other worker.
    let gate = Gate::new(&scene);
    let pipeline = format!(
        "{}[[node]]\nname = \"n{{i}}\"\ncall = \"faults::noop\"\nmatrix = {{ i = [{}] }}\noutputs = [\"d{{i}}\"]\n",
        gate.pipeline(),
        numbers(2_000)
    );
    let id = daemon.begin(&pipeline);
    tests::wait::until_true("all short nodes to end", || daemon.run(&id).summary.counts.succeeded == 2_000);
    gate.open();
    assert_eq!(daemon.wait(&id).summary.state, RunState::Succeeded);
}

/// Nodes that note that they ran, in chains.
fn noting(scene: &Scene, chains: usize, length: usize) -> String {
    let mut text = format!("name = \"noting\"\nparameters = {{ file = {:?} }}\n", scene.work("ran"));
    for chain in 0..chains {
        for index in 0..length {
            let before = if index == 0 { String::new() } else { format!("before = \"d{chain}_{}\", ", index - 1) };
            writeln!(
                text,
                "[[node]]\nname = \"n{chain}_{index}\"\ncall = \"faults::append\"\ninputs = {{ {before}file = \"params:file\" }}\noutputs = [\"d{chain}_{index}\"]"
            )
            .unwrap();
        }
    }
    text
}

/// What is told as skipped did not run; what is told as run did, once.
fn expect_true(scene: &Scene, run: &RunDetail) {
    let ran = scene.read("ran");
    let lines: BTreeSet<&str> = ran.lines().collect();
    assert_eq!(lines.len(), ran.lines().count(), "a node ran twice");
    for node in run.nodes.iter().filter(|node| node.name.starts_with('n')) {
        let is_there = lines.contains(node.name.as_str());
        match node.state {
            NodeState::Succeeded => assert!(is_there, "{} did not run, and is told as run", node.name),
            NodeState::Skipped => assert!(!is_there, "{} ran, and is told as skipped", node.name),
            _ => {}
        }
    }
}

#[test]
fn what_a_run_that_is_cut_short_tells_is_what_it_did() {
    // Many at once, one long chain, and some of each.
    for (chains, length) in [(10_000, 1), (1, 10_000), (20, 500)] {
        let scene = Scene::with(&["faults"]).set("workers.count", 2).build();
        let daemon = scene.start();
        // So that it is known how short they are.
        daemon.submit(&noting(&scene, 300, 1)).expect_success();
        std::fs::remove_file(scene.work("ran")).unwrap();
        let lines = || std::fs::read_to_string(scene.work("ran")).map_or(0, |text| text.lines().count());

        let id = daemon.begin(&noting(&scene, chains, length));
        tests::wait::until_true("some nodes to run", || lines() > 200);
        // It may have ended by itself.
        let _ = daemon.ctl(["cancel", &id]);
        let run = daemon.wait(&id);
        expect_true(&scene, &run);
        std::fs::remove_file(scene.work("ran")).unwrap();

        let failing = format!(
            "{}[[node]]\nname = \"fails\"\ncall = \"faults::counts\"\ninputs = {{ value = \"d0_{}\", fails_at = \"params:at\" }}\noutputs = [\"never\"]\n",
            noting(&scene, chains, length),
            length / 2,
        );
        let failing = failing.replacen("parameters = { ", &format!("parameters = {{ at = {}, ", length / 2 + 2), 1);
        daemon.submit(&failing).expect_code(1);
        let run = daemon.newest_run();
        let failed: Vec<_> = run.nodes.iter().filter(|node| node.state == NodeState::Failed).collect();
        assert!(failed.len() == 1 && failed[0].name == "fails", "{failed:#?}");
        expect_true(&scene, &run);
    }
}
