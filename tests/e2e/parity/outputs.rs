//! What a run has made comes out without files that the client could read.

use std::fs;

use protocol::{BlockHolder, BlockList, RunState};
use tests::{Daemon, Scene, http, wait};

const TABLE: &str = "name = \"passes\"\n[[node]]\nname = \"pass\"\ncall = \"faults::pass\"\ninputs = [\"companies\"]\noutputs = [\"kept\"]\n\
                     [[node]]\nname = \"rows\"\ncall = \"faults::rows\"\ninputs = [\"companies\"]\noutputs = [\"count\"]\n\
                     [[node]]\nname = \"saved\"\ncall = \"faults::rows\"\ninputs = [\"companies\"]\noutputs = [\"on_disk\"]\n\
                     [catalog.companies]\ntype = \"csv\"\npath = \"companies.csv\"\n\
                     [catalog.on_disk]\ntype = \"json\"\npath = \"count.json\"\n";
const CSV: &str = "id,name\n1,a\n2,b\n";

fn scene(start_method: &str) -> Scene {
    let scene = Scene::with(&["faults", "formats"]).set("workers.start_method", format!("{start_method:?}")).build();
    scene.write("companies.csv", CSV);
    scene.write("pipeline.toml", TABLE);
    scene
}

fn out(scene: &Scene, name: &str) -> String {
    scene.path("home").join(name).to_string_lossy().into_owned()
}

fn kept(daemon: &Daemon<'_>) -> usize {
    let list: BlockList = daemon.get("/v1/datasets").expect(200).read();
    list.blocks.iter().filter(|block| block.holder == BlockHolder::Output).count()
}

fn with_the_client(start_method: &str) {
    let scene = scene(start_method);
    let (csv, json) = (out(&scene, "kept.csv"), out(&scene, "count.json"));
    let (to_csv, to_json) = (format!("kept={csv}"), format!("on_disk={json}"));
    let pipeline = scene.work("pipeline.toml");
    let wanted = ["--output", &to_csv, "--output", &to_json];
    scene.run_file(&pipeline, &wanted).expect_success();
    assert_eq!(
        (fs::read_to_string(&csv).unwrap(), fs::read_to_string(&json).unwrap()),
        (CSV.to_owned(), "2".to_owned())
    );
    fs::remove_file(&csv).unwrap();
    let daemon = scene.start();
    let submit = ["submit", pipeline.to_str().unwrap()];
    daemon.ctl(submit.iter().chain(&wanted)).expect_success().expect_stderr(&["kept is in", "kept.csv"]);
    assert_eq!(fs::read_to_string(&csv).unwrap(), CSV);
    // One without a file goes to standard output, and nothing else does.
    let outcome = daemon.ctl(submit.iter().chain(&["--output", "count"])).expect_success();
    assert_eq!(outcome.stdout, "2");
    assert!(!scene.path("state").join("dagd/exports").read_dir().is_ok_and(|mut left| left.next().is_some()));
}

#[test]
fn parity_r14_outputs_come_out_with_the_client_forked() {
    with_the_client("fork");
}

#[test]
fn parity_r14_outputs_come_out_with_the_client_spawned() {
    with_the_client("spawn");
}

#[test]
fn parity_r14_outputs_are_kept_until_fetched_and_read_back_where_they_were_saved() {
    let scene = scene("fork");
    let daemon = scene.start();
    let id = daemon.ctl(["submit", "pipeline.toml", "--detach"]).expect_success().stdout.trim().to_owned();
    daemon.wait(&id);
    let list = daemon.ctl(["output", &id]).expect_success();
    list.expect_stdout(&["count", "kept", "on_disk", "ready", "table", "count.json"]);
    assert_eq!(kept(&daemon), 2);
    assert_eq!(daemon.ctl(["output", &id, "on_disk"]).expect_success().stdout.trim(), "2");
    let gz = out(&scene, "kept.csv.gz");
    daemon.ctl(["output", &id, "kept", "--to", &gz]).expect_success();
    assert_eq!(&fs::read(&gz).unwrap()[..2], &[0x1f, 0x8b]);
    let parquet = out(&scene, "kept.parquet");
    daemon.ctl(["output", &id, "kept", "--to", &parquet]).expect_success();
    assert_eq!(&fs::read(&parquet).unwrap()[..4], b"PAR1");
    daemon.ctl(["output", &id, "kept", "--to", &out(&scene, "kept.cvs")]).expect_code(3).expect_stderr(&["csv"]);
    assert!(!fs::exists(out(&scene, "kept.cvs.part")).unwrap());
    daemon.ctl(["output", &id, "kpt"]).expect_code(6).expect_stderr(&["did you mean kept?"]);
    daemon.ctl(["output", "nobody", "kept"]).expect_code(6);

    let answer = http::request(&scene.socket(), "GET", &format!("/v1/runs/{id}/outputs/kept"), None).expect(200);
    assert!(
        answer.head.to_ascii_lowercase().contains("content-type: application/vnd.apache.arrow.stream"),
        "{}",
        answer.head
    );
    assert_eq!(&answer.body[..4], &[0xff; 4], "an Arrow IPC stream begins so");
    let answer = http::request(&scene.socket(), "GET", &format!("/v1/runs/{id}/outputs/kept?as=csv"), None).expect(200);
    assert_eq!(String::from_utf8(answer.body).unwrap(), CSV);
    fs::remove_file(scene.work("count.json")).unwrap();
    daemon.get(&format!("/v1/runs/{id}/outputs/on_disk")).expect(422);
}

