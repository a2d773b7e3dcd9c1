//! Every raw system call of the daemon, thin, each with its proof.
//!
//! `nix` and `memmap2` where they offer the call; `libc` (through `nix`) where they do not. Nothing here decides
//! anything: policies live with the callers. All descriptors made here close on `exec`.

pub mod fork;
pub mod futex;
pub mod heap;
pub mod lease;
pub mod limits;
pub mod map;
pub mod memfd;
pub mod packet;
pub mod pidfd;
mod populate;
pub mod prefetch;
pub mod process;
pub mod processor;
mod region;
pub mod spawn;
pub mod wait;
pub mod xattr;

/// The kernel deals in pages of this many bytes; a multiple of it where pages are larger.
pub const PAGE_BYTES: usize = 4096;
