//! What the machine itself takes: a process, a message and its answer. Nothing of dagd runs here.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork};

use crate::figure::Table;

const PROCESSES: usize = 200;
const MESSAGES: usize = 5_000;

/// Measures the floors. To be called while this process has one thread.
pub fn measure(table: &mut Table) {
    table.add("floor: fork, exit, wait", (0..PROCESSES).map(|_| time(one_process)).collect(), "of this small process");
    table.add("floor: message and answer", ping_pong(), "two processes, SEQPACKET socket");
}

fn time(step: impl FnOnce()) -> Duration {
    let start = Instant::now();
    step();
    start.elapsed()
}

fn one_process() {
    wait(child(|| ()));
}

fn ping_pong() -> Vec<Duration> {
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).unwrap();
    let echo = child(|| {
        let mut byte = [0];
        while matches!(receive(&theirs, &mut byte), Ok(1)) && send_all(&theirs, &byte).is_ok() {}
    });
    drop(theirs);
    let mut byte = [7];
    let samples = (0..MESSAGES).map(|_| {
        time(|| {
            send_all(&ours, &byte).unwrap();
            receive(&ours, &mut byte).unwrap();
        })
    });
    let samples = samples.collect();
    // The child holds a copy of our end too, so it is told to stop rather than left to see the end.
    send_all(&ours, &[]).ok();
    nix::sys::signal::kill(echo, nix::sys::signal::Signal::SIGKILL).ok();
    wait(echo);
    samples
}

fn send_all(socket: &OwnedFd, bytes: &[u8]) -> io::Result<()> {
    send(socket.as_raw_fd(), bytes, MsgFlags::MSG_NOSIGNAL)?;
    Ok(())
}

fn receive(socket: &OwnedFd, bytes: &mut [u8]) -> io::Result<usize> {
    Ok(recv(socket.as_raw_fd(), bytes, MsgFlags::empty())?)
}

/// Forks; the child does its work and is gone.
fn child(work: impl FnOnce()) -> Pid {
    // SAFETY: this process has one thread (`main` measures the floors first), so the child may do anything; it ends by
    // `_exit` and so runs nothing that the parent registered.
    match unsafe { fork() }.unwrap() {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            work();
            // SAFETY: `_exit` has no condition.
            unsafe { nix::libc::_exit(0) }
        }
    }
}

fn wait(child: Pid) {
    waitpid(child, None).unwrap();
}
