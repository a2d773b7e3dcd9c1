//! Processes by descriptor: no race with a reused process id.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::Signal;

/// A descriptor for a child that has not been waited for yet; it becomes readable when the process ends.
pub fn open(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: pidfd_open takes two integers and touches no memory of ours.
    let raw = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let raw = Errno::result(raw)?;
    let raw = RawFd::try_from(raw).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    // SAFETY: the call succeeded, so `raw` is a new open descriptor (close-on-exec by definition) that is ours alone.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Sends a signal; `ESRCH` if the process is gone already.
pub fn signal(pidfd: impl AsFd, signal: Signal) -> io::Result<()> {
    // SAFETY: pidfd_send_signal takes a descriptor that is open for the length of the call, integers, and a null
    // pointer which stands for "no further information".
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_fd().as_raw_fd(),
            signal as libc::c_int,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    Errno::result(result)?;
    Ok(())
}

/// Ends the process for certain. One that is gone already is as good.
pub fn kill(pidfd: impl AsFd) -> io::Result<()> {
    match signal(pidfd, Signal::SIGKILL) {
        Err(problem) if problem.raw_os_error() == Some(libc::ESRCH) => Ok(()),
        result => result,
    }
}
