//! Nodes that go on reading what they were given, beyond their call.

use std::sync::{Mutex, PoisonError};

use plugin_api::prelude::*;

static KEPT: Mutex<Vec<Bytes>> = Mutex::new(Vec::new());

/// Keeps its input for good; says how many are kept.
#[node(outputs = ["count"])]
pub fn keeps_input(block: Bytes) -> i64 {
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    kept.push(block);
    kept.len() as i64
}

/// How many inputs were kept in this worker, and how many of them are not what `big` makes.
#[node(outputs = ["kept", "changed"])]
pub fn changed_inputs() -> (i64, i64) {
    let kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    let is_whole = |block: &&Bytes| block.iter().enumerate().all(|(index, byte)| *byte == (index % 251) as u8);
    (kept.len() as i64, kept.iter().filter(|block| !is_whole(block)).count() as i64)
}
