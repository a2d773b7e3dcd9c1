//! Nodes for the end-to-end tests: every way a node can misbehave, and a few that behave and report what they see.
//!
//! What is wrong here is wrong on purpose. Each `unsafe` block says which condition it breaks, in place of a proof.

use plugin_api::prelude::*;

mod chunks;
mod counted;
mod deaths;
mod gated;
mod hangs;
mod keeps;
mod late_write;
mod memory;
mod misbehaves;
mod pages;
mod partitions;
mod plain;
mod results;
mod steps;
mod tables;

plugin! {
    nodes: [
        chunks::tables,
        chunks::numbers,
        chunks::turns,
        chunks::ends,
        chunks::endless,
        deaths::panics,
        deaths::segfaults,
        deaths::aborts,
        deaths::exits,
        deaths::overflows_stack,
        deaths::crashes_until,
        deaths::leaves_child,
        hangs::loops,
        hangs::waits_for_cancel,
        hangs::waits_for_file,
        hangs::meets,
        hangs::sleeps,
        keeps::keeps_input,
        keeps::changed_inputs,
        late_write::keeps_pointer,
        late_write::writes_late,
        memory::allocates,
        memory::big,
        memory::filled,
        memory::length,
        memory::sum,
        misbehaves::misbehaves,
        pages::producer,
        pages::consumer,
        pages::meeting_consumer,
        pages::holds,
        partitions::part,
        partitions::part_and_fail,
        partitions::rows_of_all,
        partitions::rows_together,
        partitions::summary,
        plain::gather,
        plain::noop,
        plain::busy,
        plain::add,
        plain::constant,
        plain::between,
        plain::text,
        plain::shout,
        plain::worker_pid,
        plain::prints,
        plain::logs,
        plain::progresses,
        plain::append,
        plain::both,
        plain::environment,
        results::fails,
        results::counts,
        results::fails_until,
        steps::step,
        steps::needs_file,
        steps::held,
        tables::rows,
        tables::pass,
    ],
    datasets: [counted::Counted, gated::Gated]
}
