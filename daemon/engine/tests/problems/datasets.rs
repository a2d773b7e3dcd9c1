//! Datasets: who makes them, who reads them, and what the catalog says.

use super::{check, support};

#[test]
fn two_producers() {
    check(
        "two_producers",
        &[(
            "pipeline.toml",
            r###"[[node]]
name = "first"
call = "t::source"
outputs = ["a"]

[[node]]
name = "second"
call = "t::source"
outputs = ["a"]

[[node]]
name = "fan_{n}"
matrix = { n = [1, 2] }
call = "t::source"
outputs = ["b"]
"###,
        )],
        r###"
error[two-producers]: dataset `a` is made twice: by `first` and by `second`
  --> pipeline.toml:9:12
   = it is first made at pipeline.toml:4:12
   = hint: let one of them make a dataset of another name

error[two-producers]: dataset `b` is made twice: by `fan_1` and by `fan_2`
  --> pipeline.toml:15:12
   = it is first made at pipeline.toml:15:12
   = hint: put `{n}` into the dataset's name
"###,
    );
}

#[test]
fn a_cycle_is_shown() {
    check(
        "a_cycle_is_shown",
        &[(
            "pipeline.toml",
            r###"[[node]]
name = "a"
call = "t::join"
inputs = ["x", "z"]
outputs = ["y"]

[[node]]
name = "b"
call = "t::copy"
inputs = ["y"]
outputs = ["z"]

[[node]]
name = "after"
call = "t::sink"
inputs = ["z"]

[[node]]
name = "source"
call = "t::source"
outputs = ["x"]
"###,
        )],
        r###"
error[cycle]: the nodes wait for each other: a -> b -> a
  --> pipeline.toml:1:1
   = `a` makes `y`, which `b` reads at pipeline.toml:10:11
   = `b` makes `z`, which `a` reads at pipeline.toml:4:16
   = hint: let one of them read something made earlier, or write to a dataset of another name
"###,
    );
}

#[test]
fn two_cycles_are_both_shown() {
    check(
        "two_cycles_are_both_shown",
        &[(
            "pipeline.toml",
            r###"[[node]]
name = "c"
call = "t::copy"
inputs = ["one"]
outputs = ["two"]

[[node]]
name = "d"
call = "t::copy"
inputs = ["two"]
outputs = ["one"]

[[node]]
name = "e"
call = "t::copy"
inputs = ["three"]
outputs = ["four"]

[[node]]
name = "f"
call = "t::copy"
inputs = ["four"]
outputs = ["three"]
"###,
        )],
        r###"
error[cycle]: the nodes wait for each other: c -> d -> c
  --> pipeline.toml:1:1
   = `c` makes `two`, which `d` reads at pipeline.toml:10:11
   = `d` makes `one`, which `c` reads at pipeline.toml:4:11
   = hint: let one of them read something made earlier, or write to a dataset of another name

error[cycle]: the nodes wait for each other: e -> f -> e
  --> pipeline.toml:13:1
   = `e` makes `four`, which `f` reads at pipeline.toml:22:11
   = `f` makes `three`, which `e` reads at pipeline.toml:16:11
   = hint: let one of them read something made earlier, or write to a dataset of another name
"###,
    );
}

#[test]
fn reads_its_own_output() {
    check(
        "reads_its_own_output",
        &[(
            "pipeline.toml",
            r###"[[node]]
name = "a"
call = "t::copy"
inputs = ["x"]
outputs = ["x"]
"###,
        )],
        r###"
error[reads-own-output]: node `a` reads and makes `x`
  --> pipeline.toml:5:12
   = hint: let it make a dataset of another name
"###,
    );
}

#[test]
fn parity_r7_missing_inputs_are_all_named() {
    check(
        "missing_inputs_are_all_named",
        &[
            (
                "pipeline.toml",
                r###"[[node]]
call = "flights::build_features"
inputs = ["flihgts", "weather", "planes"]
outputs = ["features"]
"###,
            ),
            (
                "catalog.toml",
                r###"[flights]
type = "csv"
path = "flights.csv"

[weather]
type = "memory"
"###,
            ),
        ],
        r###"
error[missing-input]: `flihgts`, `planes` and `weather` are read, but no node makes them and the catalog has no entry
  --> pipeline.toml:3:11
   = `flihgts` is read by `build_features` at pipeline.toml:3:11
   = `planes` is read by `build_features` at pipeline.toml:3:33
   = `weather` is read by `build_features` at pipeline.toml:3:22; its catalog entry says that it lives in memory only
   = hint: `flihgts`: did you mean `flights`?
"###,
    );
}

