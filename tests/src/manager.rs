//! A stand-in for systemd: holds the daemon's socket, hears what it notifies, keeps its descriptors over a restart.
//!
//! It speaks the manager's side of `sd_listen_fds`, `sd_notify` and the descriptor store, so these are tested where no
//! systemd can be booted. What only the real one can show is in `tests/systemd`.

use std::fs::{self, File};
use std::io::IoSliceMut;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, UnixAddr, recvmsg};

use crate::daemon::Daemon;
use crate::scene::Scene;
use crate::wait;

/// Starts the daemon as systemd does: what was passed from descriptor 3 on, and `LISTEN_PID` of the process itself. Only a
/// shell can do that without `unsafe`; kept descriptors are opened anew, which is the same memory.
const START: &str = "exec 3<&0 0</dev/null\nexport LISTEN_PID=$$\nexec \"$0\" \"$@\"";

/// The stand-in.
pub struct Manager<'a> {
    scene: &'a Scene,
    listener: UnixListener,
    mailbox: UnixDatagram,
    heard: Vec<String>,
    store: Vec<(String, OwnedFd)>,
    watchdog: Option<Duration>,
}

impl<'a> Manager<'a> {
    /// Listens for the scene's daemon, which is not started.
    pub fn new(scene: &'a Scene) -> Self {
        let listener = UnixListener::bind(scene.socket()).unwrap();
        let mailbox = UnixDatagram::bind(scene.path("notify")).unwrap();
        mailbox.set_nonblocking(true).unwrap();
        Self { scene, listener, mailbox, heard: Vec::new(), store: Vec::new(), watchdog: None }
    }

    /// Wants to hear `WATCHDOG=1` within this time, again and again, of daemons started from now on.
    pub fn with_watchdog(mut self, period: Duration) -> Self {
        self.watchdog = Some(period);
        self
    }

    /// Starts the daemon with the socket and everything in the store. Does not wait for anything.
    #[track_caller]
    pub fn start(&mut self) -> Daemon<'a> {
        self.heard.clear();
        let model = self.scene.program("dagd");
        let mut script = String::new();
        for (number, (_, file)) in (4..).zip(&self.store) {
            // A small shell knows descriptors of one digit only.
            assert!(number <= 9, "this stand-in keeps at most six descriptors");
            script.push_str(&format!("exec {number}<>/proc/$PPID/fd/{}\n", file.as_raw_fd()));
        }
        let names = std::iter::once("dagd.socket").chain(self.store.iter().map(|(name, _)| name.as_str()));
        let mut command = Command::new("/bin/sh");
        command.env_clear().envs(model.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.current_dir(self.scene.path("work")).arg("-c").arg(script + START).arg(model.get_program());
        command.arg("serve").arg("--config").arg(self.scene.path("dagd.toml"));
        command.env("NOTIFY_SOCKET", self.scene.path("notify"));
        command.env("LISTEN_FDS", (1 + self.store.len()).to_string());
        command.env("LISTEN_FDNAMES", names.collect::<Vec<_>>().join(":"));
        if let Some(period) = self.watchdog {
            command.env("WATCHDOG_USEC", period.as_micros().to_string());
        }
        let log = File::options().create(true).append(true).open(self.scene.path("dagd.log")).unwrap();
        command.stdin(Stdio::from(OwnedFd::from(self.listener.try_clone().unwrap())));
        command.stdout(log.try_clone().unwrap()).stderr(log);
        Daemon::of(self.scene, command.spawn().unwrap_or_else(|problem| panic!("cannot start dagd: {problem}")))
    }

    /// Starts the daemon and waits until it says that it is ready.
    #[track_caller]
    pub fn start_ready(&mut self) -> Daemon<'a> {
        let daemon = self.start();
        self.wait_for("READY=1");
        daemon
    }

    /// Waits for a message with this line, after those that were waited for before; returns the whole message.
    #[track_caller]
    pub fn wait_for(&mut self, line: &str) -> String {
        self.wait_for_message(line, |message| message.lines().any(|found| found == line))
    }

    /// Waits for a message that fits; it and those before it are not looked at again.
    #[track_caller]
    pub fn wait_for_message(&mut self, what: &str, fits: impl Fn(&str) -> bool) -> String {
        wait::until(&format!("the daemon to notify {what}"), || {
            self.hear();
            let found = self.heard.iter().position(|message| fits(message))?;
            self.heard.drain(..=found).next_back()
        })
    }

    /// The names in the store, in order of their arrival.
    pub fn stored(&mut self) -> Vec<String> {
        self.hear();
        self.store.iter().map(|(name, _)| name.clone()).collect()
    }

    /// The bytes kept under a name.
    #[track_caller]
    pub fn stored_bytes(&mut self, name: &str) -> Vec<u8> {
        self.hear();
        let kept = self.store.iter().find(|(kept, _)| kept == name);
        let (_, file) = kept.unwrap_or_else(|| panic!("nothing is kept as {name}"));
        fs::read(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap()
    }

    /// Takes what has arrived.
    fn hear(&mut self) {
        loop {
            let mut buffer = [0; 4096];
            let mut parts = [IoSliceMut::new(&mut buffer)];
            let mut space = nix::cmsg_space!([std::os::fd::RawFd; 16]);
            let socket = self.mailbox.as_raw_fd();
            let flags = MsgFlags::MSG_CMSG_CLOEXEC;
            let (length, files) = match recvmsg::<UnixAddr>(socket, &mut parts, Some(&mut space), flags) {
                Ok(message) => {
                    let rights = message.cmsgs().unwrap().filter_map(|control| match control {
                        ControlMessageOwned::ScmRights(files) => Some(files),
                        _ => None,
                    });
                    (message.bytes, rights.flatten().collect::<Vec<_>>())
                }
                Err(Errno::EAGAIN) => return,
                Err(Errno::EINTR) => continue,
                Err(error) => panic!("cannot hear the daemon: {error}"),
            };
            let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
            let files: Vec<OwnedFd> = files
                .into_iter()
                .map(|raw| {
                    let path = format!("/proc/self/fd/{raw}");
                    let own = File::options().read(true).write(true).open(path).unwrap();
                    nix::unistd::close(raw).unwrap();
                    own.into()
                })
                .collect();
            self.keep(&message, files);
            self.heard.push(message);
        }
    }

    fn keep(&mut self, message: &str, files: Vec<OwnedFd>) {
        let value = |name| message.lines().find_map(|line| line.strip_prefix(name));
        let name = value("FDNAME=").unwrap_or("stored");
        if value("FDSTOREREMOVE=") == Some("1") {
            self.store.retain(|(kept, _)| kept != name);
        } else if value("FDSTORE=") == Some("1") {
            self.store.extend(files.into_iter().map(|file| (name.to_owned(), file)));
        }
    }
}
