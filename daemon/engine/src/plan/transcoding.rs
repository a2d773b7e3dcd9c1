//! Transcoding: `data@pandas` and `data@spark` are one dataset in the graph and two entries of the catalog.
//!
//! Of the names of one dataset a node makes one at most; whoever reads another of them loads it after the first was saved. Each
//! name has a block of its own, counted and released by itself.

use std::collections::BTreeMap;

use crate::id::{DatasetId, NodeId};
use crate::plan::draft::Draft;
use crate::plan::storage::{Storage, Storages};
use crate::plan::{InputBinding, NONE};
use crate::problem::{Problem, list};

/// Gives the name of the dataset in the graph, and the format if the name has one.
pub(super) fn split(name: &str) -> (&str, Option<&str>) {
    name.split_once('@').map_or((name, None), |(base, format)| (base, Some(format)))
}

/// Links the names of each dataset, and tells what is wrong with them.
pub(super) fn link(draft: &mut Draft<'_, '_>) {
    let mut families: BTreeMap<String, Vec<DatasetId>> = BTreeMap::new();
    for dataset in draft.producers.ids() {
        if let (base, Some(_)) = split(draft.dataset_names.name(dataset)) {
            families.entry(base.to_owned()).or_default().push(dataset);
        }
    }
    tell_mixed(draft, &families);
    for (base, members) in &families {
        let made: Vec<DatasetId> =
            members.iter().copied().filter(|&member| draft.producers[member].node != NONE).collect();
        if let [first, others @ ..] = made.as_slice() {
            others.iter().for_each(|&other| tell_two_producers(draft, base, *first, other));
            let read = members.iter().filter(|member| !made.contains(member));
            let origins: Vec<(DatasetId, DatasetId)> = read.map(|&member| (member, *first)).collect();
            draft.origins.extend(origins);
            tell_own_reader(draft, *first, members);
        }
    }
}

/// One problem names all datasets that are called with a format here and without one there.
fn tell_mixed(draft: &mut Draft<'_, '_>, families: &BTreeMap<String, Vec<DatasetId>>) {
    let mixed: Vec<(&String, DatasetId)> =
        families.keys().filter_map(|base| Some((base, draft.dataset_names.find(base)?))).collect();
    if mixed.is_empty() {
        return;
    }
    let names = list(mixed.iter().map(|(base, _)| base.as_str()));
    let (are, them) = if mixed.len() == 1 { ("is", "it") } else { ("are", "them") };
    let mut problem = Problem::new(
        "mixed-transcoding",
        format!("{names} {are} named with a format in one place (`name@format`) and without one in another"),
    );
    let mut first: Option<crate::source::Site> = None;
    for (base, plain) in &mixed {
        let site = site(draft, *plain);
        first = first.into_iter().chain(site).min();
        let with = families[*base].iter().map(|&member| draft.dataset_names.name(member));
        problem = problem.cause(format!("`{base}` at {}, {} elsewhere", draft.told(site), list(with)));
    }
    draft.problems.add("mixed-transcoding", first, || problem.hint(format!("name {them} with a format everywhere")));
}

fn tell_two_producers(draft: &mut Draft<'_, '_>, base: &str, first: DatasetId, other: DatasetId) {
    let maker = |dataset: DatasetId| {
        draft.node_names.name(NodeId(draft.producers[dataset].node)).split('\0').next().unwrap_or_default()
    };
    let (one, two) = (draft.dataset_names.name(first), draft.dataset_names.name(other));
    let message = format!(
        "dataset `{base}` is made twice: as `{one}` by `{}` and as `{two}` by `{}`",
        maker(first),
        maker(other)
    );
    let (place, site) = (draft.told(site(draft, first)), site(draft, other));
    draft.problems.add("two-producers", site, || {
        Problem::new("two-producers", message)
            .cause(format!("it is first made at {place}"))
            .hint("make it once, and let others read it as another format")
    });
}

/// A node must not read what it makes, under another format either.
fn tell_own_reader(draft: &mut Draft<'_, '_>, made: DatasetId, members: &[DatasetId]) {
    let node = NodeId(draft.producers[made].node);
    let inputs = draft.inputs.get(node);
    let own = members.iter().find(|&&member| member != made && inputs.contains(&Some(InputBinding::Dataset(member))));
    let Some(&own) = own else { return };
    let message = format!(
        "node `{}` reads `{}` and makes `{}`, which are one dataset",
        draft.node_names.name(node),
        draft.dataset_names.name(own),
        draft.dataset_names.name(made)
    );
    let site = site(draft, made);
    draft.problems.add("reads-own-output", site, || {
        Problem::new("reads-own-output", message).hint("let it make a dataset of another name")
    });
}

/// Where a dataset is made, or else first read.
fn site(draft: &Draft<'_, '_>, dataset: DatasetId) -> Option<crate::source::Site> {
    let producer = draft.producers[dataset];
    if producer.node != NONE {
        return draft.output_site(NodeId(producer.node), producer.port as usize);
    }
    let bound = Some(InputBinding::Dataset(dataset));
    let (node, port) = (draft.nodes.ids())
        .find_map(|node| Some((node, draft.inputs.get(node).iter().position(|binding| *binding == bound)?)))?;
    draft.input_site(node, port)
}

/// What is loaded as another format must have been saved: the name that is made needs an entry that keeps it.
pub(super) fn check_saved(draft: &mut Draft<'_, '_>, storages: &Storages<'_>) {
    let lost: Vec<(DatasetId, DatasetId)> = (draft.origins.iter())
        .filter(|(loaded, saved)| {
            storages.of[**saved] == Storage::Memory && matches!(storages.of[**loaded], Storage::Persisted(_))
        })
        .map(|(&loaded, &saved)| (loaded, saved))
        .collect();
    for (loaded, saved) in lost {
        let (read, made) = (draft.dataset_names.name(loaded), draft.dataset_names.name(saved));
        let message = format!("`{read}` is loaded from what `{made}` was saved to, but `{made}` lives in memory only");
        let hint = format!("add to the catalog:\n[\"{made}\"]\ntype = \"…\"\npath = \"…\"");
        let site = site(draft, saved);
        draft.problems.add("unsaved-transcoding", site, || Problem::new("unsaved-transcoding", message).hint(hint));
    }
}
