//! Which entry a name resolves to, environments, notes and schemas.

use serde_json::{Value, json};
use tests::{Scene, SceneBuilder};

fn scene() -> SceneBuilder {
    Scene::with(&["faults", "formats"])
}

/// Reads a text, shouts it, saves what comes out.
const SHOUT: &str = r#"
    name = "shout"
    [[node]]
    name = "shout"
    call = "faults::shout"
    inputs = ["quiet"]
    outputs = ["loud"]
"#;

/// Reads a table and saves it.
const PASS: &str = r#"
    name = "pass"
    [[node]]
    name = "pass"
    call = "faults::pass"
    inputs = ["rows"]
    outputs = ["kept"]
"#;

#[test]
fn parity_c1_ctl_tells_which_entry_a_name_resolves_to_and_why() {
    let scene = scene().build();
    scene.write("pipeline.toml", SHOUT);
    scene.write(
        "catalog.toml",
        "quiet = { type = \"text\", path = \"quiet.txt\", layer = \"raw\" }\n\
         \"l{x}\" = { type = \"text\", path = \"l{x}.txt\" }\n\"{default}\" = { type = \"memory\" }\n",
    );
    let private = ["--plugins", scene.plugin_folder().to_str().unwrap()].map(str::to_owned);
    let ask = |arguments: &[&str]| {
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).chain(private.clone());
        scene.ctl(arguments).expect_success()
    };
    let list = ask(&["catalog", "list", "."]);
    list.expect_stdout(&["quiet", "raw", "loud", "l{x} (pattern)"]);
    ask(&["catalog", "resolve", ".", "loud"]).expect_stdout(&[
        "the pattern matches, with x = oud; `{default}` matches, too, and comes after it",
        "loud.txt",
        "catalog.toml:2:1",
    ]);
    let told = ask(&["catalog", "resolve", ".", "quiet", "anything", "--json"]).json();
    let resolution = |index: usize| told["datasets"][index]["resolution"].clone();
    assert_eq!((resolution(0), resolution(1)), (json!("exact"), json!("catch_all")));
    assert_eq!(told["datasets"][1]["storage"], "memory");
    scene.write("catalog.toml", "quiet = { type = \"text\", path = \"quiet.txt\" }\n");
    ask(&["catalog", "resolve", ".", "qiuet"]).expect_stdout(&["did you mean `quiet`?"]);
    scene.ctl(["catalog", "resolve", "."]).expect_code(2);
}

#[test]
fn parity_r6_a_run_brings_patterns_along() {
    let scene = scene().build();
    let pipeline = scene.write("pipeline.toml", SHOUT);
    scene.write("quiet.txt", "la");
    scene.write("catalog.toml", "quiet = { type = \"text\", path = \"quiet.txt\" }\n");
    scene.run_file(&pipeline, &[]).expect_success();
    let patterns = scene.write("more.toml", "\"{any}\" = { type = \"text\", path = \"out/{any}.txt\" }\n");
    scene.run_file(&pipeline, &["--default-patterns", patterns.to_str().unwrap()]).expect_success();
    assert_eq!(scene.read("out/loud.txt"), "LA");
}

#[test]
fn parity_c5_an_environment_overlays_the_project() {
    let scene = scene().build();
    let pipeline = scene.write("pipeline.toml", SHOUT);
    scene.write("quiet.txt", "la");
    scene.write("env/prod/parameters.toml", "[out]\nname = \"prod\"\n");
    scene.write("parameters.toml", "[out]\nname = \"base\"\nkind = \"txt\"\n");
    scene.write(
        "catalog.toml",
        "_folder = \"out\"\nquiet = { type = \"text\", path = \"quiet.txt\" }\n\
         loud = { type = \"text\", path = \"${_folder}/${out.name}${env:SUFFIX:-}.${out.kind:-none}\" }\n",
    );
    scene.run_file(&pipeline, &[]).expect_success();
    scene.run_file(&pipeline, &["--env", "prod"]).expect_success();
    scene.run_file(&pipeline, &["--env", "prod", "--params", "out.name=given"]).expect_success();
    let written = ["out/base.txt", "out/prod.txt", "out/given.txt"].map(|name| scene.read(name));
    assert_eq!(written, ["LA"; 3]);
    let wrong = scene.run_file(&pipeline, &["--env", "prd"]).expect_code(3);
    wrong.expect_stderr(&["there is no environment prd", "did you mean prod?"]);
}

