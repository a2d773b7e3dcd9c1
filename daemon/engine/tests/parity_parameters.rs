//! P8: a wrong parameter is found while planning, with its line and what was expected.
#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use engine::filter::Filter;
use engine::plan::{PlanOptions, check};
use engine::signature::Manifest;
use serde_json::json;
use support::rendered;

/// `t::fit`, whose options have a type.
fn manifest() -> Manifest {
    let mut manifest = support::manifest("t::fit(options: params json) -> (model: json)");
    manifest.plugins[0].nodes[0].inputs[0].schema = Some(json!({
        "type": "object",
        "properties": {
            "depth": { "type": "integer", "minimum": 0 },
            "features": { "type": "array", "items": { "type": "string" } },
            "solver": { "type": "object", "properties": { "name": { "enum": ["sgd", "exact"] } } },
        },
        "required": ["depth"],
        "additionalProperties": false,
    }));
    manifest
}

fn told(files: &[(&str, &str)], overrides: &[(&str, &str)]) -> String {
    let mut sources = support::sources(files);
    sources.overrides = overrides.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    check(&sources, &manifest(), &PlanOptions::default()).map_or_else(|problems| rendered(&problems), |_| String::new())
}

const PIPELINE: &str = "[[node]]\ncall = \"t::fit\"\ninputs = [\"params:model\"]\noutputs = [\"m\"]\n";

#[test]
fn parity_p8_a_wrong_parameter_is_told_at_its_line() {
    let parameters = "[model]\ndepth = \"three\"\nfeatures = [\n  \"a\",\n  7,\n]\n[model.solver]\nname = \"sdg\"\n";
    let expected = "\
error[parameter-type]: `params:model.depth` must be an integer from 0, not \"three\"
  --> parameters.toml:2:9
   = input `options` of `t::fit` takes it at pipeline.toml:3:11

error[parameter-type]: `params:model.features.1` must be a text, not 7
  --> parameters.toml:3:12
   = input `options` of `t::fit` takes it at pipeline.toml:3:11

error[parameter-type]: `params:model.solver.name` must be \"sgd\" or \"exact\", not \"sdg\"
  --> parameters.toml:8:8
   = input `options` of `t::fit` takes it at pipeline.toml:3:11
   = hint: did you mean \"sgd\"?
";
    let files = [("pipeline.toml", PIPELINE), ("parameters.toml", parameters)];
    let found = told(&files, &[]);
    assert!(found == expected, "found\n{found}");
    let mended = [("model.depth", "3"), ("model.features", "[]"), ("model.solver.name", "exact")];
    assert_eq!(told(&files, &mended), "");
}

/// The uppermost table counts; what the command line says is in no file.
#[test]
fn parity_p8_the_line_is_that_of_the_table_that_counts() {
    let pipeline = format!("{PIPELINE}[parameters.model]\ndepth = -1\n");
    let lower = ("parameters.toml", "model.depth = 1\n");
    let upper = ("parameters-local.toml", "[model]\ndept = 2\ndepth = 1.5\n");
    let expected = "\
error[parameter-type]: `params:model` has a key `dept` that its type does not have
  --> parameters-local.toml:1:1
   = input `options` of `t::fit` takes it at pipeline.toml:3:11
   = hint: did you mean `depth`?

error[parameter-type]: `params:model.depth` must be an integer from 0, not 1.5
  --> parameters-local.toml:3:9
   = input `options` of `t::fit` takes it at pipeline.toml:3:11
";
    let found = told(&[("pipeline.toml", &pipeline), lower, upper], &[]);
    assert!(found == expected, "found\n{found}");
    let found = told(&[("pipeline.toml", &pipeline), lower], &[("model.depth", "deep")]);
    assert!(found.contains("must be an integer from 0, not \"deep\"\n  --> pipeline.toml:3:11"), "{found}");
}

#[test]
fn parity_p8_parameters_of_an_included_file_are_found_in_it() {
    let pipeline =
        "[[include]]\nfile = \"inc/fit.toml\"\nnamespace = \"a.b\"\nparameters = { other = \"shared.other\" }\n";
    let inner = "[parameters]\nmodel = { depth = true }\nother = {}\n[[node]]\nname = \"one\"\ncall = \"t::fit\"\ninputs = [\"params:model\"]\noutputs = [\"m\"]\n[[node]]\nname = \"two\"\ncall = \"t::fit\"\ninputs = [\"params:other\"]\noutputs = [\"n\"]\n";
    let inner = format!("{}{}", &inner[inner.find("[[node]]").unwrap()..], &inner[..inner.find("[[node]]").unwrap()]);
    let expected = "\
error[parameter-type]: `params:a.b.model.depth` must be an integer from 0, not true
  --> inc/fit.toml:12:19
   = input `options` of `t::fit` takes it at inc/fit.toml:4:11

error[parameter-type]: `params:shared.other` must have the key `depth`
  --> inc/fit.toml:13:9
   = input `options` of `t::fit` takes it at inc/fit.toml:9:11
";
    let found = told(&[("pipeline.toml", pipeline), ("inc/fit.toml", &inner)], &[]);
    assert!(found == expected, "found\n{found}");
}

