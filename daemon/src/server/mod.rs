//! The server: control socket, runs, planning and scheduling. It never opens a plugin and never forks without exec.
//!
//! # Threads
//!
//! | thread | what it does | may block on |
//! | --- | --- | --- |
//! | main | starts everything, waits for signals | signals |
//! | control | every connection of the API, on one tokio thread | nothing; requests go to helper threads |
//! | driver-N | one worker each: takes jobs, speaks with the worker, calls hooks, steps the run | its worker, its bell, hooks |
//! | generation-N | owns the zygote (which dies with this thread), starts processes, hears of their ends | the zygote |
//! | heartbeat | tells systemd that control and scheduler answer, under systemd only | its own request |
//! | watch | reloads when a library in a plugin directory changed | files, a reload |
//! | retire | ends generations that no run uses any more | their processes |
//! | clock | wakes runs at their deadlines | time |
//! | usher | opens and closes runs: their hooks, their reports | hooks, the store |
//! | store | writes to SQLite | the disk |
//!
//! # Locks
//!
//! Each run has one lock, held for one step of the engine. Under it events are published (the feed's own short lock, and the locks
//! of single datasets); no other lock is taken while it is held. The hook host has one lock, held for one event; log lines are
//! published under it, steps are not.
//!
//! # The path of a run
//!
//! [`daemon::Daemon::submit`] plans and registers it, [`usher`] opens it, [`runs::Run::step`] gives events to the engine, [`perform`]
//! carries out its actions, [`pool`] runs the tasks, and [`usher`] closes it.
#![allow(clippy::result_large_err, reason = "an error tells its whole story and is rare: not worth a box a step")]

pub mod api;
pub mod beside;
pub mod blocks;
pub mod budget;
pub mod catalog;
pub mod cgroup;
pub mod clock;
pub mod config;
pub mod convert;
pub mod credentials;
pub mod daemon;
pub mod errand;
pub mod feed;
pub mod generations;
pub mod handed_in;
pub mod hooks;
pub mod json;
pub mod keeping;
pub mod logging;
pub mod logs;
pub mod missing;
pub mod offers;
pub mod outputs;
pub mod perform;
pub mod pool;
pub mod probe;
pub mod residents;
pub mod runs;
pub mod serve;
pub mod service;
pub mod services;
pub mod signals;
pub mod socket;
pub mod spare;
pub mod stop;
pub mod store;
pub mod uploads;
pub mod usher;
pub mod versions;
pub mod wanted;

pub use daemon::{CancelOutcome, Daemon, ShutdownMode, StartError, SubmitError};
