//! Which outputs a submission asks for, and what the API tells of outputs.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;

use engine::id::DatasetId;
use engine::plan::{Dataset, Plan};
use protocol::{OutputInfo, OutputList, Problem};

use crate::server::runs::Run;

/// The outputs of these names, or a problem for each name that is of none.
pub fn outputs(names: &[String], plan: &Plan) -> Result<BTreeSet<DatasetId>, Vec<Problem>> {
    let mut wanted = BTreeSet::new();
    let mut problems = Vec::new();
    for name in names {
        let found = plan.find_dataset(name).and_then(|id| plan.dataset(id));
        match found {
            Some(dataset) if dataset.is_output => {
                wanted.insert(dataset.id);
            }
            found => problems.push(unknown(name, found, plan)),
        }
    }
    if problems.is_empty() { Ok(wanted) } else { Err(problems) }
}

fn unknown(name: &str, found: Option<Dataset<'_>>, plan: &Plan) -> Problem {
    let known: Vec<&str> = plan.datasets().filter(|dataset| dataset.is_output).map(|dataset| dataset.name).collect();
    let message = match found {
        None => format!("the pipeline has no output `{name}`"),
        Some(dataset) if dataset.producer.is_none() => format!("`{name}` is an input of the pipeline, no output"),
        Some(dataset) => {
            let reader = dataset.consumers.first().and_then(|node| plan.node(*node)).map_or("", |node| node.name);
            format!("`{name}` is no output of the pipeline: `{reader}` reads it, and then it is released")
        }
    };
    let hint = match (engine::problem::nearest(name, known.iter().copied()), known.is_empty()) {
        (Some(near), _) => format!("did you mean `{near}`?"),
        (None, true) => "every dataset that it makes is read by one of its nodes".to_owned(),
        (None, false) => format!("its outputs are {}", engine::problem::list(known.iter().copied().take(20))),
    };
    Problem { code: "unknown-output".to_owned(), message, place: None, causes: Vec::new(), hints: vec![hint] }
}

/// The outputs of a run that is under way.
pub fn list_of_running(run: &Run) -> OutputList {
    let outputs = run.plan.datasets().filter(|dataset| dataset.is_output);
    let mut outputs: Vec<OutputInfo> =
        outputs.filter_map(|dataset| Some(run.output_so_far(dataset.id)?.info(dataset.name, i64::MAX))).collect();
    // Until it ends, nothing of it expires.
    outputs.iter_mut().for_each(|output| output.expires_us = None);
    outputs.sort_by(|one, other| one.name.cmp(&other.name));
    OutputList { outputs }
}