#[test]
fn parity_c8_notes_of_a_dataset_are_shown() {
    let scene = scene().build();
    scene.write("pipeline.toml", SHOUT);
    scene.write(
        "catalog.toml",
        "quiet = { type = \"text\", path = \"quiet.txt\", layer = \"raw\", description = \"What was said\", \
         preview = { lines = 3 }, metadata = { owner = \"us\" } }\n",
    );
    let daemon = scene.start();
    let graph = daemon.ctl(["graph", ".", "--json"]).expect_success().json();
    let quiet =
        graph["datasets"].as_array().unwrap().iter().find(|dataset| dataset["name"] == "quiet").unwrap().clone();
    let notes = json!([quiet["layer"], quiet["description"], quiet["preview"], quiet["metadata"]]);
    assert_eq!(notes, json!(["raw", "What was said", { "lines": 3 }, { "owner": "us" }]));
    let shown = daemon.ctl(["catalog", "resolve", ".", "quiet"]).expect_success();
    shown.expect_stdout(&["What was said", "raw", "owner"]);
}

#[test]
fn parity_c9_a_schema_is_checked_at_load_and_at_save() {
    for start_method in ["fork", "spawn"] {
        let scene = scene().set("workers.start_method", format!("{start_method:?}")).build();
        scene.write("rows.csv", "hour,origin\n1,EWR\n2,JFK\n");
        let run = |rows: &str, kept: &str| {
            let catalog = format!(
                "[catalog.rows]\ntype = \"csv\"\npath = \"rows.csv\"\n{rows}\n[catalog.kept]\ntype = \"parquet\"\npath = \"kept.parquet\"\n{kept}\n"
            );
            scene.run(&format!("{PASS}{catalog}"))
        };
        let sound = "schema = { hour = \"integer\", origin = \"text\" }";
        run(sound, sound).expect_success();
        let wrong = "schema = { hour = \"text\", orgin = \"text\" }";
        run(wrong, "").expect_code(1).expect_said(&[
            "dataset `rows` does not fit its schema in 2 columns",
            "column `hour` should be text, but is Int64",
            "column `orgin` (text) is missing; there is a column `origin`",
            "schema_severity",
        ]);
        std::fs::remove_file(scene.work("kept.parquet")).unwrap();
        run("", wrong).expect_code(1).expect_said(&["dataset `kept` does not fit its schema in 2 columns"]);
        assert!(!scene.work("kept.parquet").exists(), "what does not fit is not saved");
        let warned = run("", &format!("{wrong}\nschema_severity = \"warn\"")).expect_success();
        warned.expect_stderr(&["dataset `kept` does not fit its schema: column `hour` should be text, but is Int64"]);
        assert!(scene.work("kept.parquet").exists());
    }
}

#[test]
fn parity_r24_entries_that_are_not_used_do_not_stand_in_the_way() {
    let scene = scene().build();
    let pipeline = scene.write("pipeline.toml", SHOUT);
    scene.write("quiet.txt", "la");
    scene.write(
        "catalog.toml",
        "quiet = { type = \"text\", path = \"quiet.txt\" }\n\
         unused = { type = \"no_such_type\", path = \"${env:NOT_SET}\", credentials = \"none\", versioned = true }\n",
    );
    scene.run_file(&pipeline, &[]).expect_success();
    let daemon = scene.start();
    let list: Value = daemon.ctl(["catalog", "list", ".", "--json"]).expect_success().json();
    let unused = list["datasets"].as_array().unwrap().iter().find(|dataset| dataset["name"] == "unused").unwrap();
    assert_eq!(unused["used"], false);
}
