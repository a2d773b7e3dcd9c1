//! dagd: a daemon that hosts plugins of nodes and runs pipelines of them in worker processes.
//!
//! One binary, four kinds of process, one folder each:
//!
//! - [`server`]: control socket, runs, planning and scheduling. Never opens a plugin.
//! - [`zygote`]: opens the plugins of one generation and forks workers.
//! - [`worker`]: runs the tasks of nodes and datasets.
//! - [`hook_host`]: runs the hooks, in order.
//!
//! The server on one side and the other three on the other meet only in [`ipc`] (messages), [`block`] (datasets in shared
//! memory) and [`sys`] (system calls). [`role`] picks which of the four this process is.
//! `README.md` beside this package has the picture, the invariants and the path of a run.

pub mod block;
pub mod hook_host;
pub mod ipc;
pub mod role;
pub mod server;
pub mod sys;
pub mod worker;
pub mod zygote;
