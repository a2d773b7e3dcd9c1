//! What data cost: to be handed over, from the producer's end to the end of a consumer that reads one byte; and to be made in
//! place, in memory that is new and in memory that was used before.
#![forbid(unsafe_code)]

use std::time::Duration;

use tests::{Daemon, Scene};

use crate::figure::{Goal, Table};
use crate::floors::{FRESH, REUSED};
use crate::nodes::{finish, span};

const REPETITIONS: usize = 5;

const GIB: u64 = 1 << 30;

/// Measures sizes from 1 KiB to 1 GiB.
pub fn measure(table: &mut Table, is_quick: bool) {
    filling(table, is_quick);
    let scene = Scene::with(&["faults"]).set("workers.count", 2).build();
    let daemon = scene.start();
    let sizes: &[u64] = if is_quick { &[1 << 10, 1 << 20, 64 << 20] } else { &[1 << 10, 1 << 20, 64 << 20, 1 << 30] };
    for &bytes in sizes {
        let pipeline = format!(
            "name = \"handover\"\nparameters = {{ bytes = {bytes} }}\n\
             [[node]]\nname = \"make\"\ncall = \"faults::big\"\ninputs = {{ bytes = \"params:bytes\" }}\noutputs = [\"data\"]\n\
             [[node]]\nname = \"read\"\ncall = \"faults::length\"\ninputs = [\"data\"]\noutputs = [\"length\", \"first\"]\n"
        );
        let (mut hands, mut makes) = (Vec::new(), Vec::new());
        for _ in 0..REPETITIONS {
            let run = daemon.run(&finish(&daemon, &pipeline).id);
            let node = |node: &str| run.nodes.iter().find(|detail| detail.name == node).unwrap();
            hands.push(span(node("make").finished_us, node("read").finished_us));
            makes.push(span(node("make").started_us, node("make").finished_us));
        }
        table.add_times("handover, bytes", bytes, &hands, "producer's end to consumer's end, which reads one byte");
        table.add_times("making a block in place, bytes", bytes, &makes, "the producer, from start to end");
    }
}

/// A node that fills 1 GiB: the first time in the daemon's life, and when it has been done before.
fn filling(table: &mut Table, is_quick: bool) {
    let pipeline = format!(
        "name = \"filling\"\nparameters = {{ bytes = {GIB} }}\n\
         [[node]]\nname = \"make\"\ncall = \"faults::filled\"\ninputs = {{ bytes = \"params:bytes\" }}\noutputs = [\"data\"]\n\
         [[node]]\nname = \"read\"\ncall = \"faults::length\"\ninputs = [\"data\"]\noutputs = [\"length\", \"first\"]\n"
    );
    let make = |daemon: &Daemon<'_>| {
        let run = daemon.run(&finish(daemon, &pipeline).id);
        let made = run.nodes.into_iter().find(|node| node.name == "make").unwrap();
        span(made.started_us, made.finished_us)
    };
    // One worker: its memory is what is used again.
    let scene = Scene::with(&["faults"]).set("workers.count", 1).build();
    let repetitions = if is_quick { 3 } else { REPETITIONS };
    let first: Vec<Duration> = (0..repetitions)
        .map(|_| {
            let daemon = scene.start();
            let first = make(&daemon);
            daemon.stop();
            first
        })
        .collect();
    table.add_times(
        "filling a block in place for the first time, bytes",
        GIB,
        &first,
        "the producer, from start to end",
    );
    table.against(FRESH, Goal::AtMost(1.25));
    let daemon = scene.start();
    make(&daemon);
    let again: Vec<Duration> = (0..REPETITIONS).map(|_| make(&daemon)).collect();
    table.add_times("filling a block in place again, bytes", GIB, &again, "the same, the daemon has run it before");
    table.against(REUSED, Goal::AtMost(1.5));
}
