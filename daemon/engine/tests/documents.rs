//! The pipelines and catalogs of the documents do what is said of them: people copy them as they stand.
#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use engine::plan::{Plan, PlanOptions, check, look_up};
use engine::source::{Source, Sources};
use support::{manifest, rendered};

const README: &str = include_str!("../../../README.md");
const PLUGINS: &str = include_str!("../../../plugins/README.md");
const CATALOG: &str = include_str!("../../../docs/catalog.md");
const KEDRO: &str = include_str!("../../../docs/kedro.md");

/// What the examples in Rust offer, and the types that the catalogs name.
const OFFERED: &str = "
    greetings::greet(names: text, greeting: params json) -> (greetings: text)
    tides::average(readings: table, options: params json) -> (harbours: json)
    tides::count(readings: partitions<text>) -> (lines: integer)
    shared::clean(table: table, null_values: params json) -> (tidy: table)
    type formats::csv loads table saves table
    type formats::parquet loads table saves table
    type formats::excel loads table
    type formats::json loads json saves json
    type formats::text loads text saves text
    type mine::sql loads table saves table
";

/// The block of TOML that has this text in it.
#[track_caller]
fn block(document: &str, text: &str) -> String {
    let blocks = document.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let mut found = blocks.filter(|block| block.contains(text));
    match (found.next(), found.next()) {
        (Some(block), None) => block.to_owned(),
        (first, _) => panic!("{} block has {text}", if first.is_none() { "no" } else { "more than one" }),
    }
}

#[track_caller]
fn planned(sources: &Sources) -> Plan {
    let plan = check(sources, &manifest(OFFERED), &PlanOptions::default());
    plan.unwrap_or_else(|problems| panic!("{}", rendered(&problems)))
}

/// Every one of these names has an entry in the catalog, and a place that can be used.
#[track_caller]
fn resolved(catalog: String, names: &[&str]) {
    let mut sources = support::sources(&[("parameters.toml", "folder = \"models\"\n")]);
    sources.catalogs.push(Source::new("catalog.toml", catalog));
    sources.credentials_withheld = true;
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let found = look_up(&sources, &manifest(OFFERED), &names);
    for found in found.unwrap_or_else(|problems| panic!("{}", rendered(&problems))) {
        assert!(found.storage.is_some(), "{}: {}", found.name, found.why);
    }
}

#[test]
fn the_pipelines_of_the_first_five_minutes_plan() {
    for (document, name) in [(README, "name = \"greetings\"\n\n[[node]]"), (PLUGINS, "name = \"tides\"\n")] {
        let pipeline = block(document, name);
        assert_eq!(planned(&support::sources(&[("pipeline.toml", &pipeline)])).node_count(), 1);
    }
}

#[test]
fn the_dataset_of_many_files_plans() {
    let node = "[[node]]\ncall = \"tides::count\"\ninputs = [\"readings\"]\noutputs = [\"lines\"]\n";
    let pipeline = format!("{node}{}", block(PLUGINS, "partitioned = { suffix"));
    planned(&support::sources(&[("pipeline.toml", &pipeline)]));
}

#[test]
fn the_pipeline_of_several_files_plans_under_the_names_that_are_told() {
    let clean = "[[node]]\nname = \"clean\"\ncall = \"shared::clean\"\n\
                 inputs = { table = \"raw\", null_values = \"params:null_values\" }\noutputs = [\"tidy\"]\n";
    let mut sources = support::sources(&[
        ("parameters.toml", "null_values = [\"NA\"]\n"),
        ("catalog.toml", "flights_raw = { type = \"csv\", path = \"raw.csv\" }\n"),
    ]);
    sources.pipeline = Source::new("pipelines/flights.toml", block(README, "[[include]]"));
    sources.includes.push(Source::new("shared/clean.toml", clean));
    let plan = planned(&sources);
    let node = plan.nodes().next().unwrap();
    assert_eq!((node.name, node.tags), ("flights.clean", &["cleaning".to_owned()][..]));
    assert!(plan.find_dataset("flights_raw").is_some() && plan.find_dataset("flights_tidy").is_some());
}

#[test]
fn the_catalogs_resolve() {
    resolved(block(CATALOG, "[warehouse]"), &["flights", "model_EWR", "readings", "warehouse"]);
    resolved(block(KEDRO, "[companies]"), &["companies", "shuttles", "preprocessed_companies", "regressor"]);
}
