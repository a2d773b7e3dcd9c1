//! Hooks that hear of a chain of nodes: of the end of each before the beginning of the next, and of none after one that a hook would not
//! have, although both are told to them in one go.

use std::fs;

use protocol::{FailureKind, NodeState, RunState};
use tests::{Daemon, Scene, SceneBuilder, wait};

use crate::hooks::heard;
use crate::picky;

const NODES: usize = 300;
/// The node that the picky hook minds: by then nodes and hooks are known to be quick.
const MINDED: usize = 200;

/// Each node reads what the one before it made.
fn chain() -> String {
    let node = |number: usize| {
        let inputs = number.checked_sub(1).map_or_else(String::new, |before| format!("inputs = [\"d{before}\"]\n"));
        format!("[[node]]\nname = \"n{number}\"\ncall = \"faults::noop\"\n{inputs}outputs = [\"d{number}\"]\n")
    };
    (0..NODES).map(node).fold("name = \"chain\"\n".to_owned(), |text, node| text + &node)
}

/// The picky hook and its like, after one that writes the number of each event.
fn scene(start_method: &str, on_error: &str) -> SceneBuilder {
    picky::scene(&["faults", "formats", "hook_faults", "hooks_c"], start_method, on_error)
}

/// Starts a daemon whose picky hook does this at this event of the minded node.
#[track_caller]
fn start<'a>(scene: &'a Scene, event: &str, does: &str) -> Daemon<'a> {
    let numbered = scene.path("numbered");
    picky::set_options(scene, "hooks_c::EveryEvent", &format!("{{ file = {numbered:?} }}"));
    picky::start(scene, event, &format!("n{MINDED}"), does)
}

/// What one hook heard of nodes, in order.
fn of_nodes(heard: &[String], hook: &str) -> Vec<String> {
    let lines = heard.iter().filter(|line| line.starts_with(hook) && line.contains("_node_"));
    lines.filter_map(|line| line.splitn(3, ' ').nth(2)).map(str::to_owned).collect()
}

/// What is heard of the nodes up to the minded one, which is heard of so far.
fn up_to_minded(minded: &[&str]) -> Vec<String> {
    let before = (0..MINDED).flat_map(|node| BOTH.map(|event| format!("{event} n{node}")));
    before.chain(minded.iter().map(|event| format!("{event} n{MINDED}"))).collect()
}

/// The events of the run have the numbers from 1, and no number is left out.
#[track_caller]
fn check_numbers(scene: &Scene) {
    let text = fs::read_to_string(scene.path("numbered")).unwrap();
    let of_run = text.lines().map(|line| line.split(' ').collect::<Vec<_>>()).filter(|words| words[1] != "-");
    let numbers: Vec<usize> = of_run.map(|words| words[2].parse().unwrap()).collect();
    assert!(numbers.len() > 2 * MINDED);
    assert!(numbers.iter().copied().eq(1..=numbers.len()), "{numbers:?}");
}

const BOTH: [&str; 2] = ["before_node_run", "after_node_run"];

/// Also where one hook refuses and is ignored, or takes its host down, or never answers.
#[test]
fn a_chain_is_heard_of_node_by_node() {
    for (start_method, event, does) in [
        ("fork", "before_node_run", "talk"),
        ("spawn", "after_node_run", "talk"),
        ("fork", "after_node_run", "refuse"),
        ("fork", "before_node_run", "refuse"),
        ("fork", "after_node_run", "crash"),
        ("spawn", "before_node_run", "crash"),
        ("fork", "after_node_run", "hang"),
        ("fork", "before_node_run", "hang"),
    ] {
        let scene = picky::patient(scene(start_method, "ignore"), does).build();
        let daemon = start(&scene, event, does);
        daemon.submit(&chain()).expect_success();
        let heard = heard(&scene);
        let all: Vec<String> = (0..NODES).flat_map(|node| BOTH.map(|event| format!("{event} n{node}"))).collect();
        for hook in ["Picky", "Recorder"] {
            assert_eq!(of_nodes(&heard, hook), all, "{hook}: {does} at {event}");
            assert!(heard.iter().rfind(|line| line.starts_with(hook)).unwrap().contains("after_pipeline_run"));
        }
        check_numbers(&scene);
        assert!(daemon.stop().success());
    }
}

