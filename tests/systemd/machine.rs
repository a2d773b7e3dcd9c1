//! A machine to test in: a container with systemd as its first process, over a copy of a root filesystem that nothing is written to.
//!
//! The root is `$DAGD_TESTS_ROOT` (a folder, say of debootstrap, with systemd in it) or this machine's own. An overlay keeps
//! every write in memory. What a machine lacks for this is said, and the test is skipped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Uid;
use tempfile::TempDir;
use tests::{Outcome, artifacts, command, processes, wait};

/// How long it may take to boot, and to end.
const BOOT_PATIENCE: Duration = Duration::from_secs(120);

static LAST: AtomicU32 = AtomicU32::new(0);

/// A booted machine with dagd installed. Ends when dropped.
pub struct Machine {
    folder: TempDir,
    cgroup: PathBuf,
    container: Option<Child>,
    /// The container's first process, as seen from here.
    first: i32,
}

impl Machine {
    /// Boots one; none, with a line that says why, where that cannot be done.
    pub fn boot() -> Option<Self> {
        match Self::try_boot() {
            Ok(machine) => Some(machine),
            Err(reason) => {
                println!("skipped: no systemd can be booted here: {reason}");
                None
            }
        }
    }

    fn try_boot() -> Result<Self, String> {
        if !Uid::effective().is_root() {
            return Err("it takes root".to_owned());
        }
        let installed = std::env::var_os("DAGD_TESTS_INSTALLED")
            .map(PathBuf::from)
            .ok_or("DAGD_TESTS_INSTALLED names no installed dagd; run `make test-systemd`")?;
        let has_nspawn = Command::new("systemd-nspawn").arg("--version").stdout(Stdio::null()).status();
        if !has_nspawn.is_ok_and(|status| status.success()) {
            return Err("there is no systemd-nspawn (Debian: systemd-container)".to_owned());
        }
        let lower = std::env::var_os("DAGD_TESTS_ROOT").map_or_else(|| PathBuf::from("/"), PathBuf::from);
        if !lower.join("usr/lib/systemd/systemd").exists() && !lower.join("lib/systemd/systemd").exists() {
            return Err(format!("{} has no systemd", lower.display()));
        }
        let hierarchy = unified_hierarchy().ok_or("no unified cgroup hierarchy is mounted")?;
        let name = format!("dagd-test-{}-{}", std::process::id(), LAST.fetch_add(1, Ordering::Relaxed));
        let cgroup = hierarchy.join(&name);
        fs::create_dir(&cgroup).map_err(|error| format!("cannot make {}: {error}", cgroup.display()))?;
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let mut machine = Self { folder, cgroup, container: None, first: 0 };
        machine.mount(&lower)?;
        machine.install(&installed);
        machine.start(&name)?;
        Ok(machine)
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    fn mount(&self, lower: &Path) -> Result<(), String> {
        let base = self.folder.path();
        let mount = |arguments: &[&str]| {
            let outcome = command::run(Command::new("mount").args(arguments));
            if outcome.code == 0 { Ok(()) } else { Err(format!("cannot mount: {}", outcome.stderr.trim())) }
        };
        // An overlay's upper folder must not be on an overlay itself, which /tmp may be.
        mount(&["-t", "tmpfs", "dagd-test", &base.to_string_lossy()])?;
        for name in ["upper", "work", "root"] {
            fs::create_dir(base.join(name)).map_err(|error| error.to_string())?;
        }
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            lower.display(),
            base.join("upper").display(),
            base.join("work").display()
        );
        mount(&["-t", "overlay", "overlay", "-o", &options, &self.root().to_string_lossy()])
    }

    /// Puts what `make install` made into the root, and a plugin with nodes.
    fn install(&self, installed: &Path) {
        let mut copy = Command::new("cp");
        copy.arg("-a").arg(installed.join("usr")).arg(self.root());
        command::run(&mut copy).expect_success();
        let plugins = self.root().join("usr/lib/dagd/plugins");
        fs::copy(artifacts::product("libfaults.so"), plugins.join("libfaults.so")).unwrap();
        self.write("etc/systemd/journald.conf.d/test.conf", "[Journal]\nStorage=volatile\n");
        // A number of its own, and not "uninitialized": that would be a first boot, on which presets switch every unit on.
        self.write("etc/machine-id", &format!("{:032x}\n", 0xda6d_0000_u64 + u64::from(std::process::id())));
    }

