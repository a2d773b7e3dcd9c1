//! The end of a run, and what it tells of itself.

use std::sync::Arc;

use super::{Run, Stage, Step};
use crate::action::{Action, Happening, RunState, SkipReason};
use crate::failure::{Failure, FailureKind};
use crate::id::NodeId;
use crate::plan::TaskKind;
use crate::report::{Failed, FailureReport, NodeCounts, NodeReport, NodeState, Report};

impl Run {
    /// Closes the run when nothing is left to happen.
    pub(super) fn close_if_over(&mut self, step: &mut Step<'_>) {
        if self.stage == Stage::Created || self.live > 0 || self.backing_off > 0 || self.ahead > 0 {
            return;
        }
        if self.open_nodes > 0 {
            self.unstick(step);
        }
        let all_finished = || self.nodes.iter().all(|(_, node)| node.state == NodeState::Finished);
        let state = if self.failures.is_empty() && all_finished() {
            RunState::Succeeded
        } else if self.cancel_reason.is_some() && self.cut_short {
            RunState::Cancelled
        } else {
            RunState::Failed
        };
        self.stage = Stage::Closed(state);
        self.timers.clear();
        self.run_deadline = None;
        step.emit(Happening::RunFinished { state });
        step.actions.push(Action::Close { state });
    }

    /// Nothing is live and yet nodes are open. Planning makes that impossible; should it happen, the run ends and says what it saw.
    fn unstick(&mut self, step: &mut Step<'_>) {
        let open: Vec<NodeId> =
            self.nodes.iter().filter(|(_, node)| !node.state.is_final()).map(|(id, _)| id).collect();
        let message = format!("nothing is ready to run, yet {} of {} nodes are not done", open.len(), self.nodes.len());
        let mut failure = Failure::new(FailureKind::Protocol, message);
        let named = |what: &str, wanted: &dyn Fn(NodeState) -> bool| {
            let found: Vec<&str> =
                self.plan.nodes().filter(|node| wanted(self.nodes[node.id].state)).map(|node| node.name).collect();
            let more = found.len().saturating_sub(10);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!("{what}: {}{more}", found.iter().take(10).copied().collect::<Vec<_>>().join(", "))
        };
        failure.causes = vec![
            named("not done", &|state| !state.is_final()),
            named("done", &NodeState::is_final),
            named("ready", &|state| state == NodeState::Ready),
            format!("tasks under way: {}", self.live),
        ];
        failure.hints.push("this is a defect of dagd's engine; please report it with the pipeline".to_owned());
        self.failures.push(FailureReport { what: Failed::Run, failure: Arc::new(failure) });
        for node in open {
            self.close_node(node, NodeState::Skipped(SkipReason::RunStopped), step);
            step.emit(Happening::NodeSkipped { node, because: SkipReason::RunStopped });
            self.done_reading(node, step);
        }
    }

    /// Tells what happened so far. Linear in the nodes.
    pub fn report(&self) -> Report {
        Report { nodes: self.nodes.ids().map(|node| self.node_report(node)).collect(), ..self.outline() }
    }

    /// The same but for the list of nodes, which are only counted.
    pub fn outline(&self) -> Report {
        let mut counts = NodeCounts::default();
        self.nodes.iter().for_each(|(_, node)| counts.add(node.state));
        Report {
            state: self.state(),
            duration_us: self.last.since(self.started),
            counts,
            nodes: Vec::new(),
            failures: self.failures.clone(),
            cancel_reason: self.cancel_reason.clone(),
            datasets: self.datasets,
        }
    }

    /// Tells what happened to one node so far; the id is to be one of the plan's.
    pub fn node_report(&self, node: NodeId) -> NodeReport {
        let run = &self.nodes[node];
        let call = self.plan.call_of(node).and_then(|call| self.tasks.get(call)).filter(|call| call.starts > 0);
        let end = if run.state.is_final() { run.ended } else { self.last };
        NodeReport {
            node,
            state: run.state,
            attempts: call.map_or(0, |call| call.starts),
            worker: call.map(|call| call.worker),
            started_us: call.map(|call| call.started.since(self.started)),
            duration_us: call.map(|call| end.since(call.started)),
        }
    }

    /// Counts the tasks that are dispatched and have not ended, by kind: loads, calls, saves with what is confirmed. For status pages.
    pub fn live_tasks(&self) -> (usize, usize, usize) {
        let mut counts = (0, 0, 0);
        for (task, run) in self.tasks.iter().filter(|(_, run)| run.state.is_live()) {
            match (self.kind(task), run.state) {
                (Some(TaskKind::Load(_)), _) => counts.0 += 1,
                (Some(TaskKind::Call(_)), _) => counts.1 += 1,
                (Some(TaskKind::Save(_) | TaskKind::Confirm(_)), _) => counts.2 += 1,
                (None, _) => {}
            }
        }
        counts
    }
}

impl NodeCounts {
    fn add(&mut self, state: NodeState) {
        self.total += 1;
        let count = match state {
            NodeState::Waiting | NodeState::Ready => &mut self.waiting,
            NodeState::Running | NodeState::Retrying | NodeState::Saving => &mut self.running,
            NodeState::Finished => &mut self.finished,
            NodeState::Failed => &mut self.failed,
            NodeState::Skipped(_) => &mut self.skipped,
            NodeState::Cancelled => &mut self.cancelled,
        };
        *count += 1;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::event::Event;
    use crate::id::{Attempt, Id as _, TaskId, Time};
    use crate::plan::{PlanOptions, check};
    use crate::policy::RunPolicy;
    use crate::signature::{Manifest, NodeSignature, PluginSignature, Port, PortKind};
    use crate::source::{Source, Sources};

    /// R9: planning rules it out, so the run is spoilt by hand: a node waits for one input too many.
    #[test]
    fn parity_r9_a_run_that_is_stuck_says_what_it_saw() {
        let port = |name: &str| Port {
            name: name.to_owned(),
            kind: PortKind::Any,
            optional: true,
            parameter: false,
            schema: None,
            chunks: false,
        };
        let node = NodeSignature { name: "n".to_owned(), inputs: vec![port("in")], outputs: vec![port("out")] };
        let plugin = PluginSignature { name: "p".to_owned(), nodes: vec![node], ..PluginSignature::default() };
        let text = "[[node]]\nname = \"a\"\ncall = \"p::n\"\noutputs = [\"x\"]\n\
                    [[node]]\nname = \"b\"\ncall = \"p::n\"\ninputs = [\"x\"]\noutputs = [\"y\"]\n";
        let sources = Sources { pipeline: Source::new("p.toml", text), ..Sources::default() };
        let plan = check(&sources, &Manifest { plugins: vec![plugin] }, &PlanOptions::default()).unwrap();
        let mut run = Run::new(Arc::new(plan), RunPolicy::default());
        run.nodes[NodeId::from_index(1)].inputs_left += 1;
        let mut actions = Vec::new();
        run.on(Event::Start, Time(0), &mut actions);
        run.on(Event::Finished { task: TaskId(0), attempt: Attempt(1), worker: 0 }, Time(1), &mut actions);
        assert_eq!(run.state(), Some(RunState::Failed));
        let failure = &run.report().failures[0].failure;
        assert_eq!(failure.message, "nothing is ready to run, yet 1 of 2 nodes are not done");
        assert_eq!(failure.causes, ["not done: b", "done: a", "ready: ", "tasks under way: 0"]);
    }
}
