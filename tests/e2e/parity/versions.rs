//! Versioned datasets: one save version a run, the latest that is there, and never one for two runs.

use std::collections::BTreeSet;
use std::fs;

use protocol::RunState;
use tests::{Scene, SceneBuilder, wait};

use crate::pipelines::Gate;

fn scene() -> SceneBuilder {
    Scene::with(&["faults", "formats"])
}

/// Makes two versioned texts.
const MAKE: &str = r#"
    name = "make"
    [[node]]
    name = "one"
    call = "faults::text"
    inputs = ["params:word"]
    outputs = ["one"]
    [[node]]
    name = "two"
    call = "faults::shout"
    inputs = ["one"]
    outputs = ["two"]
    [parameters]
    word = "la"
    [catalog]
    one = { type = "text", path = "out/one.txt", versioned = true }
    two = { type = "text", path = "out/two.txt", versioned = true }
"#;

/// Reads what `MAKE` made.
const READ: &str = r#"
    name = "read"
    [[node]]
    name = "read"
    call = "faults::shout"
    inputs = ["one"]
    outputs = ["again"]
    [catalog]
    one = { type = "text", path = "out/one.txt", versioned = true }
    again = { type = "text", path = "again.txt" }
"#;

fn versions(scene: &Scene, name: &str) -> Vec<String> {
    let entries =
        fs::read_dir(scene.work(name)).map(|entries| entries.flatten().collect()).unwrap_or_else(|_| Vec::new());
    let mut names: Vec<String> = entries.iter().map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn parity_c3_a_run_saves_one_version_and_the_latest_that_is_there_is_loaded() {
    for start_method in ["fork", "spawn"] {
        let scene = scene().set("workers.start_method", format!("{start_method:?}")).build();
        let daemon = scene.start();
        daemon.submit(MAKE).expect_success().expect_stdout(&["versioned datasets are saved as version "]);
        let run = daemon.newest_run();
        let version = run.summary.save_version.clone().unwrap();
        // YYYY-MM-DDThh.mm.ss.sssZ
        let shape: String = version.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert_eq!(shape, "0000-00-00T00.00.00.000Z");
        for (name, content) in [("one", "la"), ("two", "LA")] {
            assert_eq!(scene.read(&format!("out/{name}.txt/{version}/{name}.txt")), content);
            let dataset = run.datasets.iter().find(|dataset| dataset.name == name).unwrap();
            assert_eq!(dataset.version.as_deref(), Some(version.as_str()));
        }
        // A later folder that does not hold the file is no version.
        fs::create_dir_all(scene.work("out/one.txt/9999-01-01T00.00.00.000Z")).unwrap();
        scene.write("out/one.txt/1999-01-01T00.00.00.000Z/one.txt", "old");
        daemon.submit(READ).expect_success();
        assert_eq!(scene.read("again.txt"), "LA");
        let listed = daemon.ctl(["catalog", "versions", "pipeline.toml", "--json"]).expect_success().json();
        assert_eq!(listed["datasets"][0]["versions"], serde_json::json!([version, "1999-01-01T00.00.00.000Z"]));
        let old = "one:1999-01-01T00.00.00.000Z";
        daemon.ctl(["submit", "pipeline.toml", "--load-versions", old]).expect_success();
        assert_eq!(scene.read("again.txt"), "OLD");
    }
}

#[test]
fn parity_c3_versions_that_are_not_there_or_there_already_are_refused() {
    let scene = scene().build();
    let daemon = scene.start();
    let read = scene.write("read.toml", READ);
    let make = scene.write("make.toml", MAKE);
    let submit = |file: &std::path::Path, arguments: &[&str]| {
        daemon.ctl(["submit", file.to_str().unwrap()].into_iter().chain(arguments.iter().copied()))
    };
    let none = submit(&read, &[]).expect_code(3);
    none.expect_stderr(&["error[no-version]: dataset `one` has no version yet", "out/one.txt/VERSION/one.txt"]);
    submit(&make, &["--save-version", "v1"]).expect_success();
    let taken = submit(&make, &["--save-version", "v1"]).expect_code(3);
    taken.expect_stderr(&["error[version-exists]: version `v1` is there already", "never overwritten"]);
    assert_eq!(scene.read("out/one.txt/v1/one.txt"), "la");
    submit(&make, &["--save-version", "../v2"]).expect_code(3).expect_stderr(&["\"../v2\" is no version"]);
    let wrong = submit(&read, &["--load-versions", "one:v2"]).expect_code(3);
    wrong.expect_stderr(&["dataset `one` has no version `v2`", "did you mean `v1`?"]);
    let unknown = submit(&read, &["--load-versions", "onne:v1"]).expect_code(3);
    unknown.expect_stderr(&["the catalog has no dataset `onne`", "did you mean `one`?"]);
    submit(&read, &["--load-versions", "one:../v1"]).expect_code(3).expect_stderr(&["is no version"]);
    assert_eq!(versions(&scene, "out/one.txt"), ["v1"]);
}

#[test]
fn parity_c3_a_version_other_than_the_one_saved_is_warned_of() {
    let scene = scene().build();
    let daemon = scene.start();
    daemon.submit(&MAKE.replace("la", "first")).expect_success();
    let first = daemon.newest_run().summary.save_version.unwrap();
    let pinned = format!("one:{first}");
    scene.write("pipeline.toml", MAKE);
    let handed = daemon.ctl(["submit", "pipeline.toml", "--load-versions", &pinned]).expect_success();
    handed.expect_stderr(&["was asked for, but this run saves version"]);
    let second = daemon.newest_run().summary.save_version.unwrap();
    assert_eq!(scene.read(&format!("out/two.txt/{second}/two.txt")), "LA", "what was just made is handed on");
    let reread = MAKE.replace("one = { type = \"text\",", "one = { reread = true, type = \"text\",");
    scene.write("pipeline.toml", reread);
    let loaded = daemon.ctl(["submit", "pipeline.toml", "--load-versions", &pinned]).expect_success();
    loaded.expect_stderr(&[&format!("version `{first}` of dataset `one` is loaded, this run saves version")]);
    let third = daemon.newest_run().summary.save_version.unwrap();
    assert_eq!(scene.read(&format!("out/two.txt/{third}/two.txt")), "FIRST");
    daemon.ctl(["submit", "pipeline.toml"]).expect_success();
    let fourth = daemon.newest_run().summary.save_version.unwrap();
    assert_eq!(scene.read(&format!("out/two.txt/{fourth}/two.txt")), "LA", "read again: the version just saved");
}

#[test]
fn parity_c3_runs_at_once_never_share_a_version_and_leave_no_empty_folder() {
    const DAEMONS: usize = 3;
    const RUNS: usize = 8;
    let scene = scene().build();
    scene.write("pipeline.toml", MAKE);
    let gate = Gate::new(&scene);
    // Runs that wait at the gate, or behind those that do, hold their versions meanwhile.
    let held = format!(
        "parameters = {{ gate = {}, fails_at = 2 }}\n{}{}",
        gate.value(),
        gate.node("waits"),
        "[[node]]\nname = \"one\"\ncall = \"faults::counts\"\n\
         inputs = { value = \"waits_out\", fails_at = \"params:fails_at\" }\noutputs = [\"one\"]\n\
         [catalog]\none = { type = \"json\", path = \"out/one.txt\", versioned = true }\n"
    );
    let daemon = scene.start();
    let ids: Vec<String> = (0..RUNS).map(|_| daemon.begin(&held)).collect();
    // Daemons of their own beside it, all at once.
    let configuration = scene.path("dagd.toml");
    let arguments = ["run", "pipeline.toml", "--daemon-config", configuration.to_str().unwrap(), "--quiet"];
    let beside: Vec<_> = (0..DAEMONS).map(|_| scene.start_ctl(arguments)).collect();
    for running in beside {
        running.finish().expect_success();
    }
    let saved: BTreeSet<String> = ids.iter().map(|id| daemon.run(id).summary.save_version.unwrap()).collect();
    assert_eq!(saved.len(), RUNS, "each has a version of its own");
    gate.open();
    for id in &ids {
        assert_eq!(daemon.wait(id).summary.state, RunState::Failed);
    }
    // A run is said to have failed as soon as it has, and its folders go when it is closed.
    wait::until_true("only versions that hold something to be left", || {
        ["out/one.txt", "out/two.txt"].iter().all(|file| versions(&scene, file).len() == DAEMONS)
    });
    let ones = versions(&scene, "out/one.txt");
    assert_eq!(ones, versions(&scene, "out/two.txt"), "one version a run");
    assert!(ones.iter().all(|version| !saved.contains(version)));
}
