//! C6: datasets of many files.

use std::fs;

use tests::Scene;

use super::peak_kib;

/// A pipeline that writes partitions, and one that reads them.
fn pipeline(count: u32, rows: u32, threads: u32) -> String {
    format!(
        r#"
        name = "partitions"
        parameters = {{ count = {count}, rows = {rows}, threads = {threads} }}
        [[node]]
        name = "part"
        call = "faults::part"
        inputs = ["params:count", "params:rows"]
        outputs = ["readings"]
        [[node]]
        name = "rows"
        call = "faults::rows_of_all"
        inputs = ["readings", "params:threads"]
        outputs = ["rows"]
        [[node]]
        name = "summary"
        call = "faults::summary"
        inputs = ["readings"]
        outputs = ["summary"]
        [catalog]
        readings = {{ type = "csv", path = "readings", partitioned = {{ suffix = ".csv" }} }}
        rows = {{ type = "json", path = "rows.json" }}
        summary = {{ type = "json", path = "summary.json" }}
        "#
    )
}

#[test]
fn parity_c6_partitions_are_saved_and_loaded_one_by_one() {
    for start_method in ["fork", "spawn"] {
        let scene =
            Scene::with(&["faults", "formats"]).set("workers.start_method", format!("{start_method:?}")).build();
        scene.run(&pipeline(3, 2, 2)).expect_success();
        assert_eq!(scene.read("rows.json").trim(), "6");
        let summary: serde_json::Value = serde_json::from_str(&scene.read("summary.json")).unwrap();
        assert_eq!(summary, serde_json::json!([["p00000", 0], ["p00001", 2], ["p00002", 4]]));
        let files = fs::read_dir(scene.work("readings")).unwrap().flatten();
        let mut names: Vec<_> = files.map(|file| file.file_name().into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names, ["p00000.csv", "p00001.csv", "p00002.csv"]);
        assert!(scene.read("readings/p00001.csv").starts_with("number,text\n2,xxx"));
    }
}

/// Ten thousand partitions, 160 MB in all: memory for a few, and a budget that the whole would not fit. Four threads wait for each other
/// with a partition in each one's hands, so four are loaded at once; and never more.
#[test]
fn parity_c6_ten_thousand_partitions_need_the_memory_of_a_few() {
    let scene =
        Scene::with(&["faults", "formats"]).set("workers.count", 1).set("blocks.memory_budget_bytes", 16 << 20).build();
    let daemon = scene.start();
    daemon.submit(&pipeline(10_000, 16, 4).replace("faults::rows_of_all", "faults::rows_together")).expect_success();
    let rows: serde_json::Value = serde_json::from_str(&scene.read("rows.json")).unwrap();
    assert_eq!(rows, serde_json::json!([160_000, 4]));
    for process in daemon.processes() {
        let peak = peak_kib(process.pid);
        assert!(peak < 50 * 1024, "{process:?} had {peak} KiB");
    }
}

/// Memory that a node let go of serves the next partition, also where the server has to be asked for it.
#[test]
fn parity_c6_large_partitions_pass_through_the_budget() {
    let scene =
        Scene::with(&["faults", "formats"]).set("workers.count", 1).set("blocks.memory_budget_bytes", 24 << 20).build();
    // 12 partitions of 4 MiB.
    scene.run(&pipeline(12, 4096, 2)).expect_success();
    assert_eq!(scene.read("rows.json").trim(), "49152");
}

#[test]
fn parity_c6_what_is_wrong_with_partitions_is_told() {
    let scene = Scene::with(&["faults", "formats"]).build();
    let memory = pipeline(1, 1, 1)
        .replace("readings = { type = \"csv\", path = \"readings\", partitioned = { suffix = \".csv\" } }", "");
    scene.run(&memory).expect_code(3).expect_said(&[
        "`part` makes `readings` as partitions<table>",
        "cannot stay in memory",
        "partitioned = ",
    ]);
    let whole = pipeline(1, 1, 1).replace(", partitioned = { suffix = \".csv\" }", "");
    scene.run(&whole).expect_code(3).expect_said(&["partitions<table>", "saves table"]);
    let one = pipeline(1, 1, 1);
    let (_, reads) = one.split_once("[[node]]\n        name = \"rows\"").unwrap();
    let missing = format!("name = \"reads\"\nparameters = {{ threads = 1 }}\n[[node]]\n        name = \"rows\"{reads}");
    scene.run(&missing).expect_code(1).expect_said(&["readings", "cannot list the partitions", "help:"]);
    scene.write("readings/p.csv", "number,text\n1,x\n2\n");
    scene.run(&missing).expect_code(1).expect_said(&["partition `p`", "readings/p.csv", "line 3"]);
}
