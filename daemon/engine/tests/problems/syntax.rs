//! Texts that cannot be read, and how problems are told: places, order, bounds.

use super::check;

#[test]
fn not_toml_tells_every_syntax_error() {
    check(
        "not_toml_tells_every_syntax_error",
        &[(
            "pipeline.toml",
            r###"name = "x
[[node]]
call = = "t::source"
outputs = ["a"]
"###,
        )],
        r###"
error[not-toml]: this is not TOML: invalid basic string, expected `"`
  --> pipeline.toml:1:10

error[not-toml]: this is not TOML: extra `=`, expected nothing
  --> pipeline.toml:3:8

error[not-toml]: this is not TOML: unexpected key or value, expected newline, `#`
  --> pipeline.toml:3:10
"###,
    );
}

#[test]
fn not_json() {
    check(
        "not_json",
        &[(
            "pipeline.json",
            r###"{
  "name": "x",
  "node": [ {"call": "t::source" "outputs": ["a"]} ]
}
"###,
        )],
        r###"
error[not-json]: this is not JSON: expected `,` or `}`
  --> pipeline.json:3:34
"###,
    );
}

#[test]
fn json_with_a_key_twice() {
    check(
        "json_with_a_key_twice",
        &[("pipeline.json", r###"{"node": [{"call": "t::source", "outputs": ["a"], "call": "t::source"}]}"###)],
        r###"
error[not-json]: the key `call` stands twice in one table
  --> pipeline.json:1:51
"###,
    );
}

#[test]
fn json_missing_comma_between_tables() {
    check(
        "json_missing_comma_between_tables",
        &[(
            "pipeline.json",
            r###"{"node": [{"call": "t::source", "outputs": ["a"]} {"call": "t::source", "outputs": ["b"]}]}"###,
        )],
        r###"
error[not-json]: this is not JSON: expected `,` or `]`
  --> pipeline.json:1:51
"###,
    );
}

#[test]
fn json_is_no_table() {
    check(
        "json_is_no_table",
        &[("pipeline.json", r###"[1, 2]"###)],
        r###"
error[wrong-type]: the file must hold a table `{…}`, not a list
  --> pipeline.json:1:1
"###,
    );
}

#[test]
fn json_nested_too_deep() {
    check(
        "json_nested_too_deep",
        &[("pipeline.json", &format!("{}1{}", "{\"a\":".repeat(1000), "}".repeat(1000)))],
        r###"
error[not-json]: this is not JSON: Maximum nesting depth exceeded
  --> pipeline.json:1:1282
"###,
    );
}

#[test]
fn toml_nested_too_deep() {
    check(
        "toml_nested_too_deep",
        &[("pipeline.toml", &format!("a = {}1{}", "[".repeat(1000), "]".repeat(1000)))],
        r###"
error[not-toml]: this is not TOML: cannot recurse further; max recursion depth met
  --> pipeline.toml:1:85
"###,
    );
}

#[test]
fn number_too_large() {
    check(
        "number_too_large",
        &[(
            "pipeline.toml",
            r###"retries = 99999999999999999999
[[node]]
call = "t::source"
outputs = ["a"]
"###,
        )],
        r###"
error[bad-number]: `99999999999999999999` is not a whole number between -2^63 and 2^63-1
  --> pipeline.toml:1:11
"###,
    );
}

#[test]
fn problems_of_all_files_come_together_in_their_order() {
    check(
        "problems_of_all_files_come_together_in_their_order",
        &[
            (
                "pipeline.toml",
                r###"[[node]]
call = "t::sorce"
outputs = ["a"]

[[node]]
call = "t::copy"
inputs = ["params:missing"]
outputs = ["b"]
"###,
            ),
            (
                "catalog.toml",
                r###"[a]
type = "jsn"
path = "${nowhere}"
"###,
            ),
            (
                "parameters.toml",
                r###"x = = 1
"###,
            ),
        ],
        r###"
error[unknown-node]: plugin `t` has no node `sorce`
  --> pipeline.toml:2:8
   = hint: did you mean `t::source`?

error[unknown-type]: no plugin has a dataset type `jsn`
  --> catalog.toml:2:8
   = in the catalog entry of dataset `a`
   = hint: did you mean `json`?

error[not-toml]: this is not TOML: extra `=`, expected nothing
  --> parameters.toml:1:5

error[not-toml]: this is not TOML: unexpected key or value, expected newline, `#`
  --> parameters.toml:1:7
"###,
    );
}

#[test]
fn columns_count_characters() {
    check(
        "columns_count_characters",
        &[
            (
                "pipeline.toml",
                r###"[[node]]
call = "flights::split"
inputs = ["flights"]
outputs = ["日本", "a b"]
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
error[bad-name]: `a b` cannot name a dataset: it holds ' '
  --> pipeline.toml:4:18
   = hint: names are made of letters, digits, `_`, `-` and `.`
"###,
    );
}

#[test]
fn many_problems_of_one_kind_are_counted() {
    check(
        "many_problems_of_one_kind_are_counted",
        &[(
            "pipeline.toml",
            &(0..120)
                .map(|n| format!("[[node]]\nname = \"n{n}\"\ncall = \"nope::x\"\noutputs = [\"d{n}\"]\n"))
                .collect::<String>(),
        )],
        r###"
error[unknown-plugin]: no plugin is named `nope`
  --> pipeline.toml:3:8
   = hint: the loaded plugins are `flights`, `t` and `formats`; `ctl plugins` tells of those that were refused

error[unknown-plugin]: no plugin is named `nope`
  --> pipeline.toml:7:8
   = hint: the loaded plugins are `flights`, `t` and `formats`; `ctl plugins` tells of those that were refused

error[unknown-plugin]: no plugin is named `nope`
  --> pipeline.toml:11:8
   = hint: the loaded plugins are `flights`, `t` and `formats`; `ctl plugins` tells of those that were refused

error[unknown-plugin]: no plugin is named `nope`
  --> pipeline.toml:15:8
   = hint: the loaded plugins are `flights`, `t` and `formats`; `ctl plugins` tells of those that were refused

error[unknown-plugin]: no plugin is named `nope`
  --> pipeline.toml:19:8
   = hint: the loaded plugins are `flights`, `t` and `formats`; `ctl plugins` tells of those that were refused

error[unknown-plugin]: no plugin is named `nope`
  --> pipeline.toml:23:8
   = hint: the loaded plugins are `flights`, `t` and `formats`; `ctl plugins` tells of those that were refused

error[unknown-plugin]: no plugin is named `nope`
  --> pipeline.toml:27:8
   = hint: the loaded plugins are `flights`, `t` and `formats`; `ctl plugins` tells of those that were refused

error[unknown-plugin]: no plugin is named `nope`
  --> pipeline.toml:31:8
   = hint: the loaded plugins are `flights`, `t` and `formats`; `ctl plugins` tells of those that were refused

error[unknown-plugin]: no plugin is named `nope`
  --> pipeline.toml:35:8
   = hint: the loaded plugins are `flights`, `t` and `formats`; `ctl plugins` tells of those that were refused

error[unknown-plugin]: no plugin is named `nope`
  --> pipeline.toml:39:8
   = hint: the loaded plugins are `flights`, `t` and `formats`; `ctl plugins` tells of those that were refused

error[unknown-plugin]: no plugin is named `nope`
  --> pipeline.toml:43:8
   = hint: the loaded plugins are `flights`, `t` and `formats`; `ctl plugins` tells of those that were refused

error[unknown-plugin]: no plugin is named `nope`
  --> pipeline.toml:47:8
   = hint: the loaded plugins are `flights`, `t` and `formats`; `ctl plugins` tells of those that were refused

error[unknown-plugin]: no plugin is named `nope`
  --> pipeline.toml:51:8
   = hint: the loaded plugins are `flights`, `t` and `formats`; `ctl plugins` tells of those that were refused

error[unknown-plugin]: no plugin is named `nope`
  --> pipeline.toml:55:8
   = hint: the loaded plugins are `flights`, `t` and `formats`; `ctl plugins` tells of those that were refused

error[unknown-plugin]: no plugin is named `nope`
  --> pipeline.toml:59:8
   = hint: the loaded plugins are `flights`, `t` and `formats`; `ctl plugins` tells of those that were refused

error[unknown-plugin]: no plugin is named `nope`
  --> pipeline.toml:63:8
   = hint: the loaded plugins are `flights`, `t` and `formats`; `ctl plugins` tells of those that were refused

error[unknown-plugin]: no plugin is named `nope`
  --> pipeline.toml:67:8
   = hint: the loaded plugins are `flights`, `t` and `formats`; `ctl plugins` tells of those that were refused

error[unknown-plugin]: no plugin is named `nope`
  --> pipeline.toml:71:8
   = hint: the loaded plugins are `flights`, `t` and `formats`; `ctl plugins` tells of those that were refused

error[unknown-plugin]: no plugin is named `nope`
  --> pipeline.toml:75:8
   = hint: the loaded plugins are `flights`, `t` and `formats`; `ctl plugins` tells of those that were refused

error[unknown-plugin]: no plugin is named `nope`
  --> pipeline.toml:79:8
   = hint: the loaded plugins are `flights`, `t` and `formats`; `ctl plugins` tells of those that were refused

error[unknown-plugin]: 100 more problems of this kind are not shown
"###,
    );
}
