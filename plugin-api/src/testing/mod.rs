//! Running nodes, dataset types and hooks in plain memory: unit tests of a plugin without a daemon, and a sequential
//! driver for comparison.
//!
//! Everything goes through the same doors as in the daemon (blocks, formats, the panic barrier), only that the host is
//! [`MemoryHost`].
//!
//! ```
//! use plugin_api::{prelude::*, testing};
//!
//! /// Repeats a text.
//! #[node(outputs = ["text"])]
//! fn repeat(text: Text, times: i64) -> Result<String> {
//!     ensure!(times >= 0, "cannot repeat {times} times");
//!     Ok(text.repeat(times as usize))
//! }
//!
//! let outputs = testing::node::<repeat>().input("text", Text::from("ab")).input("times", 2_i64).run().unwrap();
//! assert_eq!(outputs.get::<String>("text").unwrap(), "abab");
//!
//! let failure = testing::node::<repeat>().input("text", Text::from("ab")).input("times", -1_i64).run().unwrap_err();
//! assert_eq!(failure.message, "cannot repeat -1 times");
//! ```

mod dataset;
mod hook;
mod host;
mod node;
mod plugin;

pub use self::{
    dataset::{DatasetTest, dataset},
    hook::{Answer, HookTest, hook},
    host::MemoryHost,
    node::{NodeOutputs, NodeTest, node},
    plugin::LoadedPlugin,
};
use crate::{
    Result,
    abi::{Call, Failure, InputBlock},
    context::Context,
    output::Output,
};

/// The block that a value makes as an output.
///
/// ```
/// let block = plugin_api::testing::block(2.5).unwrap();
/// assert_eq!(&*block.bytes, b"2.5");
/// ```
pub fn block(value: impl Output) -> Result<InputBlock, Failure> {
    let host = MemoryHost::new("{}");
    Context::scope(Call::new(&host), &["value"], |ctx| value.write(&ctx.output(0, "value")))?;
    host.take_output(0).ok_or_else(|| Failure::new(crate::abi::failure_kind::OUTPUT, "the value wrote no output"))
}
