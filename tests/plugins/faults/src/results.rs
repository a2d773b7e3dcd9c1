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

/// One more than it was given; fails when that is a number it was told.
#[node(outputs = ["value"])]
pub fn counts(value: Option<i64>, fails_at: Params<i64>) -> Result<i64> {
    let next = value.unwrap_or(0) + 1;
    ensure!(next != *fails_at, "{next} is where it fails");
    Ok(next)
}
