//! Blocks: the immutable bytes of one dataset in shared memory.
//!
//! A worker writes a block once ([`build`]), and from then on nobody can write to it; the worker claims it, the server checks the
//! claim ([`adopt`]) and owns the block ([`Block`]); readers check again and map it read-only ([`view`]). What a block looks
//! like in memory is [`layout`]. Small blocks travel inline in messages and live on the server's heap.
//!
//! A block that stays within its run lies in memory that its producer uses again and again: [`pool`] is the producer's side of that,
//! [`segment`] the server's, and `README.md` beside them says why nobody's data change. One that leaves its run, as an output or
//! a resident dataset, has a file of its own, sealed for ever.

pub mod adopt;
pub mod build;
mod file;
mod held;
pub mod layout;
pub mod pool;
pub mod segment;
pub mod view;

pub use held::{Accounts, Block, BlockUsage};

#[cfg(test)]
mod tests;
