//! What a pipeline may ask for: retries, time-outs, going on after a failure, cancelling, workers side by side.

use std::collections::BTreeMap;

use protocol::{FailureKind, NodeState, RunDetail, RunState};
use serde_json::Value;
use tests::{Daemon, Scene, wait};

use crate::hooks::start_recording;
use crate::pipelines::{Gate, single};
use crate::service::events_of;

#[track_caller]
fn node_states(run: &RunDetail) -> BTreeMap<&str, NodeState> {
    run.nodes.iter().map(|node| (node.name.as_str(), node.state)).collect()
}

#[test]
fn a_crash_is_tried_again_as_often_as_asked() {
    let scene = Scene::with(&["faults"]).build();
    let mut daemon = scene.start();
    let pipeline = "name = \"p\"\nparameters = { attempt = 3 }\n[[node]]\nname = \"flaky\"\ncall = \"faults::crashes_until\"\n\
                    inputs = { attempt = \"params:attempt\" }\noutputs = [\"x\"]\nretries = 2\nretry_backoff_seconds = 0.01\n";
    daemon.submit(pipeline).expect_success();
    let run = daemon.newest_run();
    assert_eq!((run.nodes[0].state, run.nodes[0].attempts), (NodeState::Succeeded, 3));
    let retried = events_of(&scene, &run.summary.id, 0).into_iter().filter(|event| event["kind"] == "node_failed");
    let signals: Vec<Value> = retried.map(|event| event["failure"]["signal"].clone()).collect();
    assert_eq!(signals, [11, 11]);
    daemon.expect_healthy();
}

#[test]
fn retries_end() {
    let scene = Scene::with(&["faults"]).build();
    let daemon = scene.start();
    let pipeline = "name = \"p\"\nparameters = { attempt = 9 }\n[[node]]\nname = \"flaky\"\ncall = \"faults::fails_until\"\n\
                    inputs = { attempt = \"params:attempt\" }\noutputs = [\"x\"]\nretries = 1\nretry_backoff_seconds = 0.01\n";
    daemon.submit(pipeline).expect_code(1).expect_said(&["flaky", "attempt 2 of 9 is too early"]);
    let run = daemon.newest_run();
    assert_eq!((run.nodes[0].state, run.nodes[0].attempts, run.failures.len()), (NodeState::Failed, 2, 1));
}

/// `bad` fails, `after` needs it, `other` and `last` do not.
const FORKED: &str = r#"
    name = "forked"
    [[node]]
    name = "bad"
    call = "faults::fails"
    outputs = ["x"]
    [[node]]
    name = "after"
    call = "faults::noop"
    inputs = ["x"]
    outputs = ["y"]
    [[node]]
    name = "other"
    call = "faults::noop"
    outputs = ["z"]
    [[node]]
    name = "last"
    call = "faults::noop"
    inputs = ["z"]
    outputs = ["end"]
"#;

#[test]
fn going_on_runs_all_that_needs_nothing_failed() {
    let scene = Scene::with(&["faults"]).build();
    let daemon = scene.start();
    let path = scene.write("pipeline.toml", FORKED);
    daemon.ctl(["submit", path.to_str().unwrap(), "--on-failure", "continue"]).expect_code(1).expect_said(&["bad"]);
    let run = daemon.newest_run();
    assert_eq!(
        node_states(&run),
        BTreeMap::from([
            ("bad", NodeState::Failed),
            ("after", NodeState::Skipped),
            ("other", NodeState::Succeeded),
            ("last", NodeState::Succeeded)
        ])
    );
    let because = run.nodes.iter().find_map(|node| node.skipped_because.clone()).unwrap_or_default();
    assert!(because.contains("bad"), "{because}");
}

#[test]
fn stopping_starts_nothing_more() {
    let scene = Scene::with(&["faults"]).build();
    let daemon = scene.start();
    let path = scene.write("pipeline.toml", FORKED);
    daemon.ctl(["submit", path.to_str().unwrap(), "--sequential"]).expect_code(1);
    let run = daemon.newest_run();
    let states = node_states(&run);
    assert_eq!(
        (states["bad"], states["after"], states["last"]),
        (NodeState::Failed, NodeState::Skipped, NodeState::Skipped)
    );
    let counts = run.summary.counts;
    assert_eq!(counts.succeeded + counts.failed + counts.skipped, 4, "{counts:?}");
}

#[test]
fn cancelling_stops_a_polite_node() {
    check_cancel("faults::waits_for_cancel");
}

#[test]
fn cancelling_stops_a_node_that_does_not_listen() {
    check_cancel("faults::loops");
}

#[track_caller]
fn check_cancel(call: &str) {
    let scene = Scene::with(&["faults"]).set("workers.cancel_grace_ms", 100).build();
    let mut daemon = scene.start();
    let path = scene.write("pipeline.toml", single("endless", call));
    let follower = scene.start_ctl(["submit", path.to_str().unwrap(), "--run-id", "endless-1"]);
    wait::until_true("the run to be known", || daemon.get("/v1/runs/endless-1").status == 200);
    daemon.wait_until_running("endless-1", "endless");

    daemon.ctl(["cancel", "endless-1"]).expect_success();
    follower.finish().expect_code(5);
    let run = daemon.wait("endless-1");
    assert_eq!((run.summary.state, run.nodes[0].state), (RunState::Cancelled, NodeState::Cancelled), "{run:#?}");
    daemon.expect_healthy();
}

