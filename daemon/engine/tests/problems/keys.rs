//! Keys and values of a pipeline file, and what a pipeline must have.

use super::{check, too_many};

#[test]
fn unknown_keys() {
    check(
        "unknown_keys",
        &[
            (
                "pipeline.toml",
                r###"nam = "x"
colour = "blue"
include = 3

[[node]]
call = "t::source"
output = ["a"]
outputs = ["a"]
namespace = "n."
"###,
            ),
            (
                "catalog.toml",
                r###"[a]
type = "json"
filepath = "a.json"
load_args = {}
pathh = "b"
"###,
            ),
        ],
        r###"
error[unknown-key]: a pipeline has no key `nam`
  --> pipeline.toml:1:1
   = hint: did you mean `name`?

error[unknown-key]: a pipeline has no key `colour`
  --> pipeline.toml:2:1
   = hint: its keys are `name`, `description`, `node`, `include`, `tags`, `catalog`, `parameters`, `timeout_seconds`, `retries`, `retry_backoff_seconds` and `on_failure`

error[wrong-type]: `include` of a pipeline must be a list of tables: write `[[include]]` before each, not an integer
  --> pipeline.toml:3:11

error[unknown-key]: a node has no key `output`
  --> pipeline.toml:7:1
   = hint: did you mean `outputs`?

error[bad-name]: `n.` cannot be a namespace
  --> pipeline.toml:9:13
   = hint: a namespace is made of letters, digits, `_` and `-`, with a dot between it and one inside of it

error[unknown-key]: a catalog entry has no key `filepath`
  --> catalog.toml:3:1
   = hint: Kedro's `filepath` is `path` here

error[unknown-key]: a catalog entry has no key `load_args`
  --> catalog.toml:4:1
   = hint: Kedro's `load_args` is `options` here

error[unknown-key]: a catalog entry has no key `pathh`
  --> catalog.toml:5:1
   = hint: did you mean `path`?
"###,
    );
}

#[test]
fn wrong_types_and_values() {
    check(
        "wrong_types_and_values",
        &[(
            "pipeline.toml",
            r###"name = 3
retries = -1
timeout_seconds = 0
on_failure = "explode"

[[node]]
call = "t::source"
outputs = [1]

[[node]]
call = ["t::source"]

[[node]]
call = "t::copy"
inputs = 7
outputs = { out = true }
retry_backoff_seconds = "soon"
matrix = { n = 3, "a b" = [1], o = [] }
"###,
        )],
        r###"
error[wrong-type]: `name` of a pipeline must be a text, not an integer
  --> pipeline.toml:1:8

error[wrong-value]: `retries` of a pipeline must be a whole number from 0, not -1
  --> pipeline.toml:2:11

error[wrong-value]: `timeout_seconds` of a pipeline must be a number of seconds above 0, at most 315360000 (10 years), not 0
  --> pipeline.toml:3:19

error[wrong-value]: `on_failure` of a pipeline must be "stop" or "continue", not "explode"
  --> pipeline.toml:4:14

error[wrong-type]: `outputs` of a node must be a list of texts only, not an integer
  --> pipeline.toml:8:12

error[wrong-type]: `call` of a node must be a text, not a list
  --> pipeline.toml:11:8

error[wrong-type]: `inputs` of a node must be a list of datasets or a table `{ port = "dataset" }`, not an integer
  --> pipeline.toml:15:10

error[wrong-type]: `out` of a node must be a text, not a boolean
  --> pipeline.toml:16:19

error[wrong-value]: `retry_backoff_seconds` of a node must be a number of seconds from 0 to 315360000 (10 years), not "soon"
  --> pipeline.toml:17:25

error[wrong-type]: `n` of a node must be a list of values, not an integer
  --> pipeline.toml:18:16

error[bad-name]: `a b` cannot name a placeholder: letters, digits and `_` only
  --> pipeline.toml:18:19

error[empty-matrix]: `o` of the matrix has no values, so there would be no node
  --> pipeline.toml:18:36
"###,
    );
}