/// Nobody hears of the node after the one that a hook would not have begin, or end.
#[test]
fn a_chain_ends_where_a_hook_refuses() {
    for (event, picky, recorder) in [(BOTH[0], &BOTH[..1], &[][..]), (BOTH[1], &BOTH[..], &BOTH[..1])] {
        let scene = scene("fork", "fail").build();
        let daemon = start(&scene, event, "refuse");
        daemon.submit(&chain()).expect_code(1).expect_said(&["not to its taste", "n200"]);
        let run = daemon.newest_run();
        assert_eq!(run.summary.cause.as_ref().unwrap().kind, FailureKind::Hook);
        for (number, node) in run.nodes.iter().enumerate() {
            let expected = match number {
                ..MINDED => NodeState::Succeeded,
                MINDED => NodeState::Failed,
                _ => NodeState::Skipped,
            };
            assert_eq!(node.state, expected, "{}", node.name);
        }
        let heard = heard(&scene);
        assert_eq!(of_nodes(&heard, "Picky"), up_to_minded(picky));
        assert_eq!(of_nodes(&heard, "Recorder"), up_to_minded(recorder));
        assert!(heard.last().unwrap().contains("on_pipeline_error"), "{:?}", heard.last());
        check_numbers(&scene);
    }
}

/// What the hook was at ends as if nothing had been; at most the next node was heard of, too, and does not run.
#[test]
fn a_chain_that_is_cancelled_while_a_hook_is_at_it_ends_there() {
    for event in BOTH {
        let scene = scene("fork", "fail").build();
        let daemon = start(&scene, event, "wait");
        let id = daemon.begin(&chain());
        let line = format!("{event} n{MINDED}");
        wait::until_true("the hook waits", || heard(&scene).iter().any(|heard| heard.ends_with(&line)));
        daemon.ctl(["cancel", &id]).expect_success();
        fs::write(scene.path("until"), "").unwrap();
        let run = daemon.wait(&id);
        assert_eq!(run.summary.state, RunState::Cancelled);
        let heard = heard(&scene);
        let ran = run.nodes.iter().filter(|node| node.state == NodeState::Succeeded).count();
        let told: Vec<String> = (0..NODES).flat_map(|node| BOTH.map(|event| format!("{event} n{node}"))).collect();
        for hook in ["Picky", "Recorder"] {
            let of_nodes = of_nodes(&heard, hook);
            assert_eq!(of_nodes, told[..of_nodes.len()], "{hook}");
            assert!(of_nodes.len() == 2 * ran || of_nodes.len() == 2 * ran + 1, "{ran} ran: {of_nodes:?}");
            assert!(heard.iter().rfind(|line| line.starts_with(hook)).unwrap().contains("on_pipeline_error"));
        }
        check_numbers(&scene);
    }
}

/// One that hooks are asked about together with the end of the one before reads what they have put there.
#[test]
fn inputs_are_replaced_in_a_chain() {
    let scene = scene("fork", "fail").set("hooks.enabled", "[\"hook_faults::Doubling\"]").build();
    let daemon = scene.start();
    let pipeline = chain()
        .replacen("name = \"chain\"", "name = \"chain\"\nparameters = { value = 21 }", 1)
        .replacen("faults::noop\"", "faults::constant\"\ninputs = { value = \"params:value\" }", 1)
        .replace("\"d200\"", "\"number\"");
    let last = format!("d{}", NODES - 1);
    let catalog = format!("[catalog]\n{last} = {{ type = \"json\", path = \"last.json\" }}\n");
    daemon.submit(&(pipeline + &catalog)).expect_success();
    assert_eq!(scene.read("last.json").trim(), "42");
}
