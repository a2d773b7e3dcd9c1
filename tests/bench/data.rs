//! What handing data over costs: from the producer's end to the end of a consumer that reads one byte.
#![forbid(unsafe_code)]

use tests::Scene;

use crate::figure::Table;
use crate::nodes::{finish, span};

const REPETITIONS: usize = 5;

/// Measures sizes from 1 KiB to 1 GiB.
pub fn measure(table: &mut Table, is_quick: bool) {
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