fn warned(files: &[(&str, &str)], overrides: &[&str], filter: Filter) -> Vec<String> {
    let mut sources = support::sources(files);
    sources.overrides =
        overrides.iter().map(|&key| (key.to_owned(), if key == "table" { "{}" } else { "1" }.to_owned())).collect();
    let plan = check(&sources, &support::manifest(support::PLUGINS), &PlanOptions { filter, workers: None });
    plan.unwrap_or_else(|problems| panic!("{}", rendered(&problems))).warnings().to_vec()
}

const READERS: &str = "[[node]]\nname = \"one\"\ncall = \"t::copy\"\ninputs = [\"params:greeting\"]\noutputs = [\"a\"]\n\
    [[node]]\nname = \"two\"\ncall = \"t::copy\"\ninputs = [\"params:model.depth\"]\noutputs = [\"b\"]\n\
    [[node]]\nname = \"three\"\ncall = \"t::join\"\ninputs = [\"params:table\", \"params:table.inner\"]\noutputs = [\"c\"]\n\
    [parameters]\ngreeting = 1\ntable = { inner = 1 }\nfolder = \"x\"\n[parameters.model]\ndepth = 3\n";

#[test]
fn a_parameter_that_is_set_and_read_nowhere_is_warned_of() {
    let files = [("pipeline.toml", READERS)];
    let unread = |name: &str, hint: &str| {
        vec![format!("parameter `{name}` was set with `--params`, but nothing in the pipeline reads it{hint}")]
    };
    let all = Filter::default;
    assert_eq!(warned(&files, &["greting"], all()), unread("greting", "; did you mean `greeting`?"));
    assert_eq!(warned(&files, &["model.dept"], all()), unread("model.dept", "; did you mean `model.depth`?"));
    assert_eq!(warned(&files, &["modle.depth"], all()), unread("modle.depth", "; did you mean `model.depth`?"));
    assert_eq!(warned(&files, &["depth"], all()), unread("depth", "; did you mean `model.depth`?"));
    assert_eq!(warned(&files, &["greting.loud"], all()), unread("greting.loud", "; did you mean `greeting.loud`?"));
    assert_eq!(warned(&files, &["folder", "folder"], all()), unread("folder", ""), "there, but nobody asks for it");
    assert_eq!(warned(&files, &["zzz", "aaa"], all()).len(), 2);
}

#[test]
fn a_parameter_that_something_may_read_is_not_warned_of() {
    let none: [String; 0] = [];
    let catalog = "unused = { type = \"json\", path = \"${folder:-out}/${name}\" }";
    let files = [("pipeline.toml", READERS), ("catalog.toml", catalog)];
    let read = ["greeting", "table", "model.depth", "table.inner", "folder", "name"];
    assert_eq!(warned(&files, &read, Filter::default()), none);
    // What is meant for nodes that do not run this time.
    let one = Filter { nodes: vec!["one".to_owned()], ..Filter::default() };
    assert_eq!(warned(&files, &["model.depth"], one.clone()), none);
    assert_eq!(warned(&files, &["modl.depth"], one).len(), 1);
    // Who takes all parameters takes this one, too.
    let whole = "[[node]]\ncall = \"t::copy\"\ninputs = [\"parameters\"]\noutputs = [\"a\"]\n";
    assert_eq!(warned(&[("pipeline.toml", whole)], &["anything"], Filter::default()), none);
}

#[test]
fn a_parameter_that_a_matrix_stands_before_is_read_by_nobody() {
    let pipeline = "[[node]]\nname = \"one-{depth}\"\ncall = \"t::copy\"\nmatrix = { depth = [1, 2] }\n\
        inputs = [\"params:depth\"]\noutputs = [\"a.{depth}\"]\n[parameters]\ndepth = 7\n";
    let mut sources = support::sources(&[("pipeline.toml", pipeline)]);
    sources.overrides = vec![("depth".to_owned(), "3".to_owned())];
    let plan = check(&sources, &support::manifest(support::PLUGINS), &PlanOptions::default()).unwrap();
    let told = "parameter `depth` was set with `--params`, but nothing in the pipeline reads it";
    assert_eq!(plan.warnings(), [told]);
    // Another node reads it.
    let reader = format!("[[node]]\ncall = \"t::copy\"\ninputs = [\"params:depth\"]\noutputs = [\"b\"]\n{pipeline}");
    assert_eq!(warned(&[("pipeline.toml", &reader)], &["depth"], Filter::default()), [""; 0]);
}
