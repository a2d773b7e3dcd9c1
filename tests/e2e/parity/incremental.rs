//! C6 and R19: datasets of which each partition is processed once, and what confirms that.

use std::fs;

use serde_json::{Value, json};
use tests::{Scene, SceneBuilder};

use crate::pipelines::Gate;
use crate::service::events_of;

/// A pipeline that reads what is new, and says with `entry` what is more of `readings`.
fn pipeline(entry: &str) -> String {
    format!(
        r#"
        name = "news"
        [[node]]
        name = "news"
        call = "faults::summary"
        inputs = ["readings"]
        outputs = ["summary"]
        confirms = ["readings"]
        [catalog]
        readings = {{ type = "csv", path = "readings", partitioned = {{ suffix = ".csv" }}, incremental = {entry} }}
        summary = {{ type = "json", path = "summary.json" }}
        "#
    )
}

/// The same with a node between that needs a file, or waits for it, and confirms.
fn pipeline_with(scene: &Scene, call: &str) -> String {
    let (trace, file) = (scene.path("trace"), scene.path("gate"));
    format!(
        r#"
        name = "steps"
        parameters = {{ threads = 1, trace = {trace:?}, file = {file:?} }}
        [[node]]
        name = "rows"
        call = "faults::rows_of_all"
        inputs = ["readings", "params:threads"]
        outputs = ["rows"]
        [[node]]
        name = "act"
        call = "faults::{call}"
        inputs = {{ trace = "params:trace", file = "params:file", before = "rows" }}
        outputs = ["acted"]
        confirms = ["readings"]
        [catalog]
        readings = {{ type = "csv", path = "readings", partitioned = {{ suffix = ".csv" }}, incremental = true }}
        rows = {{ type = "json", path = "rows.json" }}
        acted = {{ type = "json", path = "acted.json" }}
        "#
    )
}

fn scene(start_method: &str) -> SceneBuilder {
    Scene::with(&["faults", "formats"]).set("workers.start_method", format!("{start_method:?}"))
}

/// A partition of one row, whose number is `number`.
fn arrives(scene: &Scene, name: &str, number: u32) {
    scene.write(&format!("readings/{name}.csv"), format!("number,text\n{number},x\n"));
}

fn summary(scene: &Scene) -> Value {
    serde_json::from_str(&scene.read("summary.json")).unwrap()
}

fn checkpoint(scene: &Scene) -> Option<String> {
    fs::read_to_string(scene.work("readings/CHECKPOINT")).ok()
}

#[test]
fn parity_c6_only_partitions_that_were_not_confirmed_are_loaded() {
    for start_method in ["fork", "spawn"] {
        let scene = scene(start_method).build();
        arrives(&scene, "2024-01", 1);
        arrives(&scene, "2024-02", 2);
        scene.run(&pipeline("true")).expect_success();
        assert_eq!(summary(&scene), json!([["2024-01", 1], ["2024-02", 2]]));
        assert_eq!(checkpoint(&scene).as_deref(), Some("2024-02"));

        scene.run(&pipeline("true")).expect_success();
        assert_eq!(summary(&scene), json!([]));
        assert_eq!(checkpoint(&scene).as_deref(), Some("2024-02"));

        arrives(&scene, "2024-03", 3);
        scene.run(&pipeline("true")).expect_success();
        assert_eq!(summary(&scene), json!([["2024-03", 3]]));
        assert_eq!(checkpoint(&scene).as_deref(), Some("2024-03"));

        // The last one once more; everything from a place of one's choice; a checkpoint that somebody has set back.
        scene.run(&pipeline("{ comparison = \">=\" }")).expect_success();
        assert_eq!(summary(&scene), json!([["2024-03", 3]]));
        scene.run(&pipeline("{ from = \"2024-01\" }")).expect_success();
        assert_eq!(summary(&scene), json!([["2024-02", 2], ["2024-03", 3]]));
        scene.write("readings/CHECKPOINT", "2024-02\n");
        scene.run(&pipeline("true")).expect_success();
        assert_eq!(summary(&scene), json!([["2024-03", 3]]));

        scene.run(&pipeline("{ checkpoint = \"state/done.txt\" }")).expect_success();
        assert_eq!(summary(&scene).as_array().unwrap().len(), 3);
        assert_eq!(scene.read("state/done.txt"), "2024-03");
    }
}

