//! The service as its users see it: many at once, following, logs, history, restarts.

use std::collections::BTreeSet;
use std::io::Write as _;

use nix::sys::signal::Signal;
use protocol::{LogList, NodeState, RunList, RunState};
use serde_json::Value;
use tests::{Outcome, Scene, http, processes, wait};

use crate::pipelines::{Gate, single};

#[test]
fn a_detached_run_is_found_again() {
    let scene = Scene::with(&["faults"]).build();
    let daemon = scene.start();
    let path = scene.write("pipeline.toml", single("quick", "faults::noop"));
    let outcome = daemon.ctl(["submit", "--detach", path.to_str().unwrap()]).expect_success();
    let id = outcome.stdout.trim().to_owned();
    assert!(!id.contains(char::is_whitespace) && !id.is_empty(), "not just an id: {outcome}");
    daemon.wait(&id);
    daemon.ctl(["show", &id]).expect_success().expect_stdout(&["quick", "succeeded"]);
    daemon.ctl(["runs"]).expect_success().expect_stdout(&[&id, "succeeded"]);
    let shown = daemon.ctl(["--json", "show", &id]).expect_success().json();
    assert_eq!(shown["state"], "succeeded");
}

#[test]
fn a_run_that_is_not_there_is_named() {
    let scene = Scene::with(&["faults"]).build();
    let daemon = scene.start();
    for command in ["show", "logs", "cancel"] {
        daemon.ctl([command, "nightly-7"]).expect_code(6).expect_stderr(&["nightly-7"]);
    }
    let refusal = daemon.get("/v1/runs/nightly-7").expect(404).json();
    assert!(refusal["error"]["message"].as_str().unwrap().contains("nightly-7"), "{refusal}");
}

#[test]
fn a_run_id_is_taken_once() {
    let scene = Scene::with(&["faults"]).build();
    let daemon = scene.start();
    let path = scene.write("pipeline.toml", single("quick", "faults::noop"));
    let submit = || daemon.ctl(["submit", path.to_str().unwrap(), "--run-id", "nightly"]);
    submit().expect_success();
    let second = submit();
    assert_ne!(second.code, 0, "{second}");
    second.expect_stderr(&["nightly"]);
}

#[test]
fn many_submit_at_once() {
    let scene = Scene::with(&["faults"]).build();
    let daemon = scene.start();
    let path = scene.write("pipeline.toml", single("quick", "faults::noop"));
    let clients: Vec<_> = (0..8).map(|_| scene.start_ctl(["submit", "--detach", path.to_str().unwrap()])).collect();
    let ids: BTreeSet<String> =
        clients.into_iter().map(|client| client.finish().expect_success().stdout.trim().to_owned()).collect();
    assert_eq!(ids.len(), 8, "ids are unique: {ids:?}");
    for id in &ids {
        assert_eq!(daemon.wait(id).summary.state, RunState::Succeeded);
    }
    let list: RunList = daemon.get("/v1/runs").expect(200).read();
    assert_eq!(list.runs.len(), 8);
}

#[test]
fn what_nodes_say_is_kept_with_who_said_it() {
    let scene = Scene::with(&["faults"]).build();
    let daemon = scene.start();
    let pipeline = "name = \"talk\"\n[[node]]\nname = \"talker\"\ncall = \"faults::logs\"\noutputs = [\"a\"]\n\
                    [[node]]\nname = \"printer\"\ncall = \"faults::prints\"\noutputs = [\"b\"]\n";
    daemon.submit(pipeline).expect_success();
    let id = daemon.newest_run().summary.id;
    // What a node prints goes through a pipe, so it may arrive a moment after the run's end.
    let says = |node: &str, message: &str| {
        wait::until_true(&format!("the log to hold {message:?} of {node}"), || {
            let logs: LogList = daemon.get(&format!("/v1/runs/{id}/logs")).expect(200).read();
            logs.lines.iter().any(|line| line.node.as_deref() == Some(node) && line.message.contains(message))
        });
    };
    says("talker", "an error of talker");
    says("talker", "a warning");
    says("talker", "a notice");
    says("printer", "a line on standard output");
    says("printer", "a line on standard error");
    daemon.ctl(["logs", &id]).expect_success().expect_stdout(&["talker", "a notice", "a line on standard output"]);
    let only = daemon.ctl(["logs", &id, "--node", "printer"]).expect_success();
    assert!(!only.stdout.contains("a notice"), "{only}");
}

