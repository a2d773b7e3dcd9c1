//! End-to-end tests: the real daemon, the real client, real plugins and real faults. A module a topic.
//!
//! No test asserts a time. Each runs in a [`tests::Scene`] of its own and checks at its end that nothing is left behind.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod acknowledged;
mod bad_input;
mod bad_plugins;
mod control_socket;
mod data_plane;
mod dev;
mod disk;
mod faults;
mod flights;
mod hooks;
mod hooks_chain;
mod hooks_many;
mod interrupted;
mod managed;
mod memory;
mod parity;
mod picky;
mod pipelines;
mod policies;
mod random_load;
mod reload;
mod rings;
mod scale;
mod service;
mod spaceflights;
mod terminal;
