//! What passes between our processes: messages, the channels that carry them, rings of small ones, and pages of shared atomics.
//!
//! Start with [`message`]; the server uses [`client`], the other processes use [`channel`] directly.

pub mod channel;
pub mod client;
mod codec;
pub mod manifest;
pub mod message;
pub mod page;
pub mod returns;
pub mod ring;
mod shared;
pub mod to_server;
