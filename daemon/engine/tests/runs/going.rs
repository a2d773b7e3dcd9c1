//! Runs that go well: order, loads, saves.

use engine::policy::RunPolicy;

use super::{CHAIN, FORK, STOP, check};

#[test]
fn a_chain_with_a_load_and_a_save() {
    check(
        CHAIN,
        STOP,
        "
        start
        begin load s_in
        end load s_in
        begin a
        end a
        begin b
        end b
        begin save s_y
        end save s_y
        end c
        ",
        "
        start => run started, DISPATCH load s_in#1
        begin load s_in => load of s_in started
        end load s_in => s_in loaded, DISPATCH a#1
        begin a => a started
        end a => RELEASE s_in, released, a finished, DISPATCH b#1
        begin b => b started
        end b => b called, DISPATCH save s_y#1
        begin save s_y => save of s_y started
        end save s_y => s_y saved, b finished, DISPATCH c#1
        end c => c started, RELEASE x, released, RELEASE s_y, released, c finished, run finished, CLOSE Succeeded
        a: Finished after 1
        b: Finished after 1
        c: Finished after 1
        ",
    );
}

#[test]
fn parity_r13_with_asynchronous_saves_readers_start_from_memory() {
    check(
        CHAIN,
        RunPolicy { asynchronous_saves: true, ..STOP },
        "
        start
        end load s_in
        end a
        begin b
        end b
        begin c
        end c
        end save s_y
        ",
        "
        start => run started, DISPATCH load s_in#1
        end load s_in => load of s_in started, s_in loaded, DISPATCH a#1
        end a => a started, RELEASE s_in, released, a finished, DISPATCH b#1
        begin b => b started
        end b => b called, DISPATCH save s_y#1, DISPATCH c#1
        begin c => c started
        end c => RELEASE x, released, c finished
        end save s_y => save of s_y started, s_y saved, RELEASE s_y, released, b finished, run finished, CLOSE Succeeded
        a: Finished after 1
        b: Finished after 1
        c: Finished after 1
        ",
    );
}

/// `reread`: the block goes with its save, and who reads it gets what the load of the saved file gives.
#[test]
fn what_is_reread_is_loaded_after_its_save() {
    check(
        &CHAIN.replace("s_y", "r_y"),
        STOP,
        "
        start
        end load s_in
        end a
        end b
        end save r_y
        end load r_y
        end c
        ",
        "
        start => run started, DISPATCH load s_in#1
        end load s_in => load of s_in started, s_in loaded, DISPATCH a#1
        end a => a started, RELEASE s_in, released, a finished, DISPATCH b#1
        end b => b started, b called, DISPATCH save r_y#1
        end save r_y => save of r_y started, r_y saved, RELEASE r_y, released, b finished, DISPATCH load r_y#1
        end load r_y => load of r_y started, r_y loaded, DISPATCH c#1
        end c => c started, RELEASE x, released, RELEASE r_y, released, c finished, run finished, CLOSE Succeeded
        a: Finished after 1
        b: Finished after 1
        c: Finished after 1
        ",
    );
}

/// With asynchronous saves too, who rereads waits for the save.
#[test]
fn what_is_reread_waits_for_its_save_with_asynchronous_saves() {
    check(
        &CHAIN.replace("s_y", "r_y"),
        RunPolicy { asynchronous_saves: true, ..STOP },
        "
        start
        end load s_in
        end a
        end b
        end save r_y
        end load r_y
        end c
        ",
        "
        start => run started, DISPATCH load s_in#1
        end load s_in => load of s_in started, s_in loaded, DISPATCH a#1
        end a => a started, RELEASE s_in, released, a finished, DISPATCH b#1
        end b => b started, b called, DISPATCH save r_y#1
        end save r_y => save of r_y started, r_y saved, DISPATCH load r_y#1, RELEASE r_y, released, b finished
        end load r_y => load of r_y started, r_y loaded, DISPATCH c#1
        end c => c started, RELEASE x, released, RELEASE r_y, released, c finished, run finished, CLOSE Succeeded
        a: Finished after 1
        b: Finished after 1
        c: Finished after 1
        ",
    );
}

/// R18: what is saved chunk by chunk has no save task and no block of its own; who reads it loads it when the call is over.
#[test]
fn parity_r18_chunks_are_saved_by_the_call() {
    check(
        r#"
        parameters = { count = 3 }
        [[node]]
        name = "generate"
        call = "t::generate"
        inputs = ["params:count"]
        outputs = ["c_rows", "notes"]
        [[node]]
        name = "rows"
        call = "flights::clean_flights"
        inputs = ["c_rows"]
        outputs = ["table"]
        [[node]]
        name = "notes"
        call = "t::text_sink"
        inputs = ["notes"]
        "#,
        STOP,
        "
        start
        begin generate
        end generate
        end notes
        end load c_rows
        end rows
        ",
        "
        start => run started, DISPATCH generate#1
        begin generate => generate started
        end generate => c_rows saved, generate finished, DISPATCH load c_rows#1, DISPATCH notes#1
        end notes => notes started, RELEASE notes, released, notes finished
        end load c_rows => load of c_rows started, c_rows loaded, DISPATCH rows#1
        end rows => rows started, RELEASE c_rows, released, rows finished, run finished, CLOSE Succeeded
        generate: Finished after 1
        notes: Finished after 1
        rows: Finished after 1
        ",
    );
}

#[test]
fn one_task_at_a_time_follows_the_order_of_the_plan() {
    check(
        FORK,
        RunPolicy { tasks_max: Some(1), ..STOP },
        "
        start
        end left
        end right
        end reads_left
        end reads_right
        ",
        "
        start => run started, DISPATCH left#1
        end left => left started, left finished, DISPATCH right#1
        end right => right started, right finished, DISPATCH reads_left#1
        end reads_left => reads_left started, RELEASE l, released, reads_left finished, DISPATCH reads_right#1
        end reads_right => reads_right started, RELEASE r, released, reads_right finished, run finished, CLOSE Succeeded
        left: Finished after 1
        right: Finished after 1
        reads_left: Finished after 1
        reads_right: Finished after 1
        ",
    );
}

/// Of what is ready, the highest priority goes first; where it is the same, the plan's order holds.
#[test]
fn a_higher_priority_goes_first() {
    check(
        &FORK
            .replace("name = \"right\"", "name = \"right\"\npriority = 2")
            .replace("name = \"reads_right\"", "name = \"reads_right\"\npriority = 1")
            .replace("name = \"reads_left\"", "name = \"reads_left\"\npriority = -1"),
        RunPolicy { tasks_max: Some(1), ..STOP },
        "
        start
        end right
        end reads_right
        end left
        end reads_left
        ",
        "
        start => run started, DISPATCH right#1
        end right => right started, right finished, DISPATCH reads_right#1
        end reads_right => reads_right started, RELEASE r, released, reads_right finished, DISPATCH left#1
        end left => left started, left finished, DISPATCH reads_left#1
        end reads_left => reads_left started, RELEASE l, released, reads_left finished, run finished, CLOSE Succeeded
        left: Finished after 1
        right: Finished after 1
        reads_left: Finished after 1
        reads_right: Finished after 1
        ",
    );
}
