//! Blocks: the immutable bytes of one dataset in shared memory.
//!
//! A worker writes a block once ([`build`]), seals it, and claims it; the server checks the claim ([`adopt`]) and from
//! then on owns the block ([`Block`]); readers check again and map it read-only ([`view`]). What a block's file looks
//! like is [`layout`]. Small blocks travel inline in messages and live on the server's heap.

pub mod adopt;
pub mod build;
mod held;
pub mod layout;
pub mod view;

pub use held::{Accounts, Block, BlockUsage};

#[cfg(test)]
mod tests;
