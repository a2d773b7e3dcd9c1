//! What two workers make of nodes that do much: two long ones, and a long one beside a thousand short ones.
//!
//! The machine itself may not reach what two processors promise: they share caches, clock and whatever lies under them. So the same
//! arithmetic is done by plain threads in the same turn, and what dagd reaches stands beside that.
#![forbid(unsafe_code)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use tests::{Daemon, Scene};

use crate::figure::{Goal, Table};
use crate::nodes::{finish, finish_after, numbers, run_us};

/// Rounds of arithmetic by which the machine's pace is taken.
const TRIAL_ROUNDS: u64 = 100_000_000;
const SHORT_COUNT: u64 = 1_000;

/// What one turn took, in microseconds.
struct Turn {
    /// Of dagd: one long node, two of them, one beside short ones.
    runs: [f64; 3],
    /// The same of plain threads.
    threads: [f64; 3],
}

/// Measures all of it on one daemon with two workers.
pub fn measure(table: &mut Table, is_quick: bool) {
    let scene = Scene::with(&["faults"]).set("workers.count", 2).build();
    let daemon = scene.start();
    let (turns, long_us) = if is_quick { (5, 250_000.0) } else { (7, 1_000_000.0) };
    let rounds = (TRIAL_ROUNDS as f64 * long_us / threads_us(&[&[TRIAL_ROUNDS]])) as u64;
    let short = rounds / SHORT_COUNT;
    let pipelines = [pipeline(rounds, 1, 0), pipeline(rounds, 2, 0), pipeline(rounds, 1, SHORT_COUNT)];
    // Nobody knows at first how long a node takes.
    finish(&daemon, &pipelines[2]);
    let shorts = vec![short; SHORT_COUNT as usize];
    let turns: Vec<Turn> = (0..turns)
        .map(|_| Turn {
            threads: [threads_us(&[&[rounds]]), threads_us(&[&[rounds], &[rounds]]), threads_us(&[&[rounds], &shorts])],
            runs: pipelines.each_ref().map(|pipeline| of_run(&daemon, pipeline, long_us)),
        })
        .collect();
    let each = |figure: fn(&Turn) -> f64| turns.iter().map(figure).collect::<Vec<f64>>();
    table.add(THREADS, 2, each(|turn| speed_up(turn.threads)), "×", "the same arithmetic without dagd");
    table.add(
        "two long nodes: speed-up",
        2,
        each(|turn| speed_up(turn.runs)),
        "×",
        "two workers; a second each, quick a quarter",
    );
    table.goal(Goal::AtLeast(1.95));
    let of_threads = each(|turn| speed_up(turn.runs) / speed_up(turn.threads));
    table.add("two long nodes: against plain threads", 2, of_threads, "×", "of the same turn");
    table.goal(Goal::AtLeast(1.95 / 2.0));
    let note = "against the long one alone; in the short ones together as much work";
    table.add("plain threads: one long beside short", 1_001, each(|turn| turn.threads[2] / turn.threads[0]), "×", note);
    table.add("one long node beside short ones", 1_001, each(|turn| turn.runs[2] / turn.runs[0]), "×", note);
    table.goal(Goal::AtMost(1.05));
    let of_threads = each(|turn| (turn.runs[2] / turn.runs[0]) / (turn.threads[2] / turn.threads[0]));
    table.add("one long node beside short ones: against plain threads", 1_001, of_threads, "×", "of the same turn");
    table.goal(Goal::AtMost(1.05));
}

const THREADS: &str = "two plain threads: speed-up";

fn speed_up([one, two, _]: [f64; 3]) -> f64 {
    2.0 * one / two
}

fn of_run(daemon: &Daemon<'_>, pipeline: &str, long_us: f64) -> f64 {
    run_us(&finish_after(daemon, pipeline, Duration::from_secs_f64(long_us / 1e6)))
}

/// A thread for each list, which does so many rounds of arithmetic one after the other.
fn threads_us(lists: &[&[u64]]) -> f64 {
    let started = Instant::now();
    std::thread::scope(|scope| {
        for list in lists {
            scope.spawn(|| {
                for rounds in *list {
                    black_box(arithmetic(*rounds));
                }
            });
        }
    });
    started.elapsed().as_secs_f64() * 1e6
}

/// As `faults::busy`.
fn arithmetic(rounds: u64) -> i64 {
    let mut value = 1_i64;
    for round in 0..rounds {
        value = black_box(value.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(round.cast_signed()));
    }
    value
}

fn pipeline(rounds: u64, long: u64, short: u64) -> String {
    format!(
        "name = \"busy\"\nparameters = {{ long = {rounds}, short = {} }}\n{}{}",
        rounds / SHORT_COUNT,
        nodes("long", long),
        nodes("short", short)
    )
}

fn nodes(name: &str, count: u64) -> String {
    if count == 0 {
        return String::new();
    }
    format!(
        "[[node]]\nname = \"{name}{{i}}\"\ncall = \"faults::busy\"\nmatrix = {{ i = [{}] }}\n\
         inputs = {{ rounds = \"params:{name}\" }}\noutputs = [\"{name}{{i}}\"]\n",
        numbers(count)
    )
}
