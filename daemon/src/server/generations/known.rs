//! Pipelines that are known: under way or submitted lately. A reload is held against them.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;

use engine::plan::PlanOptions;
use engine::signature::Manifest;
use protocol::{BrokenPipeline, Problem, RunFilter, Submission};

use crate::server::convert;
use crate::server::store::Store;

/// So many runs are looked at, newest first; of each pipeline the newest counts.
const RUNS_MAX: u32 = 100;
/// What was submitted longer ago, and is over, is no longer known.
const AGE_MAX_US: i64 = 24 * 3600 * 1_000_000;

/// Pipelines that plan with the plugins `before` and no longer do with those `after`.
pub fn broken(store: &Store, now_us: i64, before: &Manifest, after: &Manifest) -> Vec<BrokenPipeline> {
    if before == after {
        return Vec::new();
    }
    let filter = RunFilter { limit: Some(RUNS_MAX), ..RunFilter::default() };
    let runs = store.runs(&filter).unwrap_or_else(|error| {
        log::warn!("the pipelines submitted lately cannot be looked at: {error}");
        Vec::new()
    });
    let mut names = BTreeSet::new();
    let mut broken = Vec::new();
    for run in runs {
        let is_known = !run.state.is_final() || run.submitted_us >= now_us.saturating_sub(AGE_MAX_US);
        if !is_known || !names.insert(run.pipeline.clone()) {
            continue;
        }
        // One at a time: each may be large.
        let Ok(Some(submission)) = store.submission(&run.id) else { continue };
        let Err(problems) = plan(&submission, after) else { continue };
        if plan(&submission, before).is_ok() {
            let refuses = plan(&submission, &with_removed(before, after)).is_err();
            broken.push(BrokenPipeline { pipeline: run.pipeline, run: run.id, refuses, problems });
        }
    }
    broken
}

fn plan(submission: &Submission, plugins: &Manifest) -> Result<(), Vec<Problem>> {
    let options = PlanOptions { workers: submission.max_workers, filter: convert::filter(&submission.filter) };
    let mut sources = convert::sources(submission);
    // They are not kept with a run, and what they are is no matter here.
    sources.credentials_withheld = true;
    match engine::plan::check(&sources, plugins, &options) {
        Ok(_) => Ok(()),
        Err(problems) => Err(problems.into_iter().map(convert::problem).collect()),
    }
}

/// The plugins `after`, and those that were taken away whole: what does not plan even with these is broken by a plugin that
/// is still there.
fn with_removed(before: &Manifest, after: &Manifest) -> Manifest {
    let mut plugins = after.plugins.clone();
    let is_gone = |name: &str| after.plugins.iter().all(|plugin| plugin.name != name);
    plugins.extend(before.plugins.iter().filter(|plugin| is_gone(&plugin.name)).cloned());
    Manifest { plugins }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use engine::signature::{NodeSignature, PluginSignature, Port, PortKind};
    use protocol::{NodeCounts, RunState, RunSummary, SourceText};

    use super::*;
    use crate::server::store::{Location, NewRun};

    fn plugins(all: &[(&str, &[&str])]) -> Manifest {
        let output = || Port {
            name: "o".to_owned(),
            kind: PortKind::Json,
            optional: false,
            parameter: false,
            schema: None,
            chunks: false,
        };
        let node = |name: &&str| NodeSignature {
            name: (*name).to_owned(),
            outputs: vec![output()],
            ..NodeSignature::default()
        };
        let plugin = |(name, nodes): &(&str, &[&str])| PluginSignature {
            name: (*name).to_owned(),
            nodes: nodes.iter().map(node).collect(),
            ..PluginSignature::default()
        };
        Manifest { plugins: all.iter().map(plugin).collect() }
    }

    fn submit(store: &Store, id: &str, pipeline: &str, call: &str, submitted_us: i64) {
        let text = format!("name = \"{pipeline}\"\n[[node]]\nname = \"n\"\ncall = \"{call}\"\noutputs = [\"d\"]\n");
        let submission = Submission {
            pipeline: SourceText::new("p.toml", text),
            base_directory: "/".to_owned(),
            ..Submission::default()
        };
        let summary = RunSummary {
            id: id.to_owned(),
            pipeline: pipeline.to_owned(),
            state: RunState::Succeeded,
            generation: 1,
            submitted_us,
            started_us: None,
            finished_us: Some(submitted_us),
            counts: NodeCounts::default(),
            cause: None,
            save_version: None,
            resumed_from: None,
        };
        store.insert_run(&NewRun { summary, submission }, || ()).unwrap();
    }

    #[test]
    fn a_plugin_that_lost_a_node_is_told_from_one_that_was_taken_away() {
        let store = Store::open(&Location::Memory, 10).unwrap();
        let now = 2 * AGE_MAX_US;
        submit(&store, "old", "forgotten", "a::x", 1);
        submit(&store, "r1", "uses_x", "a::x", now);
        submit(&store, "r2", "uses_b", "b::y", now);
        submit(&store, "r3", "fine", "a::z", now);
        submit(&store, "r4", "never_planned", "c::z", now);
        let before = plugins(&[("a", &["x", "z"]), ("b", &["y"])]);
        let after = plugins(&[("a", &["z"])]);
        let mut found = broken(&store, now, &before, &after);
        found.sort_by(|a, b| a.run.cmp(&b.run));
        let found: Vec<_> = found.iter().map(|one| (one.run.as_str(), one.pipeline.as_str(), one.refuses)).collect();
        assert_eq!(found, [("r1", "uses_x", true), ("r2", "uses_b", false)]);
        assert!(broken(&store, now, &before, &before).is_empty());
    }
}
