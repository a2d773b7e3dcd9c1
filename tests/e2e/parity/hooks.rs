//! H: three plugins whose hooks write down every event, under both start methods and with few and many workers.

use std::collections::BTreeSet;
use std::fs;

use protocol::{FailureKind, HookList};
use tests::{Daemon, Scene, SceneBuilder};

use crate::hooks::{heard, start_recording};
use crate::pipelines::single;

const PLUGINS: [&str; 3] = ["hooks_a", "hooks_b", "hooks_c"];

fn scene(start_method: &str, workers: u32) -> SceneBuilder {
    Scene::with(&["faults", "formats", "hooks_a", "hooks_b", "hooks_c"])
        .set("workers.start_method", format!("{start_method:?}"))
        .set("workers.count", workers)
        // The third one registers itself.
        .set("hooks.enabled", "[\"hooks_a::EveryEvent\", \"hooks_b::EveryEvent\", \"hooks_a::EveryEvent\"]")
}

#[track_caller]
fn start(scene: &Scene) -> Daemon<'_> {
    start_recording(scene, &PLUGINS.map(|plugin| format!("{plugin}::EveryEvent")))
}

/// A load for two nodes, a chain, a save.
const SONG: &str = r#"
    name = "song"
    [[node]]
    name = "first"
    call = "faults::shout"
    inputs = ["lyrics"]
    outputs = ["loud"]
    [[node]]
    name = "second"
    call = "faults::shout"
    inputs = { text = "loud" }
    outputs = ["louder"]
    [[node]]
    name = "third"
    call = "faults::both"
    inputs = { one = "louder", other = "lyrics" }
    outputs = ["end"]
    [catalog]
    lyrics = { type = "text", path = "lyrics.txt" }
    end = { type = "text", path = "end.txt" }
"#;

/// Every event there is, in the order of the engine's events, as the hook of one plugin writes it down.
const EXPECTED: &str = r#"
- 1 after_generation_loaded 1 faults,formats,hooks_a,hooks_b,hooks_c workers WORKERS
song 1 after_catalog_created lyrics:text,loud:memory,louder:memory,end:text {}
song 2 before_pipeline_run first,second,third max_workers null
song 3 before_dataset_loaded lyrics for first,third
song 4 after_dataset_loaded lyrics for first,third "la"
song 5 before_node_run first in lyrics:2
song 6 after_node_run first in lyrics:2 out loud:2
song 7 before_node_run second in loud:2
song 8 after_node_run second in loud:2 out louder:2
song 9 before_node_run third in louder:2 lyrics:2
song 10 after_node_run third in louder:2 lyrics:2 out end:4
song 11 before_dataset_saved end of third "LAla"
song 12 after_dataset_saved end of third
song 13 after_pipeline_run succeeded end
bad 1 after_catalog_created bad_out:memory {}
bad 2 before_pipeline_run bad max_workers 1
bad 3 before_node_run bad in
bad 4 on_node_error bad error in
bad 5 on_pipeline_error failed error
lost 1 after_catalog_created lyrics:text,loud:memory,louder:memory,end:text {}
lost 2 before_pipeline_run first,second,third max_workers null
lost 3 before_dataset_loaded lyrics for first,third
lost 4 on_dataset_error lyrics load error
lost 5 on_pipeline_error failed error
full 1 after_catalog_created lyrics:text,loud:memory,louder:memory,end:text {}
full 2 before_pipeline_run first,second,third max_workers null
full 3 before_dataset_loaded lyrics for first,third
full 4 after_dataset_loaded lyrics for first,third "la"
full 5 before_node_run first in lyrics:2
full 6 after_node_run first in lyrics:2 out loud:2
full 7 before_node_run second in loud:2
full 8 after_node_run second in loud:2 out louder:2
full 9 before_node_run third in louder:2 lyrics:2
full 10 after_node_run third in louder:2 lyrics:2 out end:4
full 11 before_dataset_saved end of third "LAla"
full 12 on_dataset_error end save error
full 13 on_pipeline_error failed error
"#;

/// H1-H3, H5-H7, H9, H11: every event, once, for each of three hooks, in the engine's order, the last registered first; the same
/// under both start methods and however many workers there are.
#[test]
fn parity_h1_h3_h5_h6_h7_h9_h11_every_event_once_in_order_everywhere() {
    for (start_method, workers) in [("fork", 1), ("fork", 4), ("spawn", 1), ("spawn", 4)] {
        let scene = scene(start_method, workers).build();
        let daemon = start(&scene);
        let submit = |pipeline: &str, id: &str, more: &[&str]| {
            let path = scene.write("pipeline.toml", pipeline);
            let all = ["submit", path.to_str().unwrap(), "--run-id", id];
            daemon.ctl(all.iter().chain(more))
        };
        scene.write("lyrics.txt", "la");
        submit(SONG, "song", &[]).expect_success();
        submit(&single("bad", "faults::fails"), "bad", &["--max-workers", "1"]).expect_code(1);
        fs::remove_file(scene.work("lyrics.txt")).unwrap();
        submit(SONG, "lost", &[]).expect_code(1);
        scene.write("lyrics.txt", "la");
        fs::remove_file(scene.work("end.txt")).unwrap();
        fs::create_dir(scene.work("end.txt")).unwrap();
        submit(SONG, "full", &[]).expect_code(1);

        let order = ["hooks_c", "hooks_b", "hooks_a"];
        let expected: Vec<String> = (EXPECTED.trim().lines())
            .flat_map(|line| order.map(|plugin| format!("{plugin} {}", line.replace("WORKERS", &workers.to_string()))))
            .collect();
        let heard = heard(&scene);
        let first = heard.iter().zip(&expected).position(|(heard, expected)| heard != expected);
        let differs = first.map(|at| (&heard[at], &expected[at]));
        assert!(heard == expected, "{start_method}, {workers} workers: {differs:#?} in\n{}", heard.join("\n"));
    }
}

