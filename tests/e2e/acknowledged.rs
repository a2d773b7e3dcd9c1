//! Whatever was told outlives the daemon, however it ends: a submission that was accepted, and an end with its report.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use protocol::{RunDetail, RunState, RunSummary};
use serde_json::Value;
use tests::{Daemon, Scene, http, wait};

use crate::pipelines::single;

/// The daemon is killed when clients were told so many things since it was started: early, late, and in between.
const TOLD: [usize; 8] = [1, 40, 7, 23, 2, 90, 13, 55];

/// What clients were told.
#[derive(Default)]
struct Told {
    accepted: Mutex<Vec<String>>,
    reports: Mutex<BTreeMap<String, RunDetail>>,
    count: AtomicUsize,
    is_over: AtomicBool,
}

#[test]
fn what_was_told_is_there_after_a_kill_at_any_moment() {
    let scene = Scene::with(&["faults"]).set("runs.keep_count", 0).set("runs.automatic_resumes_max", 0).build();
    let all = Told::default();
    for until in TOLD {
        let mut daemon = scene.start();
        check(&daemon, &all);
        let bodies = [
            daemon.submission(&single("noop", "faults::noop")),
            daemon.submission("name = \"bad\"\n[[node]]\nname = \"n\"\ncall = \"faults::fails\"\noutputs = [\"d\"]\n"),
        ];
        all.count.store(0, Ordering::SeqCst);
        all.is_over.store(false, Ordering::SeqCst);
        std::thread::scope(|scope| {
            for client in 0..4 {
                let (scene, all, body) = (&scene, &all, &bodies[client / 3]);
                scope.spawn(move || match client % 2 {
                    0 => submit(scene, all, body),
                    _ => submit_and_wait(scene, all, body),
                });
            }
            wait::until_true("clients to be told enough", || all.count.load(Ordering::SeqCst) >= until);
            daemon.kill();
            all.is_over.store(true, Ordering::SeqCst);
        });
        scene.expect_no_process();
    }
    let daemon = scene.start();
    check(&daemon, &all);
    let (accepted, reports) = (all.accepted.lock().unwrap().len(), all.reports.lock().unwrap().len());
    assert!(accepted > 0 && reports > 0, "{accepted} accepted, {reports} reports");
}

/// Two requests: the submission is told, then the end.
fn submit(scene: &Scene, all: &Told, body: &Value) {
    while !all.is_over.load(Ordering::SeqCst) {
        let Some(summary) = ask::<RunSummary>(scene, "POST", "/v1/runs", Some(body)) else { continue };
        all.accepted.lock().unwrap().push(summary.id.clone());
        all.count.fetch_add(1, Ordering::SeqCst);
        let path = format!("/v1/runs/{}", summary.id);
        while let Some(detail) = ask::<RunDetail>(scene, "GET", &path, None) {
            if detail.summary.state.is_final() {
                tell(all, detail);
                break;
            }
        }
    }
}

/// One request: the end is told, and nothing before.
fn submit_and_wait(scene: &Scene, all: &Told, body: &Value) {
    while !all.is_over.load(Ordering::SeqCst) {
        if let Some(detail) = ask::<RunDetail>(scene, "POST", "/v1/runs?wait=true", Some(body)) {
            assert!(detail.summary.state.is_final(), "{detail:#?}");
            tell(all, detail);
        }
    }
}

fn tell(all: &Told, detail: RunDetail) {
    all.reports.lock().unwrap().insert(detail.summary.id.clone(), detail);
    all.count.fetch_add(1, Ordering::SeqCst);
}

/// Nothing where the daemon was killed before the answer was whole.
fn ask<T: serde::de::DeserializeOwned>(scene: &Scene, method: &str, path: &str, body: Option<&Value>) -> Option<T> {
    let answer = http::try_request(&scene.socket(), method, path, body).ok()?;
    assert!(answer.status < 300, "{answer:?}");
    serde_json::from_slice(&answer.body).ok()
}

fn check(daemon: &Daemon<'_>, all: &Told) {
    let reports = all.reports.lock().unwrap();
    for (id, told) in reports.iter() {
        assert_eq!(daemon.run(id), *told, "the report that was told");
    }
    for id in all.accepted.lock().unwrap().iter().filter(|id| !reports.contains_key(*id)) {
        let state = daemon.run(id).summary.state;
        assert!(matches!(state, RunState::Succeeded | RunState::Failed | RunState::Interrupted), "{id}: {state}");
    }
}
