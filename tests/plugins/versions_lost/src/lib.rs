//! A version of the plugin `versions` in which a node is missing: `reports_last` was lost.

use plugin_api::prelude::*;

/// Nothing of use.
#[node(outputs = ["versions"])]
fn begins() -> Json<Vec<String>> {
    Json(Vec::new())
}

/// What it was given.
#[node(outputs = ["versions"])]
fn goes_on(versions: Json<Vec<String>>) -> Json<Vec<String>> {
    versions
}

plugin! { name: "versions", nodes: [begins, goes_on] }
