//! Only what is missing: asks which outputs exist, and leaves out the nodes that need not run.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use engine::id::{DatasetId, Id as _, NodeId};
use engine::missing::{Why, nodes_to_run, questions};
use engine::plan::Plan;
use engine::problem::Problem;

use crate::server::generations::Generation;
use crate::server::probe::{self, Question};

/// How long all questions of one run may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// No more names than this stand in one line of the log.
const NAMES_MAX: usize = 100;

/// What is left of a plan.
#[derive(Debug)]
pub struct Rest {
    /// The nodes that run.
    pub plan: Arc<Plan>,
    /// What is told of that: level and text of each line.
    pub lines: Vec<(&'static str, String)>,
}

/// Leaves out the nodes whose outputs are there. Blocks until every persisted output was looked for.
///
/// # Errors
/// One problem with all datasets of which it cannot be told whether they exist.
pub fn rest(plan: &Arc<Plan>, generation: &Generation) -> Result<Rest, Problem> {
    let there = existing(plan, generation)?;
    let why = nodes_to_run(plan, |dataset| there.get(&dataset).copied().unwrap_or(false));
    let runs = |node: NodeId| why.get(node.index()).is_some_and(Option::is_some);
    let lines = lines(plan, &why);
    match plan.restricted(runs) {
        Ok(part) => Ok(Rest { plan: Arc::new(part), lines }),
        // By its rule whoever makes something that is only in memory runs with its reader.
        Err(_) => Err(Problem::new("only-missing-outputs", "the nodes that must run cannot run on their own")
            .hint("this is a defect of dagd; please report it with the pipeline")),
    }
}

fn existing(plan: &Plan, generation: &Generation) -> Result<BTreeMap<DatasetId, bool>, Problem> {
    let asked: Vec<_> = questions(plan)
        .filter_map(|id| {
            let dataset = plan.dataset(id)?;
            Some((dataset, Question::exists(&dataset, dataset.storage?, "")))
        })
        .collect();
    let (datasets, questions): (Vec<_>, Vec<_>) = asked.into_iter().unzip();
    let mut there = BTreeMap::new();
    let mut unknown = Vec::new();
    for (dataset, answer) in datasets.iter().zip(probe::exist(generation, &questions, PATIENCE)) {
        match answer {
            Ok(exists) => drop(there.insert(dataset.id, exists)),
            Err(failure) => unknown.push((dataset.name, failure)),
        }
    }
    if unknown.is_empty() {
        return Ok(there);
    }
    unknown.sort_by_key(|(name, _)| *name);
    let names = engine::problem::list(unknown.iter().map(|(name, _)| *name));
    let message = format!("it cannot be told whether {names} exist, so neither what is missing");
    let mut problem = Problem::new("only-missing-outputs", message);
    for (name, failure) in unknown {
        let because = failure.causes.iter().map(|cause| format!(": {cause}")).collect::<String>();
        problem = problem.cause(format!("`{name}`: {}{because}", failure.message));
    }
    Err(problem.hint("make it possible to look for them, or run without `--only-missing-outputs`"))
}

/// Tells what is skipped, as Kedro does, and for each node that runs the reason.
fn lines(plan: &Plan, why: &[Option<Why>]) -> Vec<(&'static str, String)> {
    let total = plan.node_count();
    let (running, skipped): (Vec<_>, Vec<_>) = plan.nodes().zip(why).partition(|(_, why)| why.is_some());
    if running.is_empty() {
        return vec![("info", format!("Skipping all {total} nodes: all persisted outputs exist"))];
    }
    let mut lines = Vec::new();
    if !skipped.is_empty() {
        let mut names: Vec<&str> = skipped.iter().map(|(node, _)| node.name).collect();
        names.sort_unstable();
        let more = names.len().saturating_sub(NAMES_MAX);
        names.truncate(NAMES_MAX);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        lines.push((
            "info",
            format!("Skipping {} nodes with existing outputs: {}{more}", skipped.len(), names.join(", ")),
        ));
    }
    lines.push(("info", format!("Running {} of {total} nodes", running.len())));
    let dataset = |id: DatasetId| plan.dataset(id).map_or("?", |dataset| dataset.name);
    for (node, why) in running {
        let because = match why {
            Some(Why::IsMissing(id)) => format!("its output {} does not exist", dataset(*id)),
            Some(Why::IsRead(id, reader)) => {
                let reader = plan.node(*reader).map_or("?", |node| node.name);
                format!("{reader} runs and reads {}, which is in memory only", dataset(*id))
            }
            Some(Why::MakesNothing) | None => "it has no outputs that could exist".to_owned(),
        };
        lines.push(("debug", format!("Running {}: {because}", node.name)));
    }
    lines
}
