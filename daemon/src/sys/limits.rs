//! The limits a worker sets itself before it touches a task, as one visible list of steps.

use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::ipc::message::Limits;

/// Sets all limits. They are lowered for good: the hard limits too, so that no plugin raises them again.
pub fn apply(limits: &Limits) -> io::Result<()> {
    if limits.memory_bytes > 0 {
        // Private writable memory: heap, stack, anonymous mappings. Blocks are shared memory and do not count, so a
        // worker may read inputs far larger than this.
        lower(Resource::RLIMIT_DATA, limits.memory_bytes)?;
    }
    if limits.open_files > 0 {
        lower(Resource::RLIMIT_NOFILE, limits.open_files)?;
    }
    lower(Resource::RLIMIT_CORE, limits.core_bytes)
}

/// Lowers both the soft and the hard limit to `wanted`, or to the hard limit there is.
fn lower(resource: Resource, wanted: u64) -> io::Result<()> {
    let (_, hard) = getrlimit(resource)?;
    let value = wanted.min(hard);
    setrlimit(resource, value, value)
        .map_err(|problem| io::Error::other(format!("cannot set {resource:?} to {value}: {problem}")))
}
