//! Nodes that leave a trace, a line with their name in a file: what ran, and how often.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use plugin_api::prelude::*;

use crate::hangs::wait_for_file;

/// Takes a number one further.
#[node(outputs = ["value"])]
pub fn step(trace: Params<String>, before: Option<i64>, ctx: &Context) -> Result<i64> {
    leave(&trace, ctx)?;
    log::info!("a step of {}", ctx.node());
    Ok(before.unwrap_or(0) + 1)
}

/// The same, once a file is there; before, it fails.
#[node(outputs = ["value"])]
pub fn needs_file(trace: Params<String>, file: Params<String>, before: Option<i64>, ctx: &Context) -> Result<i64> {
    leave(&trace, ctx)?;
    ensure!(Path::new(file.as_str()).exists(), "there is no {}", *file);
    Ok(before.unwrap_or(0) + 1)
}

/// The same, and waits for the file.
#[node(outputs = ["value"])]
pub fn held(trace: Params<String>, file: Params<String>, before: Option<i64>, ctx: &Context) -> Result<i64> {
    leave(&trace, ctx)?;
    wait_for_file(&file, ctx)?;
    Ok(before.unwrap_or(0) + 1)
}

/// Leaves the line.
pub fn leave(trace: &str, ctx: &Context) -> Result<()> {
    let mut file = File::options().append(true).create(true).open(trace)?;
    // In one piece: others write to it at the same time.
    Ok(file.write_all(format!("{}\n", ctx.node()).as_bytes())?)
}