/// H9: where nodes run side by side their order is chance, but each event comes once, numbered without a gap, and a node ends
/// after it began.
#[test]
fn parity_h9_side_by_side_every_event_comes_once() {
    let mut seen: Option<BTreeSet<String>> = None;
    for (start_method, workers) in [("fork", 1), ("fork", 4), ("spawn", 4)] {
        let scene = scene(start_method, workers).build();
        let daemon = start(&scene);
        let nodes: String = (0..12)
            .map(|n| format!("[[node]]\nname = \"n{n}\"\ncall = \"faults::noop\"\noutputs = [\"x{n}\"]\n"))
            .collect();
        daemon.submit(&format!("name = \"wide\"\n{nodes}")).expect_success();
        let id = daemon.newest_run().summary.id;
        let heard = heard(&scene);
        for plugin in PLUGINS {
            let own: Vec<Vec<&str>> = (heard.iter().map(|line| line.split(' ').collect::<Vec<_>>()))
                .filter(|words| words[0] == plugin && words[1] == id)
                .collect();
            let numbers: Vec<String> = own.iter().map(|words| words[2].to_owned()).collect();
            assert_eq!(numbers, (1..=27).map(|n: u32| n.to_string()).collect::<Vec<_>>());
            let place = |event: &str, node: &str| {
                own.iter().position(|words| words[3] == event && words.get(4) == Some(&node)).expect("it was heard")
            };
            for n in 0..12 {
                let node = format!("n{n}");
                assert!(place("before_node_run", &node) < place("after_node_run", &node));
            }
            let events: BTreeSet<String> = own.iter().map(|words| words[3..].join(" ")).collect();
            assert_eq!(seen.get_or_insert_with(|| events.clone()), &events);
        }
    }
}

/// H8: who registers itself is there, who is disabled is not, and both are told with the version.
#[test]
fn parity_h8_what_is_registered_or_disabled_is_logged_with_its_version() {
    let scene = scene("fork", 1).set("hooks.disabled_plugins", "[\"hooks_c\"]").build();
    let daemon = start(&scene);
    let log = daemon.log();
    for line in [
        "hook hooks_a::EveryEvent 0.1.0 is on",
        "hook hooks_c::EveryEvent 0.1.0 is off: [hooks] disabled_plugins names hooks_c",
    ] {
        assert!(log.contains(line), "{line} is not logged:\n{log}");
    }
    daemon.submit(&single("n", "faults::noop")).expect_success();
    assert!(heard(&scene).iter().all(|line| !line.starts_with("hooks_c")));
    let list = daemon.get("/v1/hooks").expect(200).read::<HookList>().hooks;
    assert!(list.iter().any(|hook| hook.name == "hooks_c::EveryEvent" && !hook.active));
}

/// H10: a hook may be put before or after all others, whatever the list says.
#[test]
fn parity_h10_first_and_last() {
    let scene = scene("fork", 1)
        .set("hooks.settings.\"hooks_a::EveryEvent\".order", "\"first\"")
        .set("hooks.settings.\"hooks_c::EveryEvent\".order", "\"last\"")
        .build();
    let daemon = start(&scene);
    daemon.submit(&single("n", "faults::noop")).expect_success();
    let heard = heard(&scene);
    let ends = heard.iter().filter(|line| line.contains(" after_node_run "));
    let order: Vec<&str> = ends.map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(order, ["hooks_a", "hooks_b", "hooks_c"]);
}

/// H4: what a hook gives a node must be one of its inputs, and of the same kind.
#[test]
fn parity_h4_a_wrong_dataset_or_kind_names_the_hook() {
    for (hook, says) in [
        ("Misnaming", ["the event is not about a dataset `number_of_moons`", "number"]),
        ("Mistyping", ["the input `number` is of format", "its replacement would be"]),
    ] {
        for start_method in ["fork", "spawn"] {
            let scene = Scene::with(&["faults", "formats", "hook_faults"])
                .set("workers.start_method", format!("{start_method:?}"))
                .set("hooks.enabled", format!("[\"hook_faults::{hook}\"]"))
                .build();
            let daemon = scene.start();
            let pipeline = "name = \"p\"\nparameters = { value = 21 }\n\
                [[node]]\nname = \"make\"\ncall = \"faults::constant\"\ninputs = { value = \"params:value\" }\noutputs = [\"number\"]\n\
                [[node]]\nname = \"read\"\ncall = \"faults::noop\"\ninputs = [\"number\"]\noutputs = [\"seen\"]\n";
            daemon.submit(pipeline).expect_code(1).expect_said(&[&format!("hook_faults::{hook}"), says[0], says[1]]);
            let run = daemon.newest_run();
            let failure = run.failures.first().expect("a failure");
            assert_eq!((failure.kind, failure.node.as_deref()), (FailureKind::Hook, Some("read")), "{failure:#?}");
        }
    }
}

/// H12: a hook that names one event gets that one only.
#[test]
fn parity_h12_a_hook_gets_what_it_names() {
    let scene = Scene::with(&["faults", "hook_faults"]).set("hooks.enabled", "[\"hook_faults::Eager\"]").build();
    scene.configure_more(
        "hooks.settings.\"hook_faults::Eager\".options",
        &format!("{{ file = {:?} }}", scene.path("heard")),
    );
    let daemon = scene.start();
    daemon.submit(&single("n", "faults::noop")).expect_success();
    daemon.submit(&single("bad", "faults::fails")).expect_code(1);
    assert_eq!(heard(&scene), ["Eager 1 after_node_run n"]);
}
