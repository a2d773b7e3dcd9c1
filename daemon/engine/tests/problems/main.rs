//! Bad pipelines, each told with code, place, what was expected and what to do. A test is its files and the page a person sees.
#![allow(clippy::unwrap_used, reason = "a test")]

mod confirms;
mod datasets;
mod keys;
mod nodes;
mod ports;
mod saving;
#[path = "../support/mod.rs"]
mod support;
mod syntax;

use support::{plan, rendered};

/// Plans files and compares all problems, as they are shown, with what is expected.
fn check(name: &str, files: &[(&str, &str)], expected: &str) {
    let found = match plan(files) {
        Ok(_) => "no problem at all\n".to_owned(),
        Err(problems) => rendered(&problems),
    };
    let expected = expected.trim_start_matches('\n');
    assert!(found == expected, "{name}\n--- found\n{found}--- expected\n{expected}@@");
}

/// A few lines that ask for a thousand million nodes.
fn too_many() -> String {
    let values: Vec<String> = (0..1_000).map(|value| value.to_string()).collect();
    let values = values.join(",");
    format!(
        "[[node]]\ncall = \"t::source\"\noutputs = [\"d_{{a}}_{{b}}_{{c}}\"]\nmatrix = {{ a = [{values}], b = [{values}], c = [{values}] }}\n"
    )
}
