//! The plan while it is being drawn up: nodes numbered as they were written, everything that later steps check.

use std::collections::{BTreeMap, HashMap};

use crate::id::{DatasetId, Id, IdVec, Lists, NodeId, ParameterId};
use crate::intern::Interner;
use crate::module::Renaming;
use crate::plan::transcoding::split;
use crate::plan::{Call, InputBinding, NONE, Parameter};
use crate::policy::NodePolicy;
use crate::problem::{Problem, Problems};
use crate::signature::{Manifest, NodeSignature, Port, PortKind};
use crate::source::Site;
use crate::spec::Spec;

/// What all steps of planning share.
pub(super) struct Draft<'s, 'a> {
    pub(super) spec: &'s Spec<'a>,
    pub(super) manifest: &'s Manifest,
    pub(super) problems: &'s mut Problems,
    pub(super) calls: IdVec<crate::id::CallId, Call>,
    pub(super) policies: Vec<NodePolicy>,
    pub(super) tag_sets: Vec<Vec<String>>,
    pub(super) parameters: IdVec<ParameterId, Parameter>,
    pub(super) node_names: Interner<NodeId>,
    /// Indexed as written; ids become topological only in the frozen plan.
    pub(super) nodes: IdVec<NodeId, DraftNode>,
    pub(super) inputs: Lists<NodeId, Option<InputBinding>>,
    pub(super) outputs: Lists<NodeId, Option<DatasetId>>,
    /// What each node confirms, each once.
    pub(super) confirms: Lists<NodeId, DatasetId>,
    pub(super) dataset_names: Interner<DatasetId>,
    pub(super) producers: IdVec<DatasetId, Producer>,
    /// Datasets that nothing makes by that name: each is loaded after this other one was saved.
    pub(super) origins: BTreeMap<DatasetId, DatasetId>,
    /// Names of included files become those of the pipeline.
    pub(super) renaming: Renaming<'s, 'a>,
    /// Whether a node, port or name could not be understood, so that what seems missing may not be.
    pub(super) doubtful: bool,
    /// Problems of single nodes that matter only if the node runs; nothing when every node does.
    pub(super) later: Option<Vec<(NodeId, Option<Site>, Problem)>>,
    /// Datasets whose makers a filter has left out while somebody still reads them, and these makers.
    pub(super) left_out: HashMap<String, String>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct DraftNode {
    /// Position in `Spec::instances`.
    pub(super) spec: u32,
    /// A `CallId`, or [`NONE`] when what it calls is unknown; its ports are then in the order they were written.
    pub(super) call: u32,
    pub(super) policy: u32,
    pub(super) tags: u32,
}

/// Who makes a dataset.
#[derive(Clone, Copy, Debug)]
pub(super) struct Producer {
    /// A `NodeId`, or [`NONE`].
    pub(super) node: u32,
    /// The output port.
    pub(super) port: u32,
}

impl<'s, 'a> Draft<'s, 'a> {
    pub(super) fn new(spec: &'s Spec<'a>, manifest: &'s Manifest, problems: &'s mut Problems) -> Self {
        let nodes = spec.instances.len();
        Self {
            spec,
            manifest,
            problems,
            calls: IdVec::default(),
            policies: Vec::new(),
            tag_sets: vec![Vec::new()],
            parameters: IdVec::default(),
            node_names: Interner::with_capacity(nodes),
            nodes: IdVec::with_capacity(nodes),
            inputs: Lists::with_capacity(nodes, nodes),
            outputs: Lists::with_capacity(nodes, nodes),
            confirms: Lists::with_capacity(nodes, 0),
            dataset_names: Interner::with_capacity(nodes),
            producers: IdVec::with_capacity(nodes),
            origins: BTreeMap::new(),
            renaming: Renaming::new(&spec.modules),
            doubtful: spec.unread.nodes,
            later: None,
            left_out: HashMap::new(),
        }
    }

    /// Brings the places of the next nodes' names near, at one node of many. Of names that are to be renamed or filled in it
    /// brings those of others, which does no harm.
    pub(super) fn fetch_names(&self, instance: u32) {
        const AHEAD: usize = 32;
        let rest = self.spec.instances.get(instance as usize..).unwrap_or_default();
        if !(instance as usize).is_multiple_of(AHEAD) {
            return;
        }
        let nodes = || rest.iter().take(AHEAD).map(|instance| &self.spec.nodes[instance.node as usize]);
        self.node_names.fetch(nodes().filter_map(|node| node.name.as_ref()).map(|name| &*name.text));
        let targets = nodes().flat_map(|node| node.inputs.targets.iter().chain(&node.outputs.targets));
        self.dataset_names.fetch(targets.map(|target| &*target.text));
    }

    /// Adds a problem of the node that is being drawn, one that is none unless the node runs.
    pub(super) fn tell_if_run(&mut self, code: &'static str, site: Option<Site>, tell: impl FnOnce() -> Problem) {
        match &mut self.later {
            // Its own node was pushed last.
            Some(later) => {
                later.push((NodeId::from_index(self.nodes.len().saturating_sub(1)), site, Problem { code, ..tell() }))
            }
            None => self.problems.add(code, site, tell),
        }
    }

    /// Adds the problems of those nodes that do run.
    pub(super) fn tell_later_problems(&mut self, runs: impl Fn(NodeId) -> bool) {
        for (node, site, problem) in self.later.take().into_iter().flatten() {
            if runs(node) {
                self.problems.add(problem.code, site, || problem);
            }
        }
    }

