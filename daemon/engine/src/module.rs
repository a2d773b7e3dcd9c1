//! Included files: where each came from, and what its names become outside of it.
//!
//! A module is one pipeline file at one place: the file that is run, or an `[[include]]`. A file that is included twice is
//! two modules. Names are renamed one step at a time, from the module they are written in up to the outermost one.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::{Map, Value as Json};

use crate::document::Word;
use crate::source::Site;
use crate::spec::PolicySpec;

/// Includes nest at most so deep; beyond that it is a mistake, and a chain of renaming costs its length for each name.
pub const DEPTH_MAX: usize = 32;
/// A pipeline has at most so many modules; files that include others twice each could ask for any number.
pub const MODULES_MAX: usize = 100_000;

/// One pipeline file at one place.
#[derive(Clone, Debug)]
pub struct Module<'a> {
    /// What includes it; nothing for a file that is run.
    pub parent: Option<u32>,
    /// Which of the files that are run it belongs to.
    pub root: u32,
    /// The file's name as people know it.
    pub file: &'a str,
    /// Where the include stands.
    pub site: Site,
    /// What comes before the names of its nodes, parameters and (with `prefix_datasets`) datasets.
    pub namespace: Option<Word<'a>>,
    /// What keeps its name, or has another one outside.
    pub mappings: Mappings<'a>,
    /// Tags of all its nodes: those of the include and of the file, and its parent's.
    pub tags: Vec<Word<'a>>,
    /// Whether the namespace comes before the names of datasets.
    pub prefix_datasets: bool,
    /// What its file says of all its nodes, over what its parent's says.
    pub policy: PolicySpec,
}

/// Names that an include maps.
#[derive(Clone, Debug, Default)]
pub struct Mappings<'a> {
    /// Datasets that it reads and does not make.
    pub inputs: Vec<Mapping<'a>>,
    /// Datasets that it makes.
    pub outputs: Vec<Mapping<'a>>,
    /// Parameters, without their `params:`.
    pub parameters: Vec<Mapping<'a>>,
}

/// A name inside of an included file, and what it is called outside.
#[derive(Clone, Debug)]
pub struct Mapping<'a> {
    /// The name inside.
    pub from: Word<'a>,
    /// The name outside.
    pub to: Word<'a>,
    /// Whether the file's own catalog asks for this parameter.
    pub interpolated: bool,
}

/// What was seen of a name that an include maps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Use {
    /// Some node of the file reads it.
    pub read: bool,
    /// Some node of the file makes it.
    pub made: bool,
}

/// The modules of a pipeline, ready to rename.
#[derive(Debug)]
pub struct Renaming<'s, 'a> {
    modules: &'s [Module<'a>],
    /// For each module, its mappings by name inside: datasets with their position in `uses`, parameters.
    datasets: Vec<HashMap<&'s str, (usize, &'s str)>>,
    parameters: Vec<HashMap<&'s str, (usize, &'s str)>>,
    /// For each module: of inputs, then outputs, then parameters.
    uses: Vec<Vec<Use>>,
}

