//! One client of a daemon under load: submits one drawn pipeline after the other, disturbs some, and judges what comes of each.

use std::fmt::Write as _;
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

use protocol::{NodeState, OutputList, OutputState, RunDetail, RunEvent, RunState, RunSummary, path};

use super::pipeline::Pipeline;
use super::watch::{Disturbance, Told, Watch};
use crate::daemon::Daemon;
use crate::draw::Draw;
use crate::scene::Scene;
use crate::{http, processes, wait};

/// One client.
pub struct Client<'a> {
    pub scene: &'a Scene,
    pub daemon: &'a Daemon<'a>,
    pub draw: Draw,
    /// Whether somebody kills workers.
    pub has_kills: bool,
    /// How many workers were killed by all clients.
    pub kills: &'a AtomicU64,
}

/// What came of one run.
pub struct Judged {
    pub state: RunState,
    /// What was told of each of its nodes.
    pub nodes: Vec<(String, Told)>,
    /// How many attempts, loads and saves were told to have been ended by a kill.
    pub kills: u64,
    /// What is not as it should be, with all that is known of the run.
    pub wrong: Option<String>,
}

/// What a client does while its run goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meanwhile {
    /// Asks for the run now and then.
    Looks,
    /// Reads the events as they come.
    Follows,
    /// Has asked for an answer at the end.
    Waits,
    /// Cancels it after so many nodes.
    Cancels(u64),
    /// Kills a worker after so many nodes, whatever that is at.
    Kills(u64),
}

