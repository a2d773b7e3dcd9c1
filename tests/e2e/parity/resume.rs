//! R11: a run that did not succeed is gone on with, after a failure and after a crash of the daemon.

use std::fs;

use protocol::{NodeState, RunDetail, RunState};
use tests::{Scene, SceneBuilder};

use crate::pipelines::{single, steps};

fn scene(start_method: &str) -> Scene {
    let scene: SceneBuilder = Scene::with(&["faults", "formats"]);
    scene.set("workers.start_method", format!("{start_method:?}")).build()
}

fn trace(scene: &Scene) -> String {
    fs::read_to_string(scene.path("trace")).unwrap_or_default().replace('\n', " ")
}

fn names(run: &RunDetail) -> Vec<&str> {
    run.nodes.iter().map(|node| node.name.as_str()).collect()
}

#[test]
fn parity_r11_a_failed_run_goes_on_from_what_is_persisted() {
    for start_method in ["fork", "spawn"] {
        let scene = scene(start_method);
        let daemon = scene.start();
        let failed = daemon.submit(&steps(&scene, "needs_file")).expect_code(1);
        let first = daemon.newest_run();
        let id = &first.summary.id;
        failed.expect_stdout(&[&format!("`ctl resume {id}`"), "--from-nodes \"b\"", "2 nodes have not finished"]);
        let left = first.resume.clone().expect("the report says what is left");
        assert_eq!((left.finished, left.unfinished, left.nodes), (2, 2, 3));
        assert_eq!(left.from_nodes, ["b"]);

        // Still no file: the rest fails too, and can be resumed in turn.
        daemon.ctl(["resume", id]).expect_code(1).expect_stdout(&["ctl resume"]);
        let second = daemon.newest_run();
        assert_eq!(second.summary.resumed_from.as_ref(), Some(id));
        assert_eq!(names(&second), ["b", "c", "d"]);

        fs::write(scene.path("file"), "").unwrap();
        daemon.ctl(["resume", &second.summary.id]).expect_success();
        assert_eq!(names(&daemon.newest_run()), ["b", "c", "d"]);
        assert_eq!(trace(&scene), "a b c b c b c d ");
        assert_eq!(scene.read("d.json").trim(), "4");
    }
}

#[test]
fn parity_r11_there_may_be_nothing_to_resume() {
    let scene = scene("fork");
    let daemon = scene.start();
    daemon.submit(&single("quick", "faults::noop")).expect_success();
    let id = daemon.newest_run().summary.id;
    let refused = daemon.ctl(["resume", &id]);
    assert_ne!(refused.code, 0, "{refused}");
    refused.expect_stderr(&[&id, "succeeded", "submit"]);
    daemon.ctl(["resume", "nightly-7"]).expect_code(6).expect_stderr(&["nightly-7"]);
    // Nothing ran: the whole of it is repeated.
    daemon.submit(&single("bad", "faults::fails")).expect_code(1).expect_stdout(&["no node finished", "ctl resume"]);
    let bad = daemon.newest_run().summary.id;
    daemon.ctl(["resume", &bad]).expect_code(1);
    assert_eq!(daemon.newest_run().summary.resumed_from, Some(bad));
}

/// Without a service there is nothing to resume, and the same command with what is advised runs the rest.
#[test]
fn parity_r11_a_private_run_says_what_to_add_to_the_command() {
    let scene = scene("fork");
    let path = scene.write("pipeline.toml", steps(&scene, "needs_file"));
    scene.run_file(&path, &[]).expect_code(1).expect_stdout(&["repeat the command with --from-nodes \"b\""]);
    fs::write(scene.path("file"), "").unwrap();
    scene.run_file(&path, &["--from-nodes", "b"]).expect_success();
    assert_eq!(trace(&scene), "a b c b c d ");
}

#[test]
fn parity_r11_a_crash_of_the_daemon_forgets_no_node_that_finished() {
    for start_method in ["fork", "spawn"] {
        let scene = scene(start_method);
        scene.configure_more("runs.automatic_resumes_max", "0");
        let id = {
            let mut daemon = scene.start();
            let id = daemon.begin(&steps(&scene, "held"));
            daemon.wait_until_running(&id, "c");
            // What is told to the store is written in its order: when this run is accepted, what was before it is on disk.
            daemon.wait(&daemon.begin(&single("later", "faults::noop")));
            daemon.kill();
            scene.expect_no_process();
            id
        };
        let daemon = scene.start();
        let run = daemon.run(&id);
        assert_eq!(run.summary.state, RunState::Interrupted);
        let finished: Vec<&str> =
            run.nodes.iter().filter(|node| node.state == NodeState::Succeeded).map(|node| node.name.as_str()).collect();
        assert_eq!(finished, ["a", "b"]);
        let counts = run.summary.counts;
        assert_eq!((counts.total, counts.succeeded, counts.skipped + counts.cancelled), (4, 2, 2));
        assert_eq!(run.resume.clone().unwrap_or_default().from_nodes, ["b"]);
        let logs = daemon.ctl(["logs", &id]).expect_success();
        assert!(logs.stdout.contains("a step of a"), "what it said is lost: {logs}");
        let shown = daemon.ctl(["show", &id]).expect_success();
        let last = shown.stdout.trim_end().lines().last().unwrap_or_default().to_owned();
        assert!(last.contains(&format!("`ctl resume {id}`")), "{shown}");

        fs::write(scene.path("file"), "").unwrap();
        daemon.ctl(["resume", &id]).expect_success();
        assert_eq!(trace(&scene), "a b c b c d ");
        assert_eq!(daemon.newest_run().summary.resumed_from, Some(id));
    }
}

