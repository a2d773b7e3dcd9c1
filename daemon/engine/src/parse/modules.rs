//! The files of a pipeline: the one that is run, those summed with it, and what they include, taken apart into modules.

use std::collections::HashMap;
use std::rc::Rc;

use serde_json::{Map, Value as Json};

use super::include::Include;
use super::{catalog, parameters, read_pipeline};
use crate::document::{self, Data, Entry, Value, Word, to_json_object};
use crate::module::{DEPTH_MAX, MODULES_MAX, Mappings, Module, lift_parameters, outer_entry, outer_parameter};
use crate::problem::{Problem, Problems, did_you_mean};
use crate::source::{Site, Source, Sources, Texts, included_name};
use crate::spec::{EntrySpec, Instance, NodeSpec, PolicySpec, Unread};

/// Included nodes are counted where they stand, not where they are written; more than these are refused.
const INSTANCES_MAX: usize = crate::matrix::NODES_MAX;

/// Everything that the files of a pipeline say.
pub(super) struct Files<'a, 'p> {
    sources: Vec<&'a Source>,
    /// Positions in `sources`; of two with one name the first.
    by_name: HashMap<&'a str, usize>,
    texts: &'p mut Texts<'a>,
    problems: &'p mut Problems,
    /// By position in `sources`; nothing for a file that could not be read.
    known: HashMap<usize, Option<Rc<File<'a>>>>,
    pub(super) unread: Unread,
    pub(super) nodes: Vec<NodeSpec<'a>>,
    pub(super) instances: Vec<Instance>,
    pub(super) modules: Vec<Module<'a>>,
    pub(super) catalog: Vec<EntrySpec<'a>>,
    pub(super) anchors: Map<String, Json>,
    pub(super) layers: parameters::Layers,
    pub(super) parameter_tables: Vec<(u32, Vec<Entry<'a>>)>,
}

/// One file, read once however often it is included.
struct File<'a> {
    title: Option<Word<'a>>,
    nodes: std::ops::Range<u32>,
    catalog: Vec<EntrySpec<'a>>,
    parameters: Vec<Entry<'a>>,
    includes: Vec<Include<'a>>,
    tags: Vec<Word<'a>>,
    policy: PolicySpec,
}

/// What the files that are run say of themselves.
pub(super) struct Roots {
    pub(super) titles: Vec<Option<String>>,
    pub(super) policy: PolicySpec,
}

impl<'a, 'p> Files<'a, 'p> {
    pub(super) fn new(sources: &'a Sources, texts: &'p mut Texts<'a>, problems: &'p mut Problems) -> Self {
        let all = std::iter::once(&sources.pipeline).chain(&sources.summed).chain(&sources.includes);
        let sources: Vec<&Source> = all.collect();
        let by_name = sources.iter().enumerate().rev().map(|(position, source)| (&*source.name, position)).collect();
        Self {
            sources,
            by_name,
            texts,
            problems,
            known: HashMap::new(),
            unread: Unread::default(),
            nodes: Vec::new(),
            instances: Vec::new(),
            modules: Vec::new(),
            catalog: Vec::new(),
            anchors: Map::new(),
            layers: parameters::Layers::default(),
            parameter_tables: Vec::new(),
        }
    }

    /// Reads the first `count` sources, which are run, with all that they include.
    pub(super) fn read_roots(&mut self, count: usize) -> Roots {
        let mut roots = Roots { titles: Vec::new(), policy: PolicySpec::default() };
        // All before what they include, so that the file that is run is the first text.
        let files: Vec<_> = (0..count).map(|source| self.file(source)).collect();
        for (number, file) in files.into_iter().enumerate() {
            let Some(file) = file else {
                roots.titles.push(None);
                continue;
            };
            roots.titles.push(file.title.as_ref().map(|title| title.text.to_string()));
            // What a single file says is the run's; of several each speaks for its own nodes.
            let policy = if count == 1 { PolicySpec::default() } else { file.policy };
            if count == 1 {
                roots.policy = file.policy;
            }
            let module = Module {
                parent: None,
                root: u32::try_from(number).unwrap_or(u32::MAX),
                file: &self.sources[number].name,
                site: Site::default(),
                namespace: None,
                mappings: Mappings::default(),
                tags: file.tags.clone(),
                prefix_datasets: true,
                policy,
            };
            self.expand(module, &file, &mut vec![number]);
        }
        roots
    }