impl<'s, 'a> Renaming<'s, 'a> {
    /// Takes a pipeline's modules.
    pub fn new(modules: &'s [Module<'a>]) -> Self {
        let mut renaming = Self { modules, datasets: Vec::new(), parameters: Vec::new(), uses: Vec::new() };
        for Module { mappings: Mappings { inputs, outputs, parameters }, .. } in modules {
            let numbered = |mappings: &'s [Mapping<'a>], first: usize| {
                let pair = move |(position, mapping): (usize, &'s Mapping<'a>)| {
                    (&*mapping.from.text, (first + position, &*mapping.to.text))
                };
                mappings.iter().enumerate().map(pair)
            };
            renaming.datasets.push(numbered(inputs, 0).chain(numbered(outputs, inputs.len())).collect());
            let before = inputs.len() + outputs.len();
            renaming.parameters.push(numbered(parameters, before).collect());
            renaming.uses.push(vec![Use::default(); before + parameters.len()]);
        }
        renaming
    }

    /// Gives what was seen of a module's mappings: of inputs, then outputs, then parameters.
    pub fn uses(&self, module: usize) -> &[Use] {
        self.uses.get(module).map_or(&[], Vec::as_slice)
    }

    /// Gives the name of a node outside of everything.
    pub fn node<'n>(&self, mut module: u32, mut name: Cow<'n, str>) -> Cow<'n, str> {
        while let Some((of, parent)) = included(self.modules, module) {
            name = prefixed(of.namespace.as_ref(), name);
            module = parent;
        }
        name
    }

    /// Gives the name of a dataset outside of everything, and notes that it was seen.
    pub fn dataset<'n>(&mut self, mut module: u32, mut name: Cow<'n, str>, seen: Use) -> Cow<'n, str> {
        while let Some((of, parent)) = included(self.modules, module) {
            let base = name.split('@').next().unwrap_or_default();
            name = match self.datasets[module as usize].get(base) {
                Some(&(position, to)) => {
                    let mark = &mut self.uses[module as usize][position];
                    *mark = Use { read: mark.read || seen.read, made: mark.made || seen.made };
                    Cow::Owned(format!("{to}{}", &name[base.len()..]))
                }
                None if of.prefix_datasets => prefixed(of.namespace.as_ref(), name),
                None => name,
            };
            module = parent;
        }
        name
    }

    /// Gives the path of a parameter outside of everything, and notes that it was seen.
    pub fn parameter<'n>(&mut self, mut module: u32, mut path: Cow<'n, str>) -> Cow<'n, str> {
        while let Some((of, parent)) = included(self.modules, module) {
            let found =
                beginnings(&path).find_map(|start| Some((start, *self.parameters[module as usize].get(start)?)));
            path = match found {
                Some((start, (position, to))) => {
                    self.uses[module as usize][position].read = true;
                    Cow::Owned(format!("{to}{}", &path[start.len()..]))
                }
                None => prefixed(of.namespace.as_ref(), path),
            };
            module = parent;
        }
        path
    }

    /// Gives at most how many bytes renaming adds to a name of this module.
    pub fn bytes_max(&self, mut module: u32) -> usize {
        let mut bytes = 0;
        while let Some((of, parent)) = included(self.modules, module) {
            let Mappings { inputs, outputs, parameters } = &of.mappings;
            let longest = inputs.iter().chain(outputs).chain(parameters).map(|mapping| mapping.to.text.len()).max();
            let namespace = of.namespace.as_ref().map_or(0, |namespace| namespace.text.len() + 1);
            bytes += namespace.max(longest.unwrap_or(0));
            module = parent;
        }
        bytes
    }
}

