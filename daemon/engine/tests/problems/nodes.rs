//! Calls, names and fan-out.

use super::check;

#[test]
fn unknown_node_plugin_and_bad_call() {
    check(
        "unknown_node_plugin_and_bad_call",
        &[(
            "pipeline.toml",
            r###"[[node]]
call = "flights::trian"
outputs = ["a"]

[[node]]
call = "flihgts::train"
outputs = ["b"]

[[node]]
call = "weather::forecast"
outputs = ["c"]

[[node]]
call = "copy"
outputs = ["d"]

[[node]]
call = "flights::forecast"
outputs = ["e"]
"###,
        )],
        r###"
error[unknown-node]: plugin `flights` has no node `trian`
  --> pipeline.toml:2:8
   = hint: did you mean `flights::train`?

error[unknown-plugin]: no plugin is named `flihgts`
  --> pipeline.toml:6:8
   = hint: did you mean `flights`?

error[unknown-plugin]: no plugin is named `weather`
  --> pipeline.toml:10:8
   = hint: the loaded plugins are `flights`, `t` and `formats`; `ctl plugins` tells of those that were refused

error[bad-call]: `copy` is no call: it must be written `plugin::node`
  --> pipeline.toml:14:8
   = hint: did you mean `t::copy`?

error[unknown-node]: plugin `flights` has no node `forecast`
  --> pipeline.toml:18:8
   = hint: its nodes are `clean_flights`, `clean_weather`, `clean_planes`, `build_features`, `split`, `train`, `evaluate`, `carrier_delays` and `delay_chart`
"###,
    );
}

#[test]
fn duplicate_names() {
    check(
        "duplicate_names",
        &[(
            "pipeline.toml",
            r###"[[node]]
call = "t::source"
outputs = ["a"]

[[node]]
call = "t::copy"
inputs = ["a"]
outputs = ["b"]

[[node]]
name = "source"
call = "t::source"
outputs = ["c"]

[[node]]
name = "same"
matrix = { n = [1, 2] }
call = "t::source"
outputs = ["m_{n}"]
"###,
        )],
        r###"
error[duplicate-node]: two nodes are named `source`
  --> pipeline.toml:11:8
   = the first is at pipeline.toml:1:1
   = hint: give one of them another name

error[duplicate-node]: two nodes are named `same`
  --> pipeline.toml:16:8
   = both come from this node's matrix
   = hint: put `{n}` into its name
"###,
    );
}

#[test]
fn bad_names() {
    check(
        "bad_names",
        &[(
            "pipeline.toml",
            r###"[[node]]
name = "with space"
call = "t::source"
outputs = ["a/b"]

[[node]]
name = ""
call = "t::source"
outputs = ["data@pandas@csv"]

[[node]]
name = "city_{city}"
matrix = { city = ["New York"] }
call = "t::source"
outputs = [""]
"###,
        )],
        r###"
error[bad-name]: `with space` cannot name a node: it holds ' '
  --> pipeline.toml:2:8
   = hint: names are made of letters, digits, `_`, `-` and `.`

error[bad-name]: `a/b` cannot name a dataset: it holds '/'
  --> pipeline.toml:4:12
   = hint: names are made of letters, digits, `_`, `-` and `.`

error[bad-name]: the name of a node is empty
  --> pipeline.toml:7:8
   = hint: names are made of letters, digits, `_`, `-` and `.`

error[bad-name]: `data@pandas@csv` cannot name a dataset: it holds '@'
  --> pipeline.toml:9:12
   = hint: a name has one `@` at most: `name@format`

error[bad-name]: `city_New York` cannot name a node: it holds ' '
  --> pipeline.toml:12:8
   = hint: names are made of letters, digits, `_`, `-` and `.`

error[bad-name]: the name of a dataset is empty
  --> pipeline.toml:15:12
   = hint: names are made of letters, digits, `_`, `-` and `.`
"###,
    );
}

#[test]
fn placeholders() {
    check(
        "placeholders",
        &[(
            "pipeline.toml",
            r###"[[node]]
name = "train_{orign}"
matrix = { origin = ["EWR", "JFK"] }
call = "t::source"
outputs = ["m_{origin"]

[[node]]
name = "plain"
call = "t::source"
outputs = ["m_{origin}"]
"###,
        )],
        r###"
error[unknown-placeholder]: `{orign}` is no value of this node's matrix
  --> pipeline.toml:2:8
   = hint: did you mean `origin`?

error[unknown-placeholder]: a brace in `m_{origin` has no partner
  --> pipeline.toml:5:12

error[unknown-placeholder]: `{origin}` is no value of this node's matrix
  --> pipeline.toml:10:12
   = hint: this node has no matrix; add `matrix = { origin = ["…"] }`
"###,
    );
}

/// Names, producers, cycles and a node that reads what it makes: all of it in one report.
#[test]
fn parity_p1_everything_that_is_wrong_with_a_graph_is_told_at_once() {
    check(
        "p1",
        &[(
            "pipeline.toml",
            r###"[[node]]
name = "one"
call = "t::source"
outputs = ["a"]

[[node]]
name = "one"
call = "t::source"
outputs = ["a"]

[[node]]
name = "own"
call = "t::copy"
inputs = ["b"]
outputs = ["b"]

[[node]]
name = "left"
call = "t::copy"
inputs = ["d"]
outputs = ["c"]

[[node]]
name = "right"
call = "t::copy"
inputs = ["c"]
outputs = ["d"]
"###,
        )],
        r###"
error[duplicate-node]: two nodes are named `one`
  --> pipeline.toml:7:8
   = the first is at pipeline.toml:2:8
   = hint: give one of them another name

error[two-producers]: dataset `a` is made twice: by `one` and by `one`
  --> pipeline.toml:9:12
   = it is first made at pipeline.toml:4:12
   = hint: let one of them make a dataset of another name

error[reads-own-output]: node `own` reads and makes `b`
  --> pipeline.toml:15:12
   = hint: let it make a dataset of another name

error[cycle]: the nodes wait for each other: left -> right -> left
  --> pipeline.toml:17:1
   = `left` makes `c`, which `right` reads at pipeline.toml:26:11
   = `right` makes `d`, which `left` reads at pipeline.toml:20:11
   = hint: let one of them read something made earlier, or write to a dataset of another name
"###,
    );
}
