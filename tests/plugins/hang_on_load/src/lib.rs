//! A library whose constructor never returns: `dlopen` of it hangs.

use std::time::Duration;

use plugin_api::prelude::*;

#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = hang;

extern "C" fn hang() {
    // Asleep, so that a hung test machine stays usable.
    loop {
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// Never reached.
#[node(outputs = ["value"])]
fn unreachable() -> i64 {
    1
}

plugin! { nodes: [unreachable] }
