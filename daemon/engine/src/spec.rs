//! A pipeline, its catalog and its parameters as they were written, with places; nothing is checked against plugins yet.

use std::collections::BTreeMap;

use crate::credentials::Secrets;
use crate::document::{Entry, Value, Word};
use crate::module::{Module, inner_parameter};
use crate::policy::{NodePolicy, OnFailure};
use crate::source::{HandedIn, Site, Texts};

/// Everything that was written, read from all files.
#[derive(Clone, Debug)]
pub struct Spec<'a> {
    /// The texts, to tell a site as file and line.
    pub texts: Texts<'a>,
    /// The pipeline's name; the file's stem where it gives none.
    pub name: String,
    /// The nodes of all files, each as it was written, fan-outs not yet made.
    pub nodes: Vec<NodeSpec<'a>>,
    /// The nodes of the pipeline: those of a file that is included twice come twice.
    pub instances: Vec<Instance>,
    /// The files that are run, then what they include.
    pub modules: Vec<Module<'a>>,
    /// What the pipeline says for all of its nodes.
    pub defaults: PolicySpec,
    /// The catalog's entries; of two with one name the later one counts.
    pub catalog: Vec<EntrySpec<'a>>,
    /// Patterns that a run brings along, asked after everything that the catalog says.
    pub default_patterns: Vec<EntrySpec<'a>>,
    /// What the catalog's keys that begin with `_` hold: no datasets, but values that its entries can name.
    pub anchors: serde_json::Map<String, serde_json::Value>,
    /// The tables of parameters as they were written, each over those before it, and the module whose names they are in.
    pub parameter_tables: Vec<(u32, Vec<Entry<'a>>)>,
    /// Parameters that were set one by one, over all tables.
    pub overrides: &'a [(String, String)],
    /// All parameters, merged.
    pub parameters: serde_json::Map<String, serde_json::Value>,
    /// What `${env:NAME}` may see.
    pub environment: &'a BTreeMap<String, String>,
    /// The directory that relative paths start from.
    pub base_directory: &'a str,
    /// What was handed in with the run, by dataset.
    pub inputs: &'a BTreeMap<String, HandedIn>,
    /// The credentials that there are, by name.
    pub credentials: Secrets<'a>,
    /// `--load-versions`: dataset and version.
    pub load_versions: &'a [(String, String)],
    /// What could not be read, so that its absence is no problem of its own.
    pub unread: Unread,
}

/// A written node at one place of the pipeline.
#[derive(Clone, Copy, Debug)]
pub struct Instance {
    /// Position in `Spec::nodes`.
    pub node: u32,
    /// Position in `Spec::modules`.
    pub module: u32,
}

impl<'a> Spec<'a> {
    /// Gives what was written of a node of the pipeline.
    pub fn node(&self, instance: u32) -> Option<&NodeSpec<'a>> {
        self.nodes.get(self.instances.get(instance as usize)?.node as usize)
    }

    /// Finds where a parameter was written, by its path outside of all modules: in the uppermost table that has it, or else what
    /// is nearest around it. Nothing where it was set by itself. Only for messages.
    pub fn parameter_site(&self, path: &[&str]) -> Option<Site> {
        let joined = path.join(".");
        let covers =
            |outer: &str| joined.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        if self.overrides.iter().any(|(key, _)| covers(key)) {
            return None;
        }
        let found = self.parameter_tables.iter().rev().filter_map(|(module, entries)| {
            let inner = inner_parameter(&self.modules, *module, &joined)?;
            deepest(entries, &inner)
        });
        // Of equally deep ones the first, which is the uppermost.
        found
            .fold(None, |best: Option<(usize, Site)>, next| best.filter(|best| best.0 >= next.0).or(Some(next)))
            .map(|found| found.1)
    }

    /// Gives the module that a node of the pipeline belongs to.
    pub fn module_of(&self, instance: u32) -> Option<&Module<'a>> {
        self.modules.get(self.instances.get(instance as usize)?.module as usize)
    }
}

