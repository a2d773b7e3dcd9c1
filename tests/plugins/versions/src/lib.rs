//! A plugin whose nodes say which version of the library they came from.
//!
//! The version is a mark in the library's data, read when a node runs: tests make another version of a copy by writing another
//! mark over it, which takes no compiler.

use std::fs::File;
use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use plugin_api::prelude::*;

/// What tests look for; what stands between the brackets is the version.
#[used]
static MARK: [u8; 24] = *b"dagd-version-mark[1.000]";

/// The version as it stands in this copy of the library. Hidden from the optimiser, which must not know it.
fn version() -> String {
    let mark = std::hint::black_box(&MARK);
    let text = String::from_utf8_lossy(mark);
    text.trim_start_matches(|c| c != '[').trim_matches(['[', ']']).to_owned()
}

fn with_version(mut versions: Vec<String>) -> Json<Vec<String>> {
    versions.push(version());
    Json(versions)
}

/// The time at which it runs, in microseconds since 1970, and its version.
#[node(outputs = ["versions"])]
fn begins() -> Result<Json<Vec<String>>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(with_version(vec![now.as_micros().to_string()]))
}

/// What it was given, and its version.
#[node(outputs = ["versions"])]
fn goes_on(versions: Json<Vec<String>>) -> Json<Vec<String>> {
    with_version(versions.0)
}

/// Waits until the file is there; then what it was given, and its version.
#[node(outputs = ["versions"])]
fn waits(versions: Json<Vec<String>>, file: Params<String>, ctx: &Context) -> Json<Vec<String>> {
    while !std::path::Path::new(file.as_str()).exists() && !ctx.is_cancelled() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    with_version(versions.0)
}

/// Writes what it was given and its version into a file, a line each.
#[node(outputs = ["versions"])]
fn reports_last(versions: Json<Vec<String>>, file: Params<String>) -> Result<Json<Vec<String>>> {
    let versions = with_version(versions.0);
    let mut file = File::create(file.as_str())?;
    for line in &versions.0 {
        writeln!(file, "{line}")?;
    }
    Ok(versions)
}

plugin! { nodes: [begins, goes_on, waits, reports_last] }