    /// Writes a file of the machine.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn start(&mut self, name: &str) -> Result<(), String> {
        let join = format!("echo $$ > {}/cgroup.procs && exec \"$@\"", self.cgroup.display());
        let mut nspawn = Command::new("/bin/sh");
        nspawn.env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1").args(["-c", &join, "sh", "systemd-nspawn", "--quiet"]);
        nspawn.arg("--directory").arg(self.root()).arg(format!("--machine={name}"));
        nspawn.args([
            "--boot",
            "--register=no",
            "--keep-unit",
            "--private-network",
            "--console=pipe",
            "--link-journal=no",
        ]);
        // Only what a service needs: whatever else the root would start has nothing to do with this.
        nspawn.arg("systemd.unit=basic.target");
        let console = fs::File::create(self.folder.path().join("console")).map_err(|error| error.to_string())?;
        nspawn.stdin(Stdio::null()).stdout(console.try_clone().map_err(|error| error.to_string())?).stderr(console);
        let container = nspawn.spawn().map_err(|error| error.to_string())?;
        let outer = container.id().cast_signed();
        self.container = Some(container);
        let folder = self.folder.path().to_owned();
        let console = || fs::read_to_string(folder.join("console")).unwrap_or_default();
        let up = wait::within(BOOT_PATIENCE, || {
            // Asked again each time: nspawn has short-lived children before the one that stays.
            self.first = processes::children(outer).first().copied()?;
            let state = self.run("systemctl is-system-running 2>&1");
            // "degraded": some other service of this root cannot live in a container.
            matches!(state.stdout.trim(), "running" | "degraded").then_some(())
        });
        up.ok_or_else(|| format!("the container's systemd did not come up: {}", console()))
    }

    /// Runs a script in the machine.
    pub fn run(&self, script: &str) -> Outcome {
        command::run(&mut self.command(script))
    }

    /// The command that runs a script in the machine.
    pub fn command(&self, script: &str) -> Command {
        let mut enter = Command::new("nsenter");
        enter.arg("--target").arg(self.first.to_string()).args(["--all", "/bin/sh", "-c", script]);
        enter.env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        enter
    }

    /// Makes the account and opens the socket, as an administrator does.
    #[track_caller]
    pub fn open_socket(&self) {
        self.run("systemd-sysusers && systemd-tmpfiles --create dagd.conf && systemctl daemon-reload && systemctl start dagd.socket")
            .expect_success();
    }

    /// A property of the service.
    #[track_caller]
    pub fn property(&self, name: &str) -> String {
        self.run(&format!("systemctl show --property={name} --value dagd.service"))
            .expect_success()
            .stdout
            .trim()
            .to_owned()
    }

    /// Version of the machine's systemd.
    #[track_caller]
    pub fn version(&self) -> u32 {
        let said = self.run("systemctl --version").expect_success().stdout;
        said.split_whitespace().nth(1).and_then(|version| version.parse().ok()).unwrap_or(0)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(mut container) = self.container.take() {
            if std::thread::panicking() {
                println!("--- the journal\n{}", self.run("journalctl --no-pager --lines=60").stdout);
            }
            processes::signal(container.id().cast_signed(), Signal::SIGTERM);
            if wait::within(BOOT_PATIENCE, || container.try_wait().ok().flatten()).is_none() {
                let _ = container.kill();
                let _ = container.wait();
                // A killed nspawn leaves it alive.
                processes::kill_hard(self.first);
            }
        }
        let unmount = |path: &Path| drop(Command::new("umount").arg("--lazy").arg(path).stderr(Stdio::null()).status());
        unmount(&self.root());
        unmount(self.folder.path());
        wait::within(BOOT_PATIENCE, || remove_groups(&self.cgroup).ok());
    }
}

/// Removes a cgroup and those in it, from the leaves up.
fn remove_groups(folder: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)?.flatten() {
        if entry.file_type()?.is_dir() {
            remove_groups(&entry.path())?;
        }
    }
    fs::remove_dir(folder)
}

fn unified_hierarchy() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    mounts.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        after.starts_with("cgroup2 ").then(|| before.split(' ').nth(4).map(PathBuf::from))?
    })
}