#[test]
fn events_are_numbered_without_a_gap() {
    let scene = Scene::with(&["faults"]).build();
    let daemon = scene.start();
    let id = daemon.begin(&single("quick", "faults::noop"));
    daemon.wait(&id);
    let events = events_of(&scene, &id, 0);
    let numbers: Vec<u64> = events.iter().map(|event| event["sequence"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=events.len() as u64).collect::<Vec<_>>(), "{events:#?}");
    let kinds: Vec<&str> = events.iter().map(|event| event["kind"].as_str().unwrap()).collect();
    assert_eq!((kinds.first(), kinds.last()), (Some(&"run_started"), Some(&"run_finished")), "{kinds:?}");
    assert!(kinds.contains(&"node_started") && kinds.contains(&"node_finished"), "{kinds:?}");
    let later = events_of(&scene, &id, 2);
    assert_eq!(later.first().map(|event| event["sequence"].clone()), Some(Value::from(3)), "{later:#?}");
}

/// The events of a run that is over, after the one numbered `from`.
pub fn events_of(scene: &Scene, id: &str, from: u64) -> Vec<Value> {
    let answer = http::request(&scene.socket(), "GET", &format!("/v1/runs/{id}/events?from={from}"), None).expect(200);
    let text = String::from_utf8(answer.body).unwrap();
    text.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data:")?.trim()).ok()).collect()
}

#[test]
fn a_crashed_server_leaves_its_runs_marked() {
    let scene = Scene::with(&["faults"]).set("runs.automatic_resumes_max", 0).build();
    let gate = Gate::new(&scene);
    let (done, under_way) = {
        let mut daemon = scene.start();
        let done = daemon.begin(&single("quick", "faults::noop"));
        daemon.wait(&done);
        let under_way = daemon.begin(&gate.pipeline());
        daemon.wait_until_running(&under_way, "waits");
        daemon.kill();
        scene.expect_no_process();
        (done, under_way)
    };
    let mut daemon = scene.start();
    assert_eq!(daemon.run(&done).summary.state, RunState::Succeeded);
    let interrupted = daemon.run(&under_way).summary;
    assert_eq!(interrupted.state, RunState::Interrupted);
    let cause = interrupted.cause.expect("an interrupted run says why");
    assert!(!cause.hints.is_empty(), "nothing says how to run it again: {cause:#?}");
    daemon.ctl(["show", &under_way]).expect_success().expect_stdout(&["interrupted"]);
    daemon.expect_healthy();
}

#[test]
fn a_polite_stop_waits_for_what_runs() {
    let scene = Scene::with(&["faults"]).build();
    let gate = Gate::new(&scene);
    let daemon = scene.start();
    let id = daemon.begin(&gate.pipeline());
    daemon.wait_until_running(&id, "waits");
    // One signal and no other: a second one would cancel the run.
    processes::signal(daemon.pid(), Signal::SIGTERM);
    gate.open();
    assert!(daemon.wait_for_end().success());
    assert_eq!(scene.start().run(&id).summary.state, RunState::Succeeded);
}

#[test]
fn a_stop_does_not_wait_for_ever() {
    let scene =
        Scene::with(&["faults"]).set("server.drain_timeout_ms", 200).set("runs.automatic_resumes_max", 0).build();
    let daemon = scene.start();
    let id = daemon.begin(&single("endless", "faults::loops"));
    daemon.wait_until_running(&id, "endless");
    assert!(daemon.stop().success());
    let state = scene.start().run(&id).summary.state;
    assert!(matches!(state, RunState::Cancelled | RunState::Interrupted), "{state:?}");
}

#[test]
fn the_api_describes_itself() {
    let scene = Scene::with(&["faults", "formats"]).build();
    let daemon = scene.start();
    let description = daemon.get("/openapi.json").expect(200).json();
    for path in ["/v1/runs", "/v1/runs/{id}", "/v1/validate", "/v1/plugins", "/v1/hooks", "/v1/status"] {
        assert!(description["paths"][path].is_object(), "{path} is not described");
    }
    let status = daemon.status();
    assert_eq!((status.plugins, status.start_method.as_str(), status.workers.len()), (2, "fork", 2), "{status:#?}");
}

#[test]
fn every_command_answers_in_json() {
    let scene = Scene::with(&["faults", "formats", "trace"]).build();
    let daemon = scene.start();
    let path = scene.write("pipeline.toml", single("quick", "faults::noop"));
    let path = path.to_str().unwrap();
    for arguments in [
        vec!["status"],
        vec!["plugins"],
        vec!["nodes"],
        vec!["nodes", "faults::noop"],
        vec!["hooks"],
        vec!["runs"],
        vec!["validate", path],
        vec!["graph", path],
    ] {
        let outcome = daemon.ctl(["--json"].iter().chain(&arguments)).expect_success();
        assert!(outcome.json().is_object() || outcome.json().is_array(), "{outcome}");
    }
    check_json_lines(&daemon.ctl(["--json", "submit", path]).expect_success());
    let refused = daemon.ctl(["--json", "show", "nothing"]).expect_code(6);
    assert!(refused.json()["error"]["message"].is_string(), "{refused}");
}