/// Follows a path into tables as far as it leads, and says how far that is.
fn deepest(entries: &[Entry<'_>], path: &str) -> Option<(usize, Site)> {
    let (mut entries, mut found) = (entries, None);
    for (depth, segment) in path.split('.').enumerate() {
        let Some(entry) = entries.iter().find(|entry| entry.key.text == segment) else { break };
        found = Some((depth + 1, entry.value.site));
        match &entry.value.data {
            crate::document::Data::Table(inner) => entries = inner,
            _ => break,
        }
    }
    found
}

/// What could not be read. Planning goes on without it, and is silent about what may follow from that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unread {
    /// Some node, or the whole pipeline.
    pub nodes: bool,
    /// Some entry of the catalog, or a whole file of it.
    pub catalog: bool,
    /// Some parameter file.
    pub parameters: bool,
    /// Some credentials file.
    pub credentials: bool,
}

/// One `[[node]]`. There may be a million, so it keeps what few of them say aside.
#[derive(Clone, Debug)]
pub struct NodeSpec<'a> {
    /// Where it starts.
    pub site: Site,
    /// Its name; may hold `{placeholders}` of its matrix.
    pub name: Option<Word<'a>>,
    /// The plugin node it calls: `plugin::node`.
    pub call: Word<'a>,
    /// What its input ports are bound to.
    pub inputs: Ports<'a>,
    /// What its output ports are bound to.
    pub outputs: Ports<'a>,
    /// What it says beyond that; nothing where it says nothing.
    pub more: Option<Box<More<'a>>>,
}

/// What a node may say beside its ports.
#[derive(Clone, Debug, Default)]
pub struct More<'a> {
    /// What stands before its name, with a dot between.
    pub namespace: Option<Word<'a>>,
    /// The datasets whose partitions count as processed once it has finished.
    pub confirms: Vec<Word<'a>>,
    /// Its tags.
    pub tags: Vec<Word<'a>>,
    /// Its fan-out: one node for each combination of values.
    pub matrix: Vec<Axis<'a>>,
    /// What it says about retries, time-outs and failure.
    pub policy: PolicySpec,
}

impl<'a> NodeSpec<'a> {
    /// Gives what stands before its name, with a dot between.
    pub fn namespace(&self) -> Option<&Word<'a>> {
        self.more.as_ref()?.namespace.as_ref()
    }

    /// Gives the names of what it confirms.
    pub fn confirms(&self) -> &[Word<'a>] {
        self.more.as_ref().map_or(&[], |more| &more.confirms)
    }

    /// Gives its tags.
    pub fn tags(&self) -> &[Word<'a>] {
        self.more.as_ref().map_or(&[], |more| &more.tags)
    }

    /// Gives its fan-out: one node for each combination of values.
    pub fn matrix(&self) -> &[Axis<'a>] {
        self.more.as_ref().map_or(&[], |more| &more.matrix)
    }

    /// Gives what it says about retries, time-outs and failure.
    pub fn policy(&self) -> PolicySpec {
        self.more.as_ref().map_or_else(PolicySpec::default, |more| more.policy)
    }
}

/// What the ports of one side of a node are bound to.
#[derive(Clone, Debug)]
pub struct Ports<'a> {
    /// Where the key stands, or the node where there is none.
    pub site: Site,
    /// The ports, beside `targets`, where they are named (a table); nothing where they are counted (a list).
    pub names: Option<Box<[Word<'a>]>>,
    /// The datasets and parameters.
    pub targets: Box<[Word<'a>]>,
}

/// One direction of a fan-out.
#[derive(Clone, Debug)]
pub struct Axis<'a> {
    /// The placeholder's name.
    pub name: Word<'a>,
    /// Its values.
    pub values: Vec<AxisValue>,
}

/// One value of an axis.
#[derive(Clone, Debug, PartialEq)]
pub struct AxisValue {
    /// As it stands in names.
    pub text: String,
    /// As a parameter, in JSON.
    pub json: String,
}

/// What was said about retries, time-outs and failure; nothing where nothing was said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PolicySpec {
    /// `retries`
    pub retries: Option<u32>,
    /// `retry_backoff_seconds`
    pub retry_backoff_us: Option<u64>,
    /// `timeout_seconds`
    pub timeout_us: Option<u64>,
    /// `on_failure`
    pub on_failure: Option<OnFailure>,
    /// `priority`
    pub priority: Option<i32>,
}