#[test]
fn parity_r14_outputs_of_a_failed_run_and_those_that_expired() {
    let scene = Scene::with(&["faults", "formats"]).set("runs.keep_outputs_seconds", 1).build();
    let daemon = scene.start();
    let pipeline = "name = \"half\"\non_failure = \"continue\"\n[[node]]\nname = \"one\"\ncall = \"faults::noop\"\noutputs = [\"made\"]\n\
                    [[node]]\nname = \"two\"\ncall = \"faults::panics\"\noutputs = [\"never\"]\n";
    let id = daemon.begin(pipeline);
    assert_eq!(daemon.wait(&id).summary.state, RunState::Failed);
    let answer = daemon.get(&format!("/v1/runs/{id}/outputs/made")).expect(200);
    assert_eq!(answer.body, b"0");
    let told = daemon.get(&format!("/v1/runs/{id}/outputs/made?as=csv")).expect(422).json();
    assert_eq!(told["error"]["message"], "output `made` is json, which `csv` does not write");
    // As small as it is, it counts.
    assert_eq!((kept(&daemon), daemon.status().blocks.count, daemon.status().blocks.bytes), (1, 1, 1));
    daemon.get(&format!("/v1/runs/{id}/outputs/never")).expect(409);
    wait::until_true("the outputs to expire", || daemon.get(&format!("/v1/runs/{id}/outputs")).status == 404);
    let told = daemon.get(&format!("/v1/runs/{id}/outputs/made")).expect(404).json();
    assert!(told.to_string().contains("keep_outputs_seconds"), "{told}");
    assert_eq!((kept(&daemon), daemon.status().blocks.count, daemon.status().blocks.bytes), (0, 0, 0));
}

#[test]
fn an_output_that_cannot_be_is_told_before_anything_runs() {
    let scene = scene("fork");
    let daemon = scene.start();
    let refused = |output: &str| daemon.ctl(["submit", "pipeline.toml", "--output", output]).expect_code(3);
    refused("kpt").expect_stderr(&["no output `kpt`", "did you mean `kept`?"]);
    refused("companies").expect_stderr(&["an input of the pipeline"]);
    daemon.ctl(["submit", "pipeline.toml", "--output", "kept", "--output", "count"]).expect_code(2);
    daemon.ctl(["submit", "pipeline.toml", "--output", "kept", "--json"]).expect_code(2);
    daemon.ctl(["submit", "pipeline.toml", "--output", "kept=x", "--detach"]).expect_code(2);
}

#[test]
fn parity_s1_a_submission_may_wait_for_the_end() {
    let scene = scene("fork");
    let daemon = scene.start();
    let answer = daemon.post("/v1/runs?wait=true", &daemon.submission(TABLE)).expect(201).json();
    assert_eq!((&answer["state"], answer["nodes"].as_array().unwrap().len()), (&"succeeded".into(), 3));
    daemon.post("/v1/runs?wiat=true", &daemon.submission(TABLE)).expect(400);
    let pipelines = daemon.get("/v1/pipelines").expect(200).json();
    assert_eq!((&pipelines["pipelines"][0]["name"], &pipelines["pipelines"][0]["runs"]), (&"passes".into(), &1.into()));
}
