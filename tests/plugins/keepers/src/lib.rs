//! Dataset types that watch how they are treated, and one that cannot keep a secret; a hook that shows what it hears.

use plugin_api::prelude::*;

mod counted;
mod listener;
mod vault;

plugin! {
    nodes: [],
    datasets: [counted::Counted, vault::Vault],
    hooks: [listener::Listener],
}
