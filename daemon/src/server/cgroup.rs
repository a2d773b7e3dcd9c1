//! The cgroup that systemd delegates to the service: each process of a plugin in a leaf of its own.
//!
//! ```text
//! dagd.service/            delegated (Delegate=); holds no process, or its controllers could not be passed on
//!   server/                the server and its zygotes
//!   worker-1/ worker-2/    one process each, with what its plugins started: limited together, killed together
//! ```
//!
//! A leaf ends with its process: whatever is left in it is killed (`cgroup.kill`), also what left the process group. Its
//! `memory.max` is the memory a worker may have plus all that datasets may take: a cgroup is charged for the shared memory its
//! processes touch first, so a lower bound would punish who produces a large dataset. Private memory is bounded exactly by
//! `RLIMIT_DATA`, with or without a cgroup.
//!
//! A process has one cgroup, so this is one value for the process ([`settle`]). Where nothing is delegated (a daemon of one's
//! own, a container, another service manager) there is none, and limits are those of `setrlimit`.
#![forbid(unsafe_code)]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::server::config::Config;
use crate::sys::xattr;

static HOME: OnceLock<Home> = OnceLock::new();

/// The delegated cgroup.
#[derive(Debug)]
struct Home {
    folder: PathBuf,
    /// What each leaf is limited to: file and value.
    limits: Vec<(&'static str, String)>,
    last_leaf: AtomicU64,
    /// Leaves whose processes were not quite gone yet.
    leftovers: Mutex<Vec<PathBuf>>,
}

/// The cgroup of one process. Dropping it ends whatever is in it.
#[derive(Debug)]
pub struct Leaf {
    home: &'static Home,
    folder: PathBuf,
}

/// Takes the cgroup of this process if it is delegated, and logs what limits workers. To be called before any process is
/// started.
pub fn settle(config: &Config) {
    match Home::take(config) {
        Ok((home, limited)) => {
            log::info!("each worker has a cgroup of its own; limits in it: {limited}");
            // A second call, as there may be in tests, changes nothing.
            let _ = HOME.set(home);
        }
        Err(reason) => log::info!("workers have no cgroups of their own, setrlimit limits each alone: {reason}"),
    }
}

/// Puts a process that has just been started into a leaf; none where there are no leaves.
pub fn leaf(pid: u32) -> Option<Leaf> {
    let home = HOME.get()?;
    match home.leaf(pid) {
        Ok(leaf) => Some(leaf),
        Err(error) => {
            log::warn!("process {pid} gets no cgroup of its own: {error}");
            None
        }
    }
}

impl Home {
    fn take(config: &Config) -> Result<(Home, String), String> {
        let read = |file: &str| fs::read_to_string(file).map_err(|error| format!("cannot read {file}: {error}"));
        let own = read("/proc/self/cgroup")?;
        let path = own_path(&own).ok_or("there is no unified cgroup hierarchy")?;
        let mount = mount_point(&read("/proc/self/mountinfo")?).ok_or("no unified cgroup hierarchy is mounted")?;
        let folder = mount.join(path.trim_start_matches('/'));
        let is_delegated = [c"user.delegate", c"trusted.delegate"]
            .iter()
            .any(|name| xattr::get(&folder, name).is_ok_and(|value| value == b"1"));
        if !is_delegated {
            return Err("none is delegated to the daemon (Delegate= of a systemd unit)".to_owned());
        }
        let tried = |what: &str| {
            let what = format!("cannot {what} in the delegated cgroup {}", folder.display());
            move |error: io::Error| format!("{what}: {error}")
        };
        let server = folder.join("server");
        make(&server).map_err(tried("make a group"))?;
        fs::write(server.join("cgroup.procs"), std::process::id().to_string()).map_err(tried("move the server"))?;
        let there = fs::read_to_string(folder.join("cgroup.controllers")).unwrap_or_default();
        let passed_on = |controller: &str| {
            there.split_whitespace().any(|found| found == controller)
                && fs::write(folder.join("cgroup.subtree_control"), format!("+{controller}")).is_ok()
        };
        let mut limits = Vec::new();
        let mut limited = Vec::new();
        if passed_on("memory") {
            let bytes = config.worker_memory_max_bytes().saturating_add(config.block_budget_bytes());
            limits.push(("memory.max", bytes.to_string()));
            limits.push(("memory.oom.group", "1".to_owned()));
            limited.push(format!("{} MiB of memory, datasets included", bytes >> 20));
        }
        if config.workers.processes_max > 0 && passed_on("pids") {
            limits.push(("pids.max", config.workers.processes_max.to_string()));
            limited.push(format!("{} processes and threads", config.workers.processes_max));
        }
        let limited = match limited.is_empty() {
            true => "none, there are no controllers for memory and processes here".to_owned(),
            false => limited.join(", "),
        };
        Ok((Home { folder, limits, last_leaf: AtomicU64::new(0), leftovers: Mutex::default() }, limited))
    }

