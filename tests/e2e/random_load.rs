//! Random load, in short: see `tests::random_load`. `make soak-load` does it at length.

use protocol::RunState;
use tests::{Draw, random_load::RandomLoad};

#[track_caller]
fn check(load: RandomLoad) {
    let mut draw = Draw::new();
    // Shown where the test fails, however it does.
    eprintln!("{draw}\n{load:?}");
    let tally = load.run(&mut draw);
    eprintln!("{tally}");
    assert!(tally.wrong.is_empty(), "{draw}\n{tally}\n{}", tally.wrong[..tally.wrong.len().min(8)].join("\n"));
    assert!(tally.count(RunState::Succeeded) > 0, "nothing succeeded: {draw}\n{tally}");
}

const LOAD: RandomLoad =
    RandomLoad { start_method: "fork", workers: 2, clients: 3, runs: 8, has_kills: false, has_hooks: false };

#[test]
fn every_run_ends_as_it_must_and_nothing_is_left() {
    check(LOAD);
}

#[test]
fn the_same_while_workers_are_killed() {
    check(RandomLoad { workers: 4, has_kills: true, ..LOAD });
}

#[test]
fn the_same_while_hooks_listen() {
    check(RandomLoad { workers: 3, has_hooks: true, ..LOAD });
}

#[test]
fn the_same_under_spawn_while_hooks_listen_and_workers_are_killed() {
    check(RandomLoad { start_method: "spawn", workers: 2, has_hooks: true, has_kills: true, ..LOAD });
}

#[test]
fn the_same_with_one_worker_under_spawn() {
    check(RandomLoad { start_method: "spawn", workers: 1, ..LOAD });
}
