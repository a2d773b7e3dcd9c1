//! How datasets are saved and read again: whole, chunk by chunk, in many files.

use super::check;

/// What is read again has the kind that its type loads, and must lie somewhere.
#[test]
fn reread() {
    check(
        "reread",
        &[
            (
                "pipeline.toml",
                r###"[[node]]
call = "t::source"
outputs = ["notes"]

[[node]]
call = "t::sink"
inputs = ["notes"]

[[node]]
name = "second"
call = "flights::delay_chart"
inputs = ["delays"]
outputs = ["chart"]

[[node]]
name = "reader"
call = "t::sink"
inputs = ["chart"]
"###,
            ),
            (
                "catalog.toml",
                r###"[notes]
type = "memory"
reread = true

[delays]
type = "csv"
path = "delays.csv"
reread = true

[chart]
type = "text"
path = "chart.svg"
reread = "yes"
"###,
            ),
        ],
        r###"
error[kind-mismatch]: input `value` of `reader` takes json, but `chart` is text
  --> pipeline.toml:18:11
   = `second` makes it at pipeline.toml:13:12

error[reread-memory]: `reread` of dataset `notes`: it lives in memory only, so there is nothing to read again
  --> catalog.toml:3:1
   = hint: leave `reread` out, or give the entry a type that keeps the data and a path

error[wrong-type]: `reread` of a catalog entry must be true or false, not a text
  --> catalog.toml:13:10
"###,
    );
}

/// A generator's chunks are saved as they come, or the plan says who cannot.
#[test]
fn parity_r18_a_type_that_cannot_append() {
    check(
        "a_type_that_cannot_append",
        &[
            (
                "pipeline.toml",
                r###"[[node]]
call = "t::generate"
inputs = ["params:count"]
outputs = ["rows", "notes"]

[parameters]
count = 3
"###,
            ),
            (
                "catalog.toml",
                r###"[rows]
type = "csv"
path = "rows.csv"

[notes]
type = "text"
path = "notes.txt"
"###,
            ),
        ],
        r###"
error[saves-whole]: `generate` makes `notes` chunk by chunk, but dataset type `text` can only save it whole
  --> pipeline.toml:4:20
   = hint: give `notes` a type that can append in the catalog, such as csv, parquet or ndjson
   = hint: or leave it in memory, where its chunks become one block, and let another node copy it to where it belongs
"###,
    );
}

/// What never is whole cannot be held against a schema, nor kept in memory.
#[test]
fn pieces() {
    check(
        "pieces",
        &[
            (
                "pipeline.toml",
                r###"[[node]]
call = "t::sink"
inputs = ["months"]
"###,
            ),
            (
                "catalog.toml",
                r###"[months]
type = "csv"
path = "months"
partitioned = true
resident = true
schema = { day = "integer" }
"###,
            ),
        ],
        r###"
error[not-supported]: `resident` of dataset `months` is not supported yet
  --> catalog.toml:5:1
   = it is kept as many files, and is never in memory as a whole
   = hint: leave `resident` out

error[not-supported]: `schema` of dataset `months` is not supported yet
  --> catalog.toml:6:1
   = it is kept as many files, and is never in memory as a whole
   = hint: leave `schema` out
"###,
    );
}