    fn leaf(&'static self, pid: u32) -> io::Result<Leaf> {
        self.sweep();
        let number = self.last_leaf.fetch_add(1, Ordering::Relaxed) + 1;
        let leaf = Leaf { home: self, folder: self.folder.join(format!("worker-{number}")) };
        make(&leaf.folder)?;
        for (file, value) in &self.limits {
            // A kernel may lack one of them; the others still hold.
            if let Err(error) = fs::write(leaf.folder.join(file), value) {
                log::debug!("{file} of {} cannot be set: {error}", leaf.folder.display());
            }
        }
        fs::write(leaf.folder.join("cgroup.procs"), pid.to_string())?;
        Ok(leaf)
    }

    fn sweep(&self) {
        let mut leftovers = self.leftovers.lock().unwrap_or_else(PoisonError::into_inner);
        leftovers.retain(|folder| fs::remove_dir(folder).is_err_and(|error| error.kind() != io::ErrorKind::NotFound));
    }
}

impl Leaf {
    /// Ends every process in it.
    pub fn kill(&self) {
        if let Err(error) = fs::write(self.folder.join("cgroup.kill"), "1") {
            log::debug!("{} cannot be killed: {error}", self.folder.display());
        }
    }
}

impl Drop for Leaf {
    fn drop(&mut self) {
        self.kill();
        if fs::remove_dir(&self.folder).is_err() {
            // Its processes are still dying; the next one to start looks again.
            self.home.leftovers.lock().unwrap_or_else(PoisonError::into_inner).push(std::mem::take(&mut self.folder));
        }
    }
}

fn make(folder: &Path) -> io::Result<()> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// This process's path in the unified hierarchy, from `/proc/self/cgroup`.
fn own_path(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix("0::"))
}

/// Where the unified hierarchy is mounted, from `/proc/self/mountinfo`: `ID PARENT DEVICE ROOT POINT OPTIONS … - TYPE …`.
fn mount_point(text: &str) -> Option<PathBuf> {
    text.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        after.starts_with("cgroup2 ").then(|| before.split(' ').nth(4).map(PathBuf::from))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_cgroup_is_found_in_either_layout() {
        assert_eq!(own_path("0::/system.slice/dagd.service\n"), Some("/system.slice/dagd.service"));
        assert_eq!(own_path("9:pids:/a\n1:name=systemd:/b\n0::/c\n"), Some("/c"));
        assert_eq!(own_path("9:pids:/a\n"), None);
        let unified = "51 101 0:38 / /sys/fs/cgroup rw,nosuid shared:14 - cgroup2 cgroup rw\n";
        assert_eq!(mount_point(unified), Some(PathBuf::from("/sys/fs/cgroup")));
        let hybrid = "30 25 0:26 / /sys/fs/cgroup ro - tmpfs tmpfs ro\n31 30 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        assert_eq!(mount_point(hybrid), Some(PathBuf::from("/sys/fs/cgroup/unified")));
        assert_eq!(mount_point("1 2 0:1 / / rw - ext4 /dev/vda rw\n"), None);
    }
}
