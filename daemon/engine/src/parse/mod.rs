//! Text → what was written, and everything wrong with how it was written. Asks nothing of plugins or of the machine.

mod catalog;
mod credentials;
mod fields;
mod include;
mod modules;
mod node;
mod parameters;
mod partitions;

use crate::document::{self, Data, Entry, Items, Value, Word};
use crate::problem::{Problem, Problems};
use crate::source::{Sources, Texts};
use crate::spec::{PolicySpec, Spec, Unread};
use fields::Fields;

/// The keys at the top of a pipeline file.
const PIPELINE_KEYS: &[&str] = &[
    "name",
    "description",
    "node",
    "include",
    "tags",
    "catalog",
    "parameters",
    "timeout_seconds",
    "retries",
    "retry_backoff_seconds",
    "on_failure",
];

/// Reads all files. The spec holds all that could be read, so that planning can go on and tell its problems too.
pub fn parse(sources: &Sources) -> (Spec<'_>, Problems) {
    let mut problems = Problems::default();
    let mut texts = Texts::default();
    let mut files = modules::Files::new(sources, &mut texts, &mut problems);
    let roots = files.read_roots(1 + sources.summed.len());
    let modules::Files {
        nodes,
        instances,
        modules,
        mut unread,
        mut catalog,
        mut anchors,
        mut layers,
        mut parameter_tables,
        ..
    } = files;
    let mut default_patterns = Vec::new();
    for source in &sources.catalogs {
        match document::read(source, &mut texts, &mut problems) {
            Some(entries) => catalog::read(entries, &mut catalog, &mut anchors, &mut unread, &mut problems),
            None => unread.catalog = true,
        }
    }
    for source in &sources.default_patterns {
        match document::read(source, &mut texts, &mut problems) {
            Some(entries) => catalog::read(entries, &mut default_patterns, &mut anchors, &mut unread, &mut problems),
            None => unread.catalog = true,
        }
    }
    for source in &sources.parameters {
        match document::read(source, &mut texts, &mut problems) {
            Some(entries) => {
                layers.merge(&entries, &mut problems);
                parameter_tables.push((0, entries));
            }
            None => unread.parameters = true,
        }
    }
    let secrets = credentials::read(sources, &mut texts, &mut unread, &mut problems);
    for (key, value) in &sources.overrides {
        layers.set(key, value, &mut problems);
    }
    let spec = Spec {
        texts,
        name: name(sources, roots.titles),
        nodes,
        instances,
        modules,
        defaults: roots.policy,
        catalog,
        default_patterns,
        anchors,
        parameter_tables,
        overrides: &sources.overrides,
        parameters: layers.finish(),
        environment: &sources.environment,
        base_directory: &sources.base_directory,
        inputs: &sources.inputs,
        credentials: secrets,
        load_versions: &sources.load_versions,
        unread,
    };
    (spec, problems)
}

/// Names the pipeline: what its file says, else the file's stem; of several the names of all.
fn name(sources: &Sources, titles: Vec<Option<String>>) -> String {
    let files = std::iter::once(&sources.pipeline).chain(&sources.summed);
    let names = files.zip(titles).map(|(source, title)| title.unwrap_or_else(|| stem(&source.name)));
    names.collect::<Vec<_>>().join("+")
}

/// One pipeline file as it was written.
#[derive(Default)]
struct Pipeline<'a> {
    name: Option<Word<'a>>,
    policy: PolicySpec,
    catalog: Vec<Entry<'a>>,
    parameters: Vec<Entry<'a>>,
    includes: Vec<include::Include<'a>>,
    tags: Vec<Word<'a>>,
}

/// Reads what a file says; `nodes` are those that were read with its text.
fn read_pipeline<'a>(
    entries: Vec<Entry<'a>>,
    nodes: &mut node::Nodes<'a>,
    unread: &mut Unread,
    problems: &mut Problems,
) -> Pipeline<'a> {
    let mut pipeline = Pipeline::default();
    let mut fields = Fields::new("a pipeline", PIPELINE_KEYS, problems);
    for Entry { key, value } in entries {
        match &*key.text {
            "name" => pipeline.name = fields.text(&key, value),
            "node" => match value {
                Value { data: Data::List(items), .. } => items.into_iter().for_each(|item| nodes.take(item)),
                other => {
                    unread.nodes = true;
                    fields.wrong_type(&key, &other, "a list of tables: write `[[node]]` before each");
                }
            },
            "include" => match value {
                Value { data: Data::List(items), .. } => {
                    for item in items {
                        match include::read(item, fields.problems) {
                            Some(include) => pipeline.includes.push(include),
                            None => unread.nodes = true,
                        }
                    }
                }
                other => {
                    unread.nodes = true;
                    fields.wrong_type(&key, &other, "a list of tables: write `[[include]]` before each");
                }
            },
            "tags" => pipeline.tags = fields.texts(&key, value).unwrap_or_default(),
            // For people; it stays in the file.
            "description" => drop(fields.text(&key, value)),
            "catalog" => match fields.table(&key, value) {
                Some(entries) => pipeline.catalog = entries,
                None => unread.catalog = true,
            },
            "parameters" => match fields.table(&key, value) {
                Some(entries) => pipeline.parameters = entries,
                None => unread.parameters = true,
            },
            _ => {
                if !fields.policy(&key, &value, &mut pipeline.policy) {
                    fields.unknown(&key);
                    // Whatever was meant by it is missing now.
                    unread.nodes |= key.text.contains("node");
                }
            }
        }
    }
    if let Some(name) = &pipeline.name
        && name.text.trim().is_empty()
    {
        problems.add("bad-name", Some(name.site), || {
            Problem::new("bad-name", "the pipeline's name is empty").hint("leave `name` out to use the file's name")
        });
    }
    unread.nodes |= nodes.unread;
    problems.extend(std::mem::take(&mut nodes.problems));
    pipeline
}

/// Gives `flights` for `some/where/flights.toml`.
fn stem(file: &str) -> String {
    let base = file.rsplit(['/', '\\']).next().unwrap_or(file);
    let stem = base.rsplit_once('.').map_or(base, |(stem, _)| stem);
    if stem.is_empty() { "pipeline".to_owned() } else { stem.to_owned() }
}