    /// Reads a file, once.
    fn file(&mut self, source: usize) -> Option<Rc<File<'a>>> {
        if let Some(known) = self.known.get(&source) {
            return known.clone();
        }
        let file = match document::read_items(self.sources[source], self.texts, self.problems) {
            Some((entries, mut nodes)) => {
                let first = self.nodes.len();
                let pipeline = read_pipeline(entries, &mut nodes, &mut self.unread, self.problems);
                nodes.nodes.shrink_to_fit();
                match first {
                    // A large file is mostly alone.
                    0 => self.nodes = nodes.nodes,
                    _ => self.nodes.append(&mut nodes.nodes),
                }
                let mut entries = Vec::new();
                catalog::read(pipeline.catalog, &mut entries, &mut self.anchors, &mut self.unread, self.problems);
                let number = |count| u32::try_from(count).unwrap_or(u32::MAX);
                Some(Rc::new(File {
                    title: pipeline.name,
                    nodes: number(first)..number(self.nodes.len()),
                    catalog: entries,
                    parameters: pipeline.parameters,
                    includes: pipeline.includes,
                    tags: pipeline.tags,
                    policy: pipeline.policy,
                }))
            }
            // A catalog or parameters may have stood in it.
            None => {
                self.unread = Unread { nodes: true, catalog: true, parameters: true, ..self.unread };
                None
            }
        };
        self.known.insert(source, file.clone());
        file
    }

    /// Adds a module with its nodes, its includes, and then its own catalog and parameters, which go over those of its includes.
    /// `path` are the files from the one that is run to this one.
    fn expand(&mut self, module: Module<'a>, file: &Rc<File<'a>>, path: &mut Vec<usize>) {
        let number = u32::try_from(self.modules.len()).unwrap_or(u32::MAX);
        if self.modules.len() >= MODULES_MAX || self.instances.len() + file.nodes.len() > INSTANCES_MAX {
            self.unread.nodes = true;
            self.problems.add("too-many-includes", Some(module.site), || {
                Problem::new(
                    "too-many-includes",
                    format!("the pipeline would have more than {MODULES_MAX} includes or {INSTANCES_MAX} nodes"),
                )
            });
            return;
        }
        self.modules.push(module);
        self.instances.extend(file.nodes.clone().map(|node| Instance { node, module: number }));
        for include in &file.includes {
            self.include(number, include, path);
        }
        self.take_catalog(number, file);
        self.take_parameters(number, file);
    }

    fn include(&mut self, parent: u32, include: &Include<'a>, path: &mut Vec<usize>) {
        let includer = self.modules[parent as usize].file;
        let name = included_name(includer, &include.file.text);
        let site = Some(include.file.site);
        let Some(&source) = self.by_name.get(&*name) else {
            self.unread = Unread { nodes: true, catalog: true, parameters: true, ..self.unread };
            let near = did_you_mean(&name, self.sources.iter().map(|source| &*source.name));
            return self.problems.add("missing-include", site, || {
                Problem::new("missing-include", format!("the text of the included file `{name}` is not there"))
                    .cause("an included file is named from the folder of the file that includes it")
                    .hint_if(near)
                    .hint("`ctl` sends it by itself; other clients put it into `includes` of the submission")
            });
        };
        if path.contains(&source) {
            self.unread.nodes = true;
            let members = path.iter().skip_while(|&&member| member != source).chain([&source]);
            let shown: Vec<&str> = members.map(|&member| &*self.sources[member].name).collect();
            return self.problems.add("include-cycle", site, || {
                Problem::new("include-cycle", format!("the files include each other: {}", shown.join(" -> ")))
                    .hint("move what they share into a file of its own that both include")
            });
        }
        if path.len() > DEPTH_MAX {
            self.unread.nodes = true;
            return self.problems.add("too-many-includes", site, || {
                Problem::new("too-many-includes", format!("includes nest deeper than {DEPTH_MAX} files"))
            });
        }
        let Some(file) = self.file(source) else { return };
        let outer = &self.modules[parent as usize];
        let module = Module {
            parent: Some(parent),
            root: outer.root,
            file: &self.sources[source].name,
            site: include.site,
            namespace: include.namespace.clone(),
            mappings: include.mappings.clone(),
            tags: file.tags.iter().chain(&include.tags).chain(&outer.tags).cloned().collect(),
            prefix_datasets: include.prefix_datasets,
            policy: file.policy.or(outer.policy),
        };
        path.push(source);
        self.expand(module, &file, path);
        path.pop();
    }

    /// Takes a file's own entries under the names that its datasets have outside.
    fn take_catalog(&mut self, module: u32, file: &File<'a>) {
        for entry in &file.catalog {
            let mut entry = entry.clone();
            if self.modules[module as usize].parent.is_some() {
                entry.name.text = outer_entry(&self.modules, module, &entry.name.text).into();
                let words = [
                    &mut entry.type_name,
                    &mut entry.path,
                    &mut entry.credentials,
                    &mut entry.description,
                    &mut entry.layer,
                ];
                words.into_iter().flatten().for_each(|word| word.text = self.outside(module, &word.text).into());
                let values = entry.options.iter_mut().chain(&mut entry.metadata);
                values.for_each(|entry| self.rename_value(module, &mut entry.value));
                entry.preview.iter_mut().for_each(|value| self.rename_value(module, value));
            }
            self.catalog.push(entry);
        }
    }

    fn rename_value(&mut self, module: u32, value: &mut Value<'a>) {
        match &mut value.data {
            Data::Text(text) => *text = self.outside(module, text).into(),
            Data::List(items) => items.iter_mut().for_each(|item| self.rename_value(module, item)),
            Data::Table(entries) => entries.iter_mut().for_each(|entry| self.rename_value(module, &mut entry.value)),
            _ => {}
        }
    }

    /// Writes a text with the names that its `${parameters}` have outside.
    fn outside(&mut self, module: u32, text: &str) -> String {
        let mut renamed = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, inner)) = rest.split_once("${") {
            renamed.push_str(before);
            renamed.push_str("${");
            rest = inner;
            // `$${` is no interpolation, and what is never closed is told when it is filled in. A catalog's own keys are not renamed.
            let is_parameter =
                |name: &str| !before.ends_with('$') && !name.starts_with("env:") && !name.starts_with('_');
            if let Some((name, _)) = inner.split_once('}').filter(|(name, _)| is_parameter(name)) {
                let name = name.split_once(":-").map_or(name, |(name, _)| name);
                renamed.push_str(&outer_parameter(&mut self.modules, module, name));
                rest = &inner[name.len()..];
            }
        }
        renamed.push_str(rest);
        renamed
    }

    /// Takes a file's own parameters to where its nodes look for them.
    fn take_parameters(&mut self, mut module: u32, file: &File<'a>) {
        if file.parameters.is_empty() {
            return;
        }
        self.parameter_tables.push((module, file.parameters.clone()));
        let mut own: Map<String, Json> = to_json_object(&file.parameters, &mut |site| {
            self.problems.add("bad-number", Some(site), parameters::bad_number);
        });
        while let Some(parent) = self.modules[module as usize].parent {
            own = lift_parameters(&self.modules[module as usize], own);
            module = parent;
        }
        self.layers.merge_values(own);
    }
}