#[test]
fn a_run_that_takes_too_long_is_stopped() {
    let scene = Scene::with(&["faults"]).build();
    let mut daemon = scene.start();
    let path = scene.write("pipeline.toml", single("endless", "faults::waits_for_cancel"));
    daemon
        .ctl(["submit", path.to_str().unwrap(), "--timeout", "300ms"])
        .expect_code(1)
        .expect_said(&["0.3 s", "help: "]);
    let run = daemon.newest_run();
    assert_eq!(
        (run.summary.state, run.summary.cause.as_ref().map(|cause| cause.kind)),
        (RunState::Failed, Some(FailureKind::Timeout))
    );
    // On a busy machine the time may be up before the node has started.
    assert!(matches!(run.nodes[0].state, NodeState::Cancelled | NodeState::Skipped), "{run:#?}");
    daemon.expect_healthy();
}

const MEETING: &str = r#"
    name = "meeting"
    parameters = { folder = "FOLDER", count = 2 }
    [[node]]
    name = "meets_{who}"
    matrix = { who = ["ada", "grace"] }
    call = "faults::meets"
    inputs = { folder = "params:folder", count = "params:count" }
    outputs = ["met_{who}"]
"#;

#[test]
fn two_workers_work_at_the_same_time() {
    for start_method in ["fork", "spawn"] {
        let scene = Scene::with(&["faults"]).set("workers.start_method", format!("{start_method:?}")).build();
        let pipeline = MEETING.replace("FOLDER", scene.path("meeting").to_str().unwrap());
        scene.run(&pipeline).expect_success();
    }
}

/// The events of a run, those of these kinds, in their order.
fn kinds_of(scene: &Scene, id: &str, kinds: &[&str]) -> Vec<String> {
    let events = events_of(scene, id, 0);
    let all = events.iter().map(|event| event["kind"].as_str().unwrap().to_owned());
    all.filter(|kind| kinds.contains(&kind.as_str())).collect()
}

#[test]
fn one_worker_at_a_time_is_what_a_run_may_ask_for() {
    let scene = Scene::with(&["faults"]).build();
    let daemon = scene.start();
    let gate = Gate::new(&scene);
    let nodes: String = ["ada", "grace", "joan"].map(|name| gate.node(name)).concat();
    let path = scene.write("pipeline.toml", format!("name = \"queue\"\n{}{nodes}", gate.parameters()));
    let outcome = daemon.ctl(["submit", "--detach", "--max-workers", "1", path.to_str().unwrap()]).expect_success();
    let id = outcome.stdout.trim();
    // While one is held at the gate, another could start if it might.
    wait::until_true("a node to run", || daemon.run(id).nodes.iter().any(|node| node.state == NodeState::Running));
    gate.open();
    assert_eq!(daemon.wait(id).summary.state, RunState::Succeeded);
    let kinds = kinds_of(&scene, id, &["node_started", "node_finished"]);
    assert_eq!(kinds, ["node_started", "node_finished"].repeat(3), "two nodes were at work at the same time");
}

/// What one node has made is saved before the next node makes something: also where it is known how long they take.
#[test]
fn a_node_is_over_before_its_worker_begins_with_another() {
    let scene = Scene::with(&["faults", "formats"]).set("workers.count", 1).build();
    nodes_end_one_by_one(&scene, &scene.start());
}

#[test]
fn a_node_that_hooks_hear_of_is_over_before_its_worker_begins_with_another() {
    let scene = Scene::with(&["faults", "formats", "hook_faults"])
        .set("workers.count", 1)
        .set("hooks.enabled", "[\"hook_faults::Recorder\"]")
        .build();
    nodes_end_one_by_one(&scene, &start_recording(&scene, &["hook_faults::Recorder"]));
}

/// Three nodes that become ready at once, each of which has its output saved.
#[track_caller]
fn nodes_end_one_by_one(scene: &Scene, daemon: &Daemon<'_>) {
    let nodes = ["ada", "grace", "joan"].map(|name| {
        format!(
            "[[node]]\nname = \"{name}\"\ncall = \"faults::sleeps\"\n\
             inputs = {{ milliseconds = \"params:milliseconds\", after = \"begun\" }}\noutputs = [\"{name}_slept\"]\n\
             [catalog.{name}_slept]\ntype = \"json\"\npath = \"out/{name}.json\"\n"
        )
    });
    let pipeline = format!(
        "name = \"saved\"\nparameters = {{ milliseconds = 5 }}\n\
         [[node]]\nname = \"begins\"\ncall = \"faults::noop\"\noutputs = [\"begun\"]\n{}",
        nodes.concat()
    );
    for time in ["first", "second"] {
        let id = daemon.begin(&pipeline);
        assert_eq!(daemon.wait(&id).summary.state, RunState::Succeeded);
        let kinds = kinds_of(scene, &id, &["node_started", "dataset_saved", "node_finished"]);
        let begins = ["node_started", "node_finished"];
        let others = ["node_started", "dataset_saved", "node_finished"].repeat(3);
        assert_eq!(kinds, [&begins[..], &others].concat(), "the {time} time");
    }
}

#[test]
fn a_run_waits_while_another_holds_all_workers() {
    let scene = Scene::with(&["faults"]).set("workers.count", 1).build();
    let daemon = scene.start();
    let gate = Gate::new(&scene);
    let first = daemon.begin(&gate.pipeline());
    daemon.wait_until_running(&first, "waits");
    let second = daemon.begin(&single("waits_its_turn", "faults::noop"));
    assert_eq!(daemon.run(&second).summary.counts.succeeded, 0);
    gate.open();
    assert_eq!(daemon.wait(&second).summary.state, RunState::Succeeded);
    assert_eq!(daemon.wait(&first).summary.state, RunState::Succeeded);
}