    /// Finds the datasets that people call so: a name without its format is all of its formats.
    pub(super) fn datasets_called(&self, name: &str) -> Vec<DatasetId> {
        match self.dataset_names.find(name) {
            Some(found) => vec![found],
            None if name.contains('@') => Vec::new(),
            None => {
                let base = |dataset: &DatasetId| split(self.dataset_names.name(*dataset)).0 == name;
                self.producers.ids().filter(base).collect()
            }
        }
    }

    /// Lists for each dataset those that are loaded after it was saved.
    pub(super) fn loaded_again(&self) -> Lists<DatasetId, DatasetId> {
        Lists::from_pairs(self.dataset_names.len(), self.origins.iter().map(|(&loaded, &saved)| (saved, loaded)))
    }

    /// Walks over the names of the parameters that a node's ports are bound to.
    pub(super) fn bound_parameters(&self, node: NodeId) -> impl Iterator<Item = &str> {
        self.inputs.get(node).iter().filter_map(|binding| match binding {
            Some(InputBinding::Parameter(id)) => self.parameters.get(*id).map(|parameter| &*parameter.name),
            _ => None,
        })
    }

    /// Gives the id of a dataset's name.
    pub(super) fn dataset(&mut self, name: &str) -> DatasetId {
        let (id, new) = self.dataset_names.intern(name);
        if new {
            self.producers.push(Producer { node: NONE, port: 0 });
        }
        id
    }

    /// Gives the signature of what a node calls, where that is known.
    pub(super) fn signature(&self, node: NodeId) -> Option<&'s NodeSignature> {
        let call = self.calls.get(crate::id::CallId(self.nodes.get(node)?.call))?;
        self.manifest.plugins.get(call.plugin as usize)?.nodes.get(call.node as usize)
    }

    /// Gives the node that a dataset waits for, because it makes it or what it is loaded from; [`NONE`] if there is none.
    pub(super) fn maker(&self, dataset: DatasetId) -> u32 {
        let made = self.origins.get(&dataset).copied().unwrap_or(dataset);
        self.producers.get(made).map_or(NONE, |producer| producer.node)
    }

    /// Gives the kind of an input port, where it is known.
    pub(super) fn input_kind(&self, node: NodeId, port: usize) -> Option<&'s PortKind> {
        self.signature(node)?.inputs.get(port).map(|port: &Port| &port.kind)
    }

    /// Says whether a dataset is made chunk by chunk.
    pub(super) fn comes_in_chunks(&self, dataset: DatasetId) -> bool {
        let Some(producer) = self.producers.get(dataset) else { return false };
        let port =
            self.signature(NodeId(producer.node)).and_then(|signature| signature.outputs.get(producer.port as usize));
        port.is_some_and(|port| port.chunks)
    }

    /// Gives the kind of the port that makes a dataset, where it is known.
    pub(super) fn producer_kind(&self, dataset: DatasetId) -> Option<&'s PortKind> {
        let producer = self.producers.get(dataset)?;
        self.signature(NodeId(producer.node))?.outputs.get(producer.port as usize).map(|port| &port.kind)
    }

    /// Finds where a node's input port is bound.
    pub(super) fn input_site(&self, node: NodeId, port: usize) -> Option<Site> {
        let spec = self.spec.node(self.nodes.get(node)?.spec)?;
        let name = self.signature(node).and_then(|signature| signature.inputs.get(port)).map(|port| &*port.name);
        site_of(&spec.inputs, port, name)
    }

    /// Finds where a node's output port is bound.
    pub(super) fn output_site(&self, node: NodeId, port: usize) -> Option<Site> {
        let spec = self.spec.node(self.nodes.get(node)?.spec)?;
        let name = self.signature(node).and_then(|signature| signature.outputs.get(port)).map(|port| &*port.name);
        site_of(&spec.outputs, port, name)
    }

    /// Walks over (dataset, reader) pairs, each once, in the order they were written.
    pub(super) fn reads(&self) -> impl Iterator<Item = (DatasetId, NodeId)> + Clone + '_ {
        self.nodes.ids().flat_map(|node| {
            distinct_reads(self.inputs.get(node), self.confirms.get(node)).map(move |dataset| (dataset, node))
        })
    }

    /// Tells a site as text.
    pub(super) fn told(&self, site: Option<Site>) -> String {
        let place = site.and_then(|site| self.spec.texts.place(site));
        place.map_or_else(|| "another file".to_owned(), |place| place.to_string())
    }
}

/// Walks over the datasets among the bindings of one node, each once, and those that it confirms: what is confirmed is what
/// this run found there, so it must have been looked up. Ports are few, so looking back is cheap.
pub(super) fn distinct_reads<'b>(
    bindings: &'b [Option<InputBinding>],
    confirms: &'b [DatasetId],
) -> impl Iterator<Item = DatasetId> + Clone + 'b {
    let bound = bindings.iter().enumerate().filter_map(|(position, binding)| match binding {
        Some(InputBinding::Dataset(dataset)) if !bindings[..position].contains(binding) => Some(*dataset),
        _ => None,
    });
    let is_bound = |dataset: &DatasetId| bindings.contains(&Some(InputBinding::Dataset(*dataset)));
    bound.chain(confirms.iter().copied().filter(move |dataset| !is_bound(dataset)))
}

fn site_of(ports: &crate::spec::Ports<'_>, position: usize, name: Option<&str>) -> Option<Site> {
    let named = ports.names.iter().flatten().position(|port| Some(&*port.text) == name);
    ports.targets.get(named.unwrap_or(position)).map(|target| target.site)
}

/// Gives a position as the number that ids are made of.
pub(super) fn number(position: usize) -> u32 {
    NodeId::from_index(position).0
}
