//! A small pipeline, planned and run by the engine, as clients see it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use engine::action::{Action, Happening};
use engine::event::Event;
use engine::failure::{Failure, FailureKind};
use engine::id::Time;
use engine::plan::{Plan, PlanOptions, TaskKind, check};
use engine::policy::RunPolicy;
use engine::run::Run;
use engine::signature::{DatasetTypeSignature, Manifest, NodeSignature, PluginSignature, Port, PortKind};
use protocol::{EventKind, GraphBinding, NodeState, RunState, SourceText, Submission};

use super::*;

const PIPELINE: &str = r#"
name = "two"
[parameters]
alpha = 0.5
[catalog.raw]
type = "csv"
path = "raw.csv"
[[node]]
name = "first"
call = "p::f"
inputs = { table = "raw", alpha = "params:alpha" }
outputs = ["middle"]
tags = ["early"]
[[node]]
name = "second"
call = "p::g"
inputs = ["middle"]
outputs = ["end"]
"#;

fn manifest() -> Manifest {
    let port = |name: &str, kind, parameter| Port {
        name: name.to_owned(),
        kind,
        optional: false,
        parameter,
        schema: None,
        chunks: false,
    };
    let node = |name: &str, inputs| NodeSignature {
        name: name.to_owned(),
        inputs,
        outputs: vec![port("out", PortKind::Table, false)],
    };
    let csv = DatasetTypeSignature {
        name: "csv".to_owned(),
        loads: vec![PortKind::Table],
        saves: vec![PortKind::Table],
        single_process: false,
        releases: false,
        appends: false,
    };
    let first = vec![port("table", PortKind::Table, false), port("alpha", PortKind::Number, true)];
    let second = vec![port("table", PortKind::Table, false)];
    let plugin = PluginSignature {
        name: "p".to_owned(),
        version: "1".to_owned(),
        nodes: vec![node("f", first), node("g", second)],
        dataset_types: vec![csv],
    };
    Manifest { plugins: vec![plugin] }
}

fn submission(text: &str) -> Submission {
    Submission {
        pipeline: SourceText::new("two.toml", text),
        base_directory: "/data".to_owned(),
        ..Submission::default()
    }
}

fn plan() -> Arc<Plan> {
    Arc::new(check(&sources(&submission(PIPELINE)), &manifest(), &PlanOptions::default()).unwrap())
}

/// Runs a plan to its end, one task after the other; calls of nodes in `failing` fail. Gives the run and the events.
fn run(plan: &Arc<Plan>, failing: &[&str]) -> (Run, Vec<EventKind>) {
    let mut run = Run::new(Arc::clone(plan), RunPolicy::default());
    let (mut actions, mut events, mut now) = (Vec::new(), Vec::new(), 1_000);
    run.on(Event::Start, Time(now), &mut actions);
    while !actions.is_empty() {
        for action in std::mem::take(&mut actions) {
            now += 10;
            match action {
                Action::Emit(happening) => {
                    let facts = |_| DatasetFacts { bytes: Some(64), ..DatasetFacts::default() };
                    events.extend(super::happening(plan, &happening, &facts, 99, None));
                }
                Action::Dispatch { task, attempt } => {
                    let worker = 3;
                    run.on(Event::Started { task, attempt, worker }, Time(now), &mut actions);
                    let fails = match plan.task(task).unwrap() {
                        TaskKind::Call(node) => failing.contains(&plan.node(node).unwrap().name),
                        TaskKind::Load(_) | TaskKind::Save(_) | TaskKind::Confirm(_) => false,
                    };
                    let event = if fails {
                        let failure = Failure::new(FailureKind::Signal { number: 11 }, "killed by SIGSEGV");
                        Event::Failed { task, attempt, worker, failure: Box::new(failure) }
                    } else {
                        Event::Finished { task, attempt, worker }
                    };
                    run.on(event, Time(now + 5), &mut actions);
                }
                _ => (),
            }
        }
    }
    (run, events)
}

fn facts(started_us: Option<i64>) -> RunFacts<'static> {
    RunFacts {
        id: "r1",
        generation: 2,
        save_version: None,
        submitted_us: 500,
        started_us,
        finished_us: started_us.map(|us| us + 100),
        resumed_from: None,
    }
}

fn detail_of(plan: &Plan, run: &Run) -> protocol::RunDetail {
    let dataset_facts = |_| DatasetFacts { metadata_json: r#"{"rows":3}"#.to_owned(), ..DatasetFacts::default() };
    detail(plan, &run.report(), &facts(Some(1_000_000)), &dataset_facts, &|_| None)
}

fn kinds(events: &[EventKind]) -> Vec<&'static str> {
    events.iter().map(EventKind::name).collect()
}

#[test]
fn a_run_that_succeeds() {
    let plan = plan();
    let (run, events) = run(&plan, &[]);
    assert_eq!(events.first(), Some(&EventKind::RunStarted { pipeline: "two".to_owned(), nodes: 2 }));
    assert_eq!(kinds(&events).iter().filter(|name| **name == "node_finished").count(), 2);
    let loaded = events
        .iter()
        .any(|event| matches!(event, EventKind::DatasetLoaded { dataset, bytes: 64, .. } if dataset == "raw"));
    assert!(loaded, "{events:?}");
    assert_eq!(
        events.last(),
        Some(&EventKind::RunFinished { state: RunState::Succeeded, duration_us: 99, cause: None })
    );

    let detail = detail_of(&plan, &run);
    assert_eq!(detail.summary.state, RunState::Succeeded);
    assert_eq!((detail.summary.counts.total, detail.summary.counts.succeeded), (2, 2));
    assert_eq!(detail.summary.cause, None);
    let first = &detail.nodes[0];
    assert_eq!((first.name.as_str(), first.call.as_str(), first.worker), ("first", "p::f", Some(3)));
    assert!(first.started_us.unwrap() >= 1_000_000, "a time of day: {first:?}");
    assert!(first.finished_us >= first.started_us, "{first:?}");
    let raw = detail.datasets.iter().find(|dataset| dataset.name == "raw").unwrap();
    assert_eq!((raw.storage.as_str(), raw.path.as_deref()), ("csv", Some("/data/raw.csv")));
    assert_eq!(raw.metadata["rows"], 3);
    let end = detail.datasets.iter().find(|dataset| dataset.name == "end").unwrap();
    assert!(end.is_output && end.path.is_none() && end.storage == "memory");
    assert_eq!(end.producer.as_deref(), Some("second"));
}

