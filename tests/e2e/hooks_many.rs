//! Hooks that hear of many nodes at a time: each event once and in order, also around a node at which a hook does something odd.

use std::collections::BTreeMap;
use std::fs;

use protocol::{FailureKind, NodeState, RunDetail, RunState};
use tests::{Daemon, Scene, SceneBuilder, wait};

use crate::hooks::heard;
use crate::picky;

/// Enough that hooks are asked about many at a time.
const NODES: usize = 1_500;
/// The node that the picky hook minds: by then nodes and hooks are known to be quick.
const MINDED: &str = "n1000";

fn nodes() -> String {
    let numbers = (0..NODES).map(|number| number.to_string()).collect::<Vec<_>>().join(",");
    format!(
        "name = \"many\"\n[[node]]\nname = \"n{{i}}\"\ncall = \"faults::noop\"\nmatrix = {{ i = [{numbers}] }}\noutputs = [\"d{{i}}\"]\n"
    )
}

fn scene(start_method: &str, on_error: &str) -> SceneBuilder {
    picky::scene(&["faults", "formats", "hook_faults"], start_method, on_error)
}

/// Starts a daemon whose picky hook does this at this event of the minded node.
#[track_caller]
fn start<'a>(scene: &'a Scene, event: &str, does: &str) -> Daemon<'a> {
    picky::start(scene, event, MINDED, does)
}

/// What one hook heard of nodes: for each node its events, in order.
fn of_nodes(heard: &[String], hook: &str) -> BTreeMap<String, Vec<String>> {
    let mut nodes = BTreeMap::<String, Vec<String>>::new();
    for line in heard {
        let words: Vec<&str> = line.split(' ').collect();
        if words[0] == hook && words[2].contains("_node_") {
            nodes.entry(words[3].to_owned()).or_default().push(words[2].to_owned());
        }
    }
    nodes
}

/// Every node was heard of before and after, once, but for the minded one, of which this was heard; and the run's end last.
#[track_caller]
fn check_all(heard: &[String], hook: &str, minded: &[&str]) {
    let nodes = of_nodes(heard, hook);
    assert_eq!(nodes.len(), NODES, "{hook}");
    for (node, events) in nodes {
        let expected: &[&str] = if node == MINDED { minded } else { &["before_node_run", "after_node_run"] };
        assert_eq!(events, expected, "{hook} {node}");
    }
    let last = heard.iter().rfind(|line| line.starts_with(hook)).unwrap();
    assert!(last.contains("_pipeline_"), "{last}");
}

/// Two hooks hear of the same nodes in the same order.
#[track_caller]
fn check_same_order(heard: &[String]) {
    let of = |hook: &str| -> Vec<&str> {
        let lines = heard.iter().filter(|line| line.starts_with(hook) && line.contains("_node_"));
        lines.filter_map(|line| line.splitn(3, ' ').nth(2)).filter(|line| !line.ends_with(MINDED)).collect()
    };
    assert!(of("Picky") == of("Recorder"), "one hook heard of nodes in another order than the other");
}

const BOTH: [&str; 2] = ["before_node_run", "after_node_run"];

fn states(run: &RunDetail) -> BTreeMap<&str, NodeState> {
    run.nodes.iter().map(|node| (node.name.as_str(), node.state)).collect()
}

#[test]
fn many_nodes_are_heard_of_once_and_in_order_under_both_start_methods() {
    for start_method in ["fork", "spawn"] {
        let scene = scene(start_method, "fail").build();
        let daemon = start(&scene, "before_node_run", "talk");
        daemon.submit(&nodes()).expect_success();
        let heard = heard(&scene);
        for hook in ["Picky", "Recorder"] {
            check_all(&heard, hook, &BOTH);
        }
        check_same_order(&heard);
        // What it said among many is its own, and in the log before the run's end.
        let logs = daemon.ctl(["logs", &daemon.newest_run().summary.id]).expect_success();
        logs.expect_stdout(&["it is at n1000", "it has seen n1000"]);
    }
}

#[test]
fn one_that_refuses_among_many_and_is_ignored_keeps_nobody_from_hearing() {
    for event in BOTH {
        let scene = scene("fork", "ignore").build();
        let daemon = start(&scene, event, "refuse");
        daemon.submit(&nodes()).expect_success();
        let heard = heard(&scene);
        for hook in ["Picky", "Recorder"] {
            check_all(&heard, hook, &BOTH);
        }
        check_same_order(&heard);
    }
}

