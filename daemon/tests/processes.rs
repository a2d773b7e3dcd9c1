//! A real zygote with real workers and hook hosts, by both start methods, and no plugin: births, deaths and what each
//! process keeps. What plugins do to them is for the end-to-end tests.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs::{self, File};
use std::io::Read as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::time::{Duration, Instant};

use dagd::ipc::channel::{Channel, ChannelError};
use dagd::ipc::client::{
    HookChannel, HookEvent, Input, StartDescriptors, TaskOperation, TaskRequest, WorkerChannel, WorkerEvent,
    ZygoteChannel, ZygoteEvent,
};
use dagd::ipc::manifest::GenerationManifest;
use dagd::ipc::message::{Ending, Lasting, LibraryCopy, Limits, LogRecord, Role, StartMethod};
use dagd::ipc::page::{LoadingPage, WorkerPage};
use dagd::sys::{memfd, pidfd, spawn, wait};

const METHODS: [StartMethod; 2] = [StartMethod::Fork, StartMethod::Spawn];
const PATIENCE: Duration = Duration::from_secs(20);
const LIMITS: Limits = Limits { memory_bytes: 1 << 30, open_files: 100, core_bytes: 0 };

struct Zygote {
    channel: ZygoteChannel,
    process: spawn::Spawned,
    output: OwnedFd,
    manifest: GenerationManifest,
}

impl Zygote {
    fn start(libraries: &[&Path], method: StartMethod) -> Zygote {
        let (channel, socket) = ZygoteChannel::pair().unwrap();
        let (output, write) = spawn::output_pipe().unwrap();
        let mut command = spawn::Spawn::role("zygote", socket, write.as_fd());
        command.program = Path::new(env!("CARGO_BIN_EXE_dagd"));
        let process = command.start().unwrap();
        let (_page, page) = LoadingPage::create().unwrap();
        let copies: Vec<(LibraryCopy, OwnedFd)> = libraries
            .iter()
            .map(|path| {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                let copy = LibraryCopy { name, path: path.display().to_string(), sha256: String::new() };
                (copy, memfd::immutable_copy(path, memfd::Purpose::Library).unwrap())
            })
            .collect();
        let borrowed: Vec<_> = copies.iter().map(|(copy, file)| (copy.clone(), file.as_fd())).collect();
        channel.load(&borrowed, page.as_fd(), method, 3).unwrap();
        let hello = channel.receive_within(PATIENCE).unwrap().unwrap();
        assert!(matches!(hello, ZygoteEvent::Hello { pid, .. } if pid == process.child.id().cast_signed()));
        let ZygoteEvent::Loaded(manifest) = channel.receive_within(PATIENCE).unwrap().unwrap() else {
            panic!("a manifest")
        };
        Zygote { channel, process, output, manifest }
    }

    fn next(&self) -> ZygoteEvent {
        self.channel.receive_within(PATIENCE).unwrap().unwrap()
    }

    /// Starts a process around the far end of its channel.
    fn child(&self, number: u64, role: Role, socket: OwnedFd) -> Child {
        let (page, file) = WorkerPage::create().unwrap();
        let (output, write) = spawn::output_pipe().unwrap();
        let handed = StartDescriptors { channel: socket.as_fd(), page: file.as_fd(), output: write.as_fd() };
        self.channel.start(number, role, LIMITS, handed).unwrap();
        let ZygoteEvent::Started { number: started, pid, pidfd } = self.next() else { panic!("a process") };
        assert_eq!(started, number);
        Child { pid, pidfd, output: output.into(), page }
    }

    fn worker(&self, number: u64) -> (Child, WorkerChannel) {
        let (channel, socket) = WorkerChannel::pair().unwrap();
        let child = self.child(number, Role::Worker, socket);
        let ready = channel.receive_within(PATIENCE).unwrap().unwrap();
        assert!(matches!(ready, WorkerEvent::Ready { pid } if pid == child.pid), "{ready:?}");
        (child, channel)
    }

    fn expect_exit(&self, expected_number: u64, expected: Ending) {
        match self.next() {
            ZygoteEvent::Exited { number, ending, max_rss_bytes, .. } => {
                assert_eq!((number, ending), (expected_number, expected));
                assert!(max_rss_bytes > 100_000);
            }
            other => panic!("expected an exit, found {other:?}"),
        }
    }

    /// Waits for its end; its exit code and all it said.
    fn ended(mut self) -> (Option<i32>, String) {
        drop(self.channel);
        assert!(wait::readable_within(self.process.pidfd.as_fd(), PATIENCE).unwrap(), "the zygote did not end");
        let code = self.process.child.wait().unwrap().code();
        (code, read(self.output.into()))
    }
}

struct Child {
    pid: i32,
    pidfd: OwnedFd,
    output: File,
    page: WorkerPage,
}

