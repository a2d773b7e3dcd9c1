//! A running `dagd serve`: started for one scene, asked over its socket, and ended so that nothing is left.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::sys::signal::Signal;
use protocol::{NodeState, RunDetail, RunList, RunState, RunSummary, SourceText, Status, Submission};
use serde_json::Value;

use crate::command::Outcome;
use crate::http::{self, Response};
use crate::processes::{self, Process};
use crate::scene::Scene;
use crate::wait;

/// A service of one scene. Dropping it asks it to stop and fails the test when it leaves a process behind.
pub struct Daemon<'a> {
    scene: &'a Scene,
    child: Child,
}

impl<'a> Daemon<'a> {
    #[track_caller]
    pub(crate) fn start(scene: &'a Scene) -> Self {
        let mut command = scene.program("dagd");
        command.arg("serve").arg("--config").arg(scene.path("dagd.toml")).arg("--socket").arg(scene.socket());
        Self::started(scene, command)
    }

    /// Starts the service by another command line, and waits until it answers at the scene's socket.
    #[track_caller]
    pub fn started(scene: &'a Scene, mut command: Command) -> Self {
        let log = File::options().create(true).append(true).open(scene.path("dagd.log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().unwrap_or_else(|problem| panic!("cannot start dagd: {problem}"));
        let mut daemon = Self { scene, child };
        daemon.wait_until_ready();
        daemon
    }

    /// One that somebody else has started; it may not be ready.
    pub(crate) fn of(scene: &'a Scene, child: Child) -> Self {
        Self { scene, child }
    }

    #[track_caller]
    fn wait_until_ready(&mut self) {
        wait::until("the daemon's socket to answer", || {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("dagd ended before it was ready: {status}\n{}", self.log());
            }
            let answer = http::try_request(&self.scene.socket(), "GET", "/v1/status", None).ok()?;
            (answer.status == 200).then_some(())
        });
    }

    /// The process id of the server.
    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Every living process of this daemon: server, zygotes, workers, hook hosts.
    pub fn processes(&self) -> Vec<Process> {
        self.scene.processes()
    }

    /// What the server has written to its standard output and error.
    pub fn log(&self) -> String {
        fs::read(self.scene.path("dagd.log"))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Runs `ctl` against this daemon.
    #[track_caller]
    pub fn ctl<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Outcome {
        self.scene.ctl(arguments)
    }

    /// Writes the pipeline, submits it with `ctl submit` and follows it to its end.
    #[track_caller]
    pub fn submit(&self, pipeline: &str) -> Outcome {
        let path = self.scene.write("pipeline.toml", pipeline);
        self.ctl([OsStr::new("submit"), path.as_os_str()])
    }

    /// Submits over HTTP without waiting, and returns the run's id.
    #[track_caller]
    pub fn begin(&self, pipeline: &str) -> String {
        let summary: RunSummary = self.post("/v1/runs", &self.submission(pipeline)).expect(201).read();
        summary.id
    }

    /// The body of a submission of this pipeline text, relative to the scene's work folder.
    pub fn submission(&self, pipeline: &str) -> Value {
        let submission = Submission {
            pipeline: SourceText::new("pipeline.toml", pipeline),
            base_directory: self.scene.path("work").to_string_lossy().into_owned(),
            ..Submission::default()
        };
        serde_json::to_value(submission).expect("a submission is JSON")
    }

    /// The run as the API tells it.
    #[track_caller]
    pub fn run(&self, id: &str) -> RunDetail {
        self.get(&format!("/v1/runs/{id}")).expect(200).read()
    }

    /// The run that was accepted last.
    #[track_caller]
    pub fn newest_run(&self) -> RunDetail {
        let list: RunList = self.get("/v1/runs?limit=1").expect(200).read();
        self.run(&list.runs.first().expect("there is a run").id)
    }

    /// Waits until the run is over and returns what the API tells about it.
    #[track_caller]
    pub fn wait(&self, id: &str) -> RunDetail {
        wait::until(&format!("run {id} to end"), || {
            let run = self.run(id);
            (!matches!(run.summary.state, RunState::Queued | RunState::Running)).then_some(run)
        })
    }

    /// Waits for a large run: as long as it goes on, however slowly.
    #[track_caller]
    pub fn wait_while_it_goes_on(&self, id: &str) -> RunSummary {
        let mut done = 0;
        loop {
            let next = wait::until(&format!("run {id} to go on from {done} nodes"), || {
                let list: RunList = self.get("/v1/runs").expect(200).read();
                let summary = list.runs.into_iter().find(|summary| summary.id == id).expect("the run is listed");
                (summary.finished_us.is_some() || summary.counts.succeeded > done).then_some(summary)
            });
            if next.finished_us.is_some() {
                return next;
            }
            done = next.counts.succeeded;
        }
    }

    /// Waits until a worker is at the node.
    #[track_caller]
    pub fn wait_until_running(&self, id: &str, node: &str) {
        wait::until_true(&format!("node {node} of run {id} to run"), || {
            let run = self.run(id);
            assert!(run.summary.finished_us.is_none(), "run {id} is over already: {run:#?}");
            run.nodes.iter().any(|detail| detail.name == node && detail.state == NodeState::Running)
        });
    }

    /// What the daemon says of itself.
    #[track_caller]
    pub fn status(&self) -> Status {
        self.get("/v1/status").expect(200).read()
    }

    /// Panics unless the server still stands, answers, and runs a pipeline of the `faults` plugin.
    #[track_caller]
    pub fn expect_healthy(&mut self) {
        assert!(self.is_running(), "the daemon is gone:\n{}", self.log());
        let plain = "name = \"plain\"\n[[node]]\nname = \"plain\"\ncall = \"faults::noop\"\noutputs = [\"value\"]\n";
        let run = self.wait(&self.begin(plain));
        assert!(run.summary.state == RunState::Succeeded, "a plain run failed: {run:#?}");
    }

    /// Whether the server process has not ended.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a `GET`.
    #[track_caller]
    pub fn get(&self, target: &str) -> Response {
        http::request(&self.scene.socket(), "GET", target, None)
    }

    /// Sends a `POST` with a JSON body.
    #[track_caller]
    pub fn post(&self, target: &str, body: &Value) -> Response {
        http::request(&self.scene.socket(), "POST", target, Some(body))
    }

    /// Ends the server with SIGKILL and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks the server to stop, and returns how it ended after everything of it is gone.
    #[track_caller]
    pub fn stop(mut self) -> ExitStatus {
        let status = self.end();
        self.scene.expect_no_process();
        status
    }

    /// Waits for a server that was told to stop already, and returns how it ended after everything of it is gone.
    #[track_caller]
    pub fn wait_for_end(mut self) -> ExitStatus {
        let status = self.wait_until_ended();
        self.scene.expect_no_process();
        status
    }

    #[track_caller]
    fn end(&mut self) -> ExitStatus {
        processes::signal(self.pid(), Signal::SIGTERM);
        self.wait_until_ended()
    }

    #[track_caller]
    fn wait_until_ended(&mut self) -> ExitStatus {
        let polite = wait::within(wait::PATIENCE, || self.child.try_wait().unwrap());
        polite.unwrap_or_else(|| {
            self.kill();
            panic!("dagd did not stop within {} s of SIGTERM:\n{}", wait::PATIENCE.as_secs(), self.log())
        })
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the daemon's log\n{}", self.log());
            self.kill();
        } else if self.is_running() {
            self.end();
        }
    }
}
