//! What a reload costs: from the moment a library is there, whole, to the first node that runs on it.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use tests::{Scene, Versions, versions};

use crate::figure::Table;
use crate::nodes::finish;

const REPETITIONS: usize = 5;

/// Measures libraries that are written beside and renamed, found by the daemon itself.
pub fn measure(table: &mut Table) {
    let scene = Scene::with(&["formats", "flights"]).set("workers.count", 2).build();
    let library = Versions::new(&scene);
    library.put("0.000");
    let daemon = scene.start();
    let pipeline = versions::pipeline(&scene.work("report"));
    finish(&daemon, &pipeline);
    let mut generation = daemon.newest_run().summary.generation;
    let samples: Vec<Duration> = (1..=REPETITIONS)
        .map(|repetition| {
            let version = format!("{repetition}.000");
            library.put(&version);
            let written = Instant::now();
            // Submitted again and again, as the question is when it is another one that answers.
            loop {
                let run = daemon.run(&finish(&daemon, &pipeline).id);
                if run.summary.generation != generation {
                    generation = run.summary.generation;
                    let span = crate::nodes::span(
                        run.nodes.iter().filter_map(|node| node.started_us).min(),
                        run.summary.finished_us,
                    );
                    return written.elapsed().saturating_sub(span);
                }
            }
        })
        .collect();
    let note = "finished write to the first node on the new generation; two more plugins beside it";
    table.add_times("a reload", 1, &samples, note);
}
