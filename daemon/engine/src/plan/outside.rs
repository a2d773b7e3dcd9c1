//! Datasets whose bytes come from outside the run: kept for all runs by the daemon, or handed in with the run. A node may
//! read them; one that makes them would write where the result cannot come back from.

use crate::id::{DatasetId, NodeId};
use crate::plan::draft::Draft;
use crate::plan::storage::Storages;
use crate::plan::{NONE, handed_in};
use crate::problem::{Problem, list};
use crate::source::Site;

/// One problem names every output that is bound to such a dataset, sorted, with its node.
pub(super) fn check(draft: &mut Draft<'_, '_>, storages: &Storages<'_>) {
    let is_made = |dataset: DatasetId| draft.producers[dataset].node != NONE;
    let resident = (storages.persisted.iter())
        .filter(|(dataset, persisted)| persisted.resident && is_made(*dataset))
        .map(|(dataset, _)| (draft.dataset_names.name(*dataset), *dataset, "resident"));
    let handed_in = (draft.producers.ids())
        .filter(|&dataset| is_made(dataset) && handed_in::names(draft, dataset))
        .map(|dataset| (draft.dataset_names.name(dataset), dataset, "handed in with the run"));
    let mut made: Vec<(&str, DatasetId, &str)> = resident.chain(handed_in).collect();
    made.sort_unstable();
    if made.is_empty() {
        return;
    }
    let names = list(made.iter().map(|&(name, ..)| name));
    let message = match made.len() {
        1 => format!("{names} is made by a node, but its content comes from outside the run"),
        _ => format!("{names} are made by nodes, but their content comes from outside the run"),
    };
    let mut problem = Problem::new("outside-output", message);
    let mut first: Option<Site> = None;
    for &(name, dataset, why) in &made {
        let producer = draft.producers[dataset];
        let node = NodeId(producer.node);
        let site = draft.output_site(node, producer.port as usize);
        first = first.into_iter().chain(site).min();
        let maker = draft.node_names.name(node);
        problem = problem.cause(format!("`{name}` is {why}; `{maker}` makes it at {}", draft.told(site)));
    }
    problem = problem.hint(
        "let the node write to a dataset of another name; or take `resident` out of the catalog entry, or do not hand the dataset in",
    );
    draft.problems.add("outside-output", first, || problem);
}

/// What lives in memory only is never loaded, so there is nothing to keep for other runs.
pub(super) fn refuse_resident_memory(draft: &mut Draft<'_, '_>, name: &str, resident: Option<Site>) {
    let Some(site) = resident else { return };
    draft.problems.add("resident-memory", Some(site), || {
        let message = format!("`{name}` is resident, but its type is \"memory\", which is never loaded");
        Problem::new("resident-memory", message)
            .hint("give it the type and the path that it is to be loaded from, or take `resident` away")
    });
}
