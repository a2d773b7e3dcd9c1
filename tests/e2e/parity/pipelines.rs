//! P: slices, included files, projects of several pipelines, formats of one dataset, options from a file; as a user types them.

use std::fs;

use protocol::{Graph, exit};
use serde_json::json;
use tests::Scene;

const SHARED: &str = r#"
tags = ["shared"]

[[node]]
name = "write"
call = "faults::text"
inputs = ["params:words"]
outputs = ["note@written"]

[[node]]
name = "shout"
call = "faults::shout"
inputs = ["note@read"]
outputs = ["loud"]
"#;

const CATALOG: &str = r#"
["{space}.note@written"]
type = "text"
path = "out/{space}.txt"

["{space}.note@read"]
type = "text"
path = "out/{space}.txt"

["loud_{space}"]
type = "text"
path = "out/loud_{space}.txt"
"#;

/// A project of two pipelines that both include one file, and share what they include under one name.
fn project(start_method: &str) -> Scene {
    let scene = Scene::with(&["faults", "formats"]).set("workers.start_method", format!("{start_method:?}")).build();
    let include = |namespace: &str| {
        format!(
            "[[include]]\nfile = \"../shared/note.toml\"\nnamespace = \"{namespace}\"\noutputs = {{ loud = \"loud_{namespace}\" }}\n"
        )
    };
    scene.write("pipelines/first.toml", format!("{}{}", include("one"), include("both")));
    scene.write("pipelines/second.toml", format!("{}{}", include("two"), include("both")));
    scene.write("shared/note.toml", SHARED);
    scene.write("catalog.toml", CATALOG);
    scene.write("parameters.toml", "one.words = \"first\"\ntwo.words = \"second\"\nboth.words = \"shared\"\n");
    scene
}

