//! Rows about what may be written.

use engine::plan::InputBinding;

use super::support::{plan, rendered};

#[track_caller]
fn planned(files: &[(&str, &str)]) -> engine::plan::Plan {
    plan(files).unwrap_or_else(|problems| panic!("{}", rendered(&problems)))
}

#[test]
fn parity_r20_parameters_by_path_and_whole_and_nodes_with_one_side_only() {
    let pipeline = r#"
        [[node]]
        name = "makes"
        call = "t::source"
        outputs = ["made"]
        [[node]]
        name = "takes"
        call = "t::sink"
        inputs = ["made"]
        [[node]]
        name = "deep"
        call = "t::copy"
        inputs = ["params:a.b"]
        outputs = ["from_deep"]
        [[node]]
        name = "whole"
        call = "t::copy"
        inputs = ["parameters"]
        outputs = ["from_whole"]
        [parameters.a]
        b = [1, 2]
    "#;
    let plan = planned(&[("pipeline.toml", pipeline)]);
    let value = |name: &str| {
        let node = plan.node(plan.find_node(name).unwrap()).unwrap();
        let Some(Some(InputBinding::Parameter(parameter))) = node.inputs.first() else { panic!("no parameter") };
        plan.parameter(*parameter).unwrap().json.clone()
    };
    assert_eq!((value("deep"), value("whole")), ("[1,2]".to_owned(), r#"{"a":{"b":[1,2]}}"#.to_owned()));

    let neither = plan_of_nothing();
    assert!(neither.contains("t::nothing") || neither.contains("neither"), "{neither}");
}

/// A node that neither reads nor makes anything could not be told from one that was forgotten.
fn plan_of_nothing() -> String {
    match plan(&[("pipeline.toml", "[[node]]\nname = \"idle\"\ncall = \"t::nothing\"\n")]) {
        Ok(_) => String::new(),
        Err(problems) => rendered(&problems),
    }
}

#[test]
fn parity_r24_entries_that_nobody_uses_are_in_nobodys_way() {
    let pipeline = "[[node]]\nname = \"a\"\ncall = \"t::source\"\noutputs = [\"x\"]\n";
    let catalog = r#"
        [unused_type]
        type = "mystery"
        path = "x"
        [unused_single]
        type = "sqlite"
        path = "x.db"
        ["unused_{pattern}"]
        type = "also::unknown"
        path = "${env:NOT_SET}/{pattern}"
    "#;
    let plan = planned(&[("pipeline.toml", pipeline), ("catalog.toml", catalog)]);
    let names: Vec<&str> = plan.datasets().map(|dataset| dataset.name).collect();
    assert_eq!(names, ["x"]);
}
