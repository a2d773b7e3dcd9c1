//! Hooks for the end-to-end tests: some record what they hear, the others fail, each in its own way.

use plugin_api::prelude::*;

mod failing;
mod recording;

use failing::{Crashing, Doubling, Hanging, Misnaming, Mistyping, Panicking, Refusing};
use recording::{Eager, Recorder, Uninvited};

plugin! {
    nodes: [],
    hooks: [Recorder, Eager, Uninvited, Doubling, Refusing, Panicking, Hanging, Crashing, Misnaming, Mistyping]
}
