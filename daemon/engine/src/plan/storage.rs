//! Where every dataset lives: what the catalog says of it, and whether it can be read at all.

use std::collections::HashMap;

use serde_json::{Map, Value as Json};

use crate::catalog::{Catalog, Resolved};
use crate::document::Word;
use crate::id::{DatasetId, IdVec, Lists, NodeId};
use crate::interpolate::Scope;
use crate::plan::draft::{Draft, number};
use crate::plan::{
    HandedInValue, NONE, Notes, Persisted, PlanOptions, calls, confirms, handed_in, keeping, outside, partitions,
};
use crate::problem::{Problem, list, nearest};
use crate::signature::{DatasetTypeSignature, PortKind};
use crate::source::Site;
use crate::spec::EntrySpec;

/// Where datasets live.
#[derive(Default)]
pub(super) struct Storages<'s> {
    pub(super) of: IdVec<DatasetId, Storage>,
    pub(super) persisted: Vec<(DatasetId, Persisted)>,
    /// The types of `persisted`, side by side.
    pub(super) types: Vec<&'s DatasetTypeSignature>,
    /// Whether readers of `persisted` are to load what was saved, side by side.
    pub(super) reread: Vec<bool>,
    /// What was handed in with the run as a value.
    pub(super) values: Vec<(DatasetId, HandedInValue)>,
    /// In the order of their ids.
    pub(super) notes: Vec<(DatasetId, Notes)>,
    /// Whether `persisted` is saved by the call that makes it, chunk by chunk, side by side.
    pub(super) chunked: Vec<bool>,
}

impl Storages<'_> {
    /// Says whether readers of a dataset that is made are to load it after its save.
    pub(super) fn rereads(&self, dataset: DatasetId) -> bool {
        self.is_chunked(dataset) || self.has(&self.reread, dataset)
    }

    /// Says whether the call that makes a dataset saves it, chunk by chunk, so that it is never whole in memory.
    pub(super) fn is_chunked(&self, dataset: DatasetId) -> bool {
        self.has(&self.chunked, dataset)
    }

    /// Gives what a load of a persisted dataset may give.
    pub(super) fn loads(&self, position: usize) -> Vec<PortKind> {
        self.types.get(position).map_or_else(Vec::new, |signature| self.kinds(position, &signature.loads))
    }

    /// Gives what a save to a persisted dataset accepts.
    pub(super) fn saves(&self, position: usize) -> Vec<PortKind> {
        self.types.get(position).map_or_else(Vec::new, |signature| self.kinds(position, &signature.saves))
    }

    fn kinds(&self, position: usize, kinds: &[PortKind]) -> Vec<PortKind> {
        match self.is_partitioned(position) {
            true => kinds.iter().map(|kind| PortKind::parse(&format!("partitions<{kind}>"))).collect(),
            false => kinds.to_vec(),
        }
    }

    /// Says whether a persisted dataset is a directory of partitions.
    pub(super) fn is_partitioned(&self, position: usize) -> bool {
        self.persisted.get(position).is_some_and(|(_, persisted)| persisted.partitions.is_some())
    }

    fn has(&self, flags: &[bool], dataset: DatasetId) -> bool {
        match self.of[dataset] {
            Storage::Persisted(position) => flags.get(position as usize).copied().unwrap_or_default(),
            Storage::Memory | Storage::Value(_) | Storage::Broken => false,
        }
    }
}

/// Where one dataset lives.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Storage {
    /// In shared memory only.
    Memory,
    /// Where `Storages::persisted` says at this position.
    Persisted(u32),
    /// Handed in with the run as a value: `Storages::values` at this position.
    Value(u32),
    /// Not known, as its entry has a problem.
    Broken,
}

