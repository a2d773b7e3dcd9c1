//! Retries, time-outs, cancelling.

use engine::policy::RunPolicy;

use super::{CONTINUE, FORK, STOP, check};

#[test]
fn retries_wait_twice_as_long_each_time() {
    check(
        &format!("retries = 2\nretry_backoff_seconds = 1.5\n{FORK}"),
        CONTINUE,
        "
        start
        begin left
        fail left
        at 1.4
        at 1.5
        begin left#2
        fail left#2
        at 4.5
        begin left#3
        fail left#3
        end right
        end reads_right
        ",
        "
        start => run started, DISPATCH left#1, DISPATCH right#1
        begin left => left started
        fail left => left failed (again in 1500 ms)
        at 1.4 => nothing
        at 1.5 => DISPATCH left#2
        begin left#2 => left started
        fail left#2 => left failed (again in 3000 ms)
        at 4.5 => DISPATCH left#3
        begin left#3 => left started
        fail left#3 => left failed, reads_left skipped: left failed
        end right => right started, right finished, DISPATCH reads_right#1
        end reads_right => reads_right started, RELEASE r, released, reads_right finished, run finished, CLOSE Failed
        left: Failed after 3
        right: Finished after 1
        reads_left: Skipped(NodeFailed(NodeId(0))) after 0
        reads_right: Finished after 1
        failure: error: it broke
        ",
    );
}

#[test]
fn results_of_an_old_attempt_are_ignored() {
    check(
        &format!("retries = 1\n{FORK}"),
        CONTINUE,
        "
        start
        fail left
        end left
        at 1
        begin left#1
        end left#1
        begin left#2
        fail left#1
        end left#2
        ",
        "
        start => run started, DISPATCH left#1, DISPATCH right#1
        fail left => left started, left failed (again in 1000 ms)
        end left => nothing
        at 1 => DISPATCH left#2
        begin left#1 => ABORT left#1 Stale
        end left#1 => nothing
        begin left#2 => left started
        fail left#1 => nothing
        end left#2 => left finished, DISPATCH reads_left#1
        left: Finished after 2
        right: Ready after 0
        reads_left: Ready after 0
        reads_right: Waiting after 0
        ",
    );
}

#[test]
fn a_timeout_aborts_and_names_the_limit() {
    check(
        &format!("timeout_seconds = 2\n{FORK}"),
        CONTINUE,
        "
        start
        begin left
        begin right
        at 1
        end right
        at 2
        fail left
        end reads_right
        ",
        "
        start => run started, DISPATCH left#1, DISPATCH right#1
        begin left => left started
        begin right => right started
        at 1 => nothing
        end right => right finished, DISPATCH reads_right#1
        at 2 => ABORT left#1 Timeout
        fail left => left failed, reads_left skipped: left failed
        end reads_right => reads_right started, RELEASE r, released, reads_right finished, run finished, CLOSE Failed
        left: Failed after 1
        right: Finished after 1
        reads_left: Skipped(NodeFailed(NodeId(0))) after 0
        reads_right: Finished after 1
        failure: timeout: the call took longer than 2 s and was stopped
        because: it broke
        ",
    );
}

#[test]
fn a_result_that_beats_its_abort_counts() {
    check(
        &format!("timeout_seconds = 2\n{FORK}"),
        CONTINUE,
        "
        start
        begin left
        at 2
        end left
        ",
        "
        start => run started, DISPATCH left#1, DISPATCH right#1
        begin left => left started
        at 2 => ABORT left#1 Timeout
        end left => left finished, DISPATCH reads_left#1
        left: Finished after 1
        right: Ready after 0
        reads_left: Ready after 0
        reads_right: Waiting after 0
        ",
    );
}

#[test]
fn cancelling_aborts_what_runs_and_starts_nothing() {
    check(
        FORK,
        STOP,
        "
        start
        begin left
        cancel
        fail left
        ",
        "
        start => run started, DISPATCH left#1, DISPATCH right#1
        begin left => left started
        cancel => ABORT right#1 Cancelled, right skipped: cancelled, reads_left skipped: cancelled, reads_right skipped: cancelled, ABORT left#1 Cancelled
        fail left => left skipped: cancelled, run finished, CLOSE Cancelled
        left: Cancelled after 1
        right: Skipped(RunCancelled) after 0
        reads_left: Skipped(RunCancelled) after 0
        reads_right: Skipped(RunCancelled) after 0
        ",
    );
}

#[test]
fn cancelling_before_the_start_closes_at_once() {
    check(
        FORK,
        STOP,
        "
        cancel
        start
        ",
        "
        cancel => left skipped: cancelled, right skipped: cancelled, reads_left skipped: cancelled, reads_right skipped: cancelled, run finished, CLOSE Cancelled
        start => nothing
        left: Skipped(RunCancelled) after 0
        right: Skipped(RunCancelled) after 0
        reads_left: Skipped(RunCancelled) after 0
        reads_right: Skipped(RunCancelled) after 0
        ",
    );
}

