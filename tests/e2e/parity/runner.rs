//! Rows of the runner beside resuming and missing outputs.

use std::collections::BTreeMap;
use std::fs;

use protocol::{LogList, NodeState, RunDetail, RunState, RunSummary};
use serde_json::Value;
use tests::{Daemon, Scene, wait};

use crate::pipelines::single;
use crate::service::events_of;

#[track_caller]
fn state(run: &RunDetail, node: &str) -> NodeState {
    run.nodes.iter().find(|detail| detail.name == node).unwrap_or_else(|| panic!("no {node}: {run:#?}")).state
}

#[track_caller]
fn begin(daemon: &Daemon<'_>, pipeline: &str, options: &[(&str, Value)]) -> String {
    let mut submission = daemon.submission(pipeline);
    for (key, value) in options {
        submission[*key] = value.clone();
    }
    daemon.post("/v1/runs", &submission).expect(201).read::<RunSummary>().id
}

/// `make` saves its text when the gate opens; `reader` reads it.
fn held_save(scene: &Scene, fails: bool) -> String {
    let gate = scene.path("gate");
    format!(
        r#"
        name = "held"
        parameters = {{ text = "la" }}
        [[node]]
        name = "make"
        call = "faults::text"
        inputs = {{ text = "params:text" }}
        outputs = ["kept"]
        [[node]]
        name = "reader"
        call = "faults::shout"
        inputs = ["kept"]
        outputs = ["loud"]
        [catalog.kept]
        type = "gated"
        path = "kept.txt"
        options = {{ gate = {gate:?}, fails = {fails} }}
        "#
    )
}

#[test]
fn parity_r13_readers_start_while_the_save_goes_on() {
    let scene = Scene::with(&["faults", "formats"]).build();
    let daemon = scene.start();
    let id = begin(&daemon, &held_save(&scene, false), &[("asynchronous_saves", true.into())]);
    wait::until_true("the reader to finish", || state(&daemon.run(&id), "reader") == NodeState::Succeeded);
    assert_eq!(state(&daemon.run(&id), "make"), NodeState::Running, "its save is held");
    fs::write(scene.path("gate"), "").unwrap();
    assert_eq!(daemon.wait(&id).summary.state, RunState::Succeeded);
    assert_eq!(scene.read("kept.txt"), "la");
}

#[test]
fn parity_r13_without_it_readers_wait_for_the_save() {
    let scene = Scene::with(&["faults", "formats"]).build();
    let daemon = scene.start();
    let id = daemon.begin(&held_save(&scene, false));
    wait::until_true("the save to be under way", || {
        daemon
            .status()
            .workers
            .iter()
            .any(|worker| worker.task.as_deref().is_some_and(|task| task.contains("save kept")))
    });
    assert_eq!(state(&daemon.run(&id), "reader"), NodeState::Waiting);
    fs::write(scene.path("gate"), "").unwrap();
    let run = daemon.wait(&id);
    assert_eq!(run.summary.state, RunState::Succeeded);
    // R8: of two blocks one was released with its last reader; the output was there to the end.
    assert_eq!((run.blocks.live, run.blocks.peak), (1, 2), "{:?}", run.blocks);
}

#[test]
fn parity_r13_a_save_that_fails_late_fails_the_run_and_names_the_readers() {
    let scene = Scene::with(&["faults", "formats"]).build();
    let daemon = scene.start();
    let id = begin(&daemon, &held_save(&scene, true), &[("asynchronous_saves", true.into())]);
    wait::until_true("the reader to finish", || state(&daemon.run(&id), "reader") == NodeState::Succeeded);
    fs::write(scene.path("gate"), "").unwrap();
    let run = daemon.wait(&id);
    assert_eq!((run.summary.state, state(&run, "make")), (RunState::Failed, NodeState::Failed));
    let cause = run.summary.cause.expect("a cause");
    assert!(cause.causes.iter().any(|cause| cause.contains("reader had already read `kept`")), "{cause:#?}");
    daemon.ctl(["show", &id]).expect_success().expect_stdout(&["reader had already read `kept` from memory"]);
}

/// R8: along a chain no more than two blocks live at once, and only the output is left.
#[test]
fn parity_r8_r25_blocks_go_with_their_last_reader() {
    for start_method in ["fork", "spawn"] {
        let scene = Scene::with(&["faults"]).set("workers.start_method", format!("{start_method:?}")).build();
        let daemon = scene.start();
        let nodes: String = (0..20)
            .map(|n| {
                let input = if n == 0 { String::new() } else { format!("inputs = [\"x{}\"]\n", n - 1) };
                format!("[[node]]\nname = \"n{n}\"\ncall = \"faults::noop\"\n{input}outputs = [\"x{n}\"]\n")
            })
            .collect();
        daemon.submit(&format!("name = \"chain\"\n{nodes}")).expect_success();
        let run = daemon.newest_run();
        let shown = daemon.ctl(["--json", "show", &run.summary.id]).expect_success().json();
        assert_eq!((&shown["blocks"]["live"], &shown["blocks"]["peak"]), (&1.into(), &2.into()), "{}", shown["blocks"]);
        assert_eq!(run.blocks.live_bytes * 2, run.blocks.peak_bytes);
        let stored = scene.ctl(["--json", "show", &run.summary.id]).json();
        assert_eq!(stored["blocks"], shown["blocks"]);
    }
}

