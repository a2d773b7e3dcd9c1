//! Nodes that report which memory lies behind their data: the proof that the reader reads the writer's pages.

use std::fs;

use plugin_api::prelude::*;
use serde_json::{Value, json};

use crate::hangs;

const LENGTH: usize = 256 << 10;

/// Writes a block in place and reports the mapping it was written to.
#[node(outputs = ["block", "report"])]
pub fn producer(ctx: &Context) -> Result<(Written<Bytes>, Json<Value>)> {
    let mut output = ctx.output_buffer("block", LENGTH)?;
    let room = output.fill(LENGTH)?;
    room.fill(7);
    let report = mapping_of(room.as_ptr().addr())?;
    Ok((output.finish_bytes()?, Json(report)))
}

/// Reports the mapping that its input is read from.
#[node(outputs = ["report"])]
pub fn consumer(block: Bytes) -> Result<Json<Value>> {
    ensure!(block.len() == LENGTH && block.iter().all(|byte| *byte == 7), "the block is not the producer's");
    Ok(Json(mapping_of(block.as_ptr().addr())?))
}

/// Reports like [`consumer`], after as many nodes as `count` have come: each in a process of its own.
#[node(outputs = ["report"])]
pub fn meeting_consumer(
    block: Bytes,
    folder: Params<String>,
    count: Params<i64>,
    ctx: &Context,
) -> Result<Json<Value>> {
    hangs::meet(&folder, *count, ctx)?;
    Ok(Json(mapping_of(block.as_ptr().addr())?))
}

/// Holds a block until a file exists.
#[node(outputs = ["length"])]
pub fn holds(block: Bytes, file: Params<String>, ctx: &Context) -> Result<i64> {
    hangs::wait_for_file(&file, ctx)?;
    Ok(block.len() as i64)
}

/// What `/proc/self/maps` says of the mapping that holds the address.
fn mapping_of(address: usize) -> Result<Value> {
    let maps = fs::read_to_string("/proc/self/maps")?;
    for line in maps.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let Some((start, end)) = fields[0].split_once('-') else { continue };
        let range = usize::from_str_radix(start, 16)?..usize::from_str_radix(end, 16)?;
        if range.contains(&address) {
            let inode: u64 = fields[4].parse()?;
            return Ok(json!({
                "inode": inode,
                "permissions": fields[1],
                "file": fields.get(5).copied().unwrap_or_default(),
                "process": std::process::id(),
            }));
        }
    }
    bail!("no mapping holds the address {address:#x}")
}
