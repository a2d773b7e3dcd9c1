//! What the engine itself costs: planning, and a run's events, without any IO. `cargo bench -p engine`.

#[path = "../tests/support/mod.rs"]
mod support;

use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use engine::action::Action;
use engine::event::Event;
use engine::id::Time;
use engine::parse::parse;
use engine::plan::{Plan, PlanOptions, check, plan};
use engine::policy::RunPolicy;
use engine::run::Run;
use engine::source::Sources;

const PLUGINS: &str = "p::one(a?: integer) -> (out: integer)\n\
                       p::two(a?: integer, b?: integer) -> (out: integer)\n\
                       p::all(a: integer, b: integer, c: integer, d: integer) -> (out: integer)";
const SHAPES: [&str; 4] = ["independent", "chain", "layered", "fan-in"];
const NODES: usize = 10_000;
/// A layer of the layered shape.
const WIDTH: usize = 100;
/// Attempts that are under way at once.
const LIVE: usize = 64;

/// Writes a pipeline out, every node with a name of its own. Of a fan-in four nodes each are read by a fifth.
fn sources(shape: &str, nodes: usize) -> Sources {
    let mut text = String::new();
    for node in 0..nodes {
        let (call, inputs) = match shape {
            "chain" if node > 0 => ("one", vec![node - 1]),
            "layered" if node >= WIDTH => {
                let layer = (node / WIDTH - 1) * WIDTH;
                ("two", vec![layer + node * 7 % WIDTH, layer + node * 31 % WIDTH])
            }
            "fan-in" if node % 5 == 4 => ("all", (node - 4..node).collect()),
            _ => ("one", Vec::new()),
        };
        let inputs: Vec<String> = inputs.into_iter().map(|input| format!("\"d{input}\"")).collect();
        let inputs = inputs.join(", ");
        let _ = write!(
            text,
            "[[node]]\nname = \"n{node}\"\ncall = \"p::{call}\"\ninputs = [{inputs}]\noutputs = [\"d{node}\"]\n\n"
        );
    }
    support::sources(&[("pipeline.toml", &text)])
}

fn planning(criterion: &mut Criterion) {
    let manifest = support::manifest(PLUGINS);
    let options = PlanOptions::default();
    let mut group = criterion.benchmark_group("plan");
    group.sample_size(10);
    for nodes in [1_000, NODES, 100_000] {
        group.throughput(Throughput::Elements(nodes as u64));
        for shape in SHAPES {
            let sources = sources(shape, nodes);
            group.bench_with_input(BenchmarkId::new(format!("parse {shape}"), nodes), &sources, |bencher, sources| {
                bencher.iter_with_large_drop(|| parse(black_box(sources)));
            });
            let (spec, _) = parse(&sources);
            group.bench_with_input(BenchmarkId::new(format!("build {shape}"), nodes), &spec, |bencher, spec| {
                bencher.iter_with_large_drop(|| plan(black_box(spec), &manifest, &options));
            });
        }
    }
}

/// Carries a run out: every attempt starts, and ends well, in the order of their dispatch. Gives the number of events.
fn carry_out(mut run: Run) -> u64 {
    let (mut actions, mut waiting, mut events) = (Vec::new(), std::collections::VecDeque::new(), 1_u64);
    run.on(Event::Start, Time(0), &mut actions);
    loop {
        waiting.extend(actions.drain(..).filter_map(|action| match action {
            Action::Dispatch { task, attempt } => Some((task, attempt)),
            other => {
                black_box(other);
                None
            }
        }));
        let Some((task, attempt)) = waiting.pop_front() else { return events };
        let worker = (events % 2) as u32;
        run.on(Event::Started { task, attempt, worker }, Time(events), &mut actions);
        run.on(Event::Finished { task, attempt, worker }, Time(events + 1), &mut actions);
        events += 2;
    }
}

fn running(criterion: &mut Criterion) {
    let manifest = support::manifest(PLUGINS);
    let mut group = criterion.benchmark_group("run");
    for shape in SHAPES {
        let plan: Arc<Plan> =
            Arc::new(check(&sources(shape, NODES), &manifest, &PlanOptions::default()).expect("a plan"));
        for (name, tasks_max) in [("all at once", None), ("bounded", Some(LIVE as u32))] {
            let policy = RunPolicy { tasks_max, ..RunPolicy::default() };
            let new = || Run::new(Arc::clone(&plan), policy);
            group.throughput(Throughput::Elements(carry_out(new())));
            group.bench_function(BenchmarkId::new(shape, name), |bencher| {
                bencher.iter_batched(new, carry_out, BatchSize::LargeInput);
            });
        }
    }
}

criterion_group!(benches, planning, running);
criterion_main!(benches);
