//! What the author of a dagd plugin uses: nodes, hooks and dataset types as plain Rust.
//!
//! A plugin is a library crate of the type `cdylib`. This is a whole one:
//!
//! ```standalone_crate
//! use plugin_api::prelude::*;
//!
//! #[derive(Serialize, Deserialize)]
//! #[serde(crate = "plugin_api::serde")] // or depend on serde yourself and leave this out
//! struct Summary {
//!     lines: usize,
//!     longest: usize,
//! }
//!
//! /// Counts the lines of a text and measures the longest.
//! #[node(outputs = ["summary"])]
//! fn summarise(text: Text, ctx: &Context) -> Result<Json<Summary>> {
//!     ensure!(!text.is_empty(), "the text is empty");
//!     info!("summarising for {}", ctx.node());
//!     let longest = text.lines().map(str::len).max().context("no line")?;
//!     Ok(Json(Summary { lines: text.lines().count(), longest }))
//! }
//!
//! plugin! { name: "summaries", nodes: [summarise] }
//!
//! // In a test of the plugin, no daemon needed:
//! fn it_counts_lines() {
//!     let outputs = plugin_api::testing::node::<summarise>().input("text", Text::from("a\nbcd")).run().unwrap();
//!     assert_eq!(outputs.get::<Json<Summary>>("summary").unwrap().longest, 3);
//! }
//! # fn main() { it_counts_lines() }
//! ```
//!
//! Reading order: [`mod@node`] for functions, [`Table`], [`Text`], [`Bytes`], [`Json`], [`Params`], [`Array`] and scalars for
//! their ports, [`Context`] for what a running node may ask, [`Error`] for how it fails, [`Dataset`] and [`Hook`] for the
//! two other things that a plugin can offer, [`testing`] to run all of them without a daemon. [`abi`] and [`manifest`] are
//! what the daemon sees.
//!
//! Only bytes with a format tag cross the boundary, never a Rust type of a data library: plugin and daemon may use different
//! versions of arrow, serde, anything. A panic never crosses it: it becomes a failure with message and place.
//!
//! # Features
//!
//! * `arrow` (default): [`Table`], [`LazyTable`], and the arrow crates under [`arrow`].
//! * `json` (default): [`Json`] and [`Params`].
//! * `schema`: parameters whose type derives `JsonSchema` are checked while a pipeline is planned.

#![allow(clippy::result_large_err, reason = "a Failure is rare, and crosses the boundary as it is: without a box")]

pub mod abi;
pub mod argument;
mod array;
mod chunks;
mod context;
pub mod dataset;
pub mod error;
#[doc(hidden)]
pub mod export;
pub mod hook;
mod logging;
pub mod manifest;
pub mod node;
mod output;
mod panics;
mod partitions;
pub mod prelude;
#[doc(hidden)]
pub mod schema;
#[cfg(feature = "arrow")]
mod table;
pub mod testing;
mod value;

pub use log;
pub use plugin_api_macros::{hook, node, plugin};
#[cfg(feature = "schema")]
pub use schemars;
pub use serde;
pub use serde_json;

#[cfg(feature = "arrow")]
pub use self::table::{LazyTable, Strings, Table};
#[cfg(feature = "json")]
pub use self::value::{Json, Params};
pub use self::{
    abi::Number,
    array::{Array, ArrayBuilder},
    chunks::{Chunk, Chunks, IntoChunk},
    context::Context,
    dataset::{ChunkSession, Dataset},
    error::{Error, Result},
    hook::Hook,
    node::{Input, Node, Outputs},
    output::{Output, OutputPort, OutputWriter, Written},
    partitions::{IntoPartition, Partition, Partitioned, Partitions},
    value::{Block, Bytes, Text},
};

/// The arrow crates that [`Table`] is made of, so that a plugin needs none of its own (and gets no second version).
#[cfg(feature = "arrow")]
pub mod arrow {
    pub use arrow_array as array;
    pub use arrow_buffer as buffer;
    pub use arrow_ipc as ipc;
    pub use arrow_schema as schema;
    pub use arrow_select as select;
}

/// A type's name without the paths in it.
#[cfg(any(feature = "arrow", feature = "json"))]
pub(crate) fn short_type_name<T>() -> String {
    let mut short = String::new();
    for part in std::any::type_name::<T>()
        .split_inclusive(|letter: char| !(letter.is_alphanumeric() || letter == '_' || letter == ':'))
    {
        short.push_str(part.rsplit("::").next().unwrap_or(part));
    }
    short
}

/// The examples that people copy are compiled as they stand.
#[cfg(all(doctest, feature = "arrow", feature = "schema"))]
mod documents {
    #[doc = include_str!("../../README.md")]
    struct Tour;

    #[doc = include_str!("../../plugins/README.md")]
    struct Guide;
}
