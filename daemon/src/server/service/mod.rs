//! The daemon as a service of systemd: what it tells the service manager, and what it gets from it.
//!
//! [`notify`] sends the messages of `sd_notify`, [`heartbeat`] says that the daemon is well, from a thread that has just had
//! proof, [`Inherited`] is what the manager passed at the start (sockets and kept descriptors), and [`FdStore`] has the
//! manager keep memory over a restart. Without a manager all of it does nothing.
#![forbid(unsafe_code)]

mod fd_store;
mod heartbeat;
mod inherited;
pub mod notify;

pub use fd_store::{FdStore, Keeper, Stored};
pub use heartbeat::{Heartbeat, Pulse};
pub use inherited::Inherited;
