//! What `/proc` tells about the processes of one scene.
//!
//! Every scene runs its own hard link of `dagd`, and forked workers share their zygote's executable, so the link's path
//! finds every process of the scene, also those whose parent is gone.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

/// A living process (zombies are not counted: they hold nothing).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process {
    /// Its id.
    pub pid: i32,
    /// Its parent's id.
    pub parent: i32,
    /// Its command name, which tells a forked worker from its zygote.
    pub name: String,
    /// Its command line.
    pub command_line: String,
}

/// Shared memory without a name, as one process holds it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MemoryFile {
    /// Identity of the memory, the same in every process.
    pub inode: u64,
    /// The label given on creation.
    pub label: String,
}

/// Every living process that runs the executable.
pub fn running(executable: &Path) -> Vec<Process> {
    let mut found: Vec<_> = all_pids().filter(|pid| executable_of(*pid).as_deref() == Some(executable)).collect();
    found.sort_unstable();
    found.into_iter().filter_map(look_at).collect()
}

/// The memory files that a process holds open.
pub fn memory_files(pid: i32) -> BTreeSet<MemoryFile> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return BTreeSet::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let target = fs::read_link(entry.path()).ok()?;
            let label = target.to_str()?.strip_prefix("/memfd:")?.trim_end_matches(" (deleted)").to_owned();
            Some(MemoryFile { inode: fs::metadata(entry.path()).ok()?.ino(), label })
        })
        .collect()
}

/// The number of file descriptors that a process holds open.
pub fn open_files(pid: i32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// What the file descriptors of a process lead to, sorted.
pub fn open_targets(pid: i32) -> Vec<PathBuf> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let mut targets: Vec<PathBuf> = entries.filter_map(|entry| fs::read_link(entry.path()).ok()).collect();
    targets.sort();
    targets
}

/// The most memory a process ever had resident, in KiB.
pub fn resident_kib(pid: i32) -> u64 {
    kib_of_status(pid, "VmHWM:")
}

/// The memory a process has resident now, in KiB.
pub fn resident_now_kib(pid: i32) -> u64 {
    kib_of_status(pid, "VmRSS:")
}

/// The threads of a process.
pub fn threads(pid: i32) -> usize {
    fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count)
}

fn kib_of_status(pid: i32, key: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Processes anywhere on the machine that hold one of these memories, open or mapped.
pub fn holders(memories: &BTreeSet<MemoryFile>) -> Vec<i32> {
    let inodes: BTreeSet<u64> = memories.iter().map(|memory| memory.inode).collect();
    all_pids()
        .filter(|pid| {
            memory_files(*pid).iter().any(|held| inodes.contains(&held.inode))
                || mapped_memory_inodes(*pid).iter().any(|inode| inodes.contains(inode))
        })
        .collect()
}

/// Ends a process that the test started, the hard way. One that is gone already is fine.
pub fn kill_hard(pid: i32) {
    let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
}

/// Sends a signal to a process that the test started. One that is gone already is fine.
pub fn signal(pid: i32, signal: Signal) {
    let _ = kill(Pid::from_raw(pid), signal);
}

/// The children of a process.
pub fn children(pid: i32) -> Vec<i32> {
    all_pids().filter_map(look_at).filter(|process| process.parent == pid).map(|process| process.pid).collect()
}

/// The thread of a process that has this name.
pub fn thread(pid: i32, name: &str) -> Option<i32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten();
    let named = |path: &Path| fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim_end() == name);
    threads.filter(|thread| named(&thread.path())).find_map(|thread| thread.file_name().to_str()?.parse().ok())
}

/// One thread of a process, held where it is while all others go on. A signal could only stop the whole process.
pub struct Stuck(Pid);

impl Stuck {
    /// Holds the thread; none where that is not allowed. It goes on when this process ends, at the latest.
    pub fn hold(thread: i32) -> Option<Self> {
        let thread = Pid::from_raw(thread);
        ptrace::seize(thread, ptrace::Options::empty()).ok()?;
        ptrace::interrupt(thread).ok()?;
        waitpid(thread, Some(WaitPidFlag::__WALL)).ok()?;
        Some(Self(thread))
    }

    /// Lets it go on.
    pub fn release(self) {
        ptrace::detach(self.0, None).unwrap();
    }
}

fn all_pids() -> impl Iterator<Item = i32> {
    fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn executable_of(pid: i32) -> Option<PathBuf> {
    let target = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    Some(target.to_str().map_or_else(|| target.clone(), |text| text.trim_end_matches(" (deleted)").into()))
}

fn look_at(pid: i32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in brackets and may hold anything, so the fields start after the last bracket.
    let (head, tail) = stat.rsplit_once(')')?;
    let mut fields = tail.split_whitespace();
    if fields.next()? == "Z" {
        return None;
    }
    let parent = fields.next()?.parse().ok()?;
    let command_line = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?.replace('\0', " ").trim().to_owned();
    Some(Process { pid, parent, name: head.split_once('(')?.1.to_owned(), command_line })
}

fn mapped_memory_inodes(pid: i32) -> Vec<u64> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    maps.lines()
        .filter(|line| line.contains("/memfd:"))
        .filter_map(|line| line.split_whitespace().nth(4)?.parse().ok())
        .collect()
}