impl Client<'_> {
    /// One run, from the drawing of its pipeline to the judgement.
    pub fn run(&mut self, name: &str) -> Judged {
        // Enough that nobody is ever killed so often.
        let retries = if self.has_kills { 3 } else { 0 };
        let pipeline = Pipeline::draw(&mut self.draw, name, &self.scene.path("work"), retries);
        let meanwhile = self.meanwhile(pipeline.nodes.len() as u64);
        let body = serde_json::to_value(&pipeline.submission).expect("a submission is JSON");
        let target = if meanwhile == Meanwhile::Waits { "/v1/runs?wait=true" } else { path::RUNS };
        let accepted: RunSummary = self.daemon.post(target, &body).expect(201).read();
        let followed = self.act(meanwhile, &accepted.id);
        let run = self.daemon.wait(&accepted.id);
        let events = self.events(&run.summary.id);
        let is_cancelled = matches!(meanwhile, Meanwhile::Cancels(_));
        let mut watch = Watch::new(&pipeline, Disturbance { is_cancelled, has_kills: self.has_kills });
        let mut judgement = watch.see(&events).and_then(|()| watch.check(&run));
        judgement = judgement.and_then(|()| watch.check_trace(&self.trace(&pipeline)));
        judgement = judgement.and_then(|()| self.check_outputs(&pipeline, &run));
        if judgement.is_ok() && followed.is_some_and(|followed| followed != events) {
            judgement = Err("who followed it saw other events than who came later".to_owned());
        }
        Judged {
            state: run.summary.state,
            nodes: watch.nodes().map(|(node, told)| (node.name.clone(), told)).collect(),
            kills: watch.kills(),
            wrong: judgement.err().map(|wrong| {
                let file = std::env::temp_dir().join(format!("dagd-random-load-{}-{name}.txt", self.daemon.pid()));
                let kept = fs::write(&file, story(meanwhile, &pipeline, &run, &events));
                let told = kept.map_or_else(|problem| problem.to_string(), |()| file.display().to_string());
                format!("run {name}: {wrong}\n  its story: {told}")
            }),
        }
    }

    fn meanwhile(&mut self, nodes: u64) -> Meanwhile {
        let so_many = self.draw.below(nodes);
        match self.draw.below(100) {
            0..15 => Meanwhile::Cancels(so_many),
            15..40 if self.has_kills => Meanwhile::Kills(so_many),
            15..50 => Meanwhile::Follows,
            50..75 => Meanwhile::Waits,
            _ => Meanwhile::Looks,
        }
    }

    fn act(&mut self, meanwhile: Meanwhile, id: &str) -> Option<Vec<RunEvent>> {
        match meanwhile {
            Meanwhile::Looks | Meanwhile::Waits => {}
            Meanwhile::Follows => return Some(self.events(id)),
            Meanwhile::Cancels(nodes) => {
                self.wait_for_nodes(id, nodes);
                let answer = http::request(&self.scene.socket(), "POST", &path::run_cancel(id), None);
                // It may be over already.
                assert!(matches!(answer.status, 200 | 202 | 409), "cancelling {id}: {}", answer.head);
            }
            Meanwhile::Kills(nodes) => {
                self.wait_for_nodes(id, nodes);
                let all = self.daemon.processes();
                let workers: Vec<i32> =
                    all.iter().filter(|process| process.name == "dagd-worker").map(|process| process.pid).collect();
                if !workers.is_empty() {
                    self.kills.fetch_add(1, Ordering::Relaxed);
                    processes::kill_hard(self.draw.pick(&workers));
                }
            }
        }
        None
    }

    /// Waits until so many nodes have ended well, or the run is over.
    fn wait_for_nodes(&self, id: &str, nodes: u64) {
        wait::until_true(&format!("{nodes} nodes of run {id}"), || {
            let run = self.daemon.run(id).summary;
            run.state.is_final() || run.counts.succeeded >= nodes
        });
    }

    /// The events of a run from the first to the last.
    fn events(&self, id: &str) -> Vec<RunEvent> {
        let answer = self.daemon.get(&path::run_events(id, 0)).expect(200);
        let text = String::from_utf8_lossy(&answer.body);
        let data = text.lines().filter_map(|line| line.strip_prefix("data:"));
        data.map(|line| serde_json::from_str(line).unwrap_or_else(|problem| panic!("{problem}: {line}"))).collect()
    }

    fn trace(&self, pipeline: &Pipeline) -> String {
        fs::read_to_string(self.scene.work(&pipeline.trace)).unwrap_or_default()
    }

    /// What was asked for can be fetched where its node came to its end, and is what it should be; so is what was saved.
    fn check_outputs(&self, pipeline: &Pipeline, run: &RunDetail) -> Result<(), String> {
        let state_of = |maker: &Option<String>| {
            let found = run.nodes.iter().find(|node| Some(&node.name) == maker.as_ref());
            found.map_or(NodeState::Skipped, |node| node.state)
        };
        // Before one is fetched: then it may go.
        let list: OutputList = self.daemon.get(&path::run_outputs(&run.summary.id)).expect(200).read();
        let is_ready = |name: &String| {
            list.outputs.iter().any(|output| output.name == *name && output.state == OutputState::Ready)
        };
        for (name, dataset) in &pipeline.datasets {
            let state = state_of(&dataset.maker);
            if dataset.is_saved && state == NodeState::Succeeded {
                let saved =
                    fs::read(self.scene.work(&format!("{name}.json"))).map_err(|problem| problem.to_string())?;
                if !dataset.value.is(&saved) {
                    return Err(format!("{name} was saved as {}, not {:?}", shown(&saved), dataset.value));
                }
            }
            if !pipeline.wanted.contains(name) {
                continue;
            }
            match (is_ready(name), state) {
                // One whose call ended well and whose save did not come to its end is there, and its node is not done.
                (true, NodeState::Succeeded | NodeState::Cancelled | NodeState::Failed) => {
                    let answer = self.daemon.get(&path::run_output(&run.summary.id, name, None));
                    if answer.status != 200 || !dataset.value.is(&answer.body) {
                        let body = shown(&answer.body);
                        return Err(format!("{name} is fetched as {} {body}, not {:?}", answer.status, dataset.value));
                    }
                }
                (true, _) => return Err(format!("{name} is there, and its node {state}")),
                (false, NodeState::Succeeded) => return Err(format!("{name} is not there, and its node {state}")),
                (false, _) => {}
            }
        }
        Ok(())
    }
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(100)]).into_owned()
}

/// All that somebody needs who looks for the reason.
fn story(meanwhile: Meanwhile, pipeline: &Pipeline, run: &RunDetail, events: &[RunEvent]) -> String {
    let submission = &pipeline.submission;
    let mut story = format!("run {}, its client: {meanwhile:?}\n", run.summary.id);
    let _ = writeln!(
        story,
        "max_workers {:?}, sequential {}, asynchronous_saves {}, on_failure {:?}, fail_fast {}, outputs {:?}",
        submission.max_workers,
        submission.sequential,
        submission.asynchronous_saves,
        submission.on_failure,
        submission.fail_fast,
        submission.outputs
    );
    story.push_str(&submission.pipeline.text);
    for event in events {
        let _ = writeln!(story, "{} {:?}", event.sequence, event.kind);
    }
    let _ = writeln!(story, "{:?}", run.summary);
    for node in &run.nodes {
        let _ = writeln!(story, "{node:?}");
    }
    story
}
