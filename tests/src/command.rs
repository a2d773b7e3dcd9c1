//! Running a program to its end with a deadline, and what it said.

use std::fmt::Write as _;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;

use serde_json::Value;

use crate::wait;

/// How a program ended and everything it printed.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The command line, for messages.
    pub command: String,
    /// The exit code; `128 + signal` where a signal ended it.
    pub code: i32,
    /// Everything written to standard output.
    pub stdout: String,
    /// Everything written to standard error.
    pub stderr: String,
}

impl Outcome {
    /// Panics with everything the program said unless it ended with `code`.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert!(self.code == code, "expected exit code {code}, got this:\n{self}");
        self
    }

    /// Panics unless the program succeeded.
    #[track_caller]
    pub fn expect_success(self) -> Self {
        self.expect_code(0)
    }

    /// Panics unless standard error contains each of the texts; a text of a failure must say all of these things.
    #[track_caller]
    pub fn expect_stderr(self, texts: &[&str]) -> Self {
        let missing: Vec<_> = texts.iter().filter(|text| !self.stderr.contains(**text)).collect();
        assert!(missing.is_empty(), "standard error lacks {missing:?}:\n{self}");
        self
    }

    /// Panics unless standard output contains each of the texts.
    #[track_caller]
    pub fn expect_stdout(self, texts: &[&str]) -> Self {
        let missing: Vec<_> = texts.iter().filter(|text| !self.stdout.contains(**text)).collect();
        assert!(missing.is_empty(), "standard output lacks {missing:?}:\n{self}");
        self
    }

    /// Panics unless the program said each of the texts, in its report on standard output or on standard error.
    #[track_caller]
    pub fn expect_said(self, texts: &[&str]) -> Self {
        let said = |text: &&&str| self.stdout.contains(**text) || self.stderr.contains(**text);
        let missing: Vec<_> = texts.iter().filter(|text| !said(text)).collect();
        assert!(missing.is_empty(), "nothing says {missing:?}:\n{self}");
        self
    }

    /// Standard output read as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_str(&self.stdout) {
            Ok(value) => value,
            Err(problem) => panic!("standard output is not JSON ({problem}):\n{self}"),
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "$ {}\nexit code {}\n--- stdout\n{}\n--- stderr\n{}",
            self.command, self.code, self.stdout, self.stderr
        )
    }
}

/// A started program whose output is being collected.
pub struct Running {
    child: Child,
    command: String,
    stdout: Option<JoinHandle<Vec<u8>>>,
    stderr: Option<JoinHandle<Vec<u8>>>,
}

impl Running {
    /// Starts the program without input, its output collected by threads.
    #[track_caller]
    pub fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let text = describe(command);
        let mut child = match spawn(command) {
            Ok(child) => child,
            Err(problem) => panic!("cannot start `{text}`: {problem}"),
        };
        let stdout = child.stdout.take().map(collect);
        let stderr = child.stderr.take().map(collect);
        Self { child, command: text, stdout, stderr }
    }

    /// The process id.
    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end; ends it and panics when it takes longer than anything may.
    #[track_caller]
    pub fn finish(mut self) -> Outcome {
        let ended = wait::within(wait::PATIENCE, || self.child.try_wait().unwrap());
        let status = ended.unwrap_or_else(|| {
            let _ = self.child.kill();
            self.child.wait().unwrap()
        });
        let outcome = self.outcome(status);
        assert!(ended.is_some(), "did not end within {} s:\n{outcome}", wait::PATIENCE.as_secs());
        outcome
    }

    fn outcome(&mut self, status: ExitStatus) -> Outcome {
        Outcome {
            command: self.command.clone(),
            code: status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(-1),
            stdout: text_of(self.stdout.take()),
            stderr: text_of(self.stderr.take()),
        }
    }
}

impl Drop for Running {
    /// A test that fails half way leaves no program running.
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Runs the program to its end.
#[track_caller]
pub fn run(command: &mut Command) -> Outcome {
    Running::start(command).finish()
}

/// A program just copied may still be open for writing in a child that another test is about to exec.
fn spawn(command: &mut Command) -> std::io::Result<Child> {
    let started = wait::within(wait::PATIENCE, || match command.spawn() {
        Err(problem) if problem.kind() == std::io::ErrorKind::ExecutableFileBusy => None,
        answer => Some(answer),
    });
    started.unwrap_or_else(|| Err(std::io::ErrorKind::ExecutableFileBusy.into()))
}

fn collect(mut source: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // A read error ends the collection; what was read before it is still worth showing.
        let _ = source.read_to_end(&mut bytes);
        bytes
    })
}

fn text_of(collector: Option<JoinHandle<Vec<u8>>>) -> String {
    let bytes = collector.and_then(|thread| thread.join().ok()).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn describe(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        let _ = write!(text, " {}", argument.to_string_lossy());
    }
    text
}
