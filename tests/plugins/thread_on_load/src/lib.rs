//! A library whose constructor starts a thread: its generation must not fork, so it starts workers by exec. It also
//! prints while it loads, more than a pipe holds, so that each of them must be read before it is ready.

use std::time::Duration;

use plugin_api::prelude::*;

#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = start_thread;

extern "C" fn start_thread() {
    eprintln!("{}", "loading ".repeat(20_000));
    let thread = std::thread::Builder::new().name("thread_on_load".into());
    // Where no thread can be started, the library is harmless; the tests would notice.
    let _ = thread.spawn(|| {
        loop {
            std::thread::sleep(Duration::from_secs(1));
        }
    });
}

/// Works as any node does, once its worker was started the other way.
#[node(outputs = ["answer"])]
fn answer() -> i64 {
    42
}

plugin! { nodes: [answer] }
