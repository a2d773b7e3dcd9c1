//! R19: what a node confirms, when, and when not.

use engine::policy::{OnFailure, RunPolicy};

use super::{STOP, check};

/// `a` makes what is saved, and confirms two datasets; `b` reads what it made.
const PAIR: &str = r#"
    [[node]]
    name = "a"
    call = "t::source"
    outputs = ["s_x"]
    confirms = ["i_one", "i_two"]
    retries = 1
    retry_backoff_seconds = 1
    [[node]]
    name = "b"
    call = "t::copy"
    inputs = ["s_x"]
    outputs = ["y"]
"#;

#[test]
fn parity_r19_a_node_confirms_after_its_saves_and_before_its_readers() {
    check(
        PAIR,
        STOP,
        "
        start
        end load i_one
        end load i_two
        end a
        end save s_x
        begin confirm i_one
        end confirm i_one
        end confirm i_two
        end b
        ",
        "
        start => run started, DISPATCH load i_one#1, DISPATCH load i_two#1
        end load i_one => load of i_one started, i_one loaded
        end load i_two => load of i_two started, i_two loaded, DISPATCH a#1
        end a => a started, a called, RELEASE i_one, released, RELEASE i_two, released, DISPATCH save s_x#1
        end save s_x => save of s_x started, s_x saved, DISPATCH confirm i_one#1
        begin confirm i_one => confirm of i_one started
        end confirm i_one => i_one confirmed, DISPATCH confirm i_two#1
        end confirm i_two => confirm of i_two started, i_two confirmed, a finished, DISPATCH b#1
        end b => b started, RELEASE s_x, released, b finished, run finished, CLOSE Succeeded
        a: Finished after 1
        b: Finished after 1
        ",
    );
}

#[test]
fn parity_r19_what_fails_confirms_nothing() {
    for failing in ["a", "save s_x"] {
        let call = if failing == "a" { "" } else { "end a" };
        let story = format!("start\nend load i_one\nend load i_two\n{call}\nfail {failing}\nat 2\nfail {failing}#2\n");
        let told = super::story(PAIR, STOP, &story);
        assert!(!told.contains("confirm") && told.contains("CLOSE Failed"), "{told}");
    }
}

#[test]
fn parity_r19_a_confirmation_that_fails_is_tried_again_and_then_fails_its_node() {
    check(
        PAIR,
        STOP,
        "
        start
        end load i_one
        end load i_two
        end a
        end save s_x
        fail confirm i_one
        at 1
        fail confirm i_one#2
        ",
        "
        start => run started, DISPATCH load i_one#1, DISPATCH load i_two#1
        end load i_one => load of i_one started, i_one loaded
        end load i_two => load of i_two started, i_two loaded, DISPATCH a#1
        end a => a started, a called, RELEASE i_one, released, RELEASE i_two, released, DISPATCH save s_x#1
        end save s_x => save of s_x started, s_x saved, DISPATCH confirm i_one#1
        fail confirm i_one => confirm of i_one started, confirm of i_one failed (again in 1000 ms)
        at 1 => DISPATCH confirm i_one#2
        fail confirm i_one#2 => confirm of i_one started, confirm of i_one failed, a failed by its save, b skipped: a failed, RELEASE s_x, released, run finished, CLOSE Failed
        a: Failed after 1
        b: Skipped(NodeFailed(NodeId(0))) after 0
        failure: error: it broke
        ",
    );
}

#[test]
fn parity_r19_a_cancelled_run_confirms_nothing_more() {
    check(
        PAIR,
        RunPolicy { on_failure: OnFailure::Continue, ..STOP },
        "
        start
        end load i_one
        end load i_two
        end a
        end save s_x
        begin confirm i_one
        cancel
        end confirm i_one
        ",
        "
        start => run started, DISPATCH load i_one#1, DISPATCH load i_two#1
        end load i_one => load of i_one started, i_one loaded
        end load i_two => load of i_two started, i_two loaded, DISPATCH a#1
        end a => a started, a called, RELEASE i_one, released, RELEASE i_two, released, DISPATCH save s_x#1
        end save s_x => save of s_x started, s_x saved, DISPATCH confirm i_one#1
        begin confirm i_one => confirm of i_one started
        cancel => b skipped: cancelled, RELEASE s_x, released, ABORT confirm i_one#1 Cancelled
        end confirm i_one => i_one confirmed, a skipped: cancelled, run finished, CLOSE Cancelled
        a: Cancelled after 1
        b: Skipped(RunCancelled) after 0
        ",
    );
}

/// With asynchronous saves readers start before the confirmation, and a node without saves confirms all the same.
#[test]
fn parity_r19_asynchronous_saves_do_not_hold_readers_up() {
    check(
        "
        [[node]]
        name = \"a\"
        call = \"t::source\"
        outputs = [\"x\"]
        confirms = [\"i_one\"]
        [[node]]
        name = \"b\"
        call = \"t::sink\"
        inputs = [\"x\"]
        ",
        RunPolicy { asynchronous_saves: true, ..STOP },
        "
        start
        end load i_one
        end a
        end b
        end confirm i_one
        ",
        "
        start => run started, DISPATCH load i_one#1
        end load i_one => load of i_one started, i_one loaded, DISPATCH a#1
        end a => a started, a called, RELEASE i_one, released, DISPATCH b#1, DISPATCH confirm i_one#1
        end b => b started, RELEASE x, released, b finished
        end confirm i_one => confirm of i_one started, i_one confirmed, a finished, run finished, CLOSE Succeeded
        a: Finished after 1
        b: Finished after 1
        ",
    );
}
