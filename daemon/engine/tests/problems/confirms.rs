//! What can be confirmed, and by whom.

use super::check;

#[test]
fn parity_r19_only_what_is_incremental_can_be_confirmed() {
    check(
        "not_incremental",
        &[
            (
                "pipeline.toml",
                r###"[[node]]
name = "a"
call = "t::source"
outputs = ["x"]
confirms = ["reading", "sales", "x"]

[[node]]
name = "b"
call = "t::source"
outputs = ["y"]
confirms = ["readings", "nothing"]

[[node]]
name = "c"
call = "t::source"
outputs = ["z"]
confirms = ["readings"]

[[node]]
name = "d_{part}"
matrix = { part = ["north", "south"] }
call = "t::source"
outputs = ["d_{part}"]
confirms = ["in_{part}", "params:x", "in_{prat}"]
"###,
            ),
            (
                "catalog.toml",
                r###"[readings]
type = "csv"
path = "readings"
incremental = true

[sales]
type = "csv"
path = "sales"
partitioned = true

["in_{part}"]
type = "csv"
path = "in/{part}"
incremental = true
"###,
            ),
        ],
        r###"
error[not-incremental]: `a` confirms `reading`, which is not incremental: the catalog has no entry for it
  --> pipeline.toml:5:13
   = hint: did you mean `readings`?

error[not-incremental]: `a` confirms `sales`, which is not incremental: its catalog entry does not say so
  --> pipeline.toml:5:24
   = hint: what is confirmed needs `incremental = true` in its catalog entry; leave `confirms` out if every run is to load all of it

error[not-incremental]: `a` confirms `x`, which is not incremental: it lives in memory only
  --> pipeline.toml:5:33
   = hint: what is confirmed needs `incremental = true` in its catalog entry; leave `confirms` out if every run is to load all of it

error[not-incremental]: `b` confirms `nothing`, which is not incremental: the catalog has no entry for it
  --> pipeline.toml:11:25
   = hint: what is confirmed needs `incremental = true` in its catalog entry; leave `confirms` out if every run is to load all of it

error[two-confirms]: dataset `readings` is confirmed twice: by `b` and by `c`
  --> pipeline.toml:17:13
   = it is first confirmed at pipeline.toml:11:13
   = hint: let one node confirm it: the one after which its partitions need not come again

error[bad-name]: `params:x` cannot name a dataset: it holds ':'
  --> pipeline.toml:24:26
   = hint: names are made of letters, digits, `_`, `-` and `.`

error[unknown-placeholder]: `{prat}` is no value of this node's matrix
  --> pipeline.toml:24:38
   = hint: did you mean `part`?
"###,
    );
}

#[test]
fn parity_c6_what_is_said_of_incremental_datasets_is_checked() {
    check(
        "incremental",
        &[
            (
                "pipeline.toml",
                r###"[[node]]
call = "t::source"
outputs = ["x"]
confirms = ["a", "b", "c", "d", "e"]
"###,
            ),
            (
                "catalog.toml",
                r###"[a]
type = "csv"
path = "a"
incremental = { comparison = "newer", form = "2024" }

[b]
type = "csv"
path = "b"
versioned = true
incremental = true

[c]
type = "csv"
incremental = true

[d]
type = "memory"
incremental = true

[e]
type = "csv"
path = "e"
incremental = "yes"
partitioned = { overwrite = "always" }
"###,
            ),
        ],
        r###"
error[wrong-value]: `comparison` of `incremental` must be ">" or ">=", not "newer"
  --> catalog.toml:4:30
   = hint: with ">" the last confirmed partition is done, with ">=" it is loaded once more

error[unknown-key]: `incremental` has no key `form`
  --> catalog.toml:4:39
   = hint: did you mean `from`?

error[incremental-versions]: dataset `b` cannot be both `incremental` and `versioned`
  --> catalog.toml:10:1
   = a version is a directory of its own, whose partitions were all there when it was made
   = hint: leave one of the two out

error[missing-key]: partitioned dataset `c` has no path
  --> catalog.toml:14:1
   = hint: add `path`: the directory that its files are in

error[partitions-in-memory]: dataset `d` is partitioned, but lives in memory
  --> catalog.toml:18:1
   = hint: give it the type of one partition, such as csv, and a path

error[wrong-type]: `incremental` of a catalog entry must be true, or a table `{ checkpoint = "done.txt" }`, not a text
  --> catalog.toml:23:15

error[wrong-type]: `overwrite` of `partitioned` must be true or false, not a text
  --> catalog.toml:24:29
"###,
    );
}

/// A slice that leaves the maker of an incremental dataset out still finds what is there; a cycle through a confirmation is one.
#[test]
fn parity_r19_a_node_waits_for_what_it_confirms() {
    check(
        "confirm_cycle",
        &[
            (
                "pipeline.toml",
                r###"[[node]]
name = "first"
call = "t::source"
outputs = ["x"]
confirms = ["i"]

[[node]]
name = "second"
call = "t::copy"
inputs = ["x"]
outputs = ["i"]
"###,
            ),
            (
                "catalog.toml",
                r###"[i]
type = "json"
path = "i"
incremental = true
"###,
            ),
        ],
        r###"
error[cycle]: the nodes wait for each other: first -> second -> first
  --> pipeline.toml:1:1
   = `first` makes `x`, which `second` reads at pipeline.toml:10:11
   = `second` makes `i`, which `first` confirms
   = hint: let one of them read something made earlier, or write to a dataset of another name

error[kind-mismatch]: `second` makes `i` as json, but dataset type `json` saves partitions<json>
  --> pipeline.toml:11:12
   = hint: give `i` another type in the catalog
"###,
    );
}