/// Asks the catalog for every dataset of the draft.
pub(super) fn resolve<'s>(
    draft: &mut Draft<'s, '_>,
    consumers: &Lists<DatasetId, NodeId>,
    options: &PlanOptions,
) -> Storages<'s> {
    let catalog = Catalog::new(draft.spec, draft.problems);
    let mut storages = Storages::default();
    let mut missing = Vec::new();
    let only_confirmed = confirms::only_confirmed(draft);
    for dataset in draft.producers.ids() {
        let resolved = catalog.resolve(draft.dataset_names.name(dataset));
        let storage = match &resolved {
            _ if handed_in::names(draft, dataset) => {
                handed_in::place(draft, dataset, resolved.as_ref(), consumers.get(dataset), &mut storages)
            }
            Some(resolved) => store(draft, dataset, resolved, &mut storages),
            None => Storage::Memory,
        };
        let is_read = !consumers.get(dataset).is_empty() && !only_confirmed.contains(&dataset);
        if storage == Storage::Memory && draft.producers[dataset].node == NONE && is_read {
            missing.push((dataset, resolved.is_some()));
        }
        storages.of.push(storage);
    }
    if !missing.is_empty() && !draft.doubtful && !draft.spec.unread.catalog {
        tell_missing(draft, &catalog, consumers, &missing);
    }
    handed_in::check_read(draft, consumers);
    outside::check(draft, &storages);
    keeping::check_load_versions(draft, &catalog);
    check_single_process(draft, &storages, options);
    check_paths(draft, &storages);
    storages
}

/// Reads one entry for one dataset.
pub(super) fn store<'s>(
    draft: &mut Draft<'s, '_>,
    dataset: DatasetId,
    resolved: &Resolved<'_, '_>,
    storages: &mut Storages<'s>,
) -> Storage {
    let entry = resolved.entry;
    let name = draft.dataset_names.name(dataset).to_owned();
    let problems = &mut *draft.problems;
    let mut broken = false;
    let scope = Scope {
        captures: resolved.captures.as_deref(),
        parameters: &draft.spec.parameters,
        anchors: &draft.spec.anchors,
        environment: draft.spec.environment,
    };
    let parameters_unread = draft.spec.unread.parameters;
    let mut refuse = |site, problem: Problem| {
        broken = true;
        if !(parameters_unread && problem.code == "missing-parameter") {
            problems
                .add(problem.code, Some(site), || problem.cause(format!("in the catalog entry of dataset `{name}`")));
        }
    };
    let type_name = entry.type_name.as_ref().map(|word| scope.text(&word.text, word.site, &mut refuse));
    let path = entry.path.as_ref().map(|word| scope.text(&word.text, word.site, &mut refuse));
    let checkpoint = entry.incremental.as_ref().map(|incremental| fill(&scope, &incremental.checkpoint, &mut refuse));
    let mut table = |entries: &[crate::document::Entry<'_>]| -> Map<String, Json> {
        entries.iter().map(|entry| (entry.key.text.to_string(), scope.value(&entry.value, &mut refuse))).collect()
    };
    let options = table(&entry.options);
    let metadata = table(&entry.metadata);
    let credentials_name = fill(&scope, &entry.credentials, &mut refuse);
    let notes = Notes {
        description: fill(&scope, &entry.description, &mut refuse),
        layer: fill(&scope, &entry.layer, &mut refuse),
        preview_json: (entry.preview.as_ref())
            .map_or_else(String::new, |value| scope.value(value, &mut refuse).to_string()),
        metadata_json: if metadata.is_empty() { String::new() } else { Json::Object(metadata).to_string() },
    };
    if notes != Notes::default() {
        storages.notes.push((dataset, notes));
    }
    // An entry without a type is a problem of its own already.
    let Some(type_name) = type_name else { return Storage::Broken };
    let (plugin, dataset_type, plugin_signature, signature) = match calls::find_type(draft.manifest, &type_name) {
        Ok(Some(found)) => found,
        Ok(None) if broken => return Storage::Broken,
        Ok(None) if let Some(site) = partitions::site(entry) => {
            draft.problems.add("partitions-in-memory", Some(site), || {
                Problem::new("partitions-in-memory", format!("dataset `{name}` is partitioned, but lives in memory"))
                    .hint("give it the type of one partition, such as csv, and a path")
            });
            return Storage::Broken;
        }
        Ok(None) if let Some(site) = entry.reread => {
            draft.problems.add("reread-memory", Some(site), || {
                let message =
                    format!("`reread` of dataset `{name}`: it lives in memory only, so there is nothing to read again");
                Problem::new("reread-memory", message)
                    .hint("leave `reread` out, or give the entry a type that keeps the data and a path")
            });
            return Storage::Broken;
        }
        Ok(None) => {
            outside::refuse_resident_memory(draft, &name, entry.resident);
            return keeping::check_memory(draft.problems, entry, &name);
        }
        Err(problem) => {
            let site = entry.type_name.as_ref().map(|word| word.site);
            draft
                .problems
                .add(problem.code, site, || problem.cause(format!("in the catalog entry of dataset `{name}`")));
            return Storage::Broken;
        }
    };
    if broken {
        return Storage::Broken;
    }
    let path = path.map(|path| join(draft.spec.base_directory, &path)).unwrap_or_default();
    let has_credentials = options.contains_key("credentials");
    let Some(credentials) = keeping::credentials(draft, entry, &name, &credentials_name, has_credentials) else {
        return Storage::Broken;
    };
    if !keeping::check_versioned(draft.problems, entry, &name, &path) {
        return Storage::Broken;
    }
    if !partitions::check(draft.problems, entry, &name, &path) {
        return Storage::Broken;
    }
    let partitions = partitions::read(entry, &path, checkpoint, draft.spec.base_directory);
    if !check_pieces(draft, dataset, entry, &name) {
        return Storage::Broken;
    }
    storages.types.push(signature);
    storages.reread.push(entry.reread.is_some());
    storages.chunked.push(draft.comes_in_chunks(dataset));
    storages.persisted.push((
        dataset,
        Persisted {
            plugin,
            dataset_type,
            type_name: signature.name.clone(),
            plugin_name: plugin_signature.name.clone(),
            path,
            options_json: Json::Object(options).to_string(),
            resident: entry.resident.is_some(),
            is_handed_in: false,
            versioned: entry.versioned.is_some(),
            version: String::new(),
            credentials_name,
            credentials,
            schema: keeping::schema(entry),
            releases: signature.releases,
            partitions,
        },
    ));
    Storage::Persisted(number(storages.persisted.len() - 1))
}

