//! What nodes confirm: incremental datasets, each by one node at most.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::{DatasetId, Id, Lists, NodeId, TaskId};
use crate::plan::draft::Draft;
use crate::plan::storage::{Storage, Storages};
use crate::plan::{NONE, Plan};
use crate::problem::{Problem, nearest};
use crate::source::Site;

impl Plan {
    /// Gives the datasets that a node confirms, in the order they were written.
    pub fn confirms(&self, node: NodeId) -> &[DatasetId] {
        self.confirms.get(node)
    }

    /// Gives the node that confirms a dataset.
    pub fn confirmer(&self, dataset: DatasetId) -> Option<NodeId> {
        Some(self.confirm_tasks.get(self.confirm_position(dataset)?)?.1)
    }

    /// Gives the task that confirms a dataset.
    pub fn confirm_of(&self, dataset: DatasetId) -> Option<TaskId> {
        Some(TaskId::from_index(self.nodes.len() + self.tasks.len() + self.confirm_position(dataset)?))
    }

    fn confirm_position(&self, dataset: DatasetId) -> Option<usize> {
        self.confirm_tasks.binary_search_by_key(&dataset, |(dataset, _)| *dataset).ok()
    }
}

/// Lists the confirmations in the order of their tasks.
pub(super) fn confirm_tasks(confirms: &Lists<NodeId, DatasetId>) -> Vec<(DatasetId, NodeId)> {
    let nodes = (0..confirms.len()).map(NodeId::from_index);
    let mut tasks: Vec<_> =
        nodes.flat_map(|node| confirms.get(node).iter().map(move |&dataset| (dataset, node))).collect();
    tasks.sort_unstable();
    tasks
}

/// Lists the datasets that no node reads but for confirming them: that there is nothing of that name is told here.
pub(super) fn only_confirmed(draft: &Draft<'_, '_>) -> BTreeSet<DatasetId> {
    let confirmed = draft.nodes.ids().flat_map(|node| draft.confirms.get(node).iter().copied());
    let mut only: BTreeSet<DatasetId> = confirmed.collect();
    if only.is_empty() {
        return only;
    }
    for node in draft.nodes.ids() {
        for binding in draft.inputs.get(node).iter().flatten() {
            if let super::InputBinding::Dataset(dataset) = binding {
                only.remove(dataset);
            }
        }
    }
    only
}

/// Checks everything that nodes confirm.
pub(super) fn check(draft: &mut Draft<'_, '_>, storages: &Storages<'_>) {
    let mut confirmers: BTreeMap<DatasetId, NodeId> = BTreeMap::new();
    for node in draft.nodes.ids() {
        for &dataset in draft.confirms.get(node) {
            let site = site(draft, node, dataset);
            if let Some(&first) = confirmers.get(&dataset) {
                let problem = tell_two(draft, dataset, first, node);
                draft.problems.add("two-confirms", site, || problem);
                continue;
            }
            confirmers.insert(dataset, node);
            if let Some(problem) = tell_not_incremental(draft, storages, dataset, node) {
                draft.problems.add("not-incremental", site, || problem);
            }
        }
    }
}

/// Where a node says so: of a name that was filled in or renamed, where its list begins.
fn site(draft: &Draft<'_, '_>, node: NodeId, dataset: DatasetId) -> Option<Site> {
    let words = draft.spec.node(draft.nodes.get(node)?.spec)?.confirms();
    let name = draft.dataset_names.name(dataset);
    words.iter().find(|word| word.text == name).or(words.first()).map(|word| word.site)
}

fn tell_two(draft: &Draft<'_, '_>, dataset: DatasetId, first: NodeId, second: NodeId) -> Problem {
    let (name, place) = (draft.dataset_names.name(dataset), draft.told(site(draft, first, dataset)));
    let (one, other) = (draft.node_names.name(first), draft.node_names.name(second));
    Problem::new("two-confirms", format!("dataset `{name}` is confirmed twice: by `{one}` and by `{other}`"))
        .cause(format!("it is first confirmed at {place}"))
        .hint("let one node confirm it: the one after which its partitions need not come again")
}

fn tell_not_incremental(
    draft: &Draft<'_, '_>,
    storages: &Storages<'_>,
    dataset: DatasetId,
    node: NodeId,
) -> Option<Problem> {
    let is_incremental = |position: u32| {
        let (_, persisted) = storages.persisted.get(position as usize)?;
        persisted.partitions.as_ref()?.checkpoint.as_ref()
    };
    let why = match storages.of[dataset] {
        Storage::Broken => return None,
        Storage::Persisted(position) if is_incremental(position).is_some() => return None,
        Storage::Memory if draft.spec.unread.catalog => return None,
        Storage::Memory if draft.producers[dataset].node == NONE => "the catalog has no entry for it",
        Storage::Memory => "it lives in memory only",
        Storage::Value(_) => "it was handed in with the run",
        Storage::Persisted(position) => match storages.persisted.get(position as usize) {
            Some((_, persisted)) if persisted.is_handed_in => "it was handed in with the run",
            _ => "its catalog entry does not say so",
        },
    };
    let (name, node) = (draft.dataset_names.name(dataset), draft.node_names.name(node));
    let incremental = draft.spec.catalog.iter().filter(|entry| entry.incremental.is_some());
    let near = nearest(name, incremental.map(|entry| &*entry.name.text).filter(|known| *known != name));
    let problem =
        Problem::new("not-incremental", format!("`{node}` confirms `{name}`, which is not incremental: {why}"));
    Some(match near {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => problem.hint(
            "what is confirmed needs `incremental = true` in its catalog entry; leave `confirms` out if every run is to load all of it",
        ),
    })
}
