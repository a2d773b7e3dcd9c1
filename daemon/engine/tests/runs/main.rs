//! What a run does in named situations: a pipeline, what happens to it, and the story it tells. One line a step:
//! what is told to the run, then what it answers.
#![allow(clippy::unwrap_used, reason = "a test")]

mod confirming;
mod ending;
mod failing;
mod going;
#[path = "../support/mod.rs"]
mod support;

use std::sync::Arc;

use engine::action::{Action, DatasetOperation, Happening, SkipReason};
use engine::event::Event;
use engine::failure::{Failure, FailureKind};
use engine::id::{Attempt, DatasetId, NodeId, TaskId, Time};
use engine::plan::{Plan, TaskKind};
use engine::policy::{OnFailure, RunPolicy};
use engine::run::Run;
use support::{plan, rendered};

/// Plays a script. `start`, `begin TASK`, `end TASK`, `fail TASK`, `at SECONDS` (a tick), `cancel`; a task is `name`,
/// `load name`, `save name` or `confirm name`, and its latest attempt is meant (or `name#1`).
struct Stage {
    plan: Arc<Plan>,
    run: Run,
    now: Time,
}

fn check(pipeline: &str, policy: RunPolicy, script: &str, expected: &str) {
    let story = story(pipeline, policy, script);
    let expected: String = expected.trim().lines().map(|line| format!("{}\n", line.trim())).collect();
    assert!(story == expected, "--- found\n{story}--- expected\n{expected}");
}

fn story(pipeline: &str, policy: RunPolicy, script: &str) -> String {
    let catalog = r#"
        "s_{x}" = { type = "json", path = "{x}" }
        "c_{x}" = { type = "csv", path = "{x}" }
        "i_{x}" = { type = "json", path = "{x}", incremental = true }
        "r_{x}" = { type = "json", path = "{x}", reread = true }
    "#;
    let files = [("pipeline.toml", pipeline), ("catalog.toml", catalog)];
    let plan = Arc::new(plan(&files).unwrap_or_else(|problems| panic!("problems:\n{}", rendered(&problems))));
    let mut stage = Stage { run: Run::new(plan.clone(), policy), plan, now: Time(0) };
    let mut story = String::new();
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        story.push_str(&stage.step(line));
    }
    let report = stage.run.report();
    for node in &report.nodes {
        story.push_str(&format!("{}: {:?} after {}\n", stage.node(node.node), node.state, node.attempts));
    }
    for failure in &report.failures {
        story.push_str(&format!("failure: {}\n", failure.failure));
        for cause in &failure.failure.causes {
            story.push_str(&format!("because: {cause}\n"));
        }
    }
    story
}

impl Stage {
    fn step(&mut self, line: &str) -> String {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let failure = || Box::new(Failure::new(FailureKind::Error, "it broke"));
        let event = match verb {
            "start" => Event::Start,
            "cancel" => Event::Cancel { reason: "enough".to_owned() },
            "at" => {
                self.now = Time((rest.parse::<f64>().unwrap() * 1e6) as u64);
                Event::Tick
            }
            _ => {
                let (task, attempt) = self.task(rest);
                match verb {
                    "begin" => Event::Started { task, attempt, worker: 0 },
                    "end" => Event::Finished { task, attempt, worker: 0 },
                    "fail" => Event::Failed { task, attempt, worker: 0, failure: failure() },
                    _ => panic!("unknown verb {verb}"),
                }
            }
        };
        let mut actions = Vec::new();
        self.run.on(event, self.now, &mut actions);
        let told: Vec<String> = actions.iter().map(|action| self.told(action)).collect();
        format!("{line} => {}\n", if told.is_empty() { "nothing".to_owned() } else { told.join(", ") })
    }

    fn task(&self, text: &str) -> (TaskId, Attempt) {
        let (text, attempt) = text.split_once('#').unwrap_or((text, "1"));
        let task = match text.split_once(' ') {
            Some((verb, name)) => {
                // A dataset that is read again has a save and a load.
                let mut named = self.plan.datasets().filter(|dataset| dataset.name == name);
                let loads = verb == "load";
                let is_meant = |task: &TaskId| matches!(self.plan.task(*task), Some(TaskKind::Load(_))) == loads;
                match verb {
                    "confirm" => named.find_map(|dataset| self.plan.confirm_of(dataset.id)).unwrap(),
                    _ => named.filter_map(|dataset| self.plan.task_of(dataset.id)).find(is_meant).unwrap(),
                }
            }
            None => self.plan.call_of(self.plan.find_node(text).unwrap()).unwrap(),
        };
        (task, Attempt(attempt.parse().unwrap()))
    }

