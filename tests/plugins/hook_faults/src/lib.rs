//! Hooks for the end-to-end tests: some record what they hear, the others fail, each in its own way.

use plugin_api::prelude::*;

mod failing;
mod keeping;
mod picky;
mod recording;

use failing::{Crashing, Doubling, Hanging, Misnaming, Mistyping, Panicking, Refusing};
use keeping::Keeping;
use picky::Picky;
use recording::{Distant, Eager, Recorder, Uninvited};

plugin! {
    nodes: [],
    hooks: [Recorder, Eager, Uninvited, Distant, Picky, Keeping, Doubling, Refusing, Panicking, Hanging, Crashing, Misnaming, Mistyping]
}
