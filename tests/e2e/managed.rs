//! The daemon under a service manager, against a stand-in for the manager's side: activation, notifications, the end.

use std::time::Duration;

use nix::sys::signal::Signal;
use protocol::{FailureKind, RunState};
use tests::manager::Manager;
use tests::{Scene, processes, wait};

use crate::pipelines::{Gate, single};

/// Short, so that the status is told often; nothing here waits for it to run out.
const WATCHDOG: Duration = Duration::from_secs(1);

#[test]
fn the_first_client_is_answered_by_the_daemon_it_started() {
    let scene = Scene::with(&["faults"]).build();
    let mut manager = Manager::new(&scene);
    let client = scene.start_ctl(["--json", "status"]);
    let daemon = manager.start();
    let status = client.finish().expect_success().json();
    assert_eq!(status["pid"], daemon.pid(), "somebody else answered");
    let ready = manager.wait_for("READY=1");
    assert!(ready.contains("\nSTATUS=serves at the socket passed by systemd"), "{ready}");
    // Whether a cgroup is delegated to a test's daemon is not up to the test; one line says what limits its workers.
    let limits =
        ["each worker has a cgroup of its own", "workers have no cgroups of their own, setrlimit limits each alone"];
    assert_eq!(limits.iter().map(|line| daemon.log().matches(line).count()).sum::<usize>(), 1, "{}", daemon.log());
    assert!(daemon.stop().success());
    assert!(scene.socket().exists(), "the socket is the manager's");
}

#[test]
fn the_manager_is_told_how_the_daemon_is() {
    let scene = Scene::with(&["faults"]).build();
    let gate = Gate::new(&scene);
    let mut manager = Manager::new(&scene).with_watchdog(WATCHDOG);
    let daemon = manager.start_ready();
    // Twice: not only once by chance.
    manager.wait_for("WATCHDOG=1");
    manager.wait_for("WATCHDOG=1");
    let id = daemon.begin(&gate.pipeline());
    daemon.wait_until_running(&id, "waits");
    manager.wait_for("STATUS=1 run under way; 1 of 2 workers busy");
    processes::signal(daemon.pid(), Signal::SIGTERM);
    let stopping = manager.wait_for("STOPPING=1");
    assert!(stopping.contains("EXTEND_TIMEOUT_USEC="), "{stopping}");
    // As long as runs go on, the manager is asked for more time, and only while the daemon works.
    manager.wait_for_message("EXTEND_TIMEOUT_USEC", |message| message.starts_with("EXTEND_TIMEOUT_USEC="));
    manager.wait_for("STATUS=stopping: 1 run under way; 1 of 2 workers busy");
    gate.open();
    assert!(daemon.wait_for_end().success());
    assert_eq!(manager.start_ready().run(&id).summary.state, RunState::Succeeded);
}

#[test]
fn a_daemon_that_hangs_feeds_no_watchdog() {
    let scene = Scene::with(&["faults"]).build();
    let mut manager = Manager::new(&scene).with_watchdog(WATCHDOG);
    let daemon = manager.start_ready();
    manager.wait_for("WATCHDOG=1");
    // The scheduler's clock stands still, and every other thread goes on: there is no longer proof of anything.
    let clock = processes::thread(daemon.pid(), "clock").expect("the daemon has a clock");
    match processes::Stuck::hold(clock) {
        None => println!("skipped: a single thread cannot be stopped here (ptrace is not allowed)"),
        Some(stuck) => {
            wait::until_true("the daemon to say that it is not well", || daemon.log().contains("did not answer"));
            stuck.release();
            manager.wait_for("WATCHDOG=1");
        }
    }
}

#[test]
fn a_restart_refuses_nobody() {
    let scene = Scene::with(&["faults"]).build();
    let gate = Gate::new(&scene);
    let mut manager = Manager::new(&scene);
    let path = scene.write("quick.toml", single("quick", "faults::noop"));
    let daemon = manager.start_ready();
    // Holds the old daemon in its drain, so that clients meet it there.
    let held = daemon.begin(&gate.pipeline());
    daemon.wait_until_running(&held, "waits");
    processes::signal(daemon.pid(), Signal::SIGTERM);
    manager.wait_for("STOPPING=1");
    let clients: Vec<_> = (0..6).map(|_| scene.start_ctl(["submit", path.to_str().unwrap()])).collect();
    // Asked while it drains, it says to come back; the next daemon says yes.
    let refusal = daemon.post("/v1/runs", &daemon.submission(&single("quick", "faults::noop"))).expect(503).json();
    assert_eq!(refusal["error"]["code"], "restarting", "{refusal}");
    gate.open();
    assert!(daemon.wait_for_end().success());
    let daemon = manager.start();
    for client in clients {
        client.finish().expect_success();
    }
    assert_eq!(daemon.run(&held).summary.state, RunState::Succeeded);
}

