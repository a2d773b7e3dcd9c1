//! The flights pipeline over the real data: the results are those that pandas and numpy gave, however it is run.

use std::fs;

use serde_json::{Value, json};
use tests::{Scene, demonstration, expected};

/// What another program computed.
fn model() -> Value {
    serde_json::from_str(&fs::read_to_string(demonstration::folder().join("data/expected.json")).unwrap()).unwrap()
}

fn scene(start_method: &str, workers: u32) -> Scene {
    let builder = Scene::with(&["flights", "formats"]).set("workers.start_method", format!("{start_method:?}"));
    builder.set("workers.count", workers).build()
}

#[track_caller]
fn check_results(scene: &Scene) {
    let model = model();
    let read = |name: &str| -> Value { serde_json::from_str(&scene.read(&format!("flights/out/{name}"))).unwrap() };
    expected::check("metrics", &read("metrics.json"), &model["metrics"]);
    expected::check("model_EWR", &read("model_EWR.json"), &model["models"]["EWR"]);
    for origin in ["JFK", "LGA"] {
        assert!(read(&format!("model_{origin}.json"))["rows"].as_u64().is_some_and(|rows| rows > 0), "{origin}");
    }
    check_carriers(&scene.read("flights/out/carrier_delays.csv"), model["carrier_delays"].as_array().unwrap());
    let chart = scene.read("flights/out/delay_chart.svg");
    assert!(
        chart.trim_start().starts_with("<svg") || chart.contains("<svg "),
        "no picture: {}",
        &chart[..chart.len().min(200)]
    );
    assert!(chart.contains("Frontier"), "the bars are not labelled");
    assert!(chart.contains("prefers-color-scheme"), "readable in light only");
}

/// The expected rows are the first three and the last.
#[track_caller]
fn check_carriers(csv: &str, rows: &[Value]) {
    let mut lines = csv.lines();
    let header: Vec<&str> = lines.next().unwrap().split(',').collect();
    assert_eq!(header, ["carrier", "name", "flights", "mean_dep_delay", "mean_arr_delay"]);
    let actual: Vec<Value> = lines
        .map(|line| {
            let fields: Vec<&str> = line.split(',').collect();
            let number = |index: usize| -> Value { serde_json::from_str(fields[index]).unwrap() };
            json!({
                "carrier": fields[0], "name": fields[1], "flights": number(2),
                "mean_dep_delay": number(3), "mean_arr_delay": number(4),
            })
        })
        .collect();
    assert_eq!(actual.len(), 16, "{csv}");
    let chosen = json!([actual[0], actual[1], actual[2], actual[15]]);
    expected::check("carrier_delays", &chosen, &Value::from(rows));
}

#[track_caller]
fn check(start_method: &str, workers: u32) {
    let scene = scene(start_method, workers);
    let pipeline = demonstration::place(&scene);
    scene.run_file(&pipeline, &[]).expect_success();
    check_results(&scene);
}

#[test]
fn forked_two_workers() {
    check("fork", 2);
}

#[test]
fn forked_one_worker() {
    check("fork", 1);
}

#[test]
fn spawned_two_workers() {
    check("spawn", 2);
}

#[test]
fn spawned_one_worker() {
    check("spawn", 1);
}

#[test]
fn in_sequence_and_with_asynchronous_saves() {
    for option in ["--sequential", "--async"] {
        let scene = scene("fork", 2);
        let pipeline = demonstration::place(&scene);
        scene.run_file(&pipeline, &[option]).expect_success();
        check_results(&scene);
    }
}

#[test]
fn every_dataset_has_the_rows_it_should() {
    let scene = scene("fork", 2);
    let pipeline = demonstration::place(&scene);
    let daemon = scene.start();
    daemon.ctl(["submit".as_ref(), pipeline.as_os_str()]).expect_success();
    check_results(&scene);
    let run = daemon.newest_run();
    assert_eq!(run.summary.counts.total, 11);
    let rows: serde_json::Map<String, Value> =
        run.datasets.iter().map(|dataset| (dataset.name.clone(), dataset.metadata["rows"].clone())).collect();
    expected::check("rows", &Value::Object(rows), &model()["rows"]);
}
