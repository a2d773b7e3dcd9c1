//! A library whose constructor writes where nothing is mapped: `dlopen` of it ends the process with SIGSEGV.

use plugin_api::prelude::*;

#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = crash;

extern "C" fn crash() {
    let unmapped = std::ptr::without_provenance_mut::<u8>(64);
    // SAFETY: none, and that is the point: the first page is never mapped, so this write is a SIGSEGV.
    unsafe { unmapped.write_volatile(1) };
}

/// Never reached.
#[node(outputs = ["value"])]
fn unreachable() -> i64 {
    1
}

plugin! { nodes: [unreachable] }