#[test]
fn node_is_no_list() {
    check(
        "node_is_no_list",
        &[(
            "pipeline.toml",
            r###"[node]
call = "t::source"
outputs = ["a"]
"###,
        )],
        r###"
error[wrong-type]: `node` of a pipeline must be a list of tables: write `[[node]]` before each, not a table
  --> pipeline.toml:1:1
"###,
    );
}

#[test]
fn missing_call() {
    check(
        "missing_call",
        &[(
            "pipeline.toml",
            r###"[[node]]
name = "first"
outputs = ["a"]

[[node]]
call = "t::sink"
inputs = ["a"]
"###,
        )],
        r###"
error[missing-key]: node `first` does not say what it calls
  --> pipeline.toml:1:1
   = hint: add `call = "plugin::node"`; `ctl nodes` lists what there is
"###,
    );
}

#[test]
fn empty_pipeline() {
    check(
        "empty_pipeline",
        &[(
            "pipeline.toml",
            r###"name = "nothing"
"###,
        )],
        r###"
error[empty-pipeline]: pipeline `nothing` has no nodes
  --> pipeline.toml:1:1
   = hint: add a node:
     [[node]]
     call = "plugin::node"
     inputs = ["dataset"]
     outputs = ["result"]
"###,
    );
}

#[test]
fn neither_inputs_nor_outputs() {
    check(
        "neither_inputs_nor_outputs",
        &[(
            "pipeline.toml",
            r###"[[node]]
call = "t::nothing"
"###,
        )],
        r###"
error[no-ports]: a node that calls `t::nothing` has neither inputs nor outputs
  --> pipeline.toml:1:1
   = hint: bind at least one port to a dataset
"###,
    );
}

#[test]
fn too_many_nodes() {
    check(
        "too_many_nodes",
        &[("pipeline.toml", &too_many())],
        r###"
error[too-many-nodes]: the pipeline would have more than 4000000 nodes
  --> pipeline.toml:1:1
   = hint: give the matrix of this node fewer values
"###,
    );
}

/// Each is a few lines; written out they would be gigabytes.
#[test]
fn too_much_written_out() {
    let values: Vec<String> = (0..2_000).map(|value| value.to_string()).collect();
    let matrix = format!("matrix = {{ a = [{0}], b = [{0}] }}", values.join(","));
    let long = "n".repeat(1_000);
    // Of 4,000,000 nodes: 1,000 letters, the marks, 6.89 digits where both numbers stand, 8 for the port.
    for (node, bytes) in [
        (format!("name = \"{long}_{{a}}_{{b}}\"\noutputs = [\"d{{a}}_{{b}}\"]"), 4_103_120_000u64),
        (format!("outputs = [\"{long}{{a}}_{{b}}\"]"), 4_123_120_000),
        (format!("outputs = [\"{{a}}_{{b}}\"]\ntags = [\"{long}\"]"), 4_123_120_000),
    ] {
        let text = format!("[[node]]\ncall = \"t::source\"\n{node}\n{matrix}\n");
        let expected = format!(
            r###"
error[too-large]: the names, bindings and tags of the 4000000 nodes of this matrix have {bytes} bytes; a pipeline's matrices may write out at most 536870912
  --> pipeline.toml:1:1
   = hint: give the matrix of this node fewer values, or write shorter names
"###
        );
        check("too_much_written_out", &[("pipeline.toml", &text)], &expected);
    }
}

#[test]
fn too_much_written_out_by_several() {
    let values: Vec<String> = (0..300).map(|value| value.to_string()).collect();
    let (values, long) = (values.join(","), "n".repeat(1_000_000));
    let node = |output: &str| {
        format!(
            "[[node]]\ncall = \"t::copy\"\ninputs = [\"{long}\"]\noutputs = [\"{output}{{a}}\"]\nmatrix = {{ a = [{values}] }}\n"
        )
    };
    check(
        "too_much_written_out_by_several",
        &[("pipeline.toml", &(node("o") + &node("p")))],
        r###"
error[too-large]: the names, bindings and tags of the 300 nodes of this matrix have 300008180 bytes; a pipeline's matrices may write out at most 536870912
  --> pipeline.toml:6:1
   = matrices before it write out 300008180 bytes
   = hint: give the matrix of this node fewer values, or write shorter names
"###,
    );
}