/// A followed run: a line an event, the last one the report.
#[track_caller]
fn check_json_lines(outcome: &Outcome) {
    let lines: Vec<Value> = outcome
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|problem| panic!("{problem} in {line}")))
        .collect();
    assert!(lines.iter().all(|line| line["kind"].is_string()), "{outcome}");
    let kinds = |kind: &str| lines.iter().filter(|line| line["kind"] == kind).count();
    assert_eq!((kinds("submitted"), kinds("node_finished")), (1, 1), "{outcome}");
    let last = lines.last().expect("something is printed");
    assert_eq!((&last["kind"], &last["run"]["state"]), (&"report".into(), &"succeeded".into()), "{outcome}");
}

#[test]
fn a_run_without_a_service_answers_in_json() {
    let scene = Scene::with(&["faults"]).build();
    let path = scene.write("pipeline.toml", single("quick", "faults::noop"));
    check_json_lines(&scene.run_file(&path, &["--json"]).expect_success());
    let bad = scene.write("bad.toml", single("bad", "faults::fails"));
    let failed = scene.run_file(&bad, &["--json"]).expect_code(1);
    let report: Value = serde_json::from_str(failed.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((&report["kind"], &report["run"]["cause"]["node"]), (&"report".into(), &"bad".into()), "{failed}");
}

#[test]
fn what_is_done_to_a_run_is_answered_in_json() {
    let scene = Scene::with(&["faults"]).build();
    let daemon = scene.start();
    let path = scene.write("pipeline.toml", single("talker", "faults::logs"));
    let detached = daemon.ctl(["--json", "submit", "--detach", path.to_str().unwrap()]).expect_success().json();
    let id = detached["id"].as_str().expect("a run has an id");
    daemon.wait(id);
    let logs = daemon.ctl(["--json", "logs", id]).expect_success().json();
    let lines = logs["lines"].as_array().expect("a list of lines");
    let notice = lines.iter().find(|line| line["message"].as_str().is_some_and(|text| text.contains("a notice")));
    assert_eq!(notice.expect("the notice is kept")["node"], "talker", "{logs}");

    let endless = daemon.begin(&single("endless", "faults::waits_for_cancel"));
    let cancelled = daemon.ctl(["--json", "cancel", &endless]).expect_success().json();
    assert_eq!(cancelled["id"], endless.as_str(), "{cancelled}");
    assert_eq!(daemon.wait(&endless).summary.state, RunState::Cancelled);
}

#[test]
fn nodes_are_explained() {
    let scene = Scene::with(&["faults"]).build();
    let daemon = scene.start();
    daemon.ctl(["nodes", "faults::add"]).expect_success().expect_stdout(&[
        "left",
        "right",
        "sum",
        "integer",
        "The sum of two numbers",
    ]);
    daemon.ctl(["nodes", "faults::ad"]).expect_code(6).expect_stderr(&["faults::add"]);
}

#[test]
fn a_graph_is_drawn_in_three_ways() {
    let scene = Scene::with(&["faults"]).build();
    let daemon = scene.start();
    let path = scene.write("pipeline.toml", single("quick", "faults::noop"));
    let path = path.to_str().unwrap();
    daemon.ctl(["graph", path]).expect_success().expect_stdout(&["quick"]);
    daemon.ctl(["graph", path, "--format", "dot"]).expect_success().expect_stdout(&["digraph", "quick"]);
    daemon.ctl(["graph", path, "--format", "mermaid"]).expect_success().expect_stdout(&["flowchart", "quick"]);
}

#[test]
fn a_pipeline_comes_as_json_or_from_standard_input_too() {
    let scene = Scene::with(&["faults"]).build();
    let path = scene
        .write("pipeline.json", r#"{"name": "j", "node": [{"name": "n", "call": "faults::noop", "outputs": ["x"]}]}"#);
    scene.run_file(&path, &[]).expect_success();

    let daemon = scene.start();
    let mut command = scene.ctl_command(["submit", "-"]);
    let mut child = command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(single("piped", "faults::noop").as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(daemon.newest_run().nodes[0].state, NodeState::Succeeded);
}

#[test]
fn a_reader_that_leaves_harms_nobody() {
    let scene = Scene::with(&["faults"]).build();
    let gate = Gate::new(&scene);
    let mut daemon = scene.start();
    let id = daemon.begin(&gate.pipeline());
    let mut stream = http::connect(&scene.socket()).unwrap();
    stream.write_all(format!("GET /v1/runs/{id}/events?from=0 HTTP/1.1\r\nhost: dagd\r\n\r\n").as_bytes()).unwrap();
    drop(stream);
    gate.open();
    assert_eq!(daemon.wait(&id).summary.state, RunState::Succeeded);
    daemon.expect_healthy();
}
