//! The heap of this process.

/// Gives what is free in the heap back to the system.
///
/// The C library keeps what threads free, in a part of the heap for each few threads, for those that come: after many threads have
/// come and gone that is memory nobody uses. Takes a moment in which other threads may wait for the heap.
#[cfg(target_env = "gnu")]
pub fn give_back() {
    // SAFETY: takes a number and nothing else, and may be called by any thread at any time (malloc_trim(3): MT-Safe).
    let _ = unsafe { nix::libc::malloc_trim(0) };
}

/// Other C libraries give back what is free by themselves.
#[cfg(not(target_env = "gnu"))]
pub fn give_back() {}
