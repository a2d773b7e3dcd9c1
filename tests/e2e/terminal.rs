//! What a person at a terminal sees while a pipeline runs.

use tests::{Scene, Terminal};

use crate::pipelines::Gate;

#[test]
fn bars_move_while_it_runs_and_a_table_stays() {
    let scene = Scene::with(&["faults"]).build();
    let gate = Gate::new(&scene);
    let pipeline = scene.write("pipeline.toml", gate.pipeline());
    let terminal = Terminal::start(scene.ctl_command(["run", pipeline.to_str().unwrap()]));
    terminal.wait_for_line(&["waits", "(worker "]);
    terminal.wait_for_line(&["0 of 1 nodes", "beside"]);
    gate.open();
    let (status, text) = terminal.finish();
    assert!(status.success(), "{status}:\n{text}");
    let last: Vec<&str> = text.lines().rev().take(8).collect();
    let table = last.iter().any(|line| line.contains("waits") && line.contains("succeeded"));
    assert!(table, "no table at the end:\n{text}");
}

#[test]
fn a_failure_is_shown_whole_at_a_terminal() {
    let scene = Scene::with(&["faults"]).build();
    let pipeline = scene.write("pipeline.toml", crate::pipelines::single("bad", "faults::fails"));
    let terminal = Terminal::start(scene.ctl_command(["run", pipeline.to_str().unwrap()]));
    let (status, text) = terminal.finish();
    assert_eq!(status.code(), Some(1), "{text}");
    for part in ["bad", "reading the number of flights", "help: write digits only"] {
        assert!(text.contains(part), "{part} is not shown:\n{text}");
    }
}
