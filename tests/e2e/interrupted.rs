//! Runs that the end of the daemon cut off go on by themselves when it starts again.

use std::fs;

use nix::sys::signal::Signal;
use protocol::{NodeDetail, NodeState, RunDetail, RunList, RunState, RunSummary};
use rusqlite::{Connection, OpenFlags};
use tests::{Daemon, Scene, SceneBuilder, processes, wait};

use crate::pipelines::{Gate, single, steps};

fn scene(start_method: &str) -> SceneBuilder {
    Scene::with(&["faults", "formats", "keepers"]).set("workers.start_method", format!("{start_method:?}"))
}

/// Begins a run of [`steps`] and kills the daemon while `c` waits for its file. What came before is on disk by then.
fn killed_in_the_middle(scene: &Scene) -> String {
    let mut daemon = scene.start();
    let id = daemon.begin(&steps(scene, "held"));
    daemon.wait_until_running(&id, "c");
    wait_until_kept(scene, &id, "b");
    // What was accepted goes on as well.
    daemon.begin(&single("later", "faults::noop"));
    daemon.kill();
    scene.expect_no_process();
    id
}

/// Waits until the store has written down that a node of a run under way finished: that outlives a kill.
fn wait_until_kept(scene: &Scene, id: &str, node: &str) {
    let store = scene.path("state").join("dagd/dagd.sqlite");
    let store = Connection::open_with_flags(store, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut nodes = store.prepare("SELECT body FROM nodes JOIN runs ON run = number WHERE id = ?1").unwrap();
    wait::until_true(&format!("{node} to be written down"), || {
        let bodies = nodes.query_map([id], |row| row.get::<_, String>(0)).unwrap();
        let kept = bodies.map(|body| serde_json::from_str::<NodeDetail>(&body.unwrap()).unwrap());
        kept.into_iter().any(|kept| kept.name == node && kept.state == NodeState::Succeeded)
    });
}

fn trace(scene: &Scene) -> String {
    fs::read_to_string(scene.path("trace")).unwrap_or_default().replace('\n', " ")
}

/// Why an interrupted run is one, and what becomes of it.
#[track_caller]
fn hint(run: &RunDetail) -> String {
    assert_eq!(run.summary.state, RunState::Interrupted, "{run:#?}");
    run.summary.cause.clone().expect("an interrupted run says why").hints.remove(0)
}

/// The run that goes on with this one; there is just one.
#[track_caller]
fn successor(daemon: &Daemon<'_>, id: &str) -> RunSummary {
    let list: RunList = daemon.get("/v1/runs").expect(200).read();
    let mut found = list.runs.into_iter().filter(|run| run.resumed_from.as_deref() == Some(id));
    let next = found.next().unwrap_or_else(|| panic!("nothing goes on with {id}"));
    assert_eq!(found.next(), None);
    next
}

#[test]
fn after_a_kill_a_run_goes_on_from_what_is_persisted() {
    for start_method in ["fork", "spawn"] {
        let scene = scene(start_method).build();
        let id = killed_in_the_middle(&scene);
        fs::write(scene.path("file"), "").unwrap();
        let daemon = scene.start();
        let next = successor(&daemon, &id).id;
        let run = daemon.wait(&next);
        assert_eq!(run.summary.state, RunState::Succeeded, "{run:#?}");
        // `a` was saved; `b` was in memory only.
        assert_eq!(run.nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>(), ["b", "c", "d"]);
        assert_eq!(trace(&scene), "a b c b c d ");
        assert_eq!(scene.read("d.json").trim(), "4");

        // Each names the other.
        let before = daemon.run(&id);
        assert!(hint(&before).contains(&format!("run {next} goes on with it")), "{before:#?}");
        assert!(before.resume.is_none(), "nothing is left to do by hand: {before:#?}");
        daemon.ctl(["show", &next]).expect_success().expect_stdout(&[&format!("goes on with run {id}")]);
        let shown = daemon.ctl(["show", &id]).expect_success().expect_stdout(&["interrupted", &next]);
        assert!(!shown.stdout.contains("ctl resume"), "{shown}");
        daemon.ctl(["runs"]).expect_success().expect_stdout(&[&format!("goes on with {id}"), "interrupted"]);
        assert!(daemon.log().contains(&format!("run {id} of steps was interrupted")), "{}", daemon.log());
    }
}

#[test]
fn a_run_that_outlasts_the_drain_goes_on_after_the_restart() {
    let scene = scene("fork").set("server.drain_timeout_ms", 100).build();
    let gate = Gate::new(&scene);
    let daemon = scene.start();
    let id = daemon.begin(&gate.pipeline());
    daemon.wait_until_running(&id, "waits");
    processes::signal(daemon.pid(), Signal::SIGTERM);
    assert!(daemon.wait_for_end().success());
    gate.open();
    let daemon = scene.start();
    let next = successor(&daemon, &id).id;
    assert_eq!(daemon.wait(&next).summary.state, RunState::Succeeded);
}

#[test]
fn one_that_is_interrupted_again_and_again_is_left_to_people() {
    let scene = scene("fork").set("runs.automatic_resumes_max", 2).build();
    let mut last = killed_in_the_middle(&scene);
    for _ in 0..2 {
        let mut daemon = scene.start();
        let next = successor(&daemon, &last).id;
        daemon.wait_until_running(&next, "c");
        daemon.kill();
        scene.expect_no_process();
        last = next;
    }
    let daemon = scene.start();
    let hint = hint(&daemon.run(&last));
    assert!(hint.contains("interrupted 3 times in a row") && hint.contains(&format!("ctl resume {last}")), "{hint}");
    fs::write(scene.path("file"), "").unwrap();
    daemon.ctl(["resume", &last]).expect_success();
    assert_eq!(successor(&daemon, &last).state, RunState::Succeeded);
}

#[test]
fn what_cannot_go_on_is_left_with_the_reason() {
    let scene = scene("fork").build();
    let gate = Gate::new(&scene);
    scene.write("words.txt", "hello");
    let credentials = scene.write("credentials.toml", "[safe]\npassword = \"hunter2\"\n");
    let bytes = scene.write(
        "bytes.toml",
        format!(
            "name = \"bytes\"\n[[node]]\nname = \"waits\"\ncall = \"faults::holds\"\n\
             inputs = {{ block = \"words\", file = \"params:gate\" }}\noutputs = [\"done\"]\n\
             [parameters]\ngate = {}\n[catalog.words]\ntype = \"text\"\npath = \"nowhere.txt\"\n",
            gate.value()
        ),
    );
    let secret = scene.write(
        "secret.toml",
        format!(
            "name = \"secret\"\n[[node]]\nname = \"waits\"\ncall = \"faults::holds\"\n\
             inputs = {{ block = \"vault\", file = \"params:gate\" }}\noutputs = [\"done\"]\n\
             [parameters]\ngate = {}\n[catalog.vault]\ntype = \"vault\"\ncredentials = \"safe\"\n",
            gate.value()
        ),
    );
    {
        let mut daemon = scene.start();
        for (file, id, option, value) in [
            (&bytes, "bytes", "--input", "words=@words.txt"),
            (&secret, "secret", "--credentials", credentials.to_str().unwrap()),
        ] {
            let arguments = ["submit", "--detach", "--run-id", id, file.to_str().unwrap(), option, value];
            daemon.ctl(arguments).expect_success();
            daemon.wait_until_running(id, "waits");
        }
        daemon.kill();
        scene.expect_no_process();
    }
    let daemon = scene.start();
    let reason = |id: &str| hint(&daemon.run(id));
    assert!(reason("bytes").contains("the bytes of `words`"), "{}", reason("bytes"));
    assert!(reason("secret").contains("safe"), "{}", reason("secret"));
    for id in ["bytes", "secret"] {
        assert!(reason(id).contains(&format!("ctl resume {id}")), "{}", reason(id));
        daemon.ctl(["show", id]).expect_success().expect_stdout(&["interrupted", &format!("ctl resume {id}")]);
    }
    assert_eq!(daemon.status().runs.running + daemon.status().runs.queued, 0);
}

/// A result in memory is lost with the daemon: whoever asked for it gets it from the run that goes on.
#[test]
fn an_output_that_was_asked_for_is_made_again() {
    let scene = scene("fork").build();
    let pipeline = format!(
        "{}[[node]]\nname = \"result\"\ncall = \"faults::step\"\n\
         inputs = {{ trace = \"params:trace\", before = \"a\" }}\noutputs = [\"result\"]\n",
        steps(&scene, "held").split("[catalog]").next().unwrap()
    );
    let mut submission;
    let id = {
        let mut daemon = scene.start();
        submission = daemon.submission(&pipeline);
        submission["outputs"] = serde_json::json!(["result"]);
        let id = daemon.post("/v1/runs", &submission).expect(201).json()["id"].as_str().unwrap().to_owned();
        wait::until_true("the result, and a node that waits", || {
            let run = daemon.run(&id);
            let state = |name: &str| run.nodes.iter().find(|node| node.name == name).map(|node| node.state);
            state("result") == Some(NodeState::Succeeded) && state("c") == Some(NodeState::Running)
        });
        wait_until_kept(&scene, &id, "result");
        daemon.kill();
        scene.expect_no_process();
        id
    };
    fs::write(scene.path("file"), "").unwrap();
    let daemon = scene.start();
    let next = successor(&daemon, &id).id;
    assert_eq!(daemon.wait(&next).summary.state, RunState::Succeeded);
    let result = daemon.get(&format!("/v1/runs/{next}/outputs/result")).expect(200);
    assert_eq!(String::from_utf8_lossy(&result.body).trim(), "2");
}