/// Fills in a text that may not be there; then it is empty.
fn fill(scope: &Scope<'_>, word: &Option<Word<'_>>, refuse: &mut impl FnMut(Site, Problem)) -> String {
    word.as_ref().map_or_else(String::new, |word| scope.text(&word.text, word.site, refuse))
}

/// Refuses what is said of a dataset as a whole where it is never whole: made in chunks, or kept as many files.
fn check_pieces(draft: &mut Draft<'_, '_>, dataset: DatasetId, entry: &EntrySpec<'_>, name: &str) -> bool {
    let pieces = match (partitions::site(entry), draft.comes_in_chunks(dataset)) {
        (Some(_), _) => "it is kept as many files",
        (None, true) => "it is made and saved in chunks",
        (None, false) => return true,
    };
    let asked = [("schema", entry.schema.as_ref().map(|schema| schema.site)), ("resident", entry.resident)];
    let mut fits = true;
    for (key, site) in asked.into_iter().filter(|(_, site)| site.is_some()) {
        fits = false;
        draft.problems.add("not-supported", site, || {
            Problem::new("not-supported", format!("`{key}` of dataset `{name}` is not supported yet"))
                .cause(format!("{pieces}, and is never in memory as a whole"))
                .hint(format!("leave `{key}` out"))
        });
    }
    fits
}

/// Joins a relative path to the directory it starts from. What names its scheme (`https://…`) is left as it is.
pub(super) fn join(base: &str, path: &str) -> String {
    let mut relative = path;
    while let Some(rest) = relative.strip_prefix("./") {
        relative = rest.trim_start_matches('/');
    }
    if path.is_empty() || path.starts_with('/') || path.contains("://") || base.is_empty() {
        return path.to_owned();
    }
    format!("{}/{relative}", base.trim_end_matches('/'))
}