#[test]
fn parity_r10_fail_fast_cancels_what_runs() {
    for start_method in ["fork", "spawn"] {
        let scene = Scene::with(&["faults"]).set("workers.start_method", format!("{start_method:?}")).build();
        let daemon = scene.start();
        let (gate, trace, absent) = (scene.path("gate"), scene.path("trace"), scene.path("absent"));
        let pipeline = format!(
            r#"
            name = "fast"
            parameters = {{ gate = {gate:?}, trace = {trace:?}, absent = {absent:?} }}
            [[node]]
            name = "endless"
            call = "faults::waits_for_cancel"
            outputs = ["never"]
            [[node]]
            name = "gate"
            call = "faults::waits_for_file"
            inputs = {{ file = "params:gate" }}
            outputs = ["open"]
            [[node]]
            name = "bad"
            call = "faults::needs_file"
            inputs = {{ trace = "params:trace", file = "params:absent", before = "open" }}
            outputs = ["bad"]
            "#
        );
        let id = begin(&daemon, &pipeline, &[("fail_fast", true.into())]);
        daemon.wait_until_running(&id, "endless");
        fs::write(&gate, "").unwrap();
        let run = daemon.wait(&id);
        assert_eq!(run.summary.state, RunState::Failed);
        assert_eq!((state(&run, "bad"), state(&run, "endless")), (NodeState::Failed, NodeState::Cancelled));
        assert_eq!(run.failures.len(), 1, "{:#?}", run.failures);
        fs::remove_file(&gate).unwrap();
    }
}

#[test]
fn parity_r2_a_run_uses_no_more_workers_than_it_could() {
    let scene = Scene::with(&["faults"]).build();
    let daemon = scene.start();
    let path = scene.write("pipeline.toml", single("n", "faults::noop"));
    for bad in ["0", "-3"] {
        let refused = daemon.ctl(["submit", path.to_str().unwrap(), "--max-workers", bad]).expect_code(2);
        refused.expect_stderr(&["positive", bad]);
    }
    let mut submission = daemon.submission(&single("n", "faults::noop"));
    submission["max_workers"] = 0.into();
    let refused = daemon.post("/v1/runs", &submission).expect(422).json();
    let message = refused["error"]["problems"][0]["message"].as_str().unwrap_or_default();
    assert!(message.contains("should be positive") && message.contains('0'), "{refused}");
}

#[test]
fn parity_r3_all_that_cannot_be_called_is_told_at_once() {
    let scene = Scene::with(&["faults"]).build();
    let daemon = scene.start();
    let node =
        |name: &str, call: &str| format!("[[node]]\nname = \"{name}\"\ncall = \"{call}\"\noutputs = [\"{name}\"]\n");
    let text = format!(
        "name = \"bad\"\n{}{}{}",
        node("one", "faults::nop"),
        node("two", "fault::noop"),
        node("three", "faults::unheard_of")
    );
    let path = scene.write("pipeline.toml", text);
    let refused = daemon.ctl(["submit", path.to_str().unwrap()]).expect_code(3);
    let place = |what: &str| refused.stderr.find(what).unwrap_or_else(|| panic!("{what} is not told: {refused}"));
    assert!(place("has no node `nop`") < place("`fault`") && place("`fault`") < place("unheard_of"), "{refused}");
    refused.clone().expect_stderr(&["did you mean"]);
}

/// What one daemon makes of a pipeline: the log, the events by kind, the hooks, the configuration in force.
fn told(start_method: &str) -> Vec<String> {
    let scene =
        Scene::with(&["faults", "formats", "hooks_c"]).set("workers.start_method", format!("{start_method:?}")).build();
    scene.configure_more(
        "hooks.settings.\"hooks_c::EveryEvent\".options",
        &format!("{{ file = {:?} }}", scene.path("heard")),
    );
    let daemon = scene.start();
    assert_eq!(daemon.status().start_method, start_method);
    let pipeline = "name = \"talk\"\n[[node]]\nname = \"talker\"\ncall = \"faults::logs\"\noutputs = [\"a\"]\n\
                    [[node]]\nname = \"next\"\ncall = \"faults::noop\"\ninputs = [\"a\"]\noutputs = [\"b\"]\n\
                    [catalog]\nb = { type = \"json\", path = \"b.json\" }\n";
    let path = scene.write("pipeline.toml", pipeline);
    daemon.ctl(["submit", path.to_str().unwrap(), "--run-id", "nightly"]).expect_success();
    let logs: LogList = daemon.get("/v1/runs/nightly/logs").expect(200).read();
    let mut told: Vec<String> = logs
        .lines
        .iter()
        .map(|line| format!("{} {:?} {}: {}", line.level, line.node, line.target, line.message))
        .collect();
    told.extend(events_of(&scene, "nightly", 0).iter().map(|event| event["kind"].to_string()));
    told.extend(fs::read_to_string(scene.path("heard")).unwrap().lines().map(str::to_owned));
    told.push(scene.read("b.json"));
    told
}

