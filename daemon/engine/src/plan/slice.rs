//! A slice of a pipeline: the nodes that all filters take, and nothing else of the draft. Linear in nodes and edges.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::filter::{Filter, is_within, namespace};
use crate::id::{DatasetId, Id, IdVec, Lists, NodeId};
use crate::intern::Interner;
use crate::plan::draft::{Draft, Producer, distinct_reads};
use crate::plan::{InputBinding, NONE};
use crate::problem::{Problem, list, nearest};

/// Leaves only what the filter takes in the draft. Names that the pipeline does not have are problems, and so is an empty slice.
pub(super) fn apply(draft: &mut Draft<'_, '_>, consumers: &Lists<DatasetId, NodeId>, filter: &Filter) {
    if filter.is_empty() {
        return;
    }
    // What could not be read may be what is asked for. The problem that says so is told already.
    if draft.doubtful {
        return draft.tell_later_problems(|_| true);
    }
    let selection = Selection { draft, consumers, again: draft.loaded_again() };
    let chosen = selection.choose(filter);
    let unknown: Vec<Problem> = chosen.iter().filter_map(|chosen| chosen.unknown.clone()).collect();
    if !unknown.is_empty() {
        unknown.into_iter().for_each(|problem| draft.problems.add(problem.code, None, || problem));
        return draft.tell_later_problems(|_| true);
    }
    let keep: Vec<bool> =
        draft.nodes.ids().map(|node| chosen.iter().all(|chosen| chosen.nodes[node.index()])).collect();
    if keep.contains(&true) {
        draft.tell_later_problems(|node| keep[node.index()]);
        keep_nodes(draft, consumers, &keep);
    } else if !keep.is_empty() {
        draft.problems.add("empty-slice", None, || tell_empty(&chosen));
    }
}

/// What one filter takes.
struct Chosen {
    /// The option's name on the command line.
    option: &'static str,
    /// By node, whether it is taken.
    nodes: Vec<bool>,
    /// Names that the pipeline does not have.
    unknown: Option<Problem>,
}

/// By node, whether it is taken; and the names that the pipeline does not have.
type Taken = (Vec<bool>, Vec<String>);

fn tell_empty(chosen: &[Chosen]) -> Problem {
    let mut problem = Problem::new("empty-slice", "the filters leave no node of the pipeline");
    for Chosen { option, nodes, .. } in chosen {
        let count = nodes.iter().filter(|&&taken| taken).count();
        problem = problem.cause(format!("`--{option}` alone takes {count} of {} nodes", nodes.len()));
    }
    problem.hint("filters intersect: a node runs only when each of them takes it")
}

/// The whole pipeline, as filters look at it.
struct Selection<'d, 's, 'a> {
    draft: &'d Draft<'s, 'a>,
    consumers: &'d Lists<DatasetId, NodeId>,
    /// For each dataset those that are loaded after it was saved.
    again: Lists<DatasetId, DatasetId>,
}

