//! Text → what was written, and everything wrong with how it was written. Asks nothing of plugins or of the machine.

mod catalog;
mod credentials;
mod fields;
mod node;
mod parameters;

use crate::document::{self, Data, Entry, Value, Word};
use crate::problem::{Problem, Problems};
use crate::source::{Sources, Texts};
use crate::spec::{PolicySpec, Spec, Unread};
use fields::Fields;

/// The keys at the top of a pipeline file.
const PIPELINE_KEYS: &[&str] =
    &["name", "node", "catalog", "parameters", "timeout_seconds", "retries", "retry_backoff_seconds", "on_failure"];
/// Keys that have a meaning to come.
const PIPELINE_KEYS_LATER: &[&str] = &["include", "tags", "description"];

/// Reads all files. The spec holds all that could be read, so that planning can go on and tell its problems too.
pub fn parse(sources: &Sources) -> (Spec<'_>, Problems) {
    let mut problems = Problems::default();
    let mut texts = Texts::default();
    let mut unread = Unread::default();
    let mut pipeline = Pipeline::default();
    let mut catalog = Vec::new();
    let mut default_patterns = Vec::new();
    let mut anchors = serde_json::Map::new();
    let mut layers = parameters::Layers::default();

    match document::read(&sources.pipeline, &mut texts, &mut problems) {
        Some(entries) => {
            pipeline = read_pipeline(entries, &mut unread, &mut problems);
            let entries = std::mem::take(&mut pipeline.catalog);
            catalog::read(entries, &mut catalog, &mut anchors, &mut unread, &mut problems);
            layers.merge(&pipeline.parameters, &mut problems);
        }
        // A catalog or parameters may have stood in it.
        None => unread = Unread { nodes: true, catalog: true, parameters: true, ..unread },
    }
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
            Some(entries) => layers.merge(&entries, &mut problems),
            None => unread.parameters = true,
        }
    }
    let secrets = credentials::read(sources, &mut texts, &mut unread, &mut problems);
    for (key, value) in &sources.overrides {
        layers.set(key, value, &mut problems);
    }
    let spec = Spec {
        texts,
        name: pipeline.name.map_or_else(|| stem(&sources.pipeline.name), |name| name.text.into_owned()),
        nodes: pipeline.nodes,
        defaults: pipeline.policy,
        catalog,
        default_patterns,
        anchors,
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

#[derive(Default)]
struct Pipeline<'a> {
    name: Option<Word<'a>>,
    nodes: Vec<crate::spec::NodeSpec<'a>>,
    policy: PolicySpec,
    catalog: Vec<Entry<'a>>,
    parameters: Vec<Entry<'a>>,
}

fn read_pipeline<'a>(entries: Vec<Entry<'a>>, unread: &mut Unread, problems: &mut Problems) -> Pipeline<'a> {
    let mut pipeline = Pipeline::default();
    let mut fields = Fields::new("a pipeline", PIPELINE_KEYS, PIPELINE_KEYS_LATER, problems);
    for Entry { key, value } in entries {
        match &*key.text {
            "name" => pipeline.name = fields.text(&key, value),
            "node" => match value {
                Value { data: Data::List(items), .. } => {
                    pipeline.nodes.reserve(items.len());
                    for item in items {
                        match node::read(item, fields.problems) {
                            Some(node) => pipeline.nodes.push(node),
                            None => unread.nodes = true,
                        }
                    }
                }
                other => {
                    unread.nodes = true;
                    fields.wrong_type(&key, &other, "a list of tables: write `[[node]]` before each");
                }
            },
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
    pipeline
}

/// Gives `flights` for `some/where/flights.toml`.
fn stem(file: &str) -> String {
    let base = file.rsplit(['/', '\\']).next().unwrap_or(file);
    let stem = base.rsplit_once('.').map_or(base, |(stem, _)| stem);
    if stem.is_empty() { "pipeline".to_owned() } else { stem.to_owned() }
}
