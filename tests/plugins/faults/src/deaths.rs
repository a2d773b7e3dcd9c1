//! Nodes that end their process, or try to.

use std::ffi::{CString, c_char, c_int};

use plugin_api::prelude::*;

unsafe extern "C" {
    fn fork() -> c_int;
    fn setsid() -> c_int;
    fn fcntl(descriptor: c_int, command: c_int, ...) -> c_int;
    fn execl(path: *const c_char, name: *const c_char, ...) -> c_int;
    fn _exit(code: c_int) -> !;
}

/// Panics with a message.
#[node(outputs = ["value"])]
pub fn panics() -> i64 {
    panic!("the sky fell on node {}", 7)
}

/// Writes where nothing is mapped.
#[node(outputs = ["value"])]
pub fn segfaults() -> i64 {
    segfault()
}

/// Aborts the process.
#[node(outputs = ["value"])]
pub fn aborts() -> i64 {
    std::process::abort()
}

/// Leaves the process as if all were well.
#[node(outputs = ["value"])]
pub fn exits() -> i64 {
    std::process::exit(0)
}

/// Recurses until the stack is used up.
#[node(outputs = ["value"])]
pub fn overflows_stack() -> i64 {
    i64::from(deeper(1))
}

/// Segfaults on its first attempts and gives the number of the attempt that survives.
#[node(outputs = ["attempt"])]
pub fn crashes_until(attempt: Params<i64>, ctx: &Context) -> i64 {
    let present = i64::from(ctx.attempt());
    if present < *attempt { segfault() } else { present }
}

/// Aborts, and leaves a process behind that holds every file of the worker and has left its group. It ends when whoever started the worker
/// has: long after the run.
#[node(outputs = ["value"])]
pub fn leaves_child() -> Result<i64> {
    const F_SETFD: c_int = 2;
    let waits = CString::new(format!("exec tail --pid={} -f /dev/null", std::os::unix::process::parent_id()))?;
    // SAFETY: a worker has one thread, and no other node of this process runs.
    if unsafe { fork() } == 0 {
        // SAFETY: takes nothing.
        unsafe { setsid() };
        for descriptor in 3..64 {
            // SAFETY: only sets a flag, of descriptors that are open or not.
            unsafe { fcntl(descriptor, F_SETFD, 0) };
        }
        let shell = c"/bin/sh".as_ptr();
        // SAFETY: texts with their ends, and a null pointer behind the last one.
        unsafe { execl(shell, shell, c"-c".as_ptr(), waits.as_ptr(), std::ptr::null::<c_char>()) };
        // SAFETY: ends the child, which must not return into the node.
        unsafe { _exit(1) };
    }
    std::process::abort()
}

/// Writes where nothing is mapped.
pub fn segfault() -> ! {
    let unmapped = std::ptr::without_provenance_mut::<u8>(64);
    // SAFETY: broken on purpose: the first page is never mapped, so this write is a SIGSEGV.
    unsafe { unmapped.write_volatile(1) };
    unreachable!("the first page is mapped")
}

#[expect(unconditional_recursion, reason = "that is the fault")]
fn deeper(depth: u8) -> u8 {
    let room = std::hint::black_box([depth; 4096]);
    deeper(room[usize::from(depth)]).wrapping_add(room[0])
}
