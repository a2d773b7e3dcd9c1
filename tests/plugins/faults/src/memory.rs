//! Nodes that take memory: without end, or just much of it.

use plugin_api::prelude::*;

const STEP: usize = 16 << 20;
/// Where the fault gives up, so that a missing limit fails the test and not the machine.
const END: usize = 4 << 30;

/// Allocates and touches memory until it is stopped.
#[node(outputs = ["bytes"])]
pub fn allocates() -> Result<i64> {
    let mut hoard: Vec<Vec<u8>> = Vec::new();
    while hoard.len() * STEP < END {
        hoard.push(vec![1; STEP]);
    }
    bail!("no limit stopped me at {} MiB", (std::hint::black_box(&hoard).len() * STEP) >> 20)
}

/// A large output, written in place: its bytes count up from 0 to 250 and again.
#[node(outputs = ["data"])]
pub fn big(bytes: Params<i64>, ctx: &Context) -> Result<Written<Bytes>> {
    let length = usize::try_from(*bytes).context("a size is not negative")?;
    let mut output = ctx.output_buffer("data", length)?;
    for (index, byte) in output.fill(length)?.iter_mut().enumerate() {
        *byte = (index % 251) as u8;
    }
    output.finish_bytes()
}

/// A large output, written in place as fast as memory takes it: every byte is 1.
#[node(outputs = ["data"])]
pub fn filled(bytes: Params<i64>, ctx: &Context) -> Result<Written<Bytes>> {
    let length = usize::try_from(*bytes).context("a size is not negative")?;
    let mut output = ctx.output_buffer("data", length)?;
    output.fill(length)?.fill(1);
    output.finish_bytes()
}

/// The length of a block and its first byte, without reading the rest.
#[node(outputs = ["length", "first"])]
pub fn length(data: Bytes) -> (i64, i64) {
    (data.len() as i64, data.first().copied().map_or(-1, i64::from))
}

/// The sum of a block's bytes: reads all of it.
#[node(outputs = ["sum"])]
pub fn sum(data: Bytes) -> i64 {
    data.iter().map(|byte| i64::from(*byte)).sum()
}