#[test]
fn a_run_that_finished_before_its_cancel_was_heard_succeeded() {
    check(
        FORK,
        STOP,
        "
        start
        end left
        end right
        begin reads_left
        begin reads_right
        cancel
        end reads_left
        end reads_right
        ",
        "
        start => run started, DISPATCH left#1, DISPATCH right#1
        end left => left started, left finished, DISPATCH reads_left#1
        end right => right started, right finished, DISPATCH reads_right#1
        begin reads_left => reads_left started
        begin reads_right => reads_right started
        cancel => ABORT reads_left#1 Cancelled, ABORT reads_right#1 Cancelled
        end reads_left => RELEASE l, released, reads_left finished
        end reads_right => RELEASE r, released, reads_right finished, run finished, CLOSE Succeeded
        left: Finished after 1
        right: Finished after 1
        reads_left: Finished after 1
        reads_right: Finished after 1
        ",
    );
}

#[test]
fn a_run_out_of_time_has_failed() {
    check(
        FORK,
        RunPolicy { timeout_us: Some(3_000_000), ..STOP },
        "
        start
        begin left
        at 3
        fail left
        ",
        "
        start => run started, DISPATCH left#1, DISPATCH right#1
        begin left => left started
        at 3 => ABORT right#1 Cancelled, right skipped: cancelled, reads_left skipped: cancelled, reads_right skipped: cancelled, ABORT left#1 Cancelled
        fail left => left skipped: cancelled, run finished, CLOSE Failed
        left: Cancelled after 1
        right: Skipped(RunCancelled) after 0
        reads_left: Skipped(RunCancelled) after 0
        reads_right: Skipped(RunCancelled) after 0
        failure: timeout: the run took longer than 3 s and was stopped
        ",
    );
}

#[test]
fn stopping_gives_up_a_retry() {
    check(
        &format!("retries = 1\n{FORK}"),
        STOP,
        "
        start
        begin left
        fail left
        begin right
        fail right
        at 1
        fail left#2
        end right#2
        ",
        "
        start => run started, DISPATCH left#1, DISPATCH right#1
        begin left => left started
        fail left => left failed (again in 1000 ms)
        begin right => right started
        fail right => right failed (again in 1000 ms)
        at 1 => DISPATCH left#2, DISPATCH right#2
        fail left#2 => left started, left failed, reads_left skipped: left failed, ABORT right#2 Stopped, right skipped: stopped, reads_right skipped: right failed, run finished, CLOSE Failed
        end right#2 => nothing
        left: Failed after 2
        right: Failed after 1
        reads_left: Skipped(NodeFailed(NodeId(0))) after 0
        reads_right: Skipped(NodeFailed(NodeId(1))) after 0
        failure: error: it broke
        failure: error: it broke
        ",
    );
}

#[test]
fn a_retry_that_waits_is_given_up_when_cancelled() {
    check(
        &format!("retries = 1\n{FORK}"),
        CONTINUE,
        "
        start
        fail left
        end right
        cancel
        ",
        "
        start => run started, DISPATCH left#1, DISPATCH right#1
        fail left => left started, left failed (again in 1000 ms)
        end right => right started, right finished, DISPATCH reads_right#1
        cancel => left skipped: cancelled, reads_left skipped: left failed, ABORT reads_right#1 Cancelled, reads_right skipped: cancelled, RELEASE r, released, run finished, CLOSE Cancelled
        left: Failed after 1
        right: Finished after 1
        reads_left: Skipped(NodeFailed(NodeId(0))) after 0
        reads_right: Skipped(RunCancelled) after 0
        failure: error: it broke
        ",
    );
}

#[test]
fn a_deadline_of_an_old_attempt_means_nothing_to_the_next() {
    check(
        &format!("retries = 1\ntimeout_seconds = 2\n{FORK}"),
        CONTINUE,
        "
        start
        begin left
        fail left
        at 1
        begin left#2
        at 2
        at 3
        fail left#2
        end right
        end reads_right
        ",
        "
        start => run started, DISPATCH left#1, DISPATCH right#1
        begin left => left started
        fail left => left failed (again in 1000 ms)
        at 1 => DISPATCH left#2
        begin left#2 => left started
        at 2 => nothing
        at 3 => ABORT left#2 Timeout
        fail left#2 => left failed, reads_left skipped: left failed
        end right => right started, right finished, DISPATCH reads_right#1
        end reads_right => reads_right started, RELEASE r, released, reads_right finished, run finished, CLOSE Failed
        left: Failed after 2
        right: Finished after 1
        reads_left: Skipped(NodeFailed(NodeId(0))) after 0
        reads_right: Finished after 1
        failure: timeout: the call took longer than 2 s and was stopped
        because: it broke
        ",
    );
}

#[test]
fn a_clock_that_runs_backwards_is_not_believed() {
    check(
        &format!("retries = 1\n{FORK}"),
        CONTINUE,
        "
        start
        at 5
        at 1
        fail left
        at 5.9
        at 6
        ",
        "
        start => run started, DISPATCH left#1, DISPATCH right#1
        at 5 => nothing
        at 1 => nothing
        fail left => left started, left failed (again in 1000 ms)
        at 5.9 => nothing
        at 6 => DISPATCH left#2
        left: Ready after 1
        right: Ready after 0
        reads_left: Waiting after 0
        reads_right: Waiting after 0
        ",
    );
}
