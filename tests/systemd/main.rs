//! The service under the real thing: systemd in a container, dagd installed as `make install` does. `make test-systemd` runs it.
//!
//! Where no systemd can be booted each test says so with `skipped:` and a reason; the protocol's parts are tested everywhere in
//! `e2e/managed.rs`, against a stand-in.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod machine;

use machine::Machine;
use serde_json::Value;
use tests::command::Running;
use tests::wait;

/// A pipeline in the machine; the daemon need not see the file.
fn pipeline(name: &str, call: &str, more: &str) -> String {
    format!("name = \"{name}\"\n[[node]]\nname = \"{name}\"\ncall = \"{call}\"\noutputs = [\"{name}_out\"]\n{more}")
}

#[test]
fn the_first_client_starts_a_hardened_service() {
    let Some(machine) = Machine::boot() else { return };
    machine.open_socket();
    assert_eq!(machine.property("ActiveState"), "inactive");
    machine.write("srv/quick.toml", &pipeline("quick", "faults::noop", ""));
    machine.run("ctl submit /srv/quick.toml").expect_success();
    assert_eq!(machine.property("ActiveState"), "active");
    let pid = machine.property("MainPID");
    let owner = machine.run(&format!("stat -c %U /proc/{pid}")).expect_success();
    assert_eq!(owner.stdout.trim(), "dagd");
    assert!(machine.property("StatusText").ends_with("busy") || machine.property("StatusText").starts_with("serves"));

    let score = machine.run("systemd-analyze security --no-pager dagd.service").expect_success().stdout;
    let score = score.lines().find(|line| line.contains("Overall exposure level")).expect("a score").to_owned();
    let value: f64 =
        score.split_once(": ").and_then(|(_, rest)| rest.split(' ').next()?.parse().ok()).expect("a number");
    println!("{}", score.trim());
    assert!(value <= 2.0, "{score}");

    let verified = machine
        .run("SYSTEMD_LOG_LEVEL=warning systemd-analyze verify --man=no dagd.service dagd.socket")
        .expect_success();
    assert!(!verified.stderr.contains("dagd"), "{verified}");

    // Who is not in the group is turned away by the kernel; who is, is served.
    machine.run("useradd ada; useradd --groups dagd eve").expect_success();
    machine.run("setpriv --reuid=ada --regid=ada --init-groups ctl status").expect_code(7);
    machine.run("setpriv --reuid=eve --regid=eve --init-groups ctl status").expect_success();
    // Only what an administrator opened can be written.
    let blocked = machine.run("cat /proc/$(systemctl show -P MainPID dagd)/mountinfo | grep -c ' / / ro'").stdout;
    assert_ne!(blocked.trim(), "0", "the root is writable for the daemon");
}

