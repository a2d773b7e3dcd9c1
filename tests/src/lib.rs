//! Harness of the end-to-end tests: real binaries, real plugins, real faults, each test in a folder of its own.
//!
//! Reading order: [`Scene`] lays out a folder holding `dagd`, `ctl` and just the wanted plugins; [`Daemon`] is a running
//! `dagd serve` in it; [`command`] runs programs with a deadline; [`http`] speaks to the socket without any client
//! library, so that it can also misspeak; [`processes`] looks at `/proc` to prove that nothing is left behind.
//!
//! Two rules hold for everything here: tests never sleep to synchronise, they poll with a deadline ([`wait`]); and only
//! processes that a test started are ended, by their id.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a harness panics to fail the test that uses it")]

pub mod artifacts;
pub mod command;
pub mod daemon;
pub mod demonstration;
pub mod draw;
pub mod expected;
pub mod golden;
pub mod http;
pub mod manager;
pub mod processes;
pub mod random_load;
pub mod reloads;
pub mod scene;
pub mod terminal;
pub mod versions;
pub mod wait;

pub use command::Outcome;
pub use daemon::Daemon;
pub use draw::Draw;
pub use scene::{Scene, SceneBuilder};
pub use terminal::Terminal;
pub use versions::{Broken, Versions};
