//! R18: nodes that give their outputs chunk by chunk.

use std::fs;

use protocol::{DatasetDetail, NodeState, RunDetail, RunState};
use tests::{Scene, wait};

use super::peak_kib;

#[track_caller]
fn dataset<'r>(run: &'r RunDetail, name: &str) -> &'r DatasetDetail {
    let mut named = run.datasets.iter().filter(|dataset| dataset.name == name);
    let found = named.next().unwrap_or_else(|| panic!("no dataset {name}: {run:#?}"));
    assert!(named.next().is_none(), "{name} is told twice");
    found
}

/// The names of the files in the work folder's `out`.
fn written(scene: &Scene) -> Vec<String> {
    let entries = fs::read_dir(scene.work("out")).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// A pipeline that saves `table` as this type, and a node that reads it again.
fn saving(call: &str, chunks: u32, size: &str, kind: &str, path: &str) -> String {
    format!(
        r#"
        name = "generate"
        parameters = {{ chunks = {chunks}, size = {size} }}
        [[node]]
        name = "generate"
        call = "faults::{call}"
        inputs = ["params:chunks", "params:size"]
        outputs = ["table"]
        [[node]]
        name = "count"
        call = "faults::rows"
        inputs = ["table"]
        outputs = ["rows"]
        [catalog]
        table = {{ type = "{kind}", path = "out/{path}" }}
        rows = {{ type = "json", path = "rows.json" }}
        "#
    )
}

#[test]
fn parity_r18_every_type_that_appends_saves_what_is_then_loaded() {
    for start_method in ["fork", "spawn"] {
        let scene =
            Scene::with(&["faults", "formats"]).set("workers.start_method", format!("{start_method:?}")).build();
        let daemon = scene.start();
        for (kind, path) in [
            ("csv", "t.csv"),
            ("csv", "t.csv.gz"),
            ("parquet", "t.parquet"),
            ("ndjson", "t.ndjson"),
            ("arrow", "t.arrow"),
        ] {
            daemon.submit(&saving("tables", 7, "10240", kind, path)).expect_success();
            assert_eq!(scene.read("rows.json").trim(), "70", "{kind}");
            let run = daemon.newest_run();
            let table = dataset(&run, "table");
            assert_eq!(table.metadata["chunks"], 7, "{table:?}");
            assert!(table.bytes.is_some_and(|bytes| bytes > 70 * 1024), "{table:?}");
            assert!(table.save_us.is_some() && table.load_us.is_some(), "{table:?}");
            assert_eq!(daemon.status().blocks.count, 0);
        }
        assert_eq!(written(&scene), ["t.arrow", "t.csv", "t.csv.gz", "t.ndjson", "t.parquet"]);
    }
}

/// 100 chunks of 10 MiB, and nobody ever has 50 MiB: not the worker that makes and saves them, not the server.
#[test]
fn parity_r18_a_gigabyte_passes_through_little_memory() {
    for (call, size, kind, path) in [
        ("tables", "10485760", "csv", "t.csv.zst"),
        ("tables", "10485760", "ndjson", "t.ndjson.zst"),
        ("numbers", "1310720", "parquet", "t.parquet"),
    ] {
        let scene = Scene::with(&["faults", "formats"]).set("workers.count", 1).build();
        let daemon = scene.start();
        let pipeline = saving(call, 100, size, kind, path);
        // Without the node that reads it: that one has the whole table in memory, and means to.
        let (generate, _) = pipeline.split_once("[[node]]\n        name = \"count\"").unwrap();
        let (_, catalog) = pipeline.split_once("[catalog]").unwrap();
        daemon.submit(&format!("{generate}[catalog]{catalog}")).expect_success();
        let run = daemon.newest_run();
        let table = dataset(&run, "table");
        assert_eq!(table.metadata["chunks"], 100);
        assert!(table.bytes.is_some_and(|bytes| bytes >= 100 * 10 * 1024 * 1024), "{table:?}");
        for process in daemon.processes() {
            let peak = peak_kib(process.pid);
            assert!(peak < 50 * 1024, "{kind}: {process:?} had {peak} KiB");
        }
    }
}

const TURNS: &str = r#"
    name = "turns"
    parameters = { count = 3 }
    [[node]]
    name = "turns"
    call = "faults::turns"
    inputs = ["params:count"]
    outputs = ["left", "right", "count"]
    [catalog]
    left = { type = "text", path = "out/left.txt" }
    right = { type = "text", path = "out/right.txt" }
    count = { type = "json", path = "out/count.json" }
"#;

/// Also where one of them stays in memory, and with saves that readers do not wait for.
#[test]
fn parity_r18_outputs_take_turns() {
    let scene = Scene::with(&["faults", "formats"]).build();
    scene.run(TURNS).expect_success();
    assert_eq!((scene.read("out/left.txt"), scene.read("out/right.txt")), ("0\n2\n4\n".into(), "1\n3\n5\n".into()));
    assert_eq!(scene.read("out/count.json").trim(), "3");

    let copied = TURNS.replace("left = { type", "copy = { type").replace("out/left.txt", "out/copy.txt")
        + "[[node]]\nname = \"copy\"\ncall = \"faults::shout\"\ninputs = [\"left\"]\noutputs = [\"copy\"]\n";
    scene.run(&copied).expect_success();
    assert_eq!((scene.read("out/copy.txt"), scene.read("out/right.txt")), ("0\n2\n4\n".into(), "1\n3\n5\n".into()));
}

fn ending(end: &str, more: &str) -> String {
    format!(
        r#"
        name = "ends"
        parameters = {{ end = "{end}" }}
        [[node]]
        name = "ends"
        call = "faults::ends"
        inputs = ["params:end"]
        outputs = ["lines"]
        {more}
        [catalog]
        lines = {{ type = "text", path = "out/lines.txt" }}
        "#
    )
}

/// However a generator ends: no half file, the old one stands, nothing is left beside it; the worker goes on or is replaced.
#[test]
fn parity_r18_a_generator_that_fails_leaves_the_old_file() {
    for start_method in ["fork", "spawn"] {
        let scene =
            Scene::with(&["faults", "formats"]).set("workers.start_method", format!("{start_method:?}")).build();
        scene.write("out/lines.txt", "old");
        let mut daemon = scene.start();
        for (end, said) in
            [("error", "there is no fourth line"), ("panic", "there is no fourth line"), ("abort", "SIGABRT")]
        {
            daemon.submit(&ending(end, "")).expect_code(1).expect_said(&["ends", said]);
            assert_eq!((scene.read("out/lines.txt").as_str(), written(&scene)), ("old", vec!["lines.txt".to_owned()]));
        }
        daemon.submit(&ending("hang", "timeout_seconds = 0.5")).expect_code(1).expect_said(&["ends", "0.5 s"]);
        assert_eq!((scene.read("out/lines.txt").as_str(), written(&scene)), ("old", vec!["lines.txt".to_owned()]));

        // A second attempt begins the file anew.
        daemon.submit(&ending("later", "retries = 1\nretry_backoff_seconds = 0.01")).expect_success();
        let lines: String = (1..=3).map(|line| format!("line {line} of attempt 2\n")).collect();
        assert_eq!(scene.read("out/lines.txt"), lines);
        daemon.expect_healthy();
    }
}

/// A generator that never asks stops between two chunks, and its worker lives.
#[test]
fn parity_r18_cancelling_stops_a_generator_between_chunks() {
    let scene = Scene::with(&["faults", "formats"]).set("workers.count", 1).build();
    let mut daemon = scene.start();
    let pipeline = r#"
        name = "endless"
        parameters = { start = 1 }
        [[node]]
        name = "endless"
        call = "faults::endless"
        inputs = ["params:start"]
        outputs = ["lines"]
        [catalog]
        lines = { type = "text", path = "out/lines.txt" }
    "#;
    let workers = || daemon.status().workers.iter().map(|worker| worker.pid).collect::<Vec<_>>();
    let id = daemon.begin(pipeline);
    daemon.wait_until_running(&id, "endless");
    let before = workers();
    daemon.ctl(["cancel", &id]).expect_success();
    let run = daemon.wait(&id);
    assert_eq!((run.summary.state, run.nodes[0].state), (RunState::Cancelled, NodeState::Cancelled), "{run:#?}");
    assert_eq!(workers(), before, "the worker had to be killed");
    assert_eq!(written(&scene), Vec::<String>::new());
    daemon.expect_healthy();
}

/// A save that fails in the middle is the dataset's failure, with its path; and hooks are told so.
#[test]
fn parity_r18_hooks_see_every_chunk() {
    for start_method in ["fork", "spawn"] {
        let scene = Scene::with(&["faults", "formats", "hook_faults"])
            .set("hooks.enabled", "[\"hook_faults::Recorder\"]")
            .set("workers.start_method", format!("{start_method:?}"))
            .set("runs.keep_outputs_seconds", 1)
            .build();
        let key = "hooks.settings.\"hook_faults::Recorder\".options";
        scene.configure_more(key, &format!("{{ file = {:?} }}", scene.path("heard")));
        let daemon = scene.start();
        let heard = || -> Vec<String> {
            let lines = fs::read_to_string(scene.path("heard")).unwrap_or_default();
            let lines = lines.lines().map(|line| line.splitn(3, ' ').last().unwrap_or_default().to_owned());
            lines.filter(|line| !line.contains("_catalog_") && !line.contains("_pipeline_")).collect()
        };
        daemon
            .submit(&TURNS.replace("count = 3", "count = 2").replace("count = { type", "other = { type"))
            .expect_success();
        assert_eq!(
            heard(),
            [
                "before_node_run turns",
                "before_dataset_saved left",
                "after_dataset_saved left",
                "before_dataset_saved right",
                "after_dataset_saved right",
                "before_dataset_saved left",
                "after_dataset_saved left",
                "before_dataset_saved right",
                "after_dataset_saved right",
                "after_node_run turns",
            ]
        );
        fs::write(scene.path("heard"), "").unwrap();
        // A folder where the file should be, made between two runs.
        scene.write("out/lines.txt/in_the_way", "");
        daemon.submit(&ending("well", "")).expect_code(1).expect_said(&[
            "lines",
            "out/lines.txt",
            "directory",
            "help:",
        ]);
        assert_eq!(heard(), ["before_node_run ends", "before_dataset_saved lines", "on_dataset_error lines"]);
        wait::until_true("the blocks to go", || daemon.status().blocks.count == 0);
    }
}
