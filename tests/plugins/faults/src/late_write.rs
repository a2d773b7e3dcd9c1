//! Nodes that write to a block after it was committed.

use std::sync::atomic::{AtomicPtr, Ordering};

use plugin_api::prelude::*;

/// Where the last committed output was being written.
static KEPT: AtomicPtr<u8> = AtomicPtr::new(std::ptr::null_mut());

const LENGTH: usize = 1 << 20;

/// Gives a megabyte of ones, and keeps the address of it.
#[node(outputs = ["block"])]
pub fn keeps_pointer(ctx: &Context) -> Result<Written<Bytes>> {
    let mut output = ctx.output_buffer("block", LENGTH)?;
    let room = output.fill(LENGTH)?;
    room.fill(1);
    KEPT.store(room.as_mut_ptr(), Ordering::Relaxed);
    output.finish_bytes()
}

/// Writes to the kept address, in the same worker; gives the first byte of the block it was given.
#[node(outputs = ["first"])]
pub fn writes_late(block: Bytes) -> Result<i64> {
    let kept = KEPT.load(Ordering::Relaxed);
    ensure!(!kept.is_null(), "the block was made by another worker; this fault needs both nodes in one");
    // SAFETY: broken on purpose: the memory was given away with the commit, so nothing writable may be there.
    unsafe { kept.write_volatile(2) };
    Ok(i64::from(block[0]))
}
