//! The heap of this process.

/// Has the heap be in as many parts as there are processors, however many threads come and go. To be called before there are others.
///
/// The C library makes up to eight a processor. A block that a thread leaves behind keeps its page in that thread's part, and threads
/// here end with their generation; fewer parts are filled again by the threads after them. More threads than processors do not run
/// at once, so they hardly wait for each other.
#[cfg(target_env = "gnu")]
pub fn bound_parts() {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let parts = nix::libc::c_int::try_from(processors.max(2)).unwrap_or(nix::libc::c_int::MAX);
    // SAFETY: takes two numbers and nothing else; where the first means nothing to it, it does nothing (mallopt(3)). It is not safe
    // beside other threads that allocate, and there are none yet.
    let _ = unsafe { nix::libc::mallopt(nix::libc::M_ARENA_MAX, parts) };
}

/// Other C libraries have heaps of other kinds.
#[cfg(not(target_env = "gnu"))]
pub fn bound_parts() {}

/// Has the heap keep up to so many free bytes for what is allocated next. To be called before there are other threads.
///
/// The C library gives large blocks back to the system as soon as they are freed, and what is taken anew is faulted in page by
/// page, which costs four times the writing: a node on a table of 20 MB would spend a third of its time on it. Who has nothing to do
/// should call [`give_back`].
#[cfg(target_env = "gnu")]
pub fn keep_free(bytes: u64) {
    /// The largest block that may come from the heap: the C library takes no more.
    const BLOCK_BYTES_MAX: nix::libc::c_int = 32 << 20;
    let bytes = nix::libc::c_int::try_from(bytes).unwrap_or(nix::libc::c_int::MAX);
    let rules = [(nix::libc::M_MMAP_THRESHOLD, BLOCK_BYTES_MAX.min(bytes)), (nix::libc::M_TRIM_THRESHOLD, bytes)];
    for (rule, bytes) in rules {
        // SAFETY: takes two numbers and nothing else; where the first means nothing to it, it does nothing (mallopt(3)). It is not
        // safe beside other threads that allocate, and there are none yet.
        let _ = unsafe { nix::libc::mallopt(rule, bytes) };
    }
}

/// Other C libraries have rules of their own.
#[cfg(not(target_env = "gnu"))]
pub fn keep_free(_: u64) {}

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