/// Without a suffix every file is a partition, but for the checkpoint.
#[test]
fn parity_c6_the_checkpoint_is_no_partition() {
    let scene = scene("fork").build();
    let plain = pipeline("true").replace("partitioned = { suffix = \".csv\" }, ", "");
    arrives(&scene, "a", 1);
    for expected in [json!([["a.csv", 1]]), json!([])] {
        scene.run(&plain).expect_success();
        assert_eq!(summary(&scene), expected);
    }
    assert_eq!(checkpoint(&scene).as_deref(), Some("a.csv"));
}

#[test]
fn parity_r19_what_fails_leaves_the_checkpoint_and_a_resumed_run_sees_what_is_new() {
    for start_method in ["fork", "spawn"] {
        let scene = scene(start_method).build();
        arrives(&scene, "a", 1);
        let daemon = scene.start();
        daemon.submit(&pipeline_with(&scene, "needs_file")).expect_code(1);
        assert_eq!(scene.read("rows.json").trim(), "1");
        assert_eq!(checkpoint(&scene), None);

        // Who is to confirm them has not seen what came meanwhile, so whoever reads them runs again as well.
        arrives(&scene, "b", 2);
        fs::write(scene.path("gate"), "").unwrap();
        let failed = daemon.newest_run();
        assert_eq!(failed.resume.unwrap().from_nodes, ["rows"]);
        daemon.ctl(["resume", &failed.summary.id]).expect_success();
        assert_eq!((scene.read("rows.json").trim(), scene.read("acted.json").trim()), ("2", "3"));
        assert_eq!(checkpoint(&scene).as_deref(), Some("b"));
    }
}

#[test]
fn parity_r19_a_save_that_fails_leaves_the_checkpoint() {
    let scene = scene("fork").build();
    arrives(&scene, "a", 1);
    scene.write("occupied/x", "");
    let blocked = pipeline("true").replace("path = \"summary.json\"", "path = \"occupied\"");
    scene.run(&blocked).expect_code(1).expect_said(&["summary", "occupied"]);
    assert_eq!(checkpoint(&scene), None);
}

/// Two runs see different partitions; whichever confirms last, the checkpoint stays with the later one.
#[test]
fn parity_r19_runs_at_the_same_time_never_set_a_checkpoint_back() {
    for start_method in ["fork", "spawn"] {
        let scene = scene(start_method).build();
        let gate = Gate::new(&scene);
        arrives(&scene, "a", 1);
        let daemon = scene.start();
        let slow = daemon.begin(&pipeline_with(&scene, "held"));
        daemon.wait_until_running(&slow, "act");
        arrives(&scene, "b", 2);
        daemon.submit(&pipeline("true")).expect_success();
        assert_eq!(summary(&scene), json!([["a", 1], ["b", 2]]));
        assert_eq!(checkpoint(&scene).as_deref(), Some("b"));
        gate.open();
        let slow = daemon.wait(&slow);
        assert!(slow.failures.is_empty(), "{:?}", slow.failures);
        assert_eq!(checkpoint(&scene).as_deref(), Some("b"));
    }
}

/// What came after a run had looked is not confirmed by it.
#[test]
fn parity_r19_only_what_the_run_found_is_confirmed() {
    let scene = scene("fork").build();
    let gate = Gate::new(&scene);
    arrives(&scene, "a", 1);
    let daemon = scene.start();
    let run = daemon.begin(&pipeline_with(&scene, "held"));
    daemon.wait_until_running(&run, "act");
    arrives(&scene, "b", 2);
    gate.open();
    daemon.wait(&run);
    assert_eq!(checkpoint(&scene).as_deref(), Some("a"));
    let told = events_of(&scene, &run, 0).into_iter().filter(|event| event["kind"] == "dataset_confirmed");
    let told: Vec<_> = told.map(|event| (event["dataset"].clone(), event["node"].clone())).collect();
    assert_eq!(told, [("readings".into(), "act".into())]);
}

