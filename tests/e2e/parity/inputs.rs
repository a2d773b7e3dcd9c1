//! Data goes into a run without files that the daemon could read.

use std::fs;
use std::io::{Read as _, Write as _};

use protocol::{BlockList, RunState, UploadedBlock};
use serde_json::json;
use tests::{Daemon, Scene, http, wait};

const ROWS: &str = "name = \"rows\"\n[[node]]\nname = \"rows\"\ncall = \"faults::rows\"\ninputs = [\"companies\"]\noutputs = [\"count\"]\n\
                    [[node]]\nname = \"add\"\ncall = \"faults::add\"\ninputs = { left = \"count\", right = \"threshold\" }\noutputs = [\"sum\"]\n\
                    [[node]]\nname = \"write\"\ncall = \"faults::noop\"\ninputs = [\"sum\"]\noutputs = [\"result\"]\n\
                    [catalog.result]\ntype = \"json\"\npath = \"result.json\"\n";
const CSV: &str = "id,name\n1,a\n2,b\n3,c\n";

/// A file outside of the folder that the pipeline's paths start from.
fn elsewhere(scene: &Scene, name: &str, content: impl AsRef<[u8]>) -> String {
    let path = scene.path("home").join(name);
    fs::write(&path, content).unwrap();
    path.to_string_lossy().into_owned()
}

/// Sends raw bytes and reads the whole answer.
fn upload(daemon: &Daemon<'_>, scene: &Scene, bytes: &[u8]) -> http::Response {
    let _ = daemon;
    let mut stream = http::connect(&scene.socket()).unwrap();
    let head =
        format!("POST /v1/blocks HTTP/1.1\r\nhost: d\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", bytes.len());
    stream.write_all(head.as_bytes()).unwrap();
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    http::parse(&answer).unwrap()
}

fn files_and_values(start_method: &str) {
    let scene = Scene::with(&["faults", "formats"]).set("workers.start_method", format!("{start_method:?}")).build();
    let pipeline = scene.write("pipeline.toml", ROWS);
    let file = elsewhere(&scene, "companies.csv", CSV);
    let daemon = scene.start();
    let input = format!("companies=@{file}");
    daemon.ctl(["submit", pipeline.to_str().unwrap(), "--input", &input, "--input", "threshold=10"]).expect_success();
    assert_eq!(scene.read("result.json").trim(), "13");
    // The bytes went with the run.
    let list: BlockList = daemon.get("/v1/datasets").expect(200).read();
    assert!(list.blocks.iter().all(|block| block.holder != protocol::BlockHolder::Upload), "{list:#?}");
    scene.run_file(&pipeline, &["--input", &input, "--input", "threshold=20"]).expect_success();
    assert_eq!(scene.read("result.json").trim(), "23");
}

#[test]
fn parity_s2_files_and_values_are_handed_in_forked() {
    files_and_values("fork");
}

#[test]
fn parity_s2_files_and_values_are_handed_in_spawned() {
    files_and_values("spawn");
}

#[test]
fn parity_s2_a_packed_file_and_one_whose_name_says_nothing() {
    let scene = Scene::with(&["faults", "formats"]).build();
    let pipeline = scene.write("pipeline.toml", ROWS);
    let pipeline = pipeline.to_str().unwrap();
    let daemon = scene.start();
    let plain = elsewhere(&scene, "data", CSV);
    let input = format!("companies=@{plain}:type=csv");
    daemon.ctl(["submit", pipeline, "--input", &input, "--input", "threshold=1"]).expect_success();
    assert_eq!(scene.read("result.json").trim(), "4");
    let packed = scene.path("home").join("companies.csv.gz");
    let made = std::process::Command::new("gzip").arg("-k").arg(elsewhere(&scene, "companies.csv", CSV)).status();
    if !made.is_ok_and(|status| status.success()) {
        println!("skipped: there is no gzip here");
        return;
    }
    let input = format!("companies=@{}", packed.display());
    daemon.ctl(["submit", pipeline, "--input", &input, "--input", "threshold=2"]).expect_success();
    assert_eq!(scene.read("result.json").trim(), "5");
}

#[test]
fn parity_s2_what_is_wrong_with_the_data_is_told_with_the_files_name() {
    let scene = Scene::with(&["faults", "formats"]).build();
    let pipeline = scene.write("pipeline.toml", ROWS);
    let pipeline = pipeline.to_str().unwrap();
    let daemon = scene.start();
    let broken = elsewhere(&scene, "companies.parquet", "no parquet");
    let input = format!("companies=@{broken}");
    let outcome = daemon.ctl(["submit", pipeline, "--input", &input, "--input", "threshold=1"]).expect_code(1);
    let said = format!("{outcome}");
    assert!(said.contains("companies.parquet") && !said.contains("/proc/self/fd"), "{said}");

    let missing = daemon.ctl(["submit", pipeline, "--input", "companies=@compnies.csv", "--input", "threshold=1"]);
    missing.expect_code(3).expect_stderr(&["compnies.csv", "no such file"]);
    let input = format!("companys=@{broken}");
    daemon
        .ctl(["submit", pipeline, "--input", &input, "--input", "threshold=1"])
        .expect_code(3)
        .expect_stderr(&["`companys` was handed in", "did you mean `companies`?"]);
    let input = format!("companies=@{broken}");
    daemon.ctl(["validate", pipeline, "--input", &input, "--input", "threshold=1"]).expect_success();
    daemon
        .ctl(["validate", pipeline, "--input", &input, "--input", "threshold=1", "--input", "sum=3"])
        .expect_code(3)
        .expect_stderr(&["`sum` is made by a node", "outside"]);
}

#[test]
fn parity_s2_a_body_is_streamed_into_a_block_and_used_once() {
    let scene = Scene::with(&["faults", "formats"]).build();
    let daemon = scene.start();
    let block: UploadedBlock = upload(&daemon, &scene, CSV.as_bytes()).expect(201).read();
    assert_eq!(block.bytes, CSV.len() as u64);
    let mut submission = daemon.submission(ROWS);
    submission["inputs"] = json!({
        "companies": { "block": { "id": block.id, "name": "companies.csv" } }, "threshold": { "value": 5 },
    });
    let run: protocol::RunSummary = daemon.post("/v1/runs", &submission).expect(201).read();
    assert_eq!(daemon.wait(&run.id).summary.state, RunState::Succeeded);
    assert_eq!(scene.read("result.json").trim(), "8");
    let answer = daemon.post("/v1/runs", &submission).expect(422).json();
    assert!(answer.to_string().contains("unknown-block"), "{answer}");
}

#[test]
fn uploads_are_bounded_in_number_and_by_the_budget_and_expire() {
    let scene = Scene::with(&["faults"])
        .set("blocks.memory_budget_bytes", 4_000_000)
        .set("blocks.uploads_max", 2)
        .set("blocks.uploads_keep_seconds", 1)
        .build();
    let mut daemon = scene.start();
    let answer = upload(&daemon, &scene, &vec![0; 8_000_000]).expect(413);
    assert!(answer.json().to_string().contains("memory_budget_bytes"), "{answer:?}");
    upload(&daemon, &scene, b"a").expect(201);
    upload(&daemon, &scene, b"b").expect(201);
    upload(&daemon, &scene, b"c").expect(429);
    wait::until_true("the uploads to expire", || {
        let list: BlockList = daemon.get("/v1/datasets").expect(200).read();
        list.blocks.is_empty()
    });
    upload(&daemon, &scene, b"c").expect(201);
    daemon.expect_healthy();
}
