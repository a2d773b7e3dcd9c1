//! One of three plugins with a hook that writes down every event; this one registers itself.

#[path = "../../hooks_a/src/every_event.rs"]
mod every_event;

use every_event::EveryEvent;

const SELF_REGISTERING: bool = true;

plugin_api::plugin! { nodes: [], hooks: [EveryEvent] }