#[test]
fn one_missing_input() {
    check(
        "one_missing_input",
        &[(
            "pipeline.toml",
            r###"[[node]]
call = "t::copy"
inputs = ["numbers"]
outputs = ["copied"]
"###,
        )],
        r###"
error[missing-input]: `numbers` is read, but no node makes it and the catalog has no entry
  --> pipeline.toml:3:11
   = `numbers` is read by `copy` at pipeline.toml:3:11
   = hint: if it is on disk, add to the catalog:
     [numbers]
     type = "json"
     path = "…"
"###,
    );
}

#[test]
fn dataset_types() {
    check(
        "dataset_types",
        &[
            (
                "pipeline.toml",
                r###"[[node]]
call = "flights::clean_flights"
inputs = ["flights"]
outputs = ["clean"]
"###,
            ),
            (
                "catalog.toml",
                r###"[flights]
type = "cvs"
path = "flights.csv"

[clean]
type = "parquet"
path = "clean.parquet"
versioned = true

[not_used]
type = "excel"
versioned = true
"###,
            ),
        ],
        r###"
error[unknown-type]: no plugin has a dataset type `cvs`
  --> catalog.toml:2:8
   = in the catalog entry of dataset `flights`
   = hint: did you mean `csv`?
"###,
    );
}

#[test]
fn catalog_entry_without_type() {
    check(
        "catalog_entry_without_type",
        &[
            (
                "pipeline.toml",
                r###"[[node]]
call = "flights::clean_flights"
inputs = ["flights"]
outputs = ["clean"]
"###,
            ),
            (
                "catalog.toml",
                r###"[flights]
path = "flights.csv"
"###,
            ),
        ],
        r###"
error[missing-key]: catalog entry `flights` does not say its type
  --> catalog.toml:1:2
   = hint: add `type = "csv"` or another; `ctl plugins` lists the dataset types, and "memory" is always there
"###,
    );
}

#[test]
fn catalog_patterns() {
    check(
        "catalog_patterns",
        &[
            (
                "pipeline.toml",
                r###"[[node]]
call = "t::source"
outputs = ["a"]
"###,
            ),
            (
                "catalog.toml",
                r###"["{default}"]
type = "memory"

["{other}"]
type = "memory"

["open_{x"]
type = "memory"

["close_x}"]
type = "memory"

["{}_unnamed"]
type = "memory"

["{a}{b}"]
type = "memory"

["{a}_{a}"]
type = "memory"

["model_{origin}"]
type = "json"
path = "out/{orgin}.json"
options = { list = ["{nope}", "{{fine}}", "${also.fine}"] }
"###,
            ),
        ],
        r###"
error[two-catch-alls]: `{default}` and `{other}` each match every name; there can be one such pattern
  --> catalog.toml:4:2
   = the first is at catalog.toml:1:2
   = hint: give all but one a letter of its own, or remove them

error[bad-pattern]: `open_{x` is no pattern: a `{` is never closed
  --> catalog.toml:7:2

error[bad-pattern]: `close_x}` is no pattern: a `}` has no `{` before it
  --> catalog.toml:10:2

error[bad-pattern]: `{}_unnamed` is no pattern: a placeholder needs a name: `{name}`
  --> catalog.toml:13:2

error[bad-pattern]: `{a}{b}` is no pattern: two placeholders stand side by side, so nothing tells where one ends
  --> catalog.toml:16:2

error[bad-pattern]: `{a}_{a}` is no pattern: `{a}` stands twice in it; give the second a name of its own
  --> catalog.toml:19:2

error[unknown-placeholder]: `{orgin}` does not stand in the pattern's name `model_{origin}`
  --> catalog.toml:24:8
   = hint: did you mean `origin`?
   = hint: write `{{` and `}}` for braces that mean themselves

error[unknown-placeholder]: `{nope}` does not stand in the pattern's name `model_{origin}`
  --> catalog.toml:25:21
   = hint: write `{{` and `}}` for braces that mean themselves
"###,
    );
}