/// One entry of the catalog.
#[derive(Clone, Debug)]
pub struct EntrySpec<'a> {
    /// The dataset's name, or a pattern.
    pub name: Word<'a>,
    /// The dataset type: `csv`, `formats::csv`, `memory`.
    pub type_name: Option<Word<'a>>,
    /// The path, as written.
    pub path: Option<Word<'a>>,
    /// What is said to the dataset type, as written.
    pub options: Vec<Entry<'a>>,
    /// Whether each run saves a version of its own.
    pub versioned: Option<Site>,
    /// The name of the credentials that its type gets.
    pub credentials: Option<Word<'a>>,
    /// The columns it must have.
    pub schema: Option<SchemaSpec<'a>>,
    /// What people say about it, for other programs.
    pub metadata: Vec<Entry<'a>>,
    /// Where it asks that readers load what was saved rather than share the block in memory.
    pub reread: Option<Site>,
    /// Where it asks to be loaded once for all runs of a daemon.
    pub resident: Option<Site>,
    /// What people say about it, in a sentence.
    pub description: Option<Word<'a>>,
    /// The layer that people count it to: `raw`, `features`.
    pub layer: Option<Word<'a>>,
    /// How programs that draw the pipeline may show it: anything.
    pub preview: Option<Value<'a>>,
    /// Whether the path is a directory, and every file in it a partition.
    pub partitioned: Option<Partitioned<'a>>,
    /// Whether only partitions are loaded that were not confirmed before.
    pub incremental: Option<Incremental<'a>>,
}

/// `schema` and `schema_severity` of a catalog entry.
#[derive(Clone, Debug)]
pub struct SchemaSpec<'a> {
    /// Where `schema` stands.
    pub site: Site,
    /// Columns and their types, as written.
    pub columns: Vec<(Word<'a>, Word<'a>)>,
    /// Whether data that does not fit is only warned of.
    pub warns: bool,
}

/// What is said of a dataset of many files.
#[derive(Clone, Debug)]
pub struct Partitioned<'a> {
    /// Where it is said.
    pub site: Site,
    /// What the names of the files end in, and the names of the partitions do not.
    pub suffix: Option<Word<'a>>,
    /// Whether what a node makes takes the place of all partitions that were there.
    pub overwrite: bool,
}

/// What is said of a dataset of which each partition is processed once.
#[derive(Clone, Debug)]
pub struct Incremental<'a> {
    /// Where it is said.
    pub site: Site,
    /// The file that the name of the last confirmed partition is kept in; beside the partitions where nothing is said.
    pub checkpoint: Option<Word<'a>>,
    /// What counts instead of what that file says.
    pub from: Option<Word<'a>>,
    /// Whether the last confirmed partition is loaded once more.
    pub inclusive: bool,
}

impl PolicySpec {
    /// Gives what was said, and what `lower` says where nothing was.
    pub fn or(self, lower: PolicySpec) -> PolicySpec {
        PolicySpec {
            retries: self.retries.or(lower.retries),
            retry_backoff_us: self.retry_backoff_us.or(lower.retry_backoff_us),
            timeout_us: self.timeout_us.or(lower.timeout_us),
            on_failure: self.on_failure.or(lower.on_failure),
            priority: self.priority.or(lower.priority),
        }
    }

    /// Gives the policy of a node that said this, in a pipeline that said `defaults`. What a failure means to the run is
    /// left to the run where the node itself does not say.
    pub fn resolve(self, defaults: PolicySpec) -> NodePolicy {
        let built_in = NodePolicy::default();
        NodePolicy {
            retries: self.retries.or(defaults.retries).unwrap_or(built_in.retries),
            retry_backoff_us: self.retry_backoff_us.or(defaults.retry_backoff_us).unwrap_or(built_in.retry_backoff_us),
            timeout_us: self.timeout_us.or(defaults.timeout_us),
            on_failure: self.on_failure,
            priority: self.priority.or(defaults.priority).unwrap_or(built_in.priority),
        }
    }
}
