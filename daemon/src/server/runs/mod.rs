//! Runs: those under way, those that just ended, and what each holds.
//!
//! [`Run`] is one run: the engine's state behind one lock, held for a step only, and the blocks of its datasets. [`Registry`] finds
//! runs by id. [`id`] makes ids.
#![forbid(unsafe_code)]

mod gate;
mod gauge;
pub mod id;
mod registry;
mod run;

pub use id::of_time as version_of_time;
pub use registry::{AddError, Registry};
pub use run::{Ending, HeldBlock, Keep, Made, Origin, Run, RunSettings};
