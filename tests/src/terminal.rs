//! A program on a terminal, and what a person in front of it would have read by now.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use nix::fcntl::OFlag;
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};

use crate::wait;

/// A program whose standard input, output and error are a terminal.
pub struct Terminal {
    child: Child,
    shown: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Terminal {
    /// Starts the program on a new terminal.
    #[track_caller]
    pub fn start(mut command: Command) -> Self {
        // Opened for this process only: a program that another test starts at this moment must not inherit it.
        let mut master = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname_r(&master).unwrap();
        let flags = (OFlag::O_NOCTTY | OFlag::O_CLOEXEC).bits();
        let side = File::options().read(true).write(true).custom_flags(flags).open(name).unwrap();
        command.env("TERM", "xterm");
        command.stdin(side.try_clone().unwrap()).stdout(side.try_clone().unwrap()).stderr(side);
        let child = command.spawn().unwrap_or_else(|problem| panic!("cannot start on a terminal: {problem}"));
        drop(command); // And with it this process's copies of the terminal: now the program's end is the end of reading.

        let shown = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&shown);
        let reader = std::thread::spawn(move || {
            let mut piece = [0; 4096];
            // The end is told as an error (EIO).
            while let Ok(length @ 1..) = master.read(&mut piece) {
                kept.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&piece[..length]);
            }
        });
        Self { child, shown, reader: Some(reader) }
    }

    /// Everything shown so far, without colours and movements of the cursor.
    pub fn text(&self) -> String {
        let bytes = self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone();
        without_escapes(&String::from_utf8_lossy(&bytes))
    }

    /// Waits until a piece of what is shown, between two movements to a line's start, holds all the texts.
    #[track_caller]
    pub fn wait_for_line(&self, texts: &[&str]) {
        let found = wait::within(wait::PATIENCE, || {
            let text = self.text();
            text.split(['\r', '\n']).any(|line| texts.iter().all(|part| line.contains(part))).then_some(())
        });
        assert!(found.is_some(), "no line with {texts:?} was ever shown:\n{}", self.text());
    }

    /// Waits for the program's end and returns it with everything that was shown.
    #[track_caller]
    pub fn finish(mut self) -> (ExitStatus, String) {
        let ended = wait::within(wait::PATIENCE, || self.child.try_wait().unwrap());
        let Some(status) = ended else {
            panic!("did not end within {} s:\n{}", wait::PATIENCE.as_secs(), self.text());
        };
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        (status, self.text())
    }
}

impl Drop for Terminal {
    /// A test that fails half way leaves no program running.
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Takes out `ESC [ … letter`, the only sequences that programs here write.
fn without_escapes(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, sequence)) = rest.split_once("\x1b[") {
        plain.push_str(before);
        rest = sequence.trim_start_matches(|c: char| !('@'..='~').contains(&c)).get(1..).unwrap_or_default();
    }
    plain + rest
}