/// Credentials are in no database: whoever resumes gives them again, or is told to.
#[test]
fn parity_c4_a_resumed_run_is_given_its_credentials_again() {
    let scene = Scene::with(&["faults", "formats", "keepers"]).build();
    let (trace, file) = (scene.path("trace"), scene.path("file"));
    scene.write(
        "pipeline.toml",
        format!(
            r#"
            name = "secretive"
            parameters = {{ trace = {trace:?}, file = {file:?} }}
            [[node]]
            name = "act"
            call = "faults::needs_file"
            inputs = {{ trace = "params:trace", file = "params:file" }}
            outputs = ["acted"]
            [[node]]
            name = "shout"
            call = "faults::shout"
            inputs = ["vault"]
            outputs = ["loud"]
            on_failure = "continue"
            [catalog]
            acted = {{ type = "json", path = "acted.json" }}
            vault = {{ type = "vault", credentials = "safe" }}
            loud = {{ type = "text", path = "loud.txt" }}
            "#
        ),
    );
    let secret = scene.write("credentials.toml", "[safe]\npassword = \"${env:VAULT_PASSWORD}\"\n");
    let daemon = scene.start();
    let password =
        |mut command: std::process::Command| tests::command::run(command.env("VAULT_PASSWORD", "open sesame"));
    password(scene.ctl_command(["submit", ".", "--sequential"])).expect_code(1);
    let id = daemon.newest_run().summary.id;
    daemon.ctl(["resume", &id]).expect_code(3).expect_stderr(&[
        "there are no credentials `safe`",
        "kept with no run",
        &format!("ctl resume {id} --credentials"),
    ]);
    let path = secret.to_str().unwrap();
    daemon.ctl(["resume", &id, "--credentials", path]).expect_code(3).expect_stderr(&["VAULT_PASSWORD"]);
    fs::write(file, "").unwrap();
    password(scene.ctl_command(["resume", &id, "--credentials", path])).expect_success();
    assert_eq!(scene.read("loud.txt"), "OPEN SESAME");
    assert!(!fs::read_to_string(scene.path("dagd.log")).unwrap().contains("sesame"));
}

/// Bytes that were handed in go with their run. What is left runs without them where it can, and else they are asked for.
#[test]
fn parity_s2_a_resumed_run_says_which_input_to_hand_in_again() {
    for start_method in ["fork", "spawn"] {
        let scene = scene(start_method);
        let (trace, file) = (scene.path("trace"), scene.path("file"));
        let pipeline = |kept: &str| {
            format!(
                r#"
                name = "handed"
                parameters = {{ trace = {trace:?}, file = {file:?} }}
                [[node]]
                name = "count"
                call = "faults::rows"
                inputs = ["companies"]
                outputs = ["count"]
                [[node]]
                name = "act"
                call = "faults::needs_file"
                inputs = {{ trace = "params:trace", file = "params:file", before = "count" }}
                outputs = ["acted"]
                [catalog]
                acted = {{ type = "json", path = "acted.json" }}
                {kept}
                "#
            )
        };
        let companies = scene.write("companies.csv", "id\n1\n2\n");
        let input = format!("companies=@{}", companies.display());
        let daemon = scene.start();
        let fails = |kept: &str| {
            let path = scene.write("pipeline.toml", pipeline(kept));
            daemon.ctl(["submit", path.to_str().unwrap(), "--input", &input]).expect_code(1);
            daemon.newest_run().summary.id
        };
        let in_memory = fails("");
        daemon.ctl(["resume", &in_memory]).expect_code(3).expect_stderr(&[
            "`companies`",
            "not kept with a run",
            "--input NAME=@FILE",
        ]);
        let persisted = fails("count = { type = \"json\", path = \"count.json\" }");
        fs::write(&file, "").unwrap();
        daemon.ctl(["resume", &persisted]).expect_success();
        assert_eq!(scene.read("acted.json").trim(), "3");
        fs::remove_file(&file).unwrap();
    }
}
