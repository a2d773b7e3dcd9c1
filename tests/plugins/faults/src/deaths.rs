//! Nodes that end their process, or try to.

use plugin_api::prelude::*;

/// Panics with a message.
#[node(outputs = ["value"])]
pub fn panics() -> i64 {
    panic!("the sky fell on node {}", 7)
}

/// Writes where nothing is mapped.
#[node(outputs = ["value"])]
pub fn segfaults() -> i64 {
    segfault()
}

/// Aborts the process.
#[node(outputs = ["value"])]
pub fn aborts() -> i64 {
    std::process::abort()
}

/// Leaves the process as if all were well.
#[node(outputs = ["value"])]
pub fn exits() -> i64 {
    std::process::exit(0)
}

/// Recurses until the stack is used up.
#[node(outputs = ["value"])]
pub fn overflows_stack() -> i64 {
    i64::from(deeper(1))
}

/// Segfaults on its first attempts and gives the number of the attempt that survives.
#[node(outputs = ["attempt"])]
pub fn crashes_until(attempt: Params<i64>, ctx: &Context) -> i64 {
    let present = i64::from(ctx.attempt());
    if present < *attempt { segfault() } else { present }
}

fn segfault() -> ! {
    let unmapped = std::ptr::without_provenance_mut::<u8>(64);
    // SAFETY: broken on purpose: the first page is never mapped, so this write is a SIGSEGV.
    unsafe { unmapped.write_volatile(1) };
    unreachable!("the first page is mapped")
}

#[expect(unconditional_recursion, reason = "that is the fault")]
fn deeper(depth: u8) -> u8 {
    let room = std::hint::black_box([depth; 4096]);
    deeper(room[usize::from(depth)]).wrapping_add(room[0])
}
