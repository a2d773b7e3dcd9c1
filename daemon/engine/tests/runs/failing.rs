//! Failures, and what they mean for the rest.

use engine::policy::RunPolicy;

use super::{CHAIN, CONTINUE, FORK, STOP, check};

#[test]
fn parity_r13_a_failed_asynchronous_save_fails_the_run_and_not_its_readers() {
    check(
        CHAIN,
        RunPolicy { asynchronous_saves: true, ..CONTINUE },
        "
        start
        end load s_in
        end a
        end b
        fail save s_y
        end c
        ",
        "
        start => run started, DISPATCH load s_in#1
        end load s_in => load of s_in started, s_in loaded, DISPATCH a#1
        end a => a started, RELEASE s_in, released, a finished, DISPATCH b#1
        end b => b started, b called, DISPATCH save s_y#1, DISPATCH c#1
        fail save s_y => save of s_y started, save of s_y failed, b failed by its save
        end c => c started, RELEASE x, released, RELEASE s_y, released, c finished, run finished, CLOSE Failed
        a: Finished after 1
        b: Failed after 1
        c: Finished after 1
        failure: error: it broke
        ",
    );
}

#[test]
fn a_failure_stops_what_has_not_begun() {
    check(
        FORK,
        STOP,
        "
        start
        begin left
        fail left
        end right
        ",
        "
        start => run started, DISPATCH left#1, DISPATCH right#1
        begin left => left started
        fail left => left failed, reads_left skipped: left failed, ABORT right#1 Stopped, right skipped: stopped, reads_right skipped: stopped, run finished, CLOSE Failed
        end right => nothing
        left: Failed after 1
        right: Skipped(RunStopped) after 0
        reads_left: Skipped(NodeFailed(NodeId(0))) after 0
        reads_right: Skipped(RunStopped) after 0
        failure: error: it broke
        ",
    );
}

#[test]
fn parity_r10_under_stop_running_nodes_finish() {
    check(
        FORK,
        STOP,
        "
        start
        begin left
        begin right
        fail left
        end right
        ",
        "
        start => run started, DISPATCH left#1, DISPATCH right#1
        begin left => left started
        begin right => right started
        fail left => left failed, reads_left skipped: left failed, reads_right skipped: stopped
        end right => RELEASE r, released, right finished, run finished, CLOSE Failed
        left: Failed after 1
        right: Finished after 1
        reads_left: Skipped(NodeFailed(NodeId(0))) after 0
        reads_right: Skipped(RunStopped) after 0
        failure: error: it broke
        ",
    );
}

#[test]
fn parity_r10_under_continue_only_descendants_are_skipped() {
    check(
        FORK,
        CONTINUE,
        "
        start
        fail left
        end right
        end reads_right
        ",
        "
        start => run started, DISPATCH left#1, DISPATCH right#1
        fail left => left started, left failed, reads_left skipped: left failed
        end right => right started, right finished, DISPATCH reads_right#1
        end reads_right => reads_right started, RELEASE r, released, reads_right finished, run finished, CLOSE Failed
        left: Failed after 1
        right: Finished after 1
        reads_left: Skipped(NodeFailed(NodeId(0))) after 0
        reads_right: Finished after 1
        failure: error: it broke
        ",
    );
}

#[test]
fn a_node_may_ask_to_stop_the_run() {
    check(
        FORK.replace("[[node]]\nname = \"left\"", "[[node]]\nname = \"left\"\non_failure = \"stop\"").as_str(),
        CONTINUE,
        "
        start
        begin left
        begin right
        fail left
        end right
        ",
        "
        start => run started, DISPATCH left#1, DISPATCH right#1
        begin left => left started
        begin right => right started
        fail left => left failed, reads_left skipped: left failed, reads_right skipped: stopped
        end right => RELEASE r, released, right finished, run finished, CLOSE Failed
        left: Failed after 1
        right: Finished after 1
        reads_left: Skipped(NodeFailed(NodeId(0))) after 0
        reads_right: Skipped(RunStopped) after 0
        failure: error: it broke
        ",
    );
}