/// The node fails, those that ran are heard of to their ends, and those that did not run have no end.
#[test]
fn one_that_refuses_among_many_fails_that_node() {
    for (event, policy) in [("before_node_run", "continue"), ("after_node_run", "continue"), ("before_node_run", "")] {
        let scene = scene("fork", "fail").build();
        let daemon = start(&scene, event, "refuse");
        let pipeline = match policy {
            "" => nodes(),
            policy => format!("on_failure = {policy:?}\n{}", nodes()),
        };
        daemon.submit(&pipeline).expect_code(1).expect_said(&["not to its taste", MINDED]);
        let run = daemon.newest_run();
        assert_eq!(run.summary.cause.as_ref().unwrap().kind, FailureKind::Hook);
        let states = states(&run);
        assert_eq!(states[MINDED], NodeState::Failed);
        let heard = heard(&scene);
        // The hook after the one that refused is not told of that.
        let minded: &[&str] = if event == "before_node_run" { &[] } else { &["before_node_run"] };
        assert_eq!(of_nodes(&heard, "Recorder").get(MINDED).map_or(&[][..], Vec::as_slice), minded);
        for hook in ["Picky", "Recorder"] {
            for (node, events) in of_nodes(&heard, hook).into_iter().filter(|(node, _)| node != MINDED) {
                let expected: &[&str] =
                    if states[node.as_str()] == NodeState::Succeeded { &BOTH } else { &["before_node_run"] };
                assert_eq!(events, expected, "{hook} {node}");
            }
            let ran = run.nodes.iter().filter(|node| node.state == NodeState::Succeeded).count();
            assert!(of_nodes(&heard, hook).len() >= ran);
        }
        if policy == "continue" {
            assert_eq!(states.values().filter(|state| **state == NodeState::Succeeded).count(), NODES - 1);
        }
        assert!(heard.last().unwrap().contains("on_pipeline_error"), "{:?}", heard.last());
    }
}

/// What was asked before it was answered, what was asked after it is asked of the next hook host.
#[test]
fn a_host_that_is_lost_among_many_loses_one_event() {
    for (start_method, event, does) in [
        ("fork", "before_node_run", "crash"),
        ("spawn", "after_node_run", "crash"),
        ("spawn", "before_node_run", "hang"),
        ("fork", "after_node_run", "hang"),
    ] {
        let scene = picky::patient(scene(start_method, "ignore"), does).build();
        let daemon = start(&scene, event, does);
        daemon.submit(&nodes()).expect_success();
        let heard = heard(&scene);
        for hook in ["Picky", "Recorder"] {
            check_all(&heard, hook, &BOTH);
        }
        check_same_order(&heard);
        let word = if does == "hang" { "no answer within 1000 ms" } else { "SIGABRT" };
        let logs = daemon.ctl(["logs", &daemon.newest_run().summary.id]).expect_success();
        logs.expect_stdout(&["hook_faults::Picky", event, word]);
        assert!(daemon.stop().success());
    }
}

/// Nothing of a run is heard after its end, whatever was waiting for hooks when it was cancelled.
#[test]
fn a_run_that_is_cancelled_while_a_hook_is_at_many_ends_after_it() {
    for event in BOTH {
        let scene = scene("fork", "fail").build();
        let daemon = start(&scene, event, "wait");
        let id = daemon.begin(&nodes());
        let line = format!("{event} {MINDED}");
        wait::until_true("the hook waits", || heard(&scene).iter().any(|heard| heard.ends_with(&line)));
        daemon.ctl(["cancel", &id]).expect_success();
        fs::write(scene.path("until"), "").unwrap();
        let run = daemon.wait(&id);
        assert_eq!(run.summary.state, RunState::Cancelled);
        let states = states(&run);
        let heard = heard(&scene);
        for hook in ["Picky", "Recorder"] {
            let last = heard.iter().rfind(|line| line.starts_with(hook)).unwrap();
            assert!(last.contains("on_pipeline_error"), "{last}");
            for (node, events) in of_nodes(&heard, hook) {
                match states[node.as_str()] {
                    NodeState::Succeeded => assert_eq!(events, BOTH, "{hook} {node}"),
                    _ => assert_eq!(events, ["before_node_run"], "{hook} {node}"),
                }
            }
        }
    }
}

/// A hook that gives many nodes other inputs, before one that is told next of each.
#[test]
fn inputs_of_many_nodes_are_replaced_before_the_next_hook_hears() {
    let scene =
        scene("fork", "fail").set("hooks.enabled", "[\"hook_faults::Recorder\", \"hook_faults::Doubling\"]").build();
    scene.configure_more(
        "hooks.settings.\"hook_faults::Recorder\".options",
        &format!("{{ file = {:?} }}", scene.path("heard")),
    );
    let daemon = scene.start();
    let numbers = (0..300).map(|number| number.to_string()).collect::<Vec<_>>().join(",");
    let pipeline = format!(
        "name = \"doubled\"\nparameters = {{ value = 21 }}\n\
         [[node]]\nname = \"make\"\ncall = \"faults::constant\"\ninputs = {{ value = \"params:value\" }}\noutputs = [\"number\"]\n\
         [[node]]\nname = \"n{{i}}\"\ncall = \"faults::noop\"\nmatrix = {{ i = [{numbers}] }}\ninputs = [\"number\"]\noutputs = [\"d{{i}}\"]\n\
         [catalog]\nd7 = {{ type = \"json\", path = \"d7.json\" }}\nd299 = {{ type = \"json\", path = \"d299.json\" }}\n"
    );
    daemon.submit(&pipeline).expect_success();
    for file in ["d7.json", "d299.json"] {
        assert_eq!(scene.read(file).trim(), "42");
    }
    let heard = of_nodes(&heard(&scene), "Recorder");
    assert_eq!(heard.len(), 301);
    assert!(heard.values().all(|events| *events == BOTH));
}
