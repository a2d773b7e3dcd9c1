//! Nodes that answer with an error.

use plugin_api::prelude::*;

/// Fails with a chain of causes and advice.
#[node(outputs = ["value"])]
pub fn fails() -> Result<i64> {
    let number: i64 = "many".parse().context("reading the number of flights").hint("write digits only")?;
    Ok(number)
}

/// Fails on its first attempts and gives the number of the attempt that succeeds.
#[node(outputs = ["attempt"])]
pub fn fails_until(attempt: Params<i64>, ctx: &Context) -> Result<i64> {
    let present = i64::from(ctx.attempt());
    ensure!(present >= *attempt, "attempt {present} of {} is too early", *attempt);
    Ok(present)
}