/// One problem names every input of the pipeline that is nowhere to be had.
fn tell_missing(
    draft: &mut Draft<'_, '_>,
    catalog: &Catalog<'_, '_>,
    consumers: &Lists<DatasetId, NodeId>,
    missing: &[(DatasetId, bool)],
) {
    const SHOWN: usize = 50;
    let mut named: Vec<(&str, DatasetId, bool)> =
        (missing.iter()).map(|&(dataset, is_memory)| (draft.dataset_names.name(dataset), dataset, is_memory)).collect();
    named.sort_unstable();
    let first_port = |dataset: DatasetId| {
        let reader = *consumers.get(dataset).first()?;
        let wanted = Some(crate::plan::InputBinding::Dataset(dataset));
        Some((reader, draft.inputs.get(reader).iter().position(|binding| *binding == wanted)?))
    };
    let site = |dataset: DatasetId| first_port(dataset).and_then(|(reader, port)| draft.input_site(reader, port));
    let kind = |dataset: DatasetId| first_port(dataset).and_then(|(reader, port)| draft.input_kind(reader, port));
    let first_site = named.iter().filter_map(|&(_, dataset, _)| site(dataset)).min();
    let names: Vec<&str> = named.iter().map(|&(name, ..)| name).collect();
    let shown = match names.len() {
        0..=SHOWN => list(names.iter().copied()),
        _ => format!("{} and {} more", list(names[..SHOWN].iter().copied()), names.len() - SHOWN),
    };
    let (verb, they) = if names.len() == 1 { ("is", "it is") } else { ("are", "they are") };
    let mut problem = Problem::new(
        "missing-input",
        format!(
            "{shown} {verb} read, but no node makes {} and the catalog has no entry",
            if names.len() == 1 { "it" } else { "them" }
        ),
    );
    for &(name, dataset, is_memory) in named.iter().take(SHOWN) {
        let readers = consumers.get(dataset);
        let reader = readers.first().map_or("", |&reader| draft.node_names.name(reader));
        let memory = if is_memory { "; its catalog entry says that it lives in memory only" } else { "" };
        problem = problem.cause(format!("`{name}` is read by `{reader}` at {}{memory}", draft.told(site(dataset))));
        let made = draft.producers.iter().filter(|(_, producer)| producer.node != NONE).take(1_000);
        let known = made.map(|(made, _)| draft.dataset_names.name(made)).chain(catalog.names());
        if let Some(maker) = draft.left_out.get(name) {
            problem = problem.hint(format!(
                "`{name}` is made by `{maker}`, which the filters leave out: let it run too, or keep `{name}` by a catalog entry"
            ));
        } else if let Some(near) = nearest(name, known) {
            problem = problem.hint(format!("`{name}`: did you mean `{near}`?"));
        }
    }
    if problem.hints.is_empty() {
        problem = problem.hint(format!(
            "if {they} on disk, add to the catalog:\n[{}]\ntype = \"{}\"\npath = \"…\"",
            names.first().unwrap_or(&""),
            named.first().map_or("csv", |&(_, dataset, _)| type_for(kind(dataset)))
        ));
    }
    draft.problems.add("missing-input", first_site, || problem);
}

/// A type of the plugin `formats` that gives what a port takes, as an example.
fn type_for(kind: Option<&PortKind>) -> &'static str {
    match kind {
        Some(PortKind::Any) => "csv",
        Some(PortKind::Text) => "text",
        Some(PortKind::Bytes) => "bytes",
        Some(kind) if kind.is_json() => "json",
        _ => "csv",
    }
}

/// One problem names every dataset whose type must not be used by several workers at once.
fn check_single_process(draft: &mut Draft<'_, '_>, storages: &Storages<'_>, options: &PlanOptions) {
    if options.workers == Some(1) {
        return;
    }
    let single = storages.persisted.iter().zip(&storages.types).filter(|(_, signature)| signature.single_process);
    let mut names: Vec<&str> = single.map(|((dataset, _), _)| draft.dataset_names.name(*dataset)).collect();
    names.sort_unstable();
    if names.is_empty() {
        return;
    }
    let message = format!("{} cannot be used by more than one worker", list(names));
    draft.problems.add("single-process", None, || {
        Problem::new("single-process", message)
            .cause("their dataset types are marked `single_process`")
            .hint("run with `--max-workers 1`, or keep them in a dataset of another type")
    });
}

/// Two datasets that are made must not be saved to one path: the later would destroy the earlier.
fn check_paths(draft: &mut Draft<'_, '_>, storages: &Storages<'_>) {
    let mut saved: HashMap<&str, DatasetId> = HashMap::new();
    for (dataset, persisted) in &storages.persisted {
        let producer = draft.producers[*dataset];
        if producer.node == NONE || persisted.path.is_empty() {
            continue;
        }
        let Some(&first) = saved.get(&*persisted.path) else {
            saved.insert(&persisted.path, *dataset);
            continue;
        };
        let site = draft.output_site(NodeId(producer.node), producer.port as usize);
        let (one, other) = (draft.dataset_names.name(first), draft.dataset_names.name(*dataset));
        let message = format!("datasets `{one}` and `{other}` are both saved to {}", persisted.path);
        draft.problems.add("same-path", site, || {
            Problem::new("same-path", message).hint("give them paths of their own in the catalog")
        });
    }
}