/// Gives what an entry of a file's own catalog is called outside of everything. Of few names, so nothing is looked up by hash.
pub fn outer_entry(modules: &[Module<'_>], mut module: u32, name: &str) -> String {
    let mut name = Cow::Borrowed(name);
    while let Some((of, parent)) = included(modules, module) {
        let (base, format) = name.split_once('@').map_or((&*name, ""), |(base, _)| (base, &name[base.len()..]));
        let mut shared = of.mappings.inputs.iter().chain(&of.mappings.outputs);
        name = match shared.find(|mapping| mapping.from.text == base) {
            Some(mapping) => Cow::Owned(format!("{}{format}", mapping.to.text)),
            None if of.prefix_datasets => prefixed(of.namespace.as_ref(), name),
            None => name,
        };
        module = parent;
    }
    name.into_owned()
}

/// Gives what a parameter that a file's own catalog asks for is called outside of everything, and notes that it does.
pub fn outer_parameter(modules: &mut [Module<'_>], mut module: u32, path: &str) -> String {
    let mut path = Cow::Borrowed(path);
    while let Some(of) = modules.get_mut(module as usize)
        && let Some(parent) = of.parent
    {
        let shared = &mut of.mappings.parameters;
        let found = beginnings(&path).find_map(|start| {
            let position = shared.iter().position(|mapping| mapping.from.text == start)?;
            Some((position, start.len()))
        });
        path = match found {
            Some((position, length)) => {
                shared[position].interpolated = true;
                Cow::Owned(format!("{}{}", shared[position].to.text, &path[length..]))
            }
            None => prefixed(of.namespace.as_ref(), path),
        };
        module = parent;
    }
    path.into_owned()
}

/// Gives what a parameter is called inside of a module, by its name outside of everything; nothing where the module has no name
/// for it.
pub fn inner_parameter(modules: &[Module<'_>], module: u32, path: &str) -> Option<String> {
    let (mut chain, mut next) = (Vec::new(), module);
    while let Some((of, parent)) = included(modules, next) {
        chain.push(of);
        next = parent;
    }
    let inside = |outer: &str, path: &str| -> Option<String> {
        let rest = path.strip_prefix(outer)?;
        (rest.is_empty() || rest.starts_with('.')).then(|| rest.to_owned())
    };
    chain.into_iter().rev().try_fold(path.to_owned(), |path, of| {
        let mapped = of
            .mappings
            .parameters
            .iter()
            .find_map(|Mapping { from, to, .. }| Some(format!("{}{}", from.text, inside(&to.text, &path)?)));
        mapped.or_else(|| match &of.namespace {
            Some(namespace) => Some(inside(&namespace.text, &path)?.strip_prefix('.')?.to_owned()),
            None => Some(path),
        })
    })
}

/// Gives the module of that number and its parent, where it is an include.
fn included<'m, 'a>(modules: &'m [Module<'a>], module: u32) -> Option<(&'m Module<'a>, u32)> {
    let module = modules.get(module as usize)?;
    Some((module, module.parent?))
}

/// Walks over `a.b.c`, `a.b` and `a`: whoever maps a table maps what is in it.
fn beginnings(path: &str) -> impl Iterator<Item = &str> {
    let mut next = Some(path);
    std::iter::from_fn(move || {
        let this = next?;
        next = this.rsplit_once('.').map(|(start, _)| start);
        Some(this)
    })
}

fn prefixed<'n>(namespace: Option<&Word<'_>>, name: Cow<'n, str>) -> Cow<'n, str> {
    match namespace {
        Some(namespace) => Cow::Owned(format!("{}.{name}", namespace.text)),
        None => name,
    }
}

/// Gives a module's own parameters as those of its parent: mapped ones where they go, the rest inside of the namespace.
pub fn lift_parameters(module: &Module<'_>, mut own: Map<String, Json>) -> Map<String, Json> {
    let mut lifted = Map::new();
    for Mapping { from, to, .. } in &module.mappings.parameters {
        if let Some(value) = take(&mut own, &from.text) {
            place(&mut lifted, &to.text, value);
        }
    }
    if !own.is_empty() {
        match &module.namespace {
            Some(namespace) => place(&mut lifted, &namespace.text, Json::Object(own)),
            None => own.into_iter().for_each(|(key, value)| place(&mut lifted, &key, value)),
        }
    }
    lifted
}

/// Takes a value out of nested tables.
fn take(table: &mut Map<String, Json>, path: &str) -> Option<Json> {
    match path.split_once('.') {
        None => table.remove(path),
        Some((first, rest)) => take(table.get_mut(first)?.as_object_mut()?, rest),
    }
}

/// Puts a value into nested tables. Paths are as long as names of parameters; what stands in the way is kept beneath nothing.
fn place(table: &mut Map<String, Json>, path: &str, value: Json) {
    match path.split_once('.') {
        None => match (table.get_mut(path), value) {
            (Some(Json::Object(below)), Json::Object(above)) => {
                above.into_iter().for_each(|(key, value)| drop(below.insert(key, value)));
            }
            (_, value) => drop(table.insert(path.to_owned(), value)),
        },
        Some((first, rest)) => {
            let slot = table.entry(first).or_insert_with(|| Json::Object(Map::new()));
            if !slot.is_object() {
                *slot = Json::Object(Map::new());
            }
            if let Json::Object(inner) = slot {
                place(inner, rest, value);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;
    use serde_json::json;

    fn word(text: &'static str) -> Word<'static> {
        Word { text: text.into(), site: Site::default() }
    }

    fn module(
        parent: Option<u32>,
        namespace: Option<&'static str>,
        pairs: &[(&'static str, &'static str)],
    ) -> Module<'static> {
        let mapping = |&(from, to): &(&'static str, &'static str)| Mapping {
            from: word(from),
            to: word(to),
            interpolated: false,
        };
        let inputs = pairs.iter().filter(|(from, _)| !from.starts_with('p')).map(mapping).collect();
        let parameters = pairs.iter().filter(|(from, _)| from.starts_with('p')).map(mapping).collect();
        Module {
            parent,
            root: 0,
            file: "f.toml",
            site: Site::default(),
            namespace: namespace.map(word),
            mappings: Mappings { inputs, outputs: Vec::new(), parameters },
            tags: Vec::new(),
            prefix_datasets: true,
            policy: PolicySpec::default(),
        }
    }

    #[test]
    fn names_are_renamed_step_by_step() {
        let outer = [("inner.raw", "flights"), ("pinner.depth", "depth"), ("kept", "kept")];
        let modules = [
            module(None, None, &[]),
            module(Some(0), Some("outer"), &outer),
            module(Some(1), Some("pinner"), &[("x", "kept"), ("raw", "inner.raw"), ("pw", "width")]),
            module(Some(1), None, &[]),
        ];
        let mut renaming = Renaming::new(&modules);
        let seen = Use { read: true, made: false };
        let mut dataset = |module, name: &str| renaming.dataset(module, name.into(), seen).into_owned();
        assert_eq!(
            ["raw", "raw@csv", "x", "y"].map(|name| dataset(2, name)),
            ["flights", "flights@csv", "kept", "outer.pinner.y"]
        );
        assert_eq!([dataset(0, "raw"), dataset(1, "raw"), dataset(3, "raw")], ["raw", "outer.raw", "outer.raw"]);
        let mut parameter = |module, path: &str| renaming.parameter(module, path.into()).into_owned();
        assert_eq!(
            ["depth", "depth.of", "pw.a", "z"].map(|path| parameter(2, path)),
            ["depth", "depth.of", "outer.width.a", "outer.pinner.z"]
        );
        assert_eq!(renaming.node(2, "n".into()), "outer.pinner.n");
        assert_eq!(renaming.uses(1), [seen, seen, seen]);
        assert_eq!(renaming.uses(2), [seen; 3]);
        assert!(renaming.bytes_max(2) >= "outer.pinner.".len() && renaming.bytes_max(0) == 0);
    }

    #[test]
    fn parameters_of_a_file_go_where_its_nodes_look_for_them() {
        let own = json!({ "pdepth": 3, "pmodel": { "alpha": 1, "beta": 2 }, "z": 4 });
        let of = |namespace| module(Some(0), namespace, &[("pdepth", "shared.depth"), ("pmodel.alpha", "alpha")]);
        let lifted = |namespace| Json::Object(lift_parameters(&of(namespace), own.as_object().unwrap().clone()));
        let shared = json!({ "depth": 3 });
        assert_eq!(
            lifted(Some("a.b")),
            json!({ "shared": shared, "alpha": 1, "a": { "b": { "pmodel": { "beta": 2 }, "z": 4 } } })
        );
        assert_eq!(lifted(None), json!({ "shared": shared, "alpha": 1, "pmodel": { "beta": 2 }, "z": 4 }));
    }
}