fn made(scene: &Scene) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(scene.work("out"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn parity_p3_p4_p6_a_project_runs_under_both_start_methods() {
    for start_method in ["fork", "spawn"] {
        let scene = project(start_method);
        // Without a word about what to run: the sum of the project's pipelines, in which equal nodes are one.
        scene.ctl(["run"]).expect_success();
        let expected = ["both.txt", "loud_both.txt", "loud_one.txt", "loud_two.txt", "one.txt", "two.txt"];
        assert_eq!(made(&scene), expected, "{start_method}");
        // What was written as one format was there when it was read as the other.
        assert_eq!([scene.read("out/two.txt"), scene.read("out/loud_two.txt")], ["second", "SECOND"]);
    }
}

#[test]
fn parity_p2_p6_p9_slices_and_options_choose_what_runs() {
    let scene = project("fork");
    scene.write(
        "run.toml",
        "pipeline = [\"second\"]\nnamespaces = \"two\"\n\n[params]\ntwo.words = \"from the file\"\n",
    );
    scene.ctl(["run", "--config", "run.toml"]).expect_success();
    assert_eq!(made(&scene), ["loud_two.txt", "two.txt"]);
    assert_eq!(scene.read("out/loud_two.txt"), "FROM THE FILE");
    // The rest of a pipeline, from what is on disk.
    scene.write("out/one.txt", "by hand");
    scene.ctl(["run", "--pipeline", "first", "--from-inputs", "one.note"]).expect_success();
    assert_eq!(scene.read("out/loud_one.txt"), "BY HAND");
    let outcome = scene.ctl(["run", "--pipeline", "first", "--nodes", "one.shuot,nowhere", "--tags", "sharde"]);
    outcome.expect_code(i32::from(exit::PROBLEMS)).expect_stderr(&[
        "the pipeline has no nodes `nowhere` and `one.shuot`",
        "`one.shuot`: did you mean `one.shout`?",
        "did you mean `shared`?",
    ]);
    let outcome = scene.ctl(["run", "--pipeline", "frist"]).expect_code(i32::from(exit::PROBLEMS));
    outcome.expect_stderr(&["the project has no pipeline frist", "did you mean first?"]);
}

#[test]
fn parity_p3_p5_what_is_wrong_inside_an_included_file_is_shown_there() {
    let scene = project("fork");
    let graph =
        scene.ctl(["graph", "--private", "--json", "--pipeline", "first", "--namespaces", "one"]).expect_success();
    let graph: Graph = serde_json::from_str(&graph.stdout).unwrap();
    let nodes: Vec<(&str, u32)> = graph.nodes.iter().map(|node| (node.name.as_str(), node.layer)).collect();
    assert_eq!(nodes, [("one.write", 0), ("one.shout", 1)]);
    let read = graph.datasets.iter().find(|dataset| dataset.name == "one.note@read").unwrap();
    assert_eq!(read.producer.as_deref(), Some("one.write"), "one dataset in the graph");
    let layers = scene.ctl(["graph", "--private", "--layers", "--pipeline", "first"]).expect_success();
    layers.expect_stdout(&["layer 0 (2 nodes)\n  both.write", "layer 1 (2 nodes)\n  both.shout"]);

    scene.write("shared/note.toml", SHARED.replace("faults::shout", "faults::shuot"));
    let outcome = scene.ctl(["validate", "--private"]).expect_code(i32::from(exit::PROBLEMS));
    let outcome =
        outcome.expect_stderr(&["shared/note.toml:12:8", "call = \"faults::shuot\"", "did you mean `faults::shout`?"]);
    assert_eq!(
        outcome.stderr.matches("error[unknown-node]").count(),
        1,
        "once, however often it is included:\n{outcome}"
    );
    fs::remove_file(scene.work("shared/note.toml")).unwrap();
    let outcome = scene.ctl(["validate", "--private"]).expect_code(i32::from(exit::PROBLEMS));
    outcome.expect_stderr(&["cannot read the included file shared/note.toml", "pipelines/first.toml:2 includes it"]);
}

#[test]
fn parity_p8_a_wrong_parameter_is_found_before_anything_runs() {
    let scene = Scene::with(&["faults"]).build();
    let pipeline = "[[node]]\ncall = \"faults::between\"\ninputs = [\"params:limits\"]\noutputs = [\"middle\"]\n";
    scene.write("pipeline.toml", pipeline);
    scene.write("parameters.toml", "[limits]\nlow = \"one\"\nhihg = 3\n");
    let outcome = scene.ctl(["run"]).expect_code(i32::from(exit::PROBLEMS));
    outcome.expect_stderr(&[
        "`params:limits.low` must be an integer, not \"one\"",
        "parameters.toml:2:7",
        "2 | low = \"one\"",
        "has a key `hihg` that its type does not have",
        "did you mean `high`?",
    ]);
    scene.write("parameters.toml", "[limits]\nlow = 1\nhigh = 3\n");
    scene.ctl(["run"]).expect_success();
}

/// What Kedro's snapshot tells, without running anything: nodes with what their ports take and give, datasets, parameters.
#[test]
fn parity_s3_a_pipeline_is_told_without_running_it() {
    let scene = Scene::with(&["faults", "formats"]).build();
    scene.write(
        "pipeline.toml",
        "name = \"told\"\ndescription = \"a sentence\"\n[parameters]\nlimits = { low = 1 }\n\
         [[node]]\nname = \"rows\"\ncall = \"faults::rows\"\ninputs = [\"companies\"]\noutputs = [\"count\"]\ntags = [\"raw\"]\n\
         [[node]]\nname = \"between\"\ncall = \"faults::between\"\ninputs = { limits = \"params:limits\" }\noutputs = [\"middle\"]\n\
         [catalog.companies]\ntype = \"csv\"\npath = \"nowhere.csv\"\nlayer = \"raw\"\nmetadata = { owner = \"me\" }\n",
    );
    let daemon = scene.start();
    let graph = daemon.ctl(["graph", ".", "--json"]).expect_success().json();
    let node =
        |name: &str| graph["nodes"].as_array().unwrap().iter().find(|node| node["name"] == name).unwrap().clone();
    let rows = node("rows");
    assert_eq!(rows["inputs"][0]["dataset"], json!({ "port": "table", "kind": "table", "dataset": "companies" }));
    assert_eq!(rows["outputs"][0], json!({ "port": "rows", "kind": "integer", "dataset": "count" }));
    assert_eq!((&rows["call"], &rows["tags"], &rows["layer"]), (&json!("faults::rows"), &json!(["raw"]), &json!(0)));
    let limits = &node("between")["inputs"][0]["parameter"];
    assert_eq!((&limits["parameter"], &limits["kind"]), (&json!("params:limits"), &json!("json")));
    assert_eq!(limits["value"], json!({ "low": 1 }));
    let companies =
        graph["datasets"].as_array().unwrap().iter().find(|dataset| dataset["name"] == "companies").unwrap();
    assert_eq!((&companies["storage"], &companies["layer"]), (&json!("csv"), &json!("raw")));
    assert_eq!((&companies["metadata"], &companies["consumers"]), (&json!({ "owner": "me" }), &json!(["rows"])));
    assert_eq!(graph["parameters"], json!({ "limits": { "low": 1 } }));
    // Nothing ran, and the daemon knows a pipeline once a run of it was asked for.
    let known = |daemon: &tests::Daemon<'_>| daemon.get("/v1/pipelines").expect(200).json()["pipelines"].clone();
    assert_eq!(known(&daemon), json!([]));
    daemon.ctl(["submit", ".", "--nodes", "between"]).expect_success();
    assert_eq!(known(&daemon)[0]["name"], "told");
}
