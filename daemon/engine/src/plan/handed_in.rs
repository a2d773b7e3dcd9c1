//! Data handed in with a run: which dataset it is, and how it becomes one. It goes before the catalog.

use serde_json::Value as Json;

use crate::catalog::Resolved;
use crate::credentials::Secret;
use crate::id::{DatasetId, Lists, NodeId};
use crate::plan::draft::{Draft, number};
use crate::plan::storage::{Storage, Storages, store};
use crate::plan::{HandedInValue, InputBinding, NONE, Persisted, calls};
use crate::problem::{Problem, nearest};
use crate::signature::PortKind;
use crate::source::{HandedIn, HandedInFile};

/// Extensions that are not the name of the type that loads them.
const EXTENSIONS: &[(&str, &str)] = &[
    ("txt", "text"),
    ("md", "text"),
    ("jsonl", "ndjson"),
    ("feather", "arrow"),
    ("ipc", "arrow"),
    ("pq", "parquet"),
    ("bin", "bytes"),
    ("xlsx", "excel"),
    ("xls", "excel"),
    ("xlsb", "excel"),
    ("ods", "excel"),
];
/// Suffixes of packed files; the one before tells the type.
const PACKED: &[&str] = &["gz", "zst"];

/// Says whether a dataset was handed in.
pub(super) fn names(draft: &Draft<'_, '_>, dataset: DatasetId) -> bool {
    !draft.spec.inputs.is_empty() && draft.spec.inputs.contains_key(draft.dataset_names.name(dataset))
}

/// Decides where a dataset that was handed in lives: a value is there at once, a file is loaded by a dataset type.
pub(super) fn place<'s>(
    draft: &mut Draft<'s, '_>,
    dataset: DatasetId,
    resolved: Option<&Resolved<'_, '_>>,
    consumers: &[NodeId],
    storages: &mut Storages<'s>,
) -> Storage {
    let name = draft.dataset_names.name(dataset).to_owned();
    match draft.spec.inputs.get(&name) {
        Some(HandedIn::Value(json)) => {
            let value = value(draft, dataset, consumers, json);
            storages.values.push((dataset, value));
            Storage::Value(number(storages.values.len() - 1))
        }
        Some(HandedIn::File(file)) => place_file(draft, dataset, &name, file, resolved, storages),
        None => Storage::Memory,
    }
}

/// A JSON string is given as plain text where some reader takes plain text: nobody can write one otherwise.
fn value(draft: &Draft<'_, '_>, dataset: DatasetId, consumers: &[NodeId], json: &str) -> HandedInValue {
    let takes_text = |&node: &NodeId| {
        draft.inputs.get(node).iter().enumerate().any(|(port, binding)| {
            *binding == Some(InputBinding::Dataset(dataset))
                && matches!(draft.input_kind(node, port), Some(PortKind::Text | PortKind::Bytes))
        })
    };
    if let Ok(Json::String(text)) = serde_json::from_str(json)
        && consumers.iter().any(takes_text)
    {
        return HandedInValue { text, is_text: true };
    }
    HandedInValue { text: json.to_owned(), is_text: false }
}

/// Gives what a value can be read as.
pub(super) fn kind_of(value: &HandedInValue) -> PortKind {
    if value.is_text {
        return PortKind::Text;
    }
    match serde_json::from_str(&value.text) {
        Ok(Json::Bool(_)) => PortKind::Boolean,
        Ok(Json::String(_)) => PortKind::String,
        Ok(Json::Number(number)) if number.is_i64() || number.is_u64() => PortKind::Integer,
        Ok(Json::Number(_)) => PortKind::Number,
        _ => PortKind::Json,
    }
}

