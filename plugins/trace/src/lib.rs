//! A hook that writes one Chrome trace per run: open it in <https://ui.perfetto.dev> or `chrome://tracing`.
//!
//! It keeps a line of JSON for each node call, load and save while a run goes on ([`recording`]) and writes the file when the
//! run is over, however it ended ([`ChromeTrace`]).

#![deny(unsafe_code)] // `plugin!` exports the one symbol that needs an exception, so this cannot be `forbid`

mod hook;
mod recording;

use plugin_api::plugin;

use self::hook::ChromeTrace;

plugin! {
    nodes: [],
    hooks: [ChromeTrace],
}
