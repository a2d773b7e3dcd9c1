//! Who makes a dataset, and who reads it, from memory or again.

use super::{NONE, Plan};
use crate::id::{DatasetId, NodeId};

impl Plan {
    /// Gives the node that makes a dataset; nothing for an input of the pipeline.
    pub fn producer(&self, dataset: DatasetId) -> Option<NodeId> {
        self.datasets.get(dataset).map(|core| core.producer).filter(|&producer| producer != NONE).map(NodeId)
    }

    /// Gives the node that a dataset waits for: its producer, or that of the dataset it is read again from; nothing for an
    /// input of the pipeline.
    pub fn maker(&self, dataset: DatasetId) -> Option<NodeId> {
        self.producer(self.origin(dataset).unwrap_or(dataset))
    }

    /// Gives the nodes that read a dataset, each once.
    pub fn consumers(&self, dataset: DatasetId) -> &[NodeId] {
        self.consumers.get(dataset)
    }

    /// Gives the dataset whose save the load of this one waits for.
    pub fn origin(&self, dataset: DatasetId) -> Option<DatasetId> {
        self.datasets.get(dataset).map(|core| core.origin).filter(|&origin| origin != NONE).map(DatasetId)
    }

    /// Gives the datasets that are loaded from what this one was saved to.
    pub fn again(&self, dataset: DatasetId) -> &[DatasetId] {
        self.again.get(dataset)
    }

    /// Walks over the nodes that read what a node makes, from memory or again, once for each dataset they read.
    pub fn readers(&self, node: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        let read = |dataset| std::iter::once(dataset).chain(self.again(dataset).iter().copied());
        self.makes(node).flat_map(read).flat_map(|dataset| self.consumers(dataset)).copied()
    }

    /// Says whether a dataset is an output of the pipeline: made by a node, and read by none. False for an unknown one.
    pub fn is_output(&self, id: DatasetId) -> bool {
        self.datasets.get(id).is_some_and(|core| core.producer != NONE)
            && self.consumers.get(id).is_empty()
            && self.again(id).is_empty()
    }
}
