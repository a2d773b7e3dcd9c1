//! Pipelines of a size nobody draws.

use std::fmt::Write as _;

use protocol::RunState;
use tests::Scene;

#[test]
fn a_chain_of_a_hundred_thousand_nodes_is_checked() {
    let scene = Scene::with(&["faults"]).build();
    let daemon = scene.start();
    let mut pipeline = "name = \"chain\"\n".to_owned();
    for index in 0..100_000 {
        let input = if index == 0 { String::new() } else { format!("inputs = [\"d{}\"]\n", index - 1) };
        writeln!(pipeline, "[[node]]\nname = \"n{index}\"\ncall = \"faults::noop\"\n{input}outputs = [\"d{index}\"]")
            .unwrap();
    }
    let path = scene.write("chain.toml", pipeline);
    daemon.ctl(["validate", path.to_str().unwrap()]).expect_success().expect_stdout(&["100"]);
}

#[test]
fn a_cycle_of_a_hundred_thousand_nodes_is_found() {
    let scene = Scene::with(&["faults"]).build();
    let daemon = scene.start();
    let mut pipeline = "name = \"ring\"\n".to_owned();
    for index in 0..100_000 {
        let next = (index + 1) % 100_000;
        writeln!(
            pipeline,
            "[[node]]\nname = \"n{index}\"\ncall = \"faults::noop\"\ninputs = [\"d{index}\"]\noutputs = [\"d{next}\"]"
        )
        .unwrap();
    }
    let path = scene.write("ring.toml", pipeline);
    let outcome = daemon.ctl(["validate", path.to_str().unwrap()]).expect_code(3).expect_stderr(&["cycle"]);
    assert!(outcome.stderr.len() < 64 << 10, "a cycle is shown, not recited: {} bytes", outcome.stderr.len());
}

#[test]
fn a_hundred_thousand_nodes_run() {
    let scene = Scene::with(&["faults"]).build();
    let daemon = scene.start();
    let numbers: Vec<String> = (0..100_000).map(|index| format!("{index}")).collect();
    let pipeline = format!(
        "name = \"wide\"\n[[node]]\nname = \"n{{i}}\"\ncall = \"faults::noop\"\nmatrix = {{ i = [{}] }}\noutputs = [\"d{{i}}\"]\n",
        numbers.join(",")
    );
    let id = daemon.begin(&pipeline);
    let run = daemon.wait_while_it_goes_on(&id);
    assert_eq!((run.state, run.counts.succeeded), (RunState::Succeeded, 100_000), "{run:#?}");
}