    fn node(&self, id: NodeId) -> &str {
        self.plan.node(id).unwrap().name
    }

    fn dataset(&self, id: DatasetId) -> &str {
        self.plan.dataset(id).unwrap().name
    }

    fn task_name(&self, task: TaskId) -> String {
        match self.plan.task(task).unwrap() {
            TaskKind::Call(node) => self.node(node).to_owned(),
            TaskKind::Load(dataset) => format!("load {}", self.dataset(dataset)),
            TaskKind::Save(dataset) => format!("save {}", self.dataset(dataset)),
            TaskKind::Confirm(dataset) => format!("confirm {}", self.dataset(dataset)),
        }
    }

    fn told(&self, action: &Action) -> String {
        let operation = |operation: &DatasetOperation| match operation {
            DatasetOperation::Load => "load",
            DatasetOperation::Save => "save",
            DatasetOperation::Confirm => "confirm",
        };
        let retry = |ms: &Option<u64>| ms.map_or(String::new(), |ms| format!(" (again in {ms} ms)"));
        match action {
            Action::Dispatch { task, attempt } => format!("DISPATCH {}#{attempt}", self.task_name(*task)),
            Action::Abort { task, attempt, reason } => format!("ABORT {}#{attempt} {reason:?}", self.task_name(*task)),
            Action::Release { dataset } => format!("RELEASE {}", self.dataset(*dataset)),
            Action::Close { state } => format!("CLOSE {state:?}"),
            Action::Emit(happening) => match happening {
                Happening::RunStarted => "run started".to_owned(),
                Happening::NodeStarted { node, .. } => format!("{} started", self.node(*node)),
                Happening::CallFinished { node, .. } => format!("{} called", self.node(*node)),
                Happening::NodeFinished { node, .. } => format!("{} finished", self.node(*node)),
                Happening::NodeFailed { node, during_save_of, will_retry_in_ms, .. } => {
                    let during = if during_save_of.is_some() { " by its save" } else { "" };
                    format!("{} failed{during}{}", self.node(*node), retry(will_retry_in_ms))
                }
                Happening::NodeSkipped { node, because } => {
                    let because = match because {
                        SkipReason::NodeFailed(node) => format!("{} failed", self.node(*node)),
                        SkipReason::LoadFailed(dataset) => format!("{} was not loaded", self.dataset(*dataset)),
                        SkipReason::RunStopped => "stopped".to_owned(),
                        SkipReason::RunCancelled => "cancelled".to_owned(),
                    };
                    format!("{} skipped: {because}", self.node(*node))
                }
                Happening::DatasetStarted { dataset, operation: what, .. } => {
                    format!("{} of {} started", operation(what), self.dataset(*dataset))
                }
                Happening::DatasetLoaded { dataset, .. } => format!("{} loaded", self.dataset(*dataset)),
                Happening::DatasetConfirmed { dataset, .. } => format!("{} confirmed", self.dataset(*dataset)),
                Happening::DatasetSaved { dataset, .. } => format!("{} saved", self.dataset(*dataset)),
                Happening::DatasetFailed { dataset, operation: what, will_retry_in_ms, .. } => {
                    format!("{} of {} failed{}", operation(what), self.dataset(*dataset), retry(will_retry_in_ms))
                }
                Happening::DatasetReleased { .. } => "released".to_owned(),
                Happening::RunFinished { .. } => "run finished".to_owned(),
            },
        }
    }
}

const STOP: RunPolicy = RunPolicy {
    on_failure: OnFailure::Stop,
    asynchronous_saves: false,
    fail_fast: false,
    tasks_max: None,
    timeout_us: None,
};
const CONTINUE: RunPolicy = RunPolicy { on_failure: OnFailure::Continue, ..STOP };

const CHAIN: &str = r#"
[[node]]
name = "a"
call = "t::copy"
inputs = ["s_in"]
outputs = ["x"]
[[node]]
name = "b"
call = "t::copy"
inputs = ["x"]
outputs = ["s_y"]
[[node]]
name = "c"
call = "t::join"
inputs = ["x", "s_y"]
outputs = ["z"]
"#;

const FORK: &str = r#"
[[node]]
name = "left"
call = "t::source"
outputs = ["l"]
[[node]]
name = "right"
call = "t::source"
outputs = ["r"]
[[node]]
name = "reads_left"
call = "t::sink"
inputs = ["l"]
[[node]]
name = "reads_right"
call = "t::sink"
inputs = ["r"]
"#;
