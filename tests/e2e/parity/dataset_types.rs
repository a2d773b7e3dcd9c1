//! What dataset types are asked beside loading and saving.

use std::collections::BTreeSet;
use std::fs;

use serde_json::json;
use tests::{Scene, wait};

/// A journalled input with two readers, a journalled output.
fn pipeline(scene: &Scene, options: &str) -> String {
    format!(
        r#"
        name = "counting"
        [[node]]
        name = "one"
        call = "faults::shout"
        inputs = ["source"]
        outputs = ["loud"]
        [[node]]
        name = "other"
        call = "faults::shout"
        inputs = ["source"]
        outputs = ["sink"]
        [catalog]
        source = {{ type = "journalled", options = {{ journal = {0:?}{options} }} }}
        sink = {{ type = "journalled", options = {{ journal = {0:?} }} }}
        "#,
        scene.path("journal")
    )
}

fn journal(scene: &Scene) -> Vec<String> {
    fs::read_to_string(scene.path("journal")).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[test]
fn parity_c7_release_is_called_once_in_the_process_that_loaded_or_saved() {
    for start_method in ["fork", "spawn"] {
        let scene =
            Scene::with(&["faults", "keepers"]).set("workers.start_method", format!("{start_method:?}")).build();
        let daemon = scene.start();
        daemon.submit(&pipeline(&scene, "")).expect_success();
        wait::until("both to be released", || (journal(&scene).len() == 4).then_some(()));
        let lines = journal(&scene);
        for (used, name) in [("load", "source"), ("save", "sink")] {
            let line = |what: &str| lines.iter().find_map(|line| line.strip_prefix(&format!("{what} {name} ")));
            assert_eq!(line(used).unwrap(), line("release").unwrap(), "in the same process: {lines:?}");
        }
    }
}

#[test]
fn parity_c7_a_private_daemon_releases_before_it_ends_and_a_failing_release_fails_nothing() {
    let scene = Scene::with(&["faults", "keepers"]).build();
    scene.run(&pipeline(&scene, ", clings = true")).expect_success();
    let released: BTreeSet<String> = (journal(&scene).iter())
        .filter_map(|line| line.strip_prefix("release ")?.split(' ').next().map(str::to_owned))
        .collect();
    assert_eq!(released, BTreeSet::from(["sink".to_owned(), "source".to_owned()]));
}

#[test]
fn parity_c7_ctl_asks_the_types_whether_the_data_is_there() {
    let scene = Scene::with(&["faults", "formats", "keepers"]).build();
    let daemon = scene.start();
    scene.write("pipeline.toml", format!(
        "{}there = {{ type = \"text\", path = \"there.txt\" }}\nversions = {{ type = \"text\", path = \"versions.txt\", versioned = true }}\n\
         \"{{any}}\" = {{ type = \"text\", path = \"{{any}}.txt\" }}\n",
        pipeline(&scene, "")
    ));
    scene.write("there.txt", "");
    let ask = |names: &[&str]| {
        daemon.ctl(["catalog", "exists", "pipeline.toml", "--json"].into_iter().chain(names.iter().copied()))
    };
    let answers = |names: &[&str], code: i32| -> Vec<serde_json::Value> {
        let list = ask(names).expect_code(code).json();
        list["datasets"].as_array().unwrap().iter().map(|dataset| json!([dataset["name"], dataset["exists"]])).collect()
    };
    assert_eq!(answers(&["there", "source"], 0), [json!(["there", true]), json!(["source", true])]);
    assert_eq!(answers(&["there", "missing"], 6), [json!(["there", true]), json!(["missing", false])]);
    assert_eq!(answers(&["versions"], 6), [json!(["versions", false])]);
    scene.write("versions.txt/v1/versions.txt", "");
    assert_eq!(answers(&["versions"], 0), [json!(["versions", true])]);
    assert_eq!(answers(&[], 6).len(), 3, "loud, sink and source: what the pipeline uses");
    assert_eq!(journal(&scene).iter().filter(|line| line.starts_with("exists source ")).count(), 2);
    let shown = daemon.ctl(["catalog", "exists", "pipeline.toml", "missing"]).expect_code(6);
    shown.expect_stdout(&["missing", "no", "missing.txt"]);
}