#[test]
fn one_runs_story_is_in_the_journal() {
    let Some(machine) = Machine::boot() else { return };
    machine.open_socket();
    machine.write("srv/talk.toml", &pipeline("talker", "faults::logs", ""));
    machine.write("srv/print.toml", &pipeline("printer", "faults::prints", ""));
    machine
        .run("ctl submit /srv/talk.toml --run-id talk && ctl submit /srv/print.toml --run-id print")
        .expect_success();
    let story = |run: &str| -> Vec<Value> {
        let said = machine.run(&format!("journalctl --sync; journalctl -u dagd -o json RUN_ID={run}")).expect_success();
        said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let says = |run: &str, what: &str| {
        wait::until(&format!("the story of {run} to say {what:?}"), || {
            story(run).into_iter().find(|entry| entry["MESSAGE"].as_str().is_some_and(|text| text.contains(what)))
        })
    };
    let warning = says("talk", "a warning");
    assert_eq!((&warning["NODE"], &warning["PRIORITY"]), (&"talker".into(), &"4".into()), "{warning}");
    assert_eq!((&warning["PLUGIN"], &warning["SOURCE"]), (&"faults".into(), &"log".into()), "{warning}");
    assert_eq!(says("talk", "an error of talker")["PRIORITY"], "3");
    assert_eq!(says("print", "a line on standard output")["SOURCE"], "output");
    says("print", "succeeded");
    assert!(story("print").iter().all(|entry| entry["NODE"] != "talker"), "another run's lines are in the story");
}

#[test]
fn a_restart_refuses_nobody() {
    let Some(machine) = Machine::boot() else { return };
    machine.open_socket();
    machine.write("srv/quick.toml", &pipeline("quick", "faults::noop", ""));
    machine.run("ctl status").expect_success();
    let clients: Vec<Running> = (0..3)
        .map(|_| {
            Running::start(
                &mut machine.command("for n in 1 2 3 4 5 6 7 8 9 10; do ctl submit /srv/quick.toml || exit; done"),
            )
        })
        .collect();
    for _ in 0..3 {
        machine.run("systemctl restart dagd.service").expect_success();
    }
    for client in clients {
        client.finish().expect_success();
    }
    let runs: Value = machine.run("ctl --json runs").expect_success().json();
    let states: Vec<_> = runs["runs"].as_array().unwrap().iter().map(|run| run["state"].clone()).collect();
    assert!(states.len() == 30 && states.iter().all(|state| state == "succeeded"), "{states:?}");
}

#[test]
fn a_daemon_that_hangs_is_killed_and_started_again() {
    let Some(machine) = Machine::boot() else { return };
    machine.write("etc/systemd/system/dagd.service.d/watchdog.conf", "[Service]\nWatchdogSec=2s\nTimeoutAbortSec=2s\n");
    machine.open_socket();
    machine.run("ctl status").expect_success();
    let before = machine.property("MainPID");
    machine.run(&format!("kill -STOP {before}")).expect_success();
    wait::until_true("systemd to start another daemon", || {
        machine.property("NRestarts") == "1" && machine.property("ActiveState") == "active"
    });
    assert_ne!(machine.property("MainPID"), before);
    machine.run("ctl status").expect_success();
    let why = machine.run("journalctl -u dagd --no-pager").expect_success().stdout;
    assert!(why.to_lowercase().contains("watchdog timeout"), "{why}");
}

#[test]
fn each_worker_has_a_leaf_and_takes_its_children_with_it() {
    let Some(machine) = Machine::boot() else { return };
    machine.open_socket();
    machine.write("srv/endless.toml", &pipeline("endless", "faults::loops", "timeout_seconds = 0.3\n"));
    machine.write("srv/quick.toml", &pipeline("quick", "faults::noop", ""));
    // Also starts the hook host, which waits for the first run.
    machine.run("ctl submit /srv/quick.toml").expect_success();
    let leaves = || {
        let listed =
            machine.run("cd /sys/fs/cgroup/system.slice/dagd.service && grep -c . worker-*/cgroup.procs").stdout;
        listed.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    wait::until_true("a leaf with one process for each worker", || {
        let leaves = leaves();
        !leaves.is_empty() && leaves.iter().all(|leaf| leaf.ends_with(":1"))
    });
    let before = leaves();
    machine.run("ctl submit /srv/endless.toml").expect_code(1);
    wait::until_true("the leaf of the killed worker to be replaced", || {
        let now = leaves();
        now.len() == before.len() && now != before && now.iter().all(|leaf| leaf.ends_with(":1"))
    });
    // What a plugin started goes with its worker, though it has a session of its own.
    machine.write("srv/parent.toml", &pipeline("parent", "faults::leaves_child", ""));
    machine.run("ctl submit /srv/parent.toml").expect_code(1);
    wait::until_true("the child of the dead worker to go", || machine.run("pgrep -x tail").code != 0);
    let said = machine.run("journalctl -u dagd --no-pager").expect_success().stdout;
    assert!(said.contains("each worker has a cgroup of its own"), "{said}");
}

#[test]
fn resident_data_outlives_a_killed_daemon() {
    let Some(machine) = Machine::boot() else { return };
    machine.open_socket();
    machine.write("srv/words.txt", &"hello ".repeat(4000));
    let resident = "inputs = [\"words\"]\n[catalog.words]\ntype = \"text\"\nresident = true\npath = \"words.txt\"\n";
    machine.write("srv/shout.toml", &pipeline("loud", "faults::shout", resident));
    machine.run("ctl submit /srv/shout.toml").expect_success();
    // The data, and what is known of it.
    wait::until_true("systemd to keep two descriptors", || machine.property("NFileDescriptorStore") == "2");
    let list = || machine.run("ctl --json datasets").expect_success().json()["blocks"][0].clone();
    let before = list();
    assert_eq!(before["holder"], "resident", "{before}");
    for end in ["systemctl kill --signal=SIGKILL --kill-whom=main dagd.service", "systemctl restart dagd.service"] {
        let pid = machine.property("MainPID");
        machine.run(end).expect_success();
        wait::until_true("another daemon", || {
            machine.property("ActiveState") == "active" && machine.property("MainPID") != pid
        });
        let after = list();
        // Not loaded again: it is the one of then, and nothing has run since.
        assert_eq!(
            (&after["name"], &after["bytes"], &after["since_us"]),
            (&before["name"], &before["bytes"], &before["since_us"])
        );
        machine.run("ctl submit /srv/shout.toml").expect_success();
    }
}

#[test]
fn a_reload_is_done_when_systemctl_says_so() {
    let Some(machine) = Machine::boot() else { return };
    // Only what is asked for reloads anything.
    machine.write("etc/dagd/config.toml", "plugins.watch = false\n");
    machine.open_socket();
    let plugins = || machine.run("ctl --json plugins").expect_success().json();
    assert_eq!(plugins()["generation"], 1);
    machine
        .run("cp /usr/lib/dagd/plugins/libfaults.so /tmp/faults; rm /usr/lib/dagd/plugins/libfaults.so")
        .expect_success();
    let waits_for_the_end = machine.property("Type") == "notify-reload";
    let reload = |generation: u64| {
        machine.run("systemctl reload dagd.service").expect_success();
        if !waits_for_the_end {
            wait::until_true("the reload", || plugins()["generation"] == generation);
        }
        let plugins = plugins();
        assert_eq!(plugins["generation"], generation, "{plugins}");
        plugins["plugins"].as_array().unwrap().len()
    };
    let without = reload(2);
    machine.run("cp /tmp/faults /usr/lib/dagd/plugins/libfaults.so").expect_success();
    assert_eq!(reload(3), without + 1);
    // A configuration that is wrong changes nothing, and the service is as well as before.
    machine.write("etc/dagd/config.toml", "plugins.wacht = false\n");
    machine.run("systemctl reload dagd.service").expect_success();
    wait::until_true("the journal to say why", || {
        let said = machine.run("journalctl --sync; journalctl -u dagd --no-pager").expect_success().stdout;
        said.contains("wacht") && said.contains("generation 3 stays current")
    });
    assert_eq!((machine.property("ActiveState"), plugins()["generation"].clone()), ("active".to_owned(), 3.into()));
    println!("reloads of Type={}", machine.property("Type"));
}

#[test]
fn a_stop_gives_runs_the_time_they_need() {
    let Some(machine) = Machine::boot() else { return };
    // Systemd's own patience ends before the run does: only what the daemon asks for while it drains saves it.
    machine.write("etc/systemd/system/dagd.service.d/stop.conf", "[Service]\nTimeoutStopSec=1s\n");
    machine.open_socket();
    machine.write(
        "srv/slow.toml",
        &pipeline("slow", "faults::sleeps", "inputs = { milliseconds = \"params:nap\" }\n[parameters]\nnap = 4000\n"),
    );
    machine.run("ctl submit --detach /srv/slow.toml --run-id slow").expect_success();
    machine.run("systemctl stop dagd.service").expect_success();
    assert_eq!(machine.property("Result"), "success");
    let run = machine.run("ctl --json show slow").expect_success().json();
    assert_eq!(run["state"], "succeeded", "{run}");
}

#[test]
fn a_run_goes_on_after_a_kill_and_after_a_restart() {
    let Some(machine) = Machine::boot() else { return };
    machine.write("etc/dagd/config.toml", "server.drain_timeout_ms = 100\n");
    machine.open_socket();
    let waits = "inputs = { file = \"params:file\" }\n[parameters]\nfile = \"/srv/go\"\n";
    machine.write("srv/waits.toml", &pipeline("waits", "faults::waits_for_file", waits));
    machine.run("ctl submit --detach /srv/waits.toml --run-id first").expect_success();
    let newest = || machine.run("ctl --json runs").expect_success().json()["runs"][0].clone();
    let mut last = "first".to_owned();
    for end in ["systemctl kill --signal=SIGKILL --kill-whom=main dagd.service", "systemctl restart dagd.service"] {
        wait::until_true("the run to be under way", || newest()["state"] == "running");
        machine.run(end).expect_success();
        let next =
            wait::until("a run that goes on with it", || Some(newest()).filter(|run| run["resumed_from"] == *last));
        last = next["id"].as_str().unwrap().to_owned();
    }
    machine.write("srv/go", "");
    wait::until_true("the run to succeed", || newest()["state"] == "succeeded");
    assert_eq!(newest()["id"], *last);
}

#[test]
fn a_user_has_a_daemon_of_their_own() {
    let Some(machine) = Machine::boot() else { return };
    machine.run("useradd --create-home --shell /bin/sh --uid 2000 ada").expect_success();
    // As user@2000.service would, less a login's PAM modules, which a small root lacks.
    let manager = "install -d -m 700 -o ada -g ada /run/user/2000 && systemd-run --unit=ada --uid=ada --property=Delegate=yes \
                   --property=Type=notify --setenv=XDG_RUNTIME_DIR=/run/user/2000 /lib/systemd/systemd --user 2>&1";
    let started = machine.run(manager);
    if started.code != 0 {
        println!("skipped: no user's manager starts in this machine: {}", started.stdout.trim());
        return;
    }
    machine.write("srv/quick.toml", &pipeline("quick", "faults::noop", ""));
    let as_ada = |script: &str| {
        let said = format!(
            "setpriv --reuid=ada --regid=ada --init-groups env HOME=/home/ada XDG_RUNTIME_DIR=/run/user/2000 sh -c '{script}'"
        );
        machine.run(&said)
    };
    let verified =
        as_ada("cd /usr/lib/systemd/user && systemd-analyze verify --user --man=no ./dagd.service ./dagd.socket")
            .expect_success();
    assert!(!verified.stderr.contains("dagd.s"), "{verified}");
    as_ada("systemctl --user start dagd.socket").expect_success();
    as_ada("ctl submit /srv/quick.toml").expect_success();
    let pid = as_ada("systemctl --user show --property=MainPID --value dagd.service").expect_success().stdout;
    let owner = machine.run(&format!("stat -c %U /proc/{}", pid.trim())).expect_success();
    assert_eq!(owner.stdout.trim(), "ada");
    as_ada("systemctl --user restart dagd.service").expect_success();
    let runs: Value = as_ada("ctl --json runs").expect_success().json();
    assert_eq!(runs["runs"][0]["state"], "succeeded", "{runs}");
    println!("systemd {}", machine.version());
}