#[test]
fn what_outlasts_the_drain_is_interrupted_and_what_is_insisted_on_is_cancelled() {
    for insists in [false, true] {
        let patience_ms = if insists { 600_000 } else { 200 };
        let scene = Scene::with(&["faults"])
            .set("server.drain_timeout_ms", patience_ms)
            .set("runs.automatic_resumes_max", 0)
            .build();
        let gate = Gate::new(&scene);
        let mut manager = Manager::new(&scene);
        let daemon = manager.start_ready();
        let id = daemon.begin(&gate.pipeline());
        daemon.wait_until_running(&id, "waits");
        processes::signal(daemon.pid(), Signal::SIGTERM);
        manager.wait_for("STOPPING=1");
        if insists {
            processes::signal(daemon.pid(), Signal::SIGTERM);
        }
        assert!(daemon.wait_for_end().success());
        let summary = manager.start_ready().run(&id).summary;
        let expected = if insists { RunState::Cancelled } else { RunState::Interrupted };
        assert_eq!(summary.state, expected, "{summary:#?}");
        if !insists {
            let cause = summary.cause.expect("an interrupted run says why");
            assert_eq!(cause.kind, FailureKind::Interrupted);
            assert!(!cause.hints.is_empty(), "nothing says how to run it again: {cause:#?}");
        }
    }
}

#[test]
fn a_socket_meant_for_another_process_is_left_alone() {
    let scene = Scene::with(&["faults"]).build();
    let mut command = scene.program("dagd");
    command.args(["serve", "--config"]).arg(scene.path("dagd.toml")).arg("--socket").arg(scene.socket());
    command.env("LISTEN_PID", "1").env("LISTEN_FDS", "1");
    let mut daemon = tests::Daemon::started(&scene, command);
    daemon.expect_healthy();
}

#[test]
fn resident_data_and_outputs_asked_for_outlive_the_daemon() {
    let scene = Scene::with(&["faults", "formats"]).build();
    let text = "hello ".repeat(4000);
    scene.write("text.txt", &text);
    let pipeline = format!(
        "name = \"reads\"\n[[node]]\nname = \"shout\"\ncall = \"faults::shout\"\ninputs = [\"words\"]\noutputs = [\"loud\"]\n\
         [catalog.words]\ntype = \"counted\"\nresident = true\npath = \"text.txt\"\noptions = {{ trace = {:?} }}\n",
        scene.work("trace")
    );
    let loads = || std::fs::read_to_string(scene.work("trace")).unwrap_or_default().lines().count();
    let run = |daemon: &tests::Daemon<'_>| {
        let mut submission = daemon.submission(&pipeline);
        submission["outputs"] = serde_json::json!(["loud"]);
        let id = daemon.post("/v1/runs", &submission).expect(201).json()["id"].as_str().unwrap().to_owned();
        assert_eq!(daemon.wait(&id).summary.state, RunState::Succeeded);
        id
    };
    let mut manager = Manager::new(&scene);
    let mut daemon = manager.start_ready();
    let mut id = run(&daemon);
    wait::until_true("both to be kept, each with what is known of it", || manager.stored().len() == 4);
    let resident = manager.stored().into_iter().find(|name| name.starts_with("dagd-resident-")).unwrap();
    let bytes = manager.stored_bytes(resident.trim_end_matches(".about"));
    assert!(String::from_utf8_lossy(&bytes).contains(&text), "it is not the text");

    // However it ends: killed, or restarted politely.
    for ends_by in [Signal::SIGKILL, Signal::SIGTERM] {
        processes::signal(daemon.pid(), ends_by);
        let _ = daemon.wait_for_end();
        daemon = manager.start_ready();
        let loud = daemon.get(&format!("/v1/runs/{id}/outputs/loud?as=text")).expect(200);
        assert_eq!(String::from_utf8_lossy(&loud.body), text.to_uppercase());
        // It was kept until it was fetched; the next one is kept in its turn.
        let before = manager.stored();
        id = run(&daemon);
        assert_eq!(loads(), 1, "it was loaded again after {ends_by}");
        wait::until_true("the next output to be kept", || {
            let now = manager.stored();
            now.len() == 4 && now.iter().any(|name| !before.contains(name))
        });
        let same = manager.stored_bytes(resident.trim_end_matches(".about"));
        assert!(same == bytes, "the bytes changed");
    }
}
