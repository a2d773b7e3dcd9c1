//! One of three plugins with a hook that writes down every event; to be listed in the configuration.

mod every_event;

use every_event::EveryEvent;

const SELF_REGISTERING: bool = false;

plugin_api::plugin! { nodes: [], hooks: [EveryEvent] }