#[test]
fn parity_r19_a_checkpoint_that_cannot_be_written_fails_the_node() {
    let scene = scene("fork").build();
    arrives(&scene, "a", 1);
    scene.write("state", "a file");
    scene.run(&pipeline("{ checkpoint = \"state/done.txt\" }")).expect_code(1).expect_said(&[
        "the checkpoint of `readings`",
        "state/done.txt",
        "incremental = ",
    ]);
    // Names that need not be inputs or outputs are enough to confirm; and what they are is in the graph.
    let lone = "name = \"lone\"\n[[node]]\nname = \"lone\"\ncall = \"faults::noop\"\noutputs = [\"x\"]\nconfirms = [\"readings\"]\n\
                [catalog]\nreadings = { type = \"csv\", path = \"readings\", partitioned = { suffix = \".csv\" }, incremental = true }\n";
    scene.run(lone).expect_success();
    assert_eq!(checkpoint(&scene).as_deref(), Some("a"));
    let daemon = scene.start();
    let graph = daemon.ctl(["graph", "pipeline.toml", "--json"]).expect_success().json();
    assert_eq!(graph["nodes"][0]["confirms"], json!(["readings"]));
}

/// A dataset that the same run makes is read again, from the disk, and as far as it is new.
#[test]
fn parity_c6_what_a_run_makes_is_new_to_it_only_once() {
    let scene = scene("fork").build();
    let both = |count: u32| {
        let makes = format!(
            "parameters = {{ count = {count}, rows = 1 }}\n[[node]]\nname = \"part\"\ncall = \"faults::part\"\n\
             inputs = [\"params:count\", \"params:rows\"]\noutputs = [\"readings\"]\n[[node]]"
        );
        pipeline("true").replacen("[[node]]", &makes, 1)
    };
    scene.run(&both(2)).expect_success();
    assert_eq!(summary(&scene), json!([["p00000", 0], ["p00001", 1]]));
    scene.run(&both(3)).expect_success();
    assert_eq!(summary(&scene), json!([["p00002", 2]]));
}

#[test]
fn parity_c6_overwrite_leaves_only_what_was_made() {
    for start_method in ["fork", "spawn"] {
        let scene = scene(start_method).build();
        let makes = |call: &str, count: u32| {
            format!(
                "name = \"makes\"\nparameters = {{ count = {count}, rows = 1 }}\n[[node]]\nname = \"part\"\ncall = \"faults::{call}\"\n\
                 inputs = [\"params:count\", \"params:rows\"]\noutputs = [\"readings\"]\n[catalog]\n\
                 readings = {{ type = \"csv\", path = \"readings\", partitioned = {{ suffix = \".csv\", overwrite = true }}, incremental = true }}\n"
            )
        };
        arrives(&scene, "old", 1);
        arrives(&scene, "deep/old", 1);
        scene.write("readings/notes.txt", "mine");
        scene.write("readings/CHECKPOINT", "old");
        // A call that fails takes nothing away.
        scene.run(&makes("part_and_fail", 2)).expect_code(1);
        assert_eq!(files(&scene), ["CHECKPOINT", "deep", "notes.txt", "old.csv", "p00000.csv", "p00001.csv"]);
        scene.run(&makes("part", 1)).expect_success();
        assert_eq!(files(&scene), ["CHECKPOINT", "deep", "notes.txt", "p00000.csv"]);
        assert!(!scene.work("readings/deep/old.csv").exists());
    }
}

fn files(scene: &Scene) -> Vec<String> {
    let files = fs::read_dir(scene.work("readings")).unwrap().flatten();
    let mut names: Vec<_> = files.map(|file| file.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
