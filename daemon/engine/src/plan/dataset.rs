//! The datasets of a plan.

use super::{DatasetCore, Persisted, Plan};
use crate::id::{DatasetId, NodeId};

/// One dataset of a plan.
#[derive(Clone, Copy, Debug)]
pub struct Dataset<'a> {
    /// Its id.
    pub id: DatasetId,
    /// Its name.
    pub name: &'a str,
    /// Where it lives beyond memory; nothing for shared memory only.
    pub storage: Option<&'a Persisted>,
    /// Whether the call that makes it saves it chunk by chunk: it has no save task and never a block, and whoever reads it
    /// reads it again.
    pub chunked: bool,
    /// The node that makes its block; nothing when that is loaded: an input of the pipeline, or what has an `origin`.
    pub producer: Option<NodeId>,
    /// The dataset whose save the load of this one waits for, as it is read again from there. Of one that is `reread` the
    /// name is the same, so a name may stand for two datasets: the one that a node makes, and the one that others read.
    pub origin: Option<DatasetId>,
    /// The nodes that read it, each once, in order.
    pub consumers: &'a [NodeId],
    /// Whether it is an output of the pipeline: made, and read by no node, from memory or again. Never released by the run.
    pub is_output: bool,
}

/// A value handed in with the run: a dataset that is there before anything runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HandedInValue {
    /// The value: JSON, or what its JSON string says where its readers take plain text.
    pub text: String,
    /// Whether it is plain text.
    pub is_text: bool,
}

/// What a catalog entry says about a dataset beyond how it is kept: for people and other programs.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Notes {
    /// A sentence about it; empty when there is none.
    pub description: String,
    /// The layer that people count it to; empty when there is none.
    pub layer: String,
    /// How it may be shown, as JSON; empty when nothing is said.
    pub preview_json: String,
    /// The entry's `metadata` as a JSON object; empty when there is none.
    pub metadata_json: String,
}

impl Plan {
    /// Counts the datasets.
    pub fn dataset_count(&self) -> usize {
        self.datasets.len()
    }

    /// Walks over the datasets, in the order the pipeline first names them.
    pub fn datasets(&self) -> impl ExactSizeIterator<Item = Dataset<'_>> {
        self.datasets.iter().map(|(id, core)| self.dataset_view(id, core))
    }

    /// Walks over the datasets as people count them: of a name that stands for two only the one that is made.
    pub fn named_datasets(&self) -> impl Iterator<Item = Dataset<'_>> {
        let name =
            |dataset: Dataset<'_>| dataset.origin.is_some_and(|origin| self.dataset_names.get(origin) == dataset.name);
        self.datasets().filter(move |dataset| !name(*dataset))
    }

    /// Walks over the datasets that exist from the start, as their values were handed in with the run. The caller has
    /// their blocks before it starts the run, and is asked to release them as any others.
    pub fn values(&self) -> impl ExactSizeIterator<Item = (DatasetId, &HandedInValue)> {
        self.values.iter().map(|(dataset, value)| (*dataset, value))
    }

    /// Gives a dataset; nothing when the id is not one of this plan's.
    pub fn dataset(&self, id: DatasetId) -> Option<Dataset<'_>> {
        self.datasets.get(id).map(|core| self.dataset_view(id, core))
    }

    /// Gives what the catalog says about a dataset beyond how it is kept; nothing where it says nothing.
    pub fn notes(&self, dataset: DatasetId) -> Option<&Notes> {
        let position = self.notes.binary_search_by_key(&dataset, |(dataset, _)| *dataset).ok()?;
        self.notes.get(position).map(|(_, notes)| notes)
    }

    /// Finds a dataset by its name. Linear: for people's requests, not for the hot path.
    pub fn find_dataset(&self, name: &str) -> Option<DatasetId> {
        self.datasets.ids().find(|&id| self.dataset_names.get(id) == name)
    }

    fn dataset_view<'p>(&'p self, id: DatasetId, core: &DatasetCore) -> Dataset<'p> {
        let consumers = self.consumers.get(id);
        Dataset {
            id,
            name: self.dataset_names.get(id),
            storage: self.persisted.get(core.persisted as usize).map(|(_, persisted)| persisted),
            chunked: self.is_chunked(id),
            producer: self.producer(id),
            origin: self.origin(id),
            consumers,
            is_output: self.is_output(id),
        }
    }
}