impl Child {
    fn expect_end(&self) {
        assert!(wait::readable_within(self.pidfd.as_fd(), PATIENCE).unwrap(), "process {} did not end", self.pid);
    }

    fn proc(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.pid)).unwrap()
    }
}

fn read(mut file: File) -> String {
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    text
}

fn task(token: u64) -> TaskRequest {
    let operation = TaskOperation::Call {
        node: 0,
        inputs: vec![Input::Json("1".to_owned())],
        outputs: 0,
        lasting: Lasting::ALL,
        chunks: Vec::new(),
        partitions: Vec::new(),
    };
    TaskRequest { token, plugin: 0, argument: "{}".to_owned(), operation }
}

#[test]
fn a_worker_serves_and_leaves_when_told() {
    for method in METHODS {
        let zygote = Zygote::start(&[], method);
        assert_eq!(zygote.manifest, GenerationManifest { start_method: method, ..GenerationManifest::default() });
        let (child, channel) = zygote.worker(1);
        channel.send_task(&task(5), &[]).unwrap();
        match channel.receive_within(PATIENCE).unwrap().unwrap() {
            WorkerEvent::Failed { token: 5, failure, .. } => {
                assert_eq!(failure.kind, "protocol");
                assert!(failure.message.contains("plugin number 0 was asked for, this process has 0"));
            }
            other => panic!("expected a failure, found {other:?}"),
        }
        channel.quit().unwrap();
        zygote.expect_exit(1, Ending::Exited(0));
        // It is at no task any more, which it writes after it has answered.
        assert_eq!(child.page.token(), 0);
        zygote.channel.shutdown().unwrap();
        assert_eq!(zygote.ended(), (Some(0), String::new()));
        assert_eq!(read(child.output), "");
    }
}

#[test]
fn a_hook_host_answers() {
    for method in METHODS {
        let zygote = Zygote::start(&[], method);
        let (channel, socket) = HookChannel::pair().unwrap();
        let child = zygote.child(1, Role::HookHost, socket);
        let ready = channel.receive_within(PATIENCE).unwrap().unwrap();
        assert!(matches!(ready, HookEvent::Ready { pid } if pid == child.pid));
        channel.configure(1, 3, 0, "{}".to_owned()).unwrap();
        channel.event(2, 3, 0, "{}".to_owned(), &[], false).unwrap();
        for token in 1..=2 {
            match channel.receive_within(PATIENCE).unwrap().unwrap() {
                HookEvent::Failed { token: found, failure } => {
                    assert_eq!((found, failure.kind.as_str()), (token, "protocol"));
                }
                other => panic!("expected a failure, found {other:?}"),
            }
        }
        // The server's end of the channel goes: so does the hook host.
        drop(channel);
        zygote.expect_exit(1, Ending::Exited(0));
    }
}

#[test]
fn a_worker_keeps_only_what_is_its_own_and_is_limited() {
    for method in METHODS {
        let zygote = Zygote::start(&[], method);
        let (child, _channel) = zygote.worker(1);
        let mut files: Vec<_> = fs::read_dir(format!("/proc/{}/fd", child.pid))
            .unwrap()
            .map(|entry| fs::read_link(entry.unwrap().path()).unwrap().to_string_lossy().into_owned())
            .collect();
        files.sort();
        let kinds: Vec<_> = files.iter().map(|file| file.split(':').next().unwrap()).collect();
        assert_eq!(kinds, ["/dev/null", "pipe", "pipe", "socket"], "{files:?}");
        let limits = child.proc("limits");
        let limit = |name: &str| limits.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
        assert!(limit("Max data size").contains("1073741824           1073741824"));
        assert!(limit("Max open files").contains("100                  100"));
        assert!(limit("Max core file size").contains(" 0                    0"));
        // pid (comm) state ppid pgrp
        let stat = child.proc("stat");
        let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        assert_eq!(fields[1], zygote.process.child.id().to_string());
        assert_eq!(fields[2], child.pid.to_string(), "a group of its own");
        assert_eq!(child.proc("comm"), "dagd-worker\n");
        assert!(!child.proc("environ").contains("CARGO_PKG_NAME"), "the daemon's environment is its own");
    }
}

#[test]
fn the_death_of_a_zygote_by_any_means_is_the_death_of_its_workers() {
    for method in METHODS {
        for kill in [true, false] {
            let zygote = Zygote::start(&[], method);
            let (one, _one) = zygote.worker(1);
            let (other, _other) = zygote.worker(2);
            if kill {
                pidfd::kill(&zygote.process.pidfd).unwrap();
            }
            // Otherwise its channel closes, as when the server is killed.
            let (code, _) = zygote.ended();
            assert_eq!(code, if kill { None } else { Some(0) });
            one.expect_end();
            other.expect_end();
        }
    }
}