#[test]
fn a_run_that_fails_says_why_at_every_place() {
    let plan = plan();
    let (run, events) = run(&plan, &["first"]);
    let failed = events.iter().find_map(|event| match event {
        EventKind::NodeFailed { node, failure, will_retry_in_ms, .. } => Some((node, failure, will_retry_in_ms)),
        _ => None,
    });
    let (node, failure, will_retry_in_ms) = failed.unwrap();
    assert_eq!((node.as_str(), will_retry_in_ms), ("first", &None));
    assert_eq!((failure.kind, failure.signal), (protocol::FailureKind::Signal, Some(11)));
    assert_eq!(failure.node.as_deref(), Some("first"));

    let detail = detail_of(&plan, &run);
    assert_eq!(detail.summary.state, RunState::Failed);
    assert_eq!(detail.summary.cause.as_ref().unwrap().message, "killed by SIGSEGV");
    assert_eq!(detail.summary.cause.as_ref(), detail.failures.first());
    assert_eq!(detail.nodes[0].state, NodeState::Failed);
    assert_eq!(detail.nodes[0].failure.as_ref(), detail.failures.first());
    assert_eq!(detail.nodes[1].state, NodeState::Skipped);
    assert!(detail.nodes[1].skipped_because.as_ref().unwrap().contains("first"), "{:?}", detail.nodes[1]);
    let counts = detail.summary.counts;
    assert_eq!(counts.total, counts.succeeded + counts.failed + counts.skipped);
}

#[test]
fn a_cancelled_run_says_who_wanted_it() {
    let plan = plan();
    let mut run = Run::new(Arc::clone(&plan), RunPolicy::default());
    let mut actions = Vec::new();
    run.on(Event::Cancel { reason: "cancelled on request".to_owned() }, Time(1), &mut actions);
    let closed = actions.iter().any(|action| matches!(action, Action::Emit(Happening::RunFinished { .. })));
    assert!(closed, "{actions:?}");
    let detail = detail_of(&plan, &run);
    assert_eq!(detail.summary.state, RunState::Cancelled);
    assert_eq!(detail.summary.cause.unwrap().message, "cancelled on request");
}

#[test]
fn a_run_that_succeeded_before_it_could_be_cancelled_has_no_cause() {
    let plan = plan();
    let mut report = run(&plan, &[]).0.report();
    report.cancel_reason = Some("cancelled on request".to_owned());
    assert_eq!(super::report::first_cause(&plan, &report), None);
}

#[test]
fn a_run_is_queued_until_it_starts() {
    let plan = plan();
    let run = Run::new(Arc::clone(&plan), RunPolicy::default());
    let report = run.report();
    let state = |started_us| summary(&plan, &facts(started_us), report.state, &report.counts, None).state;
    assert_eq!(state(None), RunState::Queued);
    assert_eq!(state(Some(5)), RunState::Running);
}

#[test]
fn a_plan_is_a_graph_of_names() {
    let graph = graph(&plan());
    assert_eq!(graph.name, "two");
    let first = &graph.nodes[0];
    assert_eq!(
        (first.name.as_str(), first.layer, first.tags.as_slice()),
        ("first", 0, ["early".to_owned()].as_slice())
    );
    let alpha = first.inputs.iter().find_map(|input| match input {
        GraphBinding::Parameter { port, value, .. } => Some((port.as_str(), value.clone())),
        GraphBinding::Dataset { .. } => None,
    });
    assert_eq!(alpha, Some(("alpha", serde_json::json!(0.5))));
    let middle = graph.datasets.iter().find(|dataset| dataset.name == "middle").unwrap();
    assert_eq!(
        (middle.producer.as_deref(), middle.consumers.as_slice()),
        (Some("first"), ["second".to_owned()].as_slice())
    );
    assert_eq!(graph.nodes[1].layer, 1);
    assert_eq!(validation(&plan(), 4).datasets, 3);
}

#[test]
fn problems_keep_their_places_and_hints() {
    let broken = PIPELINE.replace("p::g", "p::gg");
    let found = check(&sources(&submission(&broken)), &manifest(), &PlanOptions::default()).unwrap_err();
    let found: Vec<protocol::Problem> = found.into_iter().map(problem).collect();
    let place = found[0].place.as_ref().unwrap();
    assert_eq!((place.file.as_str(), place.line > 10), ("two.toml", true), "{found:?}");
    assert!(!found[0].hints.is_empty(), "{found:?}");
}

#[test]
fn metadata_that_is_no_json_is_shown_as_it_is() {
    assert_eq!(names::json_or_text(""), serde_json::Value::Null);
    assert_eq!(names::json_or_text("{\"rows\":1}")["rows"], 1);
    assert_eq!(names::json_or_text("{rows"), serde_json::Value::String("{rows".to_owned()));
}
