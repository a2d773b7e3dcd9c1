//! Ports: what they are bound to, and whether it fits.

use super::check;

#[test]
fn wrong_and_missing_ports() {
    check(
        "wrong_and_missing_ports",
        &[
            (
                "pipeline.toml",
                r###"[[node]]
name = "too_many"
call = "t::copy"
inputs = ["flights", "flights"]
outputs = ["a"]

[[node]]
name = "misspelt"
call = "t::join"
inputs = { left = "flights", rihgt = "flights" }
outputs = { result = "b" }

[[node]]
name = "none"
call = "t::join"
outputs = ["c"]
"###,
            ),
            (
                "catalog.toml",
                r###"[flights]
type = "csv"
path = "flights.csv"
"###,
            ),
        ],
        r###"
error[wrong-port]: `t::copy` has 1 input, but 2 are bound
  --> pipeline.toml:4:1
   = hint: it is `value`

error[kind-mismatch]: input `value` of `too_many` takes json, but `flights` is table
  --> pipeline.toml:4:11
   = its dataset type `csv` loads that

error[kind-mismatch]: input `left` of `misspelt` takes json, but `flights` is table
  --> pipeline.toml:10:19
   = its dataset type `csv` loads that

error[wrong-port]: `t::join` has no input `rihgt`
  --> pipeline.toml:10:30
   = hint: did you mean `right`?

error[wrong-port]: `t::join` has no output `result`
  --> pipeline.toml:11:13
   = hint: its one output is `out`

error[missing-port]: inputs `left` and `right` of `t::join` are bound to nothing
  --> pipeline.toml:13:1
   = hint: bind every input:
     left = "…"  # json
     right = "…"  # json
"###,
    );
}

#[test]
fn port_kinds() {
    check(
        "port_kinds",
        &[
            (
                "pipeline.toml",
                r###"[[node]]
call = "t::source"
outputs = ["numbers"]

[[node]]
call = "flights::delay_chart"
inputs = { delays = "numbers" }
outputs = ["chart"]

[[node]]
call = "t::copy"
inputs = ["flights"]
outputs = ["copied"]
"###,
            ),
            (
                "catalog.toml",
                r###"[flights]
type = "csv"
path = "flights.csv"

[chart]
type = "json"
path = "chart.json"
"###,
            ),
        ],
        r###"
error[kind-mismatch]: input `delays` of `delay_chart` takes table, but `numbers` is json
  --> pipeline.toml:7:21
   = `source` makes it at pipeline.toml:3:12

error[kind-mismatch]: `delay_chart` makes `chart` as text, but dataset type `json` saves json
  --> pipeline.toml:8:12
   = hint: give `chart` another type in the catalog

error[kind-mismatch]: input `value` of `copy` takes json, but `flights` is table
  --> pipeline.toml:12:11
   = its dataset type `csv` loads that
"###,
    );
}

#[test]
fn missing_parameters() {
    check(
        "missing_parameters",
        &[
            (
                "pipeline.toml",
                r###"[[node]]
name = "a"
call = "t::copy"
inputs = ["params:modle"]
outputs = ["x"]

[[node]]
name = "b"
call = "t::copy"
inputs = ["params:model.feature"]
outputs = ["y"]

[[node]]
name = "c"
call = "t::copy"
inputs = ["params:model.features.first"]
outputs = ["z"]

[[node]]
name = "d_{origin}"
call = "t::copy"
matrix = { origin = ["EWR"] }
inputs = ["params:orign"]
outputs = ["w"]
"###,
            ),
            (
                "parameters.toml",
                r###"[model]
features = ["hour"]
"###,
            ),
        ],
        r###"
error[missing-parameter]: there is no parameter `modle`
  --> pipeline.toml:4:11
   = hint: did you mean `model`?

error[missing-parameter]: there is no parameter `model.feature`
  --> pipeline.toml:10:11
   = hint: did you mean `model.features`?

error[missing-parameter]: there is no parameter `model.features.first`
  --> pipeline.toml:16:11
   = `model.features` is ["hour"], not a table

error[missing-parameter]: there is no parameter `orign`
  --> pipeline.toml:23:11
   = hint: did you mean `origin`?
"###,
    );
}

#[test]
fn parameter_ports() {
    check(
        "parameter_ports",
        &[
            (
                "pipeline.toml",
                r###"[[node]]
name = "dataset_for_parameter"
call = "t::scale"
inputs = { table = "flights", factor = "factor", times = "params:times" }
outputs = ["a"]

[[node]]
name = "parameter_for_dataset"
call = "t::scale"
inputs = { table = "params:factor", factor = "params:factor", times = "params:factor" }
outputs = ["b"]

[[node]]
name = "parameter_as_output"
call = "t::source"
outputs = ["params:factor"]

[[node]]
name = "misspelt_parameter"
call = "t::copy"
inputs = ["param:factor"]
outputs = ["c"]
"###,
            ),
            (
                "catalog.toml",
                r###"[flights]
type = "csv"
path = "flights.csv"
"###,
            ),
            (
                "parameters.toml",
                r###"factor = 1.5
times = 2
"###,
            ),
        ],
        r###"
error[parameter-port]: input `factor` of `t::scale` takes parameters, but `factor` is a dataset
  --> pipeline.toml:4:40
   = hint: did you mean `params:factor`?

error[parameter-port]: input `table` of `t::scale` takes a dataset (table), but `params:factor` is a parameter
  --> pipeline.toml:10:20

error[parameter-type]: input `times` of `t::scale` takes an integer, but `params:factor` is 1.5
  --> pipeline.toml:10:71

error[parameter-port]: `params:factor` is a parameter: nodes read parameters, they make datasets
  --> pipeline.toml:16:12

error[bad-name]: `param:factor` cannot name a dataset: it holds ':'
  --> pipeline.toml:21:11
   = hint: did you mean `params:factor`?
"###,
    );
}

#[test]
fn parameters_that_json_cannot_hold() {
    check(
        "parameters_that_json_cannot_hold",
        &[
            (
                "pipeline.toml",
                r###"[[node]]
call = "t::source"
outputs = ["a"]
"###,
            ),
            (
                "parameters.toml",
                r###"x = nan
y = [inf]
"###,
            ),
        ],
        r###"
error[bad-number]: a parameter cannot be infinite or not a number: nodes get it as JSON
  --> parameters.toml:1:5

error[bad-number]: a parameter cannot be infinite or not a number: nodes get it as JSON
  --> parameters.toml:2:6
"###,
    );
}
