//! What the catalog makes of names: which entry each resolves to and why. Needs no sound pipeline, so that it helps to mend one.

use crate::catalog::{Catalog, How};
use crate::id::{DatasetId, Id};
use crate::parse;
use crate::plan::draft::Draft;
use crate::plan::storage::{Storages, store};
use crate::plan::{NONE, Notes, Persisted, drawing};
use crate::problem::{Place, Problem, Problems, list, nearest};
use crate::signature::Manifest;
use crate::source::Sources;

/// What a name resolved to.
#[derive(Clone, Debug)]
pub struct Found {
    /// The dataset's name.
    pub name: String,
    /// The name of the entry; nothing where no entry matches, and the dataset lives in shared memory.
    pub entry: Option<String>,
    /// Where the entry stands.
    pub place: Option<Place>,
    /// Why it is this entry.
    pub how: Option<How>,
    /// The same in a sentence.
    pub why: String,
    /// What the placeholders of the entry's name stand for.
    pub captures: Vec<(String, String)>,
    /// Patterns that match, too, and were passed over.
    pub passed_over: Vec<String>,
    /// The type that the entry says, as written; empty where there is none.
    pub type_name: String,
    /// Where it is kept; nothing for shared memory, and for what stands in a list though the pipeline does not use it.
    pub storage: Option<Persisted>,
    /// What else the entry says.
    pub notes: Notes,
    /// Whether the pipeline has a dataset of this name.
    pub is_used: bool,
    /// The name that was probably meant, where neither the pipeline nor an entry has this one.
    pub near: Option<String>,
    /// Whether a node of the pipeline makes it.
    pub is_made: bool,
}

/// Resolves names: those given, or all that the pipeline uses and all that the catalog has, in their order.
///
/// # Errors
/// Every problem of the files, and of the entries that were asked for.
pub fn look_up(sources: &Sources, manifest: &Manifest, names: &[String]) -> Result<Vec<Found>, Vec<Problem>> {
    let (spec, mut problems) = parse::parse(sources);
    // What is wrong with nodes is no matter here; datasets that they name plainly are known all the same.
    let mut of_nodes = Problems::default();
    let mut draft = Draft::new(&spec, manifest, &mut of_nodes);
    drawing::draw_nodes(&mut draft);
    *draft.problems = Problems::default();
    let catalog = Catalog::new(&spec, draft.problems);
    let used = draft.producers.len();
    let mut wanted: Vec<DatasetId> = Vec::new();
    if names.is_empty() {
        wanted.extend(draft.producers.ids());
        let unused = catalog.unused(draft.producers.ids().map(|dataset| draft.dataset_names.name(dataset)));
        let unused: Vec<String> = unused.iter().map(|entry| entry.name.text.to_string()).collect();
        wanted.extend(unused.iter().map(|name| draft.dataset(name)));
    } else {
        wanted.extend(names.iter().map(|name| draft.dataset(name)));
    }
    let known: Vec<String> = match names.is_empty() {
        true => Vec::new(),
        false => {
            let of_pipeline = draft.producers.ids().take(used).map(|dataset| draft.dataset_names.name(dataset));
            of_pipeline.chain(catalog.names()).map(str::to_owned).collect()
        }
    };
    let sound = if names.is_empty() { used } else { usize::MAX };
    let mut found: Vec<Found> =
        wanted.into_iter().map(|dataset| resolve(&mut draft, &catalog, dataset, used, sound)).collect();
    // What a pattern other than a catch-all takes may well be meant.
    let is_unknown = |found: &&mut Found| found.how != Some(How::Pattern) && !known.contains(&found.name);
    for unknown in found.iter_mut().filter(is_unknown) {
        unknown.near = nearest(&unknown.name, known.iter().map(String::as_str)).map(str::to_owned);
    }
    if names.is_empty() {
        found.sort_by(|one, other| (!one.is_used, &one.name).cmp(&(!other.is_used, &other.name)));
    }
    problems.extend(std::mem::take(draft.problems));
    if problems.is_empty() { Ok(found) } else { Err(problems.finish(&spec.texts)) }
}

fn resolve(
    draft: &mut Draft<'_, '_>,
    catalog: &Catalog<'_, '_>,
    dataset: DatasetId,
    used: usize,
    sound: usize,
) -> Found {
    let name = draft.dataset_names.name(dataset).to_owned();
    let resolved = catalog.resolve(&name);
    let mut storages = Storages::default();
    // An entry that nobody uses may be wrong: it stands in nobody's way.
    if let Some(resolved) = resolved.as_ref().filter(|_| dataset.index() < sound) {
        store(draft, dataset, resolved, &mut storages);
    }
    let matching = catalog.matching(&name);
    let passed_over: Vec<String> = matching.iter().skip(1).map(|entry| entry.name.text.to_string()).collect();
    let captures: Vec<(String, String)> = (resolved.as_ref().and_then(|resolved| resolved.captures.clone()))
        .unwrap_or_default()
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    Found {
        why: why(resolved.as_ref().map(|resolved| resolved.how), &captures, &passed_over),
        entry: resolved.as_ref().map(|resolved| resolved.entry.name.text.to_string()),
        place: resolved.as_ref().and_then(|resolved| draft.spec.texts.place(resolved.entry.name.site)),
        how: resolved.as_ref().map(|resolved| resolved.how),
        type_name: (resolved.as_ref())
            .and_then(|resolved| resolved.entry.type_name.as_ref())
            .map_or_else(String::new, |word| word.text.to_string()),
        captures,
        passed_over,
        storage: storages.persisted.pop().map(|(_, persisted)| persisted),
        notes: storages.notes.pop().map(|(_, notes)| notes).unwrap_or_default(),
        is_used: dataset.index() < used,
        near: None,
        is_made: draft.producers[dataset].node != NONE,
        name,
    }
}

fn why(how: Option<How>, captures: &[(String, String)], passed_over: &[String]) -> String {
    let captured: Vec<String> = captures.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    let captured = captured.join(", ");
    let others = match passed_over {
        [] => String::new(),
        [one] => format!("; `{one}` matches, too, and comes after it"),
        several => format!("; {} match, too, and come after it", list(several.iter().map(|name| &**name))),
    };
    match how {
        None => "the catalog has no entry and no pattern for it: shared memory".to_owned(),
        Some(How::Exact) => format!("the entry has this very name{others}"),
        Some(How::Pattern) => format!("the pattern matches, with {captured}{others}"),
        Some(How::CatchAll) => format!("nothing else matches; this pattern takes every name, with {captured}{others}"),
        Some(How::DefaultPattern) => {
            format!(
                "the catalog has nothing for it; a pattern that the run brings along matches, with {captured}{others}"
            )
        }
    }
}