impl Selection<'_, '_, '_> {
    /// Gives what each filter takes that says something.
    fn choose(&self, filter: &Filter) -> Vec<Chosen> {
        let Filter { tags, from_nodes, to_nodes, nodes, from_inputs, to_outputs, namespaces } = filter;
        let mut chosen = Vec::new();
        let mut add = |option, names: &[String], choose: &dyn Fn(&[String]) -> Taken| {
            if names.is_empty() {
                return;
            }
            let (nodes, unknown) = choose(names);
            chosen.push(Chosen { option, nodes, unknown: self.tell_unknown(option, unknown) });
        };
        add("tags", tags, &|names| self.with_tags(names));
        add("from-nodes", from_nodes, &|names| self.named(names, |seeds| self.after(seeds)));
        add("to-nodes", to_nodes, &|names| self.named(names, |seeds| self.before(seeds)));
        add("nodes", nodes, &|names| self.named(names, |seeds| seeds));
        add("from-inputs", from_inputs, &|names| self.reading(names));
        add("to-outputs", to_outputs, &|names| self.making(names));
        add("namespaces", namespaces, &|names| self.inside(names));
        chosen
    }

    fn none(&self) -> Vec<bool> {
        vec![false; self.draft.nodes.len()]
    }

    fn with_tags(&self, tags: &[String]) -> Taken {
        let sets = &self.draft.tag_sets;
        let taken: Vec<bool> = sets.iter().map(|set| set.iter().any(|tag| tags.contains(tag))).collect();
        let nodes = self.draft.nodes.iter().map(|(_, node)| taken[node.tags as usize]).collect();
        let known = |tag: &String| self.draft.nodes.iter().any(|(_, node)| sets[node.tags as usize].contains(tag));
        (nodes, tags.iter().filter(|tag| !known(tag)).cloned().collect())
    }

    fn named(&self, names: &[String], grow: impl Fn(Vec<bool>) -> Vec<bool>) -> Taken {
        let (mut seeds, mut unknown) = (self.none(), Vec::new());
        for name in names {
            match self.draft.node_names.find(name) {
                Some(node) => seeds[node.index()] = true,
                None => unknown.push(name.clone()),
            }
        }
        (grow(seeds), unknown)
    }

    fn reading(&self, names: &[String]) -> Taken {
        let (mut seeds, mut unknown) = (self.none(), Vec::new());
        let parameters = self.parameters(names);
        for name in names {
            let datasets = self.draft.datasets_called(name);
            let readers = datasets.iter().flat_map(|&dataset| self.consumers.get(dataset));
            readers.chain(parameters.get(&**name).into_iter().flatten()).for_each(|node| seeds[node.index()] = true);
            if datasets.is_empty() && !parameters.contains_key(&**name) {
                unknown.push(name.clone());
            }
        }
        (self.after(seeds), unknown)
    }

    /// Finds the nodes that these parameters are bound to. Parameters have no list of readers, so all bindings are looked at once.
    fn parameters<'n>(&self, names: &'n [String]) -> HashMap<&'n str, Vec<NodeId>> {
        let mut found: HashMap<&str, Vec<NodeId>> = HashMap::new();
        let wanted: HashSet<&str> = names.iter().map(String::as_str).filter(|name| is_parameter(name)).collect();
        if wanted.is_empty() {
            return found;
        }
        for node in self.draft.nodes.ids() {
            for name in self.draft.bound_parameters(node) {
                if let Some(&name) = wanted.get(name) {
                    found.entry(name).or_default().push(node);
                }
            }
        }
        found
    }

    fn making(&self, names: &[String]) -> Taken {
        let (mut seeds, mut unknown) = (self.none(), Vec::new());
        for name in names {
            let datasets = self.draft.datasets_called(name);
            let makers = datasets.iter().map(|&dataset| self.draft.producers[dataset].node);
            makers.filter(|&node| node != NONE).for_each(|node| seeds[node as usize] = true);
            if datasets.is_empty() {
                unknown.push(name.clone());
            }
        }
        (self.before(seeds), unknown)
    }

    fn inside(&self, namespaces: &[String]) -> Taken {
        let (mut nodes, mut found) = (self.none(), vec![false; namespaces.len()]);
        for node in self.draft.nodes.ids() {
            let Some(of) = namespace(self.draft.node_names.name(node)) else { continue };
            for (wanted, found) in namespaces.iter().zip(&mut found) {
                if is_within(of, wanted) {
                    nodes[node.index()] = true;
                    *found = true;
                }
            }
        }
        let unknown = namespaces.iter().zip(found).filter(|(_, found)| !found).map(|(name, _)| name.clone());
        (nodes, unknown.collect())
    }

    /// Adds everything that depends on the seeds.
    fn after(&self, mut taken: Vec<bool>) -> Vec<bool> {
        let mut open = seeds(&taken);
        while let Some(node) = open.pop() {
            for &dataset in self.draft.outputs.get(node).iter().flatten() {
                let read = std::iter::once(&dataset).chain(self.again.get(dataset));
                for &reader in read.flat_map(|&dataset| self.consumers.get(dataset)) {
                    if !std::mem::replace(&mut taken[reader.index()], true) {
                        open.push(reader);
                    }
                }
            }
        }
        taken
    }

    /// Adds everything that the seeds depend on.
    fn before(&self, mut taken: Vec<bool>) -> Vec<bool> {
        let mut open = seeds(&taken);
        while let Some(node) = open.pop() {
            for dataset in distinct_reads(self.draft.inputs.get(node), self.draft.confirms.get(node)) {
                let Some(taken) = taken.get_mut(self.draft.maker(dataset) as usize) else { continue };
                if !std::mem::replace(taken, true) {
                    open.push(NodeId(self.draft.maker(dataset)));
                }
            }
        }
        taken
    }

    /// One problem names all that one filter asks for and the pipeline does not have.
    fn tell_unknown(&self, option: &'static str, mut unknown: Vec<String>) -> Option<Problem> {
        unknown.sort_unstable();
        unknown.dedup();
        let (first, several) = (unknown.first()?, unknown.len() > 1);
        let what = match (option, several) {
            ("tags", false) => "tag",
            ("tags", true) => "tags",
            ("namespaces", false) => "namespace",
            ("namespaces", true) => "namespaces",
            ("from-inputs" | "to-outputs", false) => "dataset",
            ("from-inputs" | "to-outputs", true) => "datasets",
            (_, false) => "node",
            (_, true) => "nodes",
        };
        let names = list(unknown.iter().map(String::as_str));
        let mut problem = Problem::new("unknown-filter", format!("`--{option}`: the pipeline has no {what} {names}"));
        let known = self.known(option);
        for name in &unknown {
            let near = known
                .iter()
                .find(|known| known.rsplit_once('.').is_some_and(|(_, short)| short == name))
                .copied()
                .or_else(|| nearest(name, known.iter().copied()));
            if let Some(near) = near {
                let about = if several { format!("`{name}`: ") } else { String::new() };
                problem = problem.hint(format!("{about}did you mean `{near}`?"));
            }
        }
        if problem.hints.is_empty() {
            const SHOWN: usize = 20;
            let shown = known.iter().filter(|known| **known != first).take(SHOWN).copied();
            let more = if known.len() > SHOWN { ", …" } else { "" };
            problem = match known.is_empty() {
                true => {
                    problem.hint(format!("the pipeline has no {} at all", what.trim_end_matches('s').to_owned() + "s"))
                }
                false => problem.hint(format!("it has {}{more}", list(shown))),
            };
        }
        Some(problem)
    }

    /// Gives every name that an option could have meant, sorted.
    fn known(&self, option: &str) -> BTreeSet<&str> {
        let draft = self.draft;
        let nodes = || draft.nodes.ids().map(|node| draft.node_names.name(node));
        match option {
            "tags" => draft
                .nodes
                .iter()
                .flat_map(|(_, node)| &draft.tag_sets[node.tags as usize])
                .map(String::as_str)
                .collect(),
            "namespaces" => {
                let of = nodes().filter_map(namespace);
                of.flat_map(|of| of.match_indices('.').map(move |(dot, _)| &of[..dot]).chain([of])).collect()
            }
            "to-outputs" => draft.producers.ids().map(|dataset| draft.dataset_names.name(dataset)).collect(),
            "from-inputs" => {
                let datasets = draft.producers.ids().map(|dataset| draft.dataset_names.name(dataset));
                datasets.chain(draft.nodes.ids().flat_map(|node| draft.bound_parameters(node))).collect()
            }
            _ => nodes().collect(),
        }
    }
}