#[test]
fn interpolation() {
    check(
        "interpolation",
        &[
            (
                "pipeline.toml",
                r###"[[node]]
call = "flights::clean_flights"
inputs = ["flights"]
outputs = ["clean"]
"###,
            ),
            (
                "catalog.toml",
                r###"[flights]
type = "csv"
path = "${env:HOME_DATE}/flights.csv"
options = { limit = "${limt}", text = "n=${model}", open = "${x" }
"###,
            ),
            (
                "parameters.toml",
                r###"limit = 3
model = { a = 1 }
"###,
            ),
        ],
        r###"
error[missing-variable]: the environment has no variable `HOME_DATE`
  --> catalog.toml:3:8
   = in the catalog entry of dataset `flights`
   = hint: did you mean `HOME_DATA`?
   = hint: set it before the command: `HOME_DATE=… ctl run …`
   = hint: or give a default: `${env:HOME_DATE:-…}`

error[missing-parameter]: there is no parameter `limt`
  --> catalog.toml:4:21
   = in the catalog entry of dataset `flights`
   = hint: did you mean `limit`?

error[bad-interpolation]: `${model}` is a table, which cannot stand inside a text
  --> catalog.toml:4:39
   = in the catalog entry of dataset `flights`

error[bad-interpolation]: a `${` is never closed
  --> catalog.toml:4:60
   = in the catalog entry of dataset `flights`
   = hint: write `$${` for the characters themselves
"###,
    );
}

#[test]
fn parity_r4_single_process_types_are_all_named() {
    check(
        "single_process",
        &[
            (
                "pipeline.toml",
                r###"[[node]]
call = "flights::clean_flights"
inputs = ["flights"]
outputs = ["clean"]
"###,
            ),
            (
                "catalog.toml",
                r###"[flights]
type = "sqlite"
path = "flights.db"

[clean]
type = "sqlite"
path = "clean.db"
"###,
            ),
        ],
        r###"
error[single-process]: `clean` and `flights` cannot be used by more than one worker
   = their dataset types are marked `single_process`
   = hint: run with `--max-workers 1`, or keep them in a dataset of another type
"###,
    );
}

#[test]
fn two_datasets_saved_to_one_path() {
    check(
        "two_datasets_saved_to_one_path",
        &[
            (
                "pipeline.toml",
                r###"[[node]]
name = "a"
call = "t::source"
outputs = ["first"]

[[node]]
name = "b"
call = "t::source"
outputs = ["second"]
"###,
            ),
            (
                "catalog.toml",
                r###"[first]
type = "json"
path = "out.json"

[second]
type = "json"
path = "./out.json"
"###,
            ),
        ],
        r###"
error[same-path]: datasets `first` and `second` are both saved to /project/out.json
  --> pipeline.toml:9:12
   = hint: give them paths of their own in the catalog
"###,
    );
}

#[test]
fn a_type_of_a_plugin_that_is_not_loaded() {
    let catalog = "[a]\ntype = \"csv\"\n[b]\ntype = \"formats::json\"\n[c]\ntype = \"other::text\"\n";
    let pipeline = "[[node]]\ncall = \"t::join\"\ninputs = [\"a\", \"b\", \"c\"]\noutputs = [\"d\"]\n";
    let manifest = support::manifest("t::join(left: json, right: json, extra: json) -> (out: json)");
    let sources = support::sources(&[("pipeline.toml", pipeline), ("catalog.toml", catalog)]);
    let problems = engine::plan::check(&sources, &manifest, &engine::plan::PlanOptions::default()).unwrap_err();
    let expected = r###"
error[unknown-type]: no plugin has a dataset type `csv`
  --> catalog.toml:2:8
   = in the catalog entry of dataset `a`
   = hint: `csv` comes from the plugin `formats`, which is not loaded; `ctl plugins` tells of those that were refused
   = hint: the loaded plugins have `memory`

error[unknown-type]: no plugin has a dataset type `formats::json`
  --> catalog.toml:4:8
   = in the catalog entry of dataset `b`
   = hint: `json` comes from the plugin `formats`, which is not loaded; `ctl plugins` tells of those that were refused
   = hint: the loaded plugins have `memory`

error[unknown-type]: no plugin has a dataset type `other::text`
  --> catalog.toml:6:8
   = in the catalog entry of dataset `c`
   = hint: the loaded plugins have `memory`
"###;
    assert_eq!(support::rendered(&problems), expected.trim_start_matches('\n'));
}
