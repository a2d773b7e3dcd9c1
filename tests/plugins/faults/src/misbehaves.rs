//! A node that misbehaves as it is told: for tests that draw what goes wrong.

use plugin_api::prelude::*;

use crate::{deaths, hangs, steps};

/// Leaves a trace, and takes a number one further; on its first so many `attempts` it ends with the `fault` instead.
#[node(outputs = ["value"])]
pub fn misbehaves(
    value: Option<i64>,
    trace: Params<String>,
    fault: Params<String>,
    attempts: Params<i64>,
    ctx: &Context,
) -> Result<i64> {
    steps::leave(&trace, ctx)?;
    if i64::from(ctx.attempt()) > *attempts {
        return Ok(value.unwrap_or(0) + 1);
    }
    match fault.as_str() {
        "fails" => bail!("it was told to fail"),
        "panics" => panic!("it was told to panic"),
        "segfaults" => deaths::segfault(),
        "aborts" => std::process::abort(),
        "exits" => std::process::exit(0),
        "loops" => Ok(hangs::loops()),
        other => bail!("{other:?} is no fault that it knows"),
    }
}
