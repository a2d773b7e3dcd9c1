//! Nodes that misbehave: the run fails with a cause that a person understands, the daemon stays up, and a second run
//! beside it is untouched.

use protocol::{FailureKind, NodeState, RunState};
use tests::Scene;

use crate::pipelines::{Gate, single};

/// How a node misbehaves, and what must be told about it.
struct Fault {
    /// What it calls.
    call: &'static str,
    /// How the API classes the failure.
    kind: FailureKind,
    /// What a person must be able to read, beside the node and its plugin.
    says: &'static [&'static str],
    /// What is added to the node's table.
    policy: &'static str,
    /// How workers start.
    start_method: &'static str,
}

impl Fault {
    fn new(call: &'static str, kind: FailureKind, says: &'static [&'static str]) -> Self {
        Self { call, kind, says, policy: "", start_method: "fork" }
    }

    fn policy(mut self, policy: &'static str) -> Self {
        self.policy = policy;
        self
    }

    fn under(mut self, start_method: &'static str) -> Self {
        self.start_method = start_method;
        self
    }

    /// A pipeline of one node, the culprit.
    #[track_caller]
    fn check(self) {
        let pipeline = format!("{}{}", single("culprit", self.call), self.policy);
        self.check_pipeline(&self.scene(), &pipeline);
    }

    fn scene(&self) -> Scene {
        Scene::with(&["faults", "missing_outputs", "formats"])
            .set("workers.start_method", format!("{:?}", self.start_method))
            .set("workers.memory_max_bytes", 256 << 20)
            .build()
    }

    /// A pipeline with a node `culprit` that misbehaves. Another run is under way all the time; it holds one of two
    /// workers.
    #[track_caller]
    fn check_pipeline(&self, scene: &Scene, pipeline: &str) {
        let plugin = self.call.split("::").next().unwrap();
        let mut daemon = scene.start();
        let gate = Gate::new(scene);
        let beside = daemon.begin(&gate.pipeline());
        daemon.wait_until_running(&beside, "waits");

        let outcome = daemon.submit(pipeline).expect_code(i32::from(protocol::exit::RUN_FAILED));
        let outcome = outcome.expect_said(&["culprit", plugin]).expect_said(self.says);

        let run = daemon.newest_run();
        assert_eq!(run.summary.state, RunState::Failed);
        let cause = run.summary.cause.clone().expect("a failed run has a cause");
        assert_eq!(
            (cause.kind, cause.node.as_deref(), cause.plugin.as_deref()),
            (self.kind, Some("culprit"), Some(plugin)),
            "{cause:#?}"
        );
        let advice = cause.hints.first().and_then(|hint| hint.lines().next()).unwrap_or_default();
        assert!(!advice.is_empty(), "nothing says what to do: {cause:#?}");
        outcome.expect_said(&[&format!("help: {advice}")]);
        let culprit = run.nodes.iter().find(|node| node.name == "culprit").expect("the node is listed");
        assert_eq!(culprit.state, NodeState::Failed);

        gate.open();
        let untouched = daemon.wait(&beside);
        assert_eq!(untouched.summary.state, RunState::Succeeded, "{untouched:#?}");
        assert!(untouched.failures.is_empty(), "{untouched:#?}");
        daemon.expect_healthy();
        assert!(daemon.stop().success());
    }
}

#[test]
fn a_panic_is_caught_with_message_and_place() {
    Fault::new("faults::panics", FailureKind::Panic, &["the sky fell on node 7", "deaths.rs:"]).check();
}

#[test]
fn a_segfault_names_the_signal() {
    Fault::new("faults::segfaults", FailureKind::Signal, &["SIGSEGV"]).check();
}

#[test]
fn a_segfault_names_the_signal_under_spawn() {
    Fault::new("faults::segfaults", FailureKind::Signal, &["SIGSEGV"]).under("spawn").check();
}

#[test]
fn an_abort_names_the_signal() {
    Fault::new("faults::aborts", FailureKind::Signal, &["SIGABRT"]).check();
}

#[test]
fn a_death_is_noticed_though_a_child_holds_the_channel() {
    // The child ends only when the daemon does: who waited for it would wait in vain.
    Fault::new("faults::leaves_child", FailureKind::Signal, &["SIGABRT"]).check();
}

#[test]
fn a_stack_overflow_is_a_signal_too() {
    Fault::new("faults::overflows_stack", FailureKind::Signal, &["SIG"]).check();
}

#[test]
fn an_exit_is_no_success() {
    Fault::new("faults::exits", FailureKind::Exit, &["exit"]).check();
}

#[test]
fn an_exit_is_no_success_under_spawn() {
    Fault::new("faults::exits", FailureKind::Exit, &["exit"]).under("spawn").check();
}

#[test]
fn a_node_that_loops_for_ever_meets_its_time_out() {
    Fault::new("faults::loops", FailureKind::Timeout, &["0.2"]).policy("timeout_seconds = 0.2\n").check();
}

#[test]
fn a_node_that_allocates_without_end_meets_the_limit() {
    Fault::new("faults::allocates", FailureKind::MemoryLimit, &["256"]).check();
}

#[test]
fn a_node_that_allocates_without_end_meets_the_limit_under_spawn() {
    Fault::new("faults::allocates", FailureKind::MemoryLimit, &["256"]).under("spawn").check();
}

#[test]
fn an_error_comes_with_its_causes_and_advice() {
    let says = &["reading the number of flights", "invalid digit found in string", "write digits only", "results.rs:"];
    Fault::new("faults::fails", FailureKind::Error, says).check();
}

#[test]
fn a_missing_output_is_named() {
    let fault = Fault::new("missing_outputs::two", FailureKind::Protocol, &["first"]);
    let pipeline = "name = \"p\"\n[[node]]\nname = \"culprit\"\ncall = \"missing_outputs::two\"\n\
                    outputs = { first = \"a\", second = \"b\" }\n";
    fault.check_pipeline(&fault.scene(), pipeline);
}

#[test]
fn a_late_write_harms_only_its_writer() {
    let fault = Fault::new("faults::writes_late", FailureKind::Signal, &["SIGSEGV"]);
    let scene = fault.scene();
    // One worker is left to this run, so both nodes run in one process and the kept address means something.
    let pipeline = r#"
        name = "late"
        [[node]]
        name = "keeps"
        call = "faults::keeps_pointer"
        outputs = ["block"]
        [[node]]
        name = "culprit"
        call = "faults::writes_late"
        inputs = ["block"]
        outputs = ["first"]
        [catalog.block]
        type = "bytes"
        path = "block.bin"
    "#;
    fault.check_pipeline(&scene, pipeline);
    let saved = std::fs::read(scene.work("block.bin")).unwrap();
    assert!(saved.len() == 1 << 20 && saved.iter().all(|byte| *byte == 1), "the block was changed after its commit");
}

#[test]
fn many_faults_in_a_row_wear_nothing_out() {
    let scene = Scene::with(&["faults"]).build();
    let mut daemon = scene.start();
    for call in ["segfaults", "panics", "exits", "aborts", "segfaults", "panics", "segfaults", "exits"] {
        let run = daemon.wait(&daemon.begin(&single("culprit", &format!("faults::{call}"))));
        assert_eq!(run.summary.state, RunState::Failed, "{call}: {run:#?}");
    }
    daemon.expect_healthy();
    assert!(daemon.stop().success());
}
