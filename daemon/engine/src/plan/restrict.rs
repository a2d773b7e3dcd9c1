//! A part of a plan as a plan of its own: some of its nodes, and the datasets they touch.
//!
//! What a left out node makes and a kept one reads becomes an input of the smaller plan. It is loaded where it is
//! persisted; in memory only it would come from nowhere, so that is refused.

use crate::graph;
use crate::id::{DatasetId, Id, IdVec, Lists, Names, NodeId};
use crate::plan::draft::number;
use crate::plan::{DatasetCore, InputBinding, NONE, Plan, confirms::confirm_tasks};

impl Plan {
    /// Gives the plan of just these nodes; itself, where all are kept.
    ///
    /// # Errors
    /// The datasets that kept nodes read, left out nodes make, and nothing persists.
    pub fn restricted(&self, keep: impl Fn(NodeId) -> bool) -> Result<Plan, Vec<DatasetId>> {
        let kept: Vec<NodeId> = self.nodes.ids().filter(|&node| keep(node)).collect();
        if kept.len() == self.nodes.len() {
            return Ok(self.clone());
        }
        let missing = self.out_of_reach(&kept, &keep);
        if missing.is_empty() { Ok(self.part(&kept, &keep)) } else { Err(missing) }
    }

    fn out_of_reach(&self, kept: &[NodeId], keep: &impl Fn(NodeId) -> bool) -> Vec<DatasetId> {
        let reads = kept.iter().flat_map(|&node| self.reads(node).iter().copied());
        let mut missing: Vec<DatasetId> = reads
            .filter(|&dataset| self.producer(dataset).is_some_and(|producer| !keep(producer)))
            .filter(|&dataset| !self.is_persisted(dataset))
            .collect();
        missing.sort_unstable();
        missing.dedup();
        missing
    }

    fn part(&self, kept: &[NodeId], keep: &impl Fn(NodeId) -> bool) -> Plan {
        let layers = self.layers_of(kept, keep);
        let order: Vec<NodeId> = graph::order(&layers, |one, other| {
            let name = |node: NodeId| self.node_names.get(kept[node.index()]);
            name(one).cmp(name(other))
        });
        let mut new_node = vec![NONE; self.nodes.len()];
        for (position, &node) in (0..).zip(&order) {
            new_node[kept[node.index()].index()] = position;
        }
        let datasets = self.datasets_of(kept);
        let mut new_dataset = vec![DatasetId(NONE); self.datasets.len()];
        for (position, &dataset) in datasets.iter().enumerate() {
            new_dataset[dataset.index()] = DatasetId::from_index(position);
        }

        let mut part = Plan {
            layer_count: layers.iter().max().map_or(0, |deepest| deepest + 1),
            node_names: Names::new(),
            nodes: IdVec::default(),
            inputs: Lists::new(),
            outputs: Lists::new(),
            reads: Lists::new(),
            confirms: Lists::new(),
            confirm_tasks: Vec::new(),
            dataset_names: Names::new(),
            datasets: IdVec::default(),
            consumers: Lists::new(),
            again: Lists::new(),
            persisted: Vec::new(),
            values: Vec::new(),
            tasks: Vec::new(),
            warnings: self.warnings.clone(),
            ..self.clone()
        };
        for &position in &order {
            let node = kept[position.index()];
            let mut core = self.nodes[node];
            core.layer = layers[position.index()];
            part.nodes.push(core);
            part.node_names.push(self.node_names.get(node));
            part.inputs.push(self.inputs.get(node).iter().map(|binding| match binding {
                Some(InputBinding::Dataset(dataset)) => Some(InputBinding::Dataset(new_dataset[dataset.index()])),
                other => *other,
            }));
            part.outputs.push(self.outputs.get(node).iter().map(|output| output.map(|made| new_dataset[made.index()])));
            part.reads.push(self.reads(node).iter().map(|dataset| new_dataset[dataset.index()]));
            part.confirms.push(self.confirms(node).iter().map(|dataset| new_dataset[dataset.index()]));
        }
        part.confirm_tasks = confirm_tasks(&part.confirms);
        for &dataset in &datasets {
            let core = self.datasets[dataset];
            let mut readers: Vec<NodeId> = (self.consumers(dataset).iter())
                .filter(|&&reader| keep(reader))
                .map(|reader| NodeId(new_node[reader.index()]))
                .collect();
            readers.sort_unstable();
            part.consumers.push(readers);
            part.dataset_names.push(self.dataset_names.get(dataset));
            let persisted = self.persisted.get(core.persisted as usize).map(|(_, persisted)| persisted.clone());
            let position = persisted.map(|persisted| {
                part.persisted.push((new_dataset[dataset.index()], persisted));
                part.persisted.len() - 1
            });
            let task = (core.task != NONE).then(|| {
                part.tasks.push(new_dataset[dataset.index()]);
                part.tasks.len() - 1
            });
            part.datasets.push(DatasetCore {
                producer: new_node.get(core.producer as usize).copied().unwrap_or(NONE),
                persisted: position.map_or(NONE, number),
                task: task.map_or(NONE, number),
                // Where what it is loaded from is not made here, it is loaded like any other.
                origin: new_dataset.get(core.origin as usize).map_or(NONE, |origin| origin.0),
            });
        }
        let values = self.values.iter().map(|(dataset, value)| (new_dataset[dataset.index()], value.clone()));
        part.values = values.filter(|(dataset, _)| *dataset != DatasetId(NONE)).collect();
        let origins = part.datasets.iter().filter(|(_, core)| core.origin != NONE);
        let pairs: Vec<_> = origins.map(|(loaded, core)| (DatasetId(core.origin), loaded)).collect();
        part.again = Lists::from_pairs(part.datasets.len(), pairs.iter().copied());
        part
    }

    /// The layers of the kept nodes among themselves, by their positions in the list.
    fn layers_of(&self, kept: &[NodeId], keep: &impl Fn(NodeId) -> bool) -> Vec<u32> {
        let mut layer = vec![0; self.nodes.len()];
        // Ids follow the topological order, so what a node reads has its layer already.
        for &node in kept {
            let producers = self.reads(node).iter().filter_map(|&dataset| self.maker(dataset));
            let above = producers.filter(|&producer| keep(producer)).map(|producer| layer[producer.index()] + 1);
            layer[node.index()] = above.max().unwrap_or(0);
        }
        kept.iter().map(|node| layer[node.index()]).collect()
    }

    /// The datasets that the kept nodes touch, in the plan's order.
    fn datasets_of(&self, kept: &[NodeId]) -> Vec<DatasetId> {
        let touched = kept.iter().flat_map(|&node| self.reads(node).iter().copied().chain(self.makes(node)));
        let mut datasets: Vec<DatasetId> = touched.collect();
        datasets.sort_unstable();
        datasets.dedup();
        datasets
    }
}