#[test]
fn parity_r16_fork_and_spawn_look_the_same() {
    let fork = told("fork");
    assert!(fork.iter().any(|line| line.contains("a notice")), "{fork:#?}");
    assert_eq!(fork, told("spawn"));
}

/// R15: the id stands in every hook event and with every line of the log.
#[test]
fn parity_r15_the_run_id_is_everywhere() {
    let lines = told("fork");
    let heard: Vec<&String> = lines.iter().filter(|line| line.starts_with("hooks_c ")).collect();
    assert!(heard.len() > 5, "{lines:#?}");
    for line in heard {
        let run = line.split(' ').nth(1);
        assert_eq!(run, Some(if line.contains("after_generation_loaded") { "-" } else { "nightly" }), "{line}");
    }
}

#[test]
fn parity_r17_sequential_is_in_layers_then_by_name() {
    for start_method in ["fork", "spawn"] {
        let scene = Scene::with(&["faults"]).set("workers.start_method", format!("{start_method:?}")).build();
        let trace = scene.path("trace");
        let node = |name: &str, before: &str| {
            format!(
                "[[node]]\nname = \"{name}\"\ncall = \"faults::step\"\ninputs = {{ trace = \"params:trace\"{before} }}\n\
                 outputs = [\"{name}_out\"]\n"
            )
        };
        let text = format!(
            "name = \"order\"\nparameters = {{ trace = {trace:?} }}\n{}{}{}{}{}",
            node("z", ""),
            node("deep", ", before = \"z_out\""),
            node("b", ""),
            node("also_deep", ", before = \"b_out\""),
            node("a", ""),
        );
        let path = scene.write("pipeline.toml", text);
        for _ in 0..2 {
            scene.run_file(&path, &["--sequential"]).expect_success();
        }
        let order = "a b z also_deep deep ".repeat(2);
        assert_eq!(fs::read_to_string(&trace).unwrap().replace('\n', " "), order);
    }
}

#[test]
fn parity_r21_completed_n_of_m() {
    let scene = Scene::with(&["faults"]).build();
    let daemon = scene.start();
    let nodes = ["a", "b", "c"].map(|name| single(name, "faults::noop")).concat();
    let text = nodes.replace("name = \"b\"\n\n", "\n").replace("name = \"c\"\n\n", "\n");
    let outcome = daemon.submit(&text).expect_success();
    outcome.expect_said(&["(1 of 3)", "(2 of 3)", "(3 of 3)", "succeeded in"]);
    let id = daemon.newest_run().summary.id;
    let finished = events_of(&scene, &id, 0).into_iter().filter(|event| event["kind"] == "node_finished");
    let counts: Vec<(Value, Value)> =
        finished.map(|event| (event["completed"].clone(), event["total"].clone())).collect();
    assert_eq!(counts, [1, 2, 3].map(|n| (n.into(), 3.into())));
}

#[test]
fn parity_r22_the_death_of_a_worker_names_node_plugin_and_signal() {
    for start_method in ["fork", "spawn"] {
        let scene = Scene::with(&["faults"]).set("workers.start_method", format!("{start_method:?}")).build();
        let mut daemon = scene.start();
        daemon
            .submit(&single("doomed", "faults::segfaults"))
            .expect_code(1)
            .expect_said(&["doomed", "faults", "SIGSEGV"]);
        let run = daemon.newest_run();
        let failure = run.failures.first().expect("a failure");
        let told = (failure.node.as_deref(), failure.plugin.as_deref(), failure.signal);
        assert_eq!(told, (Some("doomed"), Some("faults"), Some(11)));
        daemon.expect_healthy();
    }
}

#[test]
fn parity_r26_missing_outputs_name_node_expected_and_got() {
    let scene = Scene::with(&["missing_outputs"]).build();
    let daemon = scene.start();
    let nodes = daemon.get("/v1/nodes").expect(200).json();
    let calls: BTreeMap<String, Vec<String>> = nodes["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| {
            let outputs = node["outputs"].as_array().unwrap().iter();
            (
                node["call"].as_str().unwrap().to_owned(),
                outputs.map(|port| port["name"].as_str().unwrap().to_owned()).collect(),
            )
        })
        .collect();
    assert!(!calls.is_empty());
    for (call, outputs) in calls {
        let bound: Vec<String> = outputs.iter().map(|port| format!("{port} = \"x_{port}\"")).collect();
        let text = format!(
            "name = \"lacking\"\n[[node]]\nname = \"lacking\"\ncall = \"{call}\"\noutputs = {{ {} }}\n",
            bound.join(", ")
        );
        daemon.submit(&text).expect_code(1).expect_said(&["lacking", "output"]);
    }
}
