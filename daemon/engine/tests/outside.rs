//! Datasets whose bytes come from outside the run: resident ones, and those handed in with it.
#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::sync::Arc;

use engine::action::Action;
use engine::event::Event;
use engine::id::{Attempt, Time};
use engine::plan::{Plan, PlanOptions, TaskKind, check};
use engine::policy::RunPolicy;
use engine::problem::Problem;
use engine::run::Run;
use engine::source::{HandedIn, HandedInFile};
use support::{PLUGINS, manifest, rendered, sources};

const TWO: &str = "
[[node]]
name = \"scale\"
call = \"t::scale\"
inputs = { table = \"companies\", factor = \"params:factor\", times = \"times\" }
outputs = [\"scaled\"]

[[node]]
name = \"copy\"
call = \"t::copy\"
inputs = [\"note\"]
outputs = [\"kept\"]

[parameters]
factor = 2
";

const CATALOG: &str = "
[companies]
type = \"csv\"
path = \"companies.csv\"
options = { delimiter = \";\" }
resident = true
";

fn file(name: &str, type_name: Option<&str>) -> HandedIn {
    let type_name = type_name.map(str::to_owned);
    HandedIn::File(HandedInFile { name: name.to_owned(), type_name, options_json: None })
}

fn value(json: &str) -> HandedIn {
    HandedIn::Value(json.to_owned())
}

fn plan(files: &[(&str, &str)], inputs: &[(&str, HandedIn)]) -> Result<Plan, Vec<Problem>> {
    let mut sources = sources(files);
    sources.inputs = inputs.iter().map(|(name, input)| ((*name).to_owned(), input.clone())).collect();
    check(&sources, &manifest(PLUGINS), &PlanOptions::default())
}

#[track_caller]
fn refused(files: &[(&str, &str)], inputs: &[(&str, HandedIn)], expected: &str) {
    let found = plan(files, inputs).map_or_else(|problems| rendered(&problems), |_| "no problem at all".to_owned());
    assert!(found.trim() == expected.trim(), "--- found\n{found}--- expected\n{expected}");
}

#[track_caller]
fn planned(files: &[(&str, &str)], inputs: &[(&str, HandedIn)]) -> Plan {
    plan(files, inputs).unwrap_or_else(|problems| panic!("{}", rendered(&problems)))
}

#[test]
fn parity_r5_outputs_that_come_from_outside_are_all_refused_sorted() {
    let pipeline = "
[[node]]
name = \"b\"
call = \"t::source\"
outputs = [\"zeta\"]

[[node]]
name = \"a\"
call = \"t::copy\"
inputs = [\"zeta\"]
outputs = [\"alpha\"]

[[node]]
name = \"c\"
call = \"t::copy\"
inputs = [\"alpha\"]
outputs = [\"plain\"]
";
    let catalog = "[zeta]\ntype = \"json\"\npath = \"zeta.json\"\nresident = true\n";
    let files = [("pipeline.toml", pipeline), ("catalog.toml", catalog)];
    refused(
        &files,
        &[("alpha", value("1"))],
        "
error[outside-output]: `alpha` and `zeta` are made by nodes, but their content comes from outside the run
  --> pipeline.toml:5:12
   = `alpha` is handed in with the run; `a` makes it at pipeline.toml:11:12
   = `zeta` is resident; `b` makes it at pipeline.toml:5:12
   = hint: let the node write to a dataset of another name; or take `resident` out of the catalog entry, or do not hand the dataset in
",
    );
}

#[test]
fn parity_s2_what_is_handed_in_goes_before_the_catalog() {
    let files = [("pipeline.toml", TWO), ("catalog.toml", CATALOG)];
    let with = |companies: HandedIn| {
        planned(&files, &[("companies", companies), ("times", value("3")), ("note", value("{\"a\":1}"))])
    };
    let stored = |plan: &Plan| {
        let stored = plan.dataset(plan.find_dataset("companies").unwrap()).unwrap().storage.unwrap().clone();
        assert!(stored.is_handed_in && !stored.resident);
        (stored.type_name, stored.path, stored.options_json)
    };
    let told = |type_name: &str, path: &str, options: &str| (type_name.to_owned(), path.to_owned(), options.to_owned());
    // The catalog knows how a file of its type is read; another name, or the caller's word, says that it is none.
    assert_eq!(stored(&with(file("mine.csv.gz", None))), told("csv", "mine.csv.gz", "{\"delimiter\":\";\"}"));
    assert_eq!(stored(&with(file("mine", None))), told("csv", "mine", "{\"delimiter\":\";\"}"));
    assert_eq!(stored(&with(file("mine.parquet", None))), told("parquet", "mine.parquet", "{}"));
    assert_eq!(stored(&with(file("mine.dat", Some("formats::csv")))), told("csv", "mine.dat", "{}"));
}

#[test]
fn parity_s2_a_value_is_there_from_the_start_and_goes_with_its_last_reader() {
    let inputs = [("companies", file("c.csv", None)), ("times", value("3")), ("note", value("\"hello\""))];
    let plan = Arc::new(planned(&[("pipeline.toml", TWO)], &inputs));
    let names: Vec<&str> = plan.values().map(|(dataset, _)| plan.dataset(dataset).unwrap().name).collect();
    assert_eq!(names, ["times", "note"]);
    let mut run = Run::new(Arc::clone(&plan), RunPolicy::default());
    let mut actions = Vec::new();
    run.on(Event::Start, Time(0), &mut actions);
    let copy = plan.call_of(plan.find_node("copy").unwrap()).unwrap();
    let load = plan.task_of(plan.find_dataset("companies").unwrap()).unwrap();
    let dispatched: Vec<_> = (actions.iter())
        .filter_map(|action| match action {
            Action::Dispatch { task, .. } => Some(*task),
            _ => None,
        })
        .collect();
    assert!(dispatched.contains(&copy) && dispatched.contains(&load) && dispatched.len() == 2, "{actions:?}");
    assert_eq!(plan.tasks().filter(|(_, kind)| matches!(kind, TaskKind::Load(_))).count(), 1);
    actions.clear();
    run.on(Event::Started { task: copy, attempt: Attempt(1), worker: 0 }, Time(1), &mut actions);
    assert!(!actions.iter().any(|action| matches!(action, Action::Release { .. })));
    run.on(Event::Finished { task: copy, attempt: Attempt(1), worker: 0 }, Time(2), &mut actions);
    let note = plan.find_dataset("note").unwrap();
    assert_eq!(actions.iter().filter(|action| **action == Action::Release { dataset: note }).count(), 1);
}

#[test]
fn parity_s2_a_string_is_text_for_whoever_reads_text() {
    let pipeline = "[[node]]\ncall = \"f::words\"\ninputs = [\"note\"]\noutputs = [\"count\"]\n";
    let mut sources = sources(&[("pipeline.toml", pipeline)]);
    sources.inputs.insert("note".to_owned(), value("\"a b\""));
    let plan = check(&sources, &manifest("f::words(note: text) -> (count: integer)"), &PlanOptions::default()).unwrap();
    let (_, given) = plan.values().next().unwrap();
    assert!(given.is_text && given.text == "a b");
}

#[test]
fn parity_s2_what_cannot_be_meant_is_told() {
    let files = [("pipeline.toml", TWO)];
    refused(
        &files,
        &[
            ("companys", value("1")),
            ("companies", file("companies.xyz", None)),
            ("times", value("\"three\"")),
            ("note", value("1")),
        ],
        "
error[kind-mismatch]: input `times` of `scale` takes integer, but `times` is string
  --> pipeline.toml:5:67
   = `times` was handed in with the run as a value

error[unknown-type]: no plugin has a dataset type `xyz`
   = `companies` was handed in with the run as \"companies.xyz\"
   = hint: the loaded plugins have `csv`, `parquet`, `json`, `text`, `sqlite` and `memory`
   = hint: say the type: --input companies=@companies.xyz:type=csv

error[unused-input]: `companys` was handed in with the run, but no node reads it
   = hint: did you mean `companies`?
",
    );
}

#[test]
fn a_resident_dataset_must_be_loaded_from_somewhere() {
    let catalog = "[companies]\ntype = \"memory\"\nresident = true\n[times]\ntype = \"json\"\npath = \"t\"\nresident = 1\n[note]\ntype = \"json\"\npath = \"n\"\n";
    refused(
        &[("pipeline.toml", TWO), ("catalog.toml", catalog)],
        &[],
        "
error[missing-input]: `companies` is read, but no node makes it and the catalog has no entry
  --> pipeline.toml:5:20
   = `companies` is read by `scale` at pipeline.toml:5:20; its catalog entry says that it lives in memory only
   = hint: if it is on disk, add to the catalog:
     [companies]
     type = \"csv\"
     path = \"…\"

error[resident-memory]: `companies` is resident, but its type is \"memory\", which is never loaded
  --> catalog.toml:3:1
   = hint: give it the type and the path that it is to be loaded from, or take `resident` away

error[wrong-type]: `resident` of a catalog entry must be true or false, not an integer
  --> catalog.toml:7:12
",
    );
}
