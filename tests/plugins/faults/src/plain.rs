//! Nodes that behave: small steps for pipelines whose point lies elsewhere.

use plugin_api::prelude::*;

use crate::steps;

/// Gives what it was given, or nothing's number, 0.
#[node(outputs = ["value"])]
pub fn noop(value: Option<i64>) -> i64 {
    value.unwrap_or(0)
}

/// So many rounds of arithmetic that cannot be left out; what came of them.
#[node(outputs = ["value"])]
pub fn busy(rounds: Params<i64>) -> i64 {
    let mut value = 1_i64;
    for round in 0..rounds.into_inner() {
        value = std::hint::black_box(value.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(round));
    }
    value
}

/// The sum of two numbers.
#[node(outputs = ["sum"])]
pub fn add(left: i64, right: i64) -> i64 {
    left + right
}

/// The sum of up to sixteen numbers: a port is bound to one dataset, so many are gathered by a tree of these.
#[node(outputs = ["sum"])]
#[allow(clippy::too_many_arguments, reason = "that is what it is for")]
pub fn gather(
    v0: Option<i64>,
    v1: Option<i64>,
    v2: Option<i64>,
    v3: Option<i64>,
    v4: Option<i64>,
    v5: Option<i64>,
    v6: Option<i64>,
    v7: Option<i64>,
    v8: Option<i64>,
    v9: Option<i64>,
    v10: Option<i64>,
    v11: Option<i64>,
    v12: Option<i64>,
    v13: Option<i64>,
    v14: Option<i64>,
    v15: Option<i64>,
) -> i64 {
    let values = [v0, v1, v2, v3, v4, v5, v6, v7, v8, v9, v10, v11, v12, v13, v14, v15];
    values.into_iter().flatten().sum()
}

/// A number from the parameters.
#[node(outputs = ["value"])]
pub fn constant(value: Params<i64>) -> i64 {
    *value
}

/// What [`between`] takes.
#[derive(Deserialize, JsonSchema)]
#[serde(crate = "plugin_api::serde", deny_unknown_fields)]
#[schemars(crate = "plugin_api::schemars")]
pub struct Limits {
    low: i64,
    high: Option<i64>,
}

/// The middle of two limits, whose type is known before it runs.
#[node(outputs = ["value"])]
pub fn between(limits: Params<Limits>) -> i64 {
    i64::midpoint(limits.low, limits.high.unwrap_or(limits.low))
}

/// A text from the parameters.
#[node(outputs = ["text"])]
pub fn text(text: Params<String>) -> Text {
    Text::from(text.as_str())
}

/// The text in capitals.
#[node(outputs = ["text"])]
pub fn shout(text: Text) -> Text {
    Text::from(text.to_uppercase())
}

/// The process that runs this node.
#[node(outputs = ["pid"])]
pub fn worker_pid() -> i64 {
    i64::from(std::process::id())
}

/// Writes to standard output and error, which are not its own.
#[node(outputs = ["value"])]
pub fn prints() -> i64 {
    println!("a line on standard output");
    eprintln!("a line on standard error");
    1
}

/// Logs at every level.
#[node(outputs = ["value"])]
pub fn logs(ctx: &Context) -> i64 {
    log::error!("an error of {}", ctx.node());
    log::warn!("a warning");
    log::info!("a notice");
    log::debug!("a detail");
    1
}

/// Says how far it is, step by step.
#[node(outputs = ["value"])]
pub fn progresses(steps: Params<i64>, ctx: &Context) -> i64 {
    for step in 1..=steps.unsigned_abs() {
        ctx.progress(step, steps.unsigned_abs());
    }
    *steps
}

/// Adds a line with its name to a file: what ran, and how often.
#[node(outputs = ["value"])]
pub fn append(before: Option<i64>, file: Params<String>, ctx: &Context) -> Result<i64> {
    steps::leave(&file, ctx)?;
    Ok(before.unwrap_or(0) + 1)
}

/// A variable of the environment, or that it is not set.
#[node(outputs = ["value"])]
pub fn environment(name: Params<String>) -> Text {
    Text::from(std::env::var(name.as_str()).unwrap_or_else(|_| "not set".to_owned()))
}

/// Two texts, one after the other.
#[node(outputs = ["text"])]
pub fn both(one: Text, other: Text) -> Text {
    Text::from(format!("{}{}", &*one, &*other))
}