fn is_parameter(name: &str) -> bool {
    name == "parameters" || name.starts_with("params:")
}

fn seeds(taken: &[bool]) -> Vec<NodeId> {
    taken.iter().enumerate().filter(|(_, taken)| **taken).map(|(index, _)| NodeId::from_index(index)).collect()
}

/// Draws the draft anew without the nodes that are left out, and without the datasets that only they have.
fn keep_nodes(draft: &mut Draft<'_, '_>, consumers: &Lists<DatasetId, NodeId>, keep: &[bool]) {
    let kept: Vec<NodeId> = draft.nodes.ids().filter(|node| keep[node.index()]).collect();
    let is_kept = |node: NodeId| keep.get(node.index()).copied().unwrap_or(false);
    for dataset in draft.producers.ids() {
        let maker = NodeId(draft.maker(dataset));
        if maker.0 != NONE && !is_kept(maker) && consumers.get(dataset).iter().any(|&reader| is_kept(reader)) {
            let names = (draft.dataset_names.name(dataset).to_owned(), draft.node_names.name(maker).to_owned());
            draft.left_out.insert(names.0, names.1);
        }
    }
    let mut node_names: Interner<NodeId> = Interner::new();
    let mut nodes = IdVec::default();
    let mut inputs = Lists::with_capacity(kept.len(), draft.inputs.item_count());
    let mut outputs = Lists::with_capacity(kept.len(), draft.outputs.item_count());
    let mut confirms = Lists::with_capacity(kept.len(), draft.confirms.item_count());
    let mut dataset_names: Interner<DatasetId> = Interner::new();
    let mut producers = IdVec::default();
    let mut dataset = |old: DatasetId| {
        let (id, new) = dataset_names.intern(draft.dataset_names.name(old));
        if new {
            producers.push(Producer { node: NONE, port: 0 });
        }
        (id, id.index())
    };
    let mut makers: Vec<(usize, Producer)> = Vec::new();
    for &old in &kept {
        let (node, _) = node_names.intern(draft.node_names.name(old));
        nodes.push(draft.nodes[old]);
        inputs.push(draft.inputs.get(old).iter().map(|binding| match binding {
            Some(InputBinding::Dataset(old)) => Some(InputBinding::Dataset(dataset(*old).0)),
            other => *other,
        }));
        let made: Vec<Option<DatasetId>> = (0u32..)
            .zip(draft.outputs.get(old))
            .map(|(port, made)| {
                let old_dataset = (*made)?;
                let (id, index) = dataset(old_dataset);
                if draft.producers[old_dataset].node == old.0 {
                    makers.push((index, Producer { node: node.0, port }));
                }
                Some(id)
            })
            .collect();
        outputs.push(made);
        confirms.push(draft.confirms.get(old).iter().map(|old| dataset(*old).0));
    }
    for (index, producer) in makers {
        producers[DatasetId::from_index(index)] = producer;
    }
    let origins = draft.origins.iter().filter_map(|(&loaded, &saved)| {
        let new = |old| dataset_names.find(draft.dataset_names.name(old));
        // What nobody saves any more is an input of the slice.
        Some((new(loaded)?, new(saved).filter(|&saved| producers[saved].node != NONE)?))
    });
    draft.origins = origins.collect();
    (draft.node_names, draft.nodes, draft.inputs, draft.outputs) = (node_names, nodes, inputs, outputs);
    draft.confirms = confirms;
    (draft.dataset_names, draft.producers) = (dataset_names, producers);
}