fn place_file<'s>(
    draft: &mut Draft<'s, '_>,
    dataset: DatasetId,
    name: &str,
    file: &HandedInFile,
    resolved: Option<&Resolved<'_, '_>>,
    storages: &mut Storages<'s>,
) -> Storage {
    let by_extension = type_of(&file.name);
    let known = |type_name: &str| matches!(calls::find_type(draft.manifest, type_name), Ok(Some(_)));
    let entry_type = resolved.and_then(|resolved| resolved.entry.type_name.as_ref()).map(|word| &*word.text);
    let type_name = match (&file.type_name, entry_type) {
        (Some(type_name), _) => type_name.clone(),
        // The entry knows how such data is to be read, unless the name says that it is something else.
        (None, Some(entry_type)) if entry_type != "memory" && (by_extension == entry_type || !known(&by_extension)) => {
            let before = storages.persisted.len();
            let storage = match resolved {
                Some(resolved) => store(draft, dataset, resolved, storages),
                None => Storage::Broken,
            };
            if let Some((_, persisted)) = storages.persisted.get_mut(before) {
                persisted.path.clone_from(&file.name);
                persisted.versioned = false;
                persisted.resident = false;
                persisted.partitions = None;
                persisted.is_handed_in = true;
                if let Some(options) = &file.options_json {
                    persisted.options_json.clone_from(options);
                }
            }
            return storage;
        }
        (None, _) => by_extension,
    };
    let found = match calls::find_type(draft.manifest, &type_name) {
        Ok(Some(found)) => found,
        Ok(None) => {
            return refuse(draft, name, file, Problem::new("unknown-type", "bytes cannot be loaded as \"memory\""));
        }
        Err(problem) if type_name.is_empty() => {
            let untold =
                Problem::new("unknown-type", format!("the name {:?} does not tell its dataset type", file.name));
            let untold = problem.hints.iter().fold(untold, |untold, hint| untold.hint(hint.clone()));
            return refuse(draft, name, file, untold);
        }
        Err(problem) => return refuse(draft, name, file, problem),
    };
    let (plugin, dataset_type, plugin_signature, signature) = found;
    storages.types.push(signature);
    storages.reread.push(false);
    storages.chunked.push(false);
    storages.persisted.push((
        dataset,
        Persisted {
            plugin,
            dataset_type,
            type_name: signature.name.clone(),
            plugin_name: plugin_signature.name.clone(),
            path: file.name.clone(),
            options_json: file.options_json.clone().unwrap_or_else(|| "{}".to_owned()),
            versioned: false,
            version: String::new(),
            credentials_name: String::new(),
            credentials: Secret::default(),
            schema: None,
            releases: signature.releases,
            resident: false,
            is_handed_in: true,
            partitions: None,
        },
    ));
    Storage::Persisted(number(storages.persisted.len() - 1))
}

fn refuse(draft: &mut Draft<'_, '_>, name: &str, file: &HandedInFile, problem: Problem) -> Storage {
    let problem = problem
        .cause(format!("`{name}` was handed in with the run as {:?}", file.name))
        .hint(format!("say the type: --input {name}=@{}:type=csv", file.name));
    draft.problems.add(problem.code, None, || problem);
    Storage::Broken
}

/// Gives the dataset type that a file's name tells: `csv` for `a/b.csv.gz`; empty where it tells none.
pub fn type_of(name: &str) -> String {
    let base = name.rsplit('/').next().unwrap_or(name);
    let mut words = base.split('.').skip(1).map(str::to_ascii_lowercase).collect::<Vec<_>>();
    if words.last().is_some_and(|last| PACKED.contains(&&**last)) {
        words.pop();
    }
    let Some(last) = words.pop() else { return String::new() };
    EXTENSIONS.iter().find(|(extension, _)| *extension == last).map_or(last, |(_, type_name)| (*type_name).to_owned())
}

/// One problem for each name that was handed in and that no node reads.
pub(super) fn check_read(draft: &mut Draft<'_, '_>, consumers: &Lists<DatasetId, NodeId>) {
    if draft.doubtful {
        return;
    }
    let read: Vec<&str> = (draft.producers.iter())
        .filter(|(dataset, producer)| producer.node == NONE && !consumers.get(*dataset).is_empty())
        .map(|(dataset, _)| draft.dataset_names.name(dataset))
        .collect();
    let known: Vec<&str> = draft.producers.ids().map(|dataset| draft.dataset_names.name(dataset)).collect();
    let mut unused = Vec::new();
    for name in draft.spec.inputs.keys() {
        // What a node makes is a problem of its own: `outside`.
        if known.contains(&&**name) {
            continue;
        }
        let problem =
            Problem::new("unused-input", format!("`{name}` was handed in with the run, but no node reads it"));
        unused.push(match nearest(name, read.iter().copied()) {
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None if read.is_empty() => problem.hint("the pipeline has no inputs"),
            None => problem
                .hint(format!("the pipeline's inputs are {}", crate::problem::list(read.iter().copied().take(20)))),
        });
    }
    for problem in unused {
        draft.problems.add("unused-input", None, || problem);
    }
}
