//! Hooks: who is called, in which order, what they may change, and what becomes of a run when one of them fails.

use std::fs;

use protocol::{FailureKind, HookInfo, HookList, HookOrigin, RunState};
use serde_json::Value;
use tests::{Daemon, Scene, SceneBuilder, processes};

use crate::data_plane::Victim;
use crate::pipelines::single;

/// A scene whose hooks `enabled` write to one file.
fn recording(enabled: &str) -> SceneBuilder {
    Scene::with(&["faults", "formats", "hook_faults"]).set("hooks.enabled", enabled)
}

/// Gives hooks the file to write to; the scene's path is known only after it is laid out.
#[track_caller]
pub fn start_recording<'a>(scene: &'a Scene, hooks: &[impl std::fmt::Display]) -> Daemon<'a> {
    for hook in hooks {
        let key = format!("hooks.settings.\"{hook}\".options");
        scene.configure_more(&key, &format!("{{ file = {:?} }}", scene.path("heard")));
    }
    scene.start()
}

/// The lines that hooks wrote.
pub fn heard(scene: &Scene) -> Vec<String> {
    fs::read_to_string(scene.path("heard")).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn hooks(daemon: &Daemon<'_>) -> Vec<HookInfo> {
    daemon.get("/v1/hooks").expect(200).read::<HookList>().hooks
}

/// A load, two nodes in a row, a save.
const PIPELINE: &str = r#"
    name = "song"
    [[node]]
    name = "first"
    call = "faults::shout"
    inputs = ["lyrics"]
    outputs = ["loud"]
    [[node]]
    name = "second"
    call = "faults::shout"
    inputs = ["loud"]
    outputs = ["louder"]
    [catalog]
    lyrics = { type = "text", path = "lyrics.txt" }
    louder = { type = "text", path = "louder.txt" }
"#;

#[test]
fn every_event_is_heard_once_and_in_order_under_both_start_methods() {
    for start_method in ["fork", "spawn"] {
        let scene =
            recording("[\"hook_faults::Recorder\"]").set("workers.start_method", format!("{start_method:?}")).build();
        scene.write("lyrics.txt", "la");
        let daemon = start_recording(&scene, &["hook_faults::Recorder"]);
        daemon.submit(PIPELINE).expect_success();
        assert_eq!(
            heard(&scene),
            [
                "Recorder 1 after_catalog_created lyrics,loud,louder",
                "Recorder 2 before_pipeline_run song",
                "Recorder 3 before_dataset_loaded lyrics",
                "Recorder 4 after_dataset_loaded lyrics",
                "Recorder 5 before_node_run first",
                "Recorder 6 after_node_run first",
                "Recorder 7 before_node_run second",
                "Recorder 8 after_node_run second",
                "Recorder 9 before_dataset_saved louder",
                "Recorder 10 after_dataset_saved louder",
                "Recorder 11 after_pipeline_run succeeded",
            ]
        );
    }
}

#[test]
fn failures_are_heard_too() {
    let scene = recording("[\"hook_faults::Recorder\"]").build();
    let daemon = start_recording(&scene, &["hook_faults::Recorder"]);
    daemon.submit(&single("bad", "faults::fails")).expect_code(1);
    daemon.submit(PIPELINE).expect_code(1); // Its input file is missing.
    let heard = heard(&scene).join("\n");
    for line in ["on_node_error bad", "on_pipeline_error bad", "on_dataset_error lyrics", "on_pipeline_error song"] {
        assert!(heard.contains(line), "{line} was not heard:\n{heard}");
    }
}

#[test]
fn a_node_that_crashes_is_heard_of() {
    let scene = recording("[\"hook_faults::Recorder\"]").build();
    let daemon = start_recording(&scene, &["hook_faults::Recorder"]);
    daemon.submit(&single("bad", "faults::segfaults")).expect_code(1);
    assert!(heard(&scene).join("\n").contains("on_node_error bad"), "{:?}", heard(&scene));
}

/// Those listed come in the list's order (last registered, first called, as in Kedro), those that came by themselves after.
#[test]
fn parity_h7_the_list_is_the_order() {
    let order = |enabled: &str| -> Vec<String> {
        let scene = recording(enabled).build();
        let daemon =
            start_recording(&scene, &["hook_faults::Recorder", "hook_faults::Eager", "hook_faults::Uninvited"]);
        daemon.submit(&single("n", "faults::noop")).expect_success();
        let ends = heard(&scene).into_iter().filter(|line| line.contains("after_node_run"));
        ends.map(|line| line.split(' ').next().unwrap().to_owned()).collect()
    };
    let one = order("[\"hook_faults::Recorder\", \"hook_faults::Eager\"]");
    let other = order("[\"hook_faults::Eager\", \"hook_faults::Recorder\"]");
    assert_eq!((one.len(), other.len()), (3, 3), "{one:?} {other:?}");
    let position = |order: &[String], name: &str| order.iter().position(|hook| hook == name).unwrap();
    assert_ne!(
        position(&one, "Recorder") < position(&one, "Eager"),
        position(&other, "Recorder") < position(&other, "Eager"),
        "the list does not decide: {one:?} {other:?}"
    );
}

#[test]
fn hooks_are_listed_with_their_origin_and_why_one_is_off() {
    let scene = recording("[\"hook_faults::Recorder\"]").build();
    let daemon = scene.start();
    let list = hooks(&daemon);
    let find = |name: &str| {
        list.iter().find(|hook| hook.name.ends_with(name)).unwrap_or_else(|| panic!("no {name}: {list:#?}"))
    };
    assert!(find("Recorder").active && find("Recorder").origin == HookOrigin::Configuration);
    assert!(find("Uninvited").active && find("Uninvited").origin == HookOrigin::Plugin);
    assert!(!find("Hanging").active && find("Hanging").off_because.is_some());
    daemon.ctl(["hooks"]).expect_success().expect_stdout(&["Recorder", "Uninvited", "Hanging"]);
}

#[test]
fn a_plugins_own_hooks_can_be_turned_off() {
    let scene = recording("[]").set("hooks.disabled_plugins", "[\"hook_faults\"]").build();
    let daemon = start_recording(&scene, &["hook_faults::Uninvited"]);
    daemon.submit(&single("n", "faults::noop")).expect_success();
    assert!(heard(&scene).is_empty());
    let uninvited = hooks(&daemon).into_iter().find(|hook| hook.name.ends_with("Uninvited")).unwrap();
    assert!(!uninvited.active);
    assert!(uninvited.off_because.unwrap().contains("disabled_plugins"));
    daemon.ctl(["hooks"]).expect_success().expect_stdout(&["disabled_plugins"]);
}

#[test]
fn parity_h4_a_hook_may_change_what_a_node_sees() {
    let scene = recording("[\"hook_faults::Doubling\"]").build();
    let daemon = scene.start();
    let pipeline = r#"
        name = "doubled"
        parameters = { value = 21 }
        [[node]]
        name = "make"
        call = "faults::constant"
        inputs = { value = "params:value" }
        outputs = ["number"]
        [[node]]
        name = "read"
        call = "faults::noop"
        inputs = ["number"]
        outputs = ["seen"]
        [catalog.seen]
        type = "json"
        path = "seen.json"
    "#;
    daemon.submit(pipeline).expect_success();
    assert_eq!(serde_json::from_str::<Value>(&scene.read("seen.json")).unwrap(), 42);
}

#[test]
fn a_hook_host_that_ends_with_nothing_to_do_costs_no_event() {
    for start_method in ["fork", "spawn"] {
        let scene =
            recording("[\"hook_faults::Recorder\"]").set("workers.start_method", format!("{start_method:?}")).build();
        let mut daemon = scene.start();
        for _ in 0..3 {
            daemon.submit(&single("watched", "faults::noop")).expect_success();
            let host = Victim::HookHost.find(&daemon, 0).expect("a hook host, which was asked");
            processes::kill_hard(host);
        }
        daemon.expect_healthy();
        assert!(daemon.stop().success());
    }
}

/// A deadline for hooks that fail before any clock does.
const NEVER_MET_MS: u32 = 60_000;

/// A hook that fails fails the run, or is only logged, as its policy says; the next run has a hook host again.
#[track_caller]
fn check_failing(hook: &str, deadline_ms: u32, says: &[&str]) {
    for (on_error, start_method) in [("fail", "fork"), ("ignore", "fork"), ("fail", "spawn"), ("ignore", "spawn")] {
        let settings = format!("hooks.settings.\"hook_faults::{hook}\"");
        let scene = recording(&format!("[\"hook_faults::{hook}\"]"))
            .set("workers.start_method", format!("{start_method:?}"))
            .set(&format!("{settings}.on_error"), format!("{on_error:?}"))
            .set(&format!("{settings}.deadline_ms"), deadline_ms)
            .build();
        let daemon = scene.start();
        for _ in 0..2 {
            let outcome = daemon.submit(&single("watched", "faults::noop"));
            let run = daemon.newest_run();
            if on_error == "fail" {
                outcome.expect_code(1).expect_said(&[hook, "hook_faults", "watched", "help: "]).expect_said(says);
                assert_eq!(run.summary.state, RunState::Failed);
                let cause = run.summary.cause.unwrap();
                assert_eq!(cause.kind, FailureKind::Hook, "{cause:#?}");
                assert!(!cause.hints.is_empty(), "{cause:#?}");
            } else {
                outcome.expect_success();
                assert_eq!(run.summary.state, RunState::Succeeded);
                let logs = String::from_utf8(daemon.get(&format!("/v1/runs/{}/logs", run.summary.id)).body).unwrap();
                assert!(
                    logs.contains(hook) || daemon.log().contains(hook),
                    "what was ignored is not even logged: {logs}"
                );
            }
        }
        assert!(daemon.stop().success());
    }
}

#[test]
fn a_hook_that_nobody_offers_and_options_that_do_not_fit_are_told_to_who_runs() {
    let scene = recording("[\"hook_faults::Recorder\", \"hook_faults::Recordre\"]")
        .set("hooks.settings.\"hook_faults::Recorder\".on_error", "\"ignore\"")
        .set("hooks.settings.\"hook_faults::Recorder\".options", "{ fiel = \"heard\" }")
        .build();
    scene.run(&single("watched", "faults::noop")).expect_success().expect_stderr(&[
        "[hooks] enabled names hook_faults::Recordre, but no loaded plugin offers it; did you mean hook_faults::Recorder?",
        "the hook's options do not fit: unknown field `fiel`, expected `file`",
    ]);
}

#[test]
fn parity_h13_a_hook_that_refuses_gives_its_reason() {
    check_failing("Refusing", NEVER_MET_MS, &["may not run on a Sunday"]);
}

#[test]
fn parity_h13_a_hook_that_panics() {
    check_failing("Panicking", NEVER_MET_MS, &["fell off its chair"]);
}

#[test]
fn parity_h13_a_hook_that_hangs() {
    check_failing("Hanging", 300, &["300 ms"]);
}

#[test]
fn parity_h13_a_hook_that_crashes() {
    check_failing("Crashing", NEVER_MET_MS, &["SIGSEGV"]);
}

#[test]
fn a_hook_that_is_not_there_is_named() {
    let scene = recording("[\"hook_faults::Recoder\"]").build();
    let daemon = scene.start();
    // The daemon is up; the list tells what the configuration asked for in vain.
    daemon.ctl(["hooks"]).expect_success().expect_stdout(&["hook_faults::Recoder"]);
}

#[test]
fn the_trace_of_a_run_opens_as_a_chrome_trace() {
    let scene = Scene::with(&["faults", "formats", "trace"]).build();
    scene.configure_more(
        "hooks.settings.\"trace::ChromeTrace\".options",
        &format!("{{ directory = {:?} }}", scene.path("traces")),
    );
    scene.write("lyrics.txt", "la");
    let daemon = scene.start();
    daemon.submit(PIPELINE).expect_success();
    let traces: Vec<_> = fs::read_dir(scene.path("traces")).unwrap().flatten().map(|entry| entry.path()).collect();
    assert_eq!(traces.len(), 1, "{traces:?}");
    let trace: Value = serde_json::from_str(&fs::read_to_string(&traces[0]).unwrap()).unwrap();
    let events = trace["traceEvents"].as_array().expect("a list of events");
    for name in ["first", "second"] {
        let node =
            events.iter().find(|event| event["name"] == name).unwrap_or_else(|| panic!("no event of {name}: {trace}"));
        assert_eq!(node["ph"], "X", "a complete event: {node}");
        assert!(node["dur"].as_f64().is_some_and(|duration| duration >= 0.0) && node["ts"].is_number(), "{node}");
        assert!(node["pid"].is_number() && node["tid"].is_number(), "{node}");
    }
    let tracks = events.iter().filter(|event| event["ph"] == "M" && event["name"] == "thread_name");
    assert!(
        tracks.clone().any(|track| track["args"]["name"].as_str().is_some_and(|name| name.contains("worker"))),
        "{trace}"
    );
}