#[test]
fn a_failed_load_skips_its_readers() {
    check(
        CHAIN,
        CONTINUE,
        "
        start
        begin load s_in
        fail load s_in
        ",
        "
        start => run started, DISPATCH load s_in#1
        begin load s_in => load of s_in started
        fail load s_in => load of s_in failed, a skipped: s_in was not loaded, b skipped: s_in was not loaded, c skipped: s_in was not loaded, run finished, CLOSE Failed
        a: Skipped(LoadFailed(DatasetId(0))) after 0
        b: Skipped(LoadFailed(DatasetId(0))) after 0
        c: Skipped(LoadFailed(DatasetId(0))) after 0
        failure: error: it broke
        ",
    );
}

#[test]
fn a_failed_save_is_tried_again_without_calling_the_node_again() {
    check(
        &format!("retries = 1\n{CHAIN}"),
        STOP,
        "
        start
        end load s_in
        end a
        end b
        fail save s_y
        at 1
        end save s_y#2
        end c
        ",
        "
        start => run started, DISPATCH load s_in#1
        end load s_in => load of s_in started, s_in loaded, DISPATCH a#1
        end a => a started, RELEASE s_in, released, a finished, DISPATCH b#1
        end b => b started, b called, DISPATCH save s_y#1
        fail save s_y => save of s_y started, save of s_y failed (again in 1000 ms)
        at 1 => DISPATCH save s_y#2
        end save s_y#2 => save of s_y started, s_y saved, b finished, DISPATCH c#1
        end c => c started, RELEASE x, released, RELEASE s_y, released, c finished, run finished, CLOSE Succeeded
        a: Finished after 1
        b: Finished after 1
        c: Finished after 1
        ",
    );
}

#[test]
fn a_failed_save_fails_its_node() {
    check(
        CHAIN,
        CONTINUE,
        "
        start
        end load s_in
        end a
        end b
        fail save s_y
        ",
        "
        start => run started, DISPATCH load s_in#1
        end load s_in => load of s_in started, s_in loaded, DISPATCH a#1
        end a => a started, RELEASE s_in, released, a finished, DISPATCH b#1
        end b => b started, b called, DISPATCH save s_y#1
        fail save s_y => save of s_y started, save of s_y failed, b failed by its save, c skipped: b failed, RELEASE x, released, RELEASE s_y, released, run finished, CLOSE Failed
        a: Finished after 1
        b: Failed after 1
        c: Skipped(NodeFailed(NodeId(1))) after 0
        failure: error: it broke
        ",
    );
}

#[test]
fn parity_r10_fail_fast_stops_what_runs() {
    check(
        FORK,
        RunPolicy { fail_fast: true, ..STOP },
        "
        start
        begin left
        begin right
        fail left
        fail right
        ",
        "
        start => run started, DISPATCH left#1, DISPATCH right#1
        begin left => left started
        begin right => right started
        fail left => left failed, reads_left skipped: left failed, reads_right skipped: stopped, ABORT right#1 Cancelled
        fail right => right skipped: stopped, run finished, CLOSE Failed
        left: Failed after 1
        right: Cancelled after 1
        reads_left: Skipped(NodeFailed(NodeId(0))) after 0
        reads_right: Skipped(RunStopped) after 0
        failure: error: it broke
        ",
    );
}

#[test]
fn parity_r13_a_failed_asynchronous_save_names_those_who_had_read_already() {
    check(
        CHAIN,
        RunPolicy { asynchronous_saves: true, ..STOP },
        "
        start
        end load s_in
        end a
        end b
        begin c
        fail save s_y
        end c
        ",
        "
        start => run started, DISPATCH load s_in#1
        end load s_in => load of s_in started, s_in loaded, DISPATCH a#1
        end a => a started, RELEASE s_in, released, a finished, DISPATCH b#1
        end b => b started, b called, DISPATCH save s_y#1, DISPATCH c#1
        begin c => c started
        fail save s_y => save of s_y started, save of s_y failed, b failed by its save
        end c => RELEASE x, released, RELEASE s_y, released, c finished, run finished, CLOSE Failed
        a: Finished after 1
        b: Failed after 1
        c: Finished after 1
        failure: error: it broke
        because: c had already read `s_y` from memory while it was being saved
        ",
    );
}
