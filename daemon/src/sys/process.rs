//! What a process does to itself, and to its dead children.

use std::ffi::CStr;
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::libc;
use nix::sys::prctl;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, killpg, sigprocmask};
use nix::unistd::{Pid, dup2_stderr, dup2_stdin, dup2_stdout, getppid, setpgid};

use crate::ipc::message::Ending;

/// Asks the kernel to kill this process with its parent (to be exact: with the thread that started it), and checks
/// that the parent is not dead already, in which case the kernel would have nothing to notice.
pub fn die_with(parent: i32) -> io::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    let found = getppid().as_raw();
    if found == parent {
        return Ok(());
    }
    Err(io::Error::other(format!("the parent process {parent} has gone (the parent is now {found})")))
}

/// Makes this process the leader of a group of its own: a Ctrl-C on the terminal is for the client, not for us.
pub fn lead_own_group() -> io::Result<()> {
    match setpgid(Pid::from_raw(0), Pid::from_raw(0)) {
        // Already the leader of a session, which is the same to us.
        Err(Errno::EPERM) => Ok(()),
        result => Ok(result?),
    }
}

/// Ends every process of the group that this child leads (see [`lead_own_group`]), the child too. For a child that has
/// not been reaped: until then, and as long as the group has a member, its number is nobody else's.
pub fn kill_group(leader: i32) {
    // 0 would be our own group, and 1 everybody. The one error there can be is a group without members.
    if leader > 1 {
        let _ = killpg(Pid::from_raw(leader), Signal::SIGKILL);
    }
}

/// The name that `ps` and `top` show, at most 15 bytes.
pub fn set_name(name: &CStr) {
    // A name is a kindness; its absence harms nobody.
    let _ = prctl::set_name(name);
}

/// Lets every signal through again, in case a library's start-up code blocked some.
pub fn unblock_signals() -> io::Result<()> {
    Ok(sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?)
}

/// How many threads this process has.
pub fn thread_count() -> io::Result<usize> {
    Ok(fs::read_dir("/proc/self/task")?.count())
}

/// stdin from `/dev/null`; stdout and stderr to `output` if there is one.
pub fn redirect_standard_streams(output: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let null = fs::File::open("/dev/null")?;
    dup2_stdin(&null)?;
    if let Some(output) = output {
        dup2_stdout(output)?;
        dup2_stderr(output)?;
    }
    Ok(())
}

/// Takes the socket that this process was started with as its stdin, and puts `/dev/null` there instead.
pub fn take_stdin() -> io::Result<OwnedFd> {
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    redirect_standard_streams(None)?;
    Ok(socket)
}

/// Takes a descriptor that this process was started with, by its number (systemd's `LISTEN_FDS` start at 3).
///
/// What comes back is a duplicate; the original stays open under its number, but closes on `exec`.
pub fn take_inherited(number: i32) -> io::Result<OwnedFd> {
    if number < 0 {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: the number is not -1. It is borrowed for this function only, in which nothing closes it; if no such
    // descriptor is open, the first call says EBADF and nothing else is done with it.
    let inherited = unsafe { BorrowedFd::borrow_raw(number) };
    let taken = inherited.try_clone_to_owned()?;
    nix::fcntl::fcntl(inherited, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))?;
    Ok(taken)
}

/// Closes every descriptor but stdin, stdout, stderr and these.
///
/// # Safety
/// Nothing in this process may use or close any other descriptor any more: true in a child that has just been forked,
/// never runs its parent's destructors, and leaves by `_exit`.
pub unsafe fn close_all_but(kept: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut kept: Vec<RawFd> = kept.iter().map(|descriptor| descriptor.as_raw_fd()).collect();
    kept.sort_unstable();
    let mut first = 3;
    for raw in kept {
        let raw = raw.unsigned_abs();
        if raw > first {
            close_range(first, raw - 1)?;
        }
        first = first.max(raw + 1);
    }
    close_range(first, libc::c_uint::MAX)
}

/// Keeps descriptors that this process inherited, from whoever started its daemon, from those it will execute.
pub fn keep_inherited_files_here() -> io::Result<()> {
    // SAFETY: takes integers only, and only sets a flag: every descriptor stays open.
    let result = unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    Errno::result(result)?;
    Ok(())
}

fn close_range(first: libc::c_uint, last: libc::c_uint) -> io::Result<()> {
    // SAFETY: takes integers only; that nobody misses the descriptors is the contract of `close_all_but`, the only
    // caller.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    Errno::result(result)?;
    Ok(())
}

/// Leaves at once: no destructors, no `atexit` functions, none of them ours or a plugin's.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit may be called at any time and does not return.
    unsafe { libc::_exit(code) }
}

/// How a child ended and the most memory it had resident, if it has ended. It is gone for good then, and its process
/// id may come back as somebody else's. nix has no `wait4`, and `waitid` does not tell the memory.
pub fn reap(pid: i32) -> io::Result<Option<(Ending, u64)>> {
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both pointers are to live memory of the right types, which the call fills.
    let result = unsafe { libc::wait4(pid, &raw mut status, libc::WNOHANG, usage.as_mut_ptr()) };
    if Errno::result(result)? == 0 {
        return Ok(None);
    }
    // SAFETY: rusage is plain integers, zeroed at first and then filled.
    let usage = unsafe { usage.assume_init() };
    let max_rss_bytes = u64::try_from(usage.ru_maxrss).unwrap_or(0).saturating_mul(1024);
    let ending = if libc::WIFSIGNALED(status) {
        Ending::Signalled { signal: libc::WTERMSIG(status), core: libc::WCOREDUMP(status) }
    } else {
        Ending::Exited(libc::WEXITSTATUS(status))
    };
    Ok(Some((ending, max_rss_bytes)))
}