#[test]
fn a_killed_worker_is_reported_with_its_signal() {
    for method in METHODS {
        let zygote = Zygote::start(&[], method);
        let (child, channel) = zygote.worker(7);
        pidfd::kill(&child.pidfd).unwrap();
        zygote.expect_exit(7, Ending::Signalled { signal: 9, core: false });
        assert!(matches!(channel.receive_within(PATIENCE), Err(ChannelError::Closed)));
        // The zygote is not shaken.
        let (_child, channel) = zygote.worker(8);
        channel.quit().unwrap();
        zygote.expect_exit(8, Ending::Exited(0));
    }
}

/// What a plugin starts belongs to the group of its worker, unless it takes care not to.
#[test]
fn what_a_worker_leaves_behind_ends_with_it() {
    for method in METHODS {
        let zygote = Zygote::start(&[], method);
        let (child, channel) = zygote.worker(1);
        let mut left = std::process::Command::new("sleep").arg("1000").process_group(child.pid).spawn().unwrap();
        assert!(left.try_wait().unwrap().is_none());
        channel.quit().unwrap();
        zygote.expect_exit(1, Ending::Exited(0));
        assert_eq!(left.wait().unwrap().signal(), Some(9));
    }
}

#[test]
fn libraries_that_are_none_are_set_aside_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("libtext.so");
    fs::write(&text, "hello").unwrap();
    let own = fs::read(env!("CARGO_BIN_EXE_dagd")).unwrap();
    let cut = folder.path().join("libcut.so");
    fs::write(&cut, &own[..own.len() / 3]).unwrap();
    let zygote = Zygote::start(&[&text, &cut, Path::new(env!("CARGO_BIN_EXE_dagd"))], StartMethod::Fork);
    let refused = &zygote.manifest.refused;
    assert_eq!(refused.iter().map(|refusal| refusal.library).collect::<Vec<_>>(), [0, 1, 2]);
    for (refusal, word) in refused.iter().zip(["begins with \"hello\"", "cut short", "loader refused it"]) {
        assert!(refusal.reason.contains(word) && !refusal.hint.is_empty(), "{refusal:?}");
    }
    assert!(zygote.manifest.plugins.is_empty());
}

#[test]
fn a_request_that_makes_no_sense_is_refused_or_ends_the_process_with_a_word() {
    let zygote = Zygote::start(&[], StartMethod::Fork);
    // A page that is none: the worker says so and leaves.
    let (channel, socket) = WorkerChannel::pair().unwrap();
    let (output, write) = spawn::output_pipe().unwrap();
    let handed = StartDescriptors { channel: socket.as_fd(), page: write.as_fd(), output: write.as_fd() };
    zygote.channel.start(1, Role::Worker, LIMITS, handed).unwrap();
    drop((socket, write));
    assert!(matches!(zygote.next(), ZygoteEvent::Started { number: 1, .. }));
    zygote.expect_exit(1, Ending::Exited(70));
    assert!(channel.receive_within(PATIENCE).is_err());
    assert!(read(output.into()).contains("dagd worker: cannot map the worker page"));

    // A message that is none: the worker cannot go on, the zygote can.
    let (channel, socket) = Channel::pair().unwrap();
    let child = zygote.child(2, Role::Worker, socket.into_socket());
    let record = LogRecord { level: 9, target: "x".repeat(300), message: String::new(), token: 0 };
    channel.send(&record, &[]).unwrap();
    zygote.expect_exit(2, Ending::Exited(70));
    assert!(read(child.output).contains("cannot be understood"));
    zygote.channel.shutdown().unwrap();
    assert_eq!(zygote.ended().0, Some(0));
}

#[test]
fn a_process_does_not_outlive_a_parent_that_was_gone_before_it_looked() {
    let (_channel, socket) = ZygoteChannel::pair().unwrap();
    let (output, write) = spawn::output_pipe().unwrap();
    let child = std::process::Command::new(env!("CARGO_BIN_EXE_dagd"))
        .args(["zygote", "--parent", "1"])
        .stdin(socket)
        .stdout(write.try_clone().unwrap())
        .stderr(write)
        .spawn();
    assert_eq!(child.unwrap().wait().unwrap().code(), Some(1));
    assert!(read(output.into()).contains("the parent process 1 has gone"));
}

/// Starting a worker is what every crash costs; the figure is printed, and only nonsense fails.
#[test]
fn starting_workers_is_quick() {
    for method in METHODS {
        let zygote = Zygote::start(&[], method);
        let begun = Instant::now();
        let workers: Vec<_> = (0..10).map(|number| zygote.worker(number)).collect();
        println!("{method:?}: {:?} a worker", begun.elapsed() / 10);
        assert!(begun.elapsed() < PATIENCE);
        drop(workers);
    }
}
