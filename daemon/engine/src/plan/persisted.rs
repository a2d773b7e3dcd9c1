//! Where and how datasets are kept beyond memory, and which of their versions.

use super::{NONE, Plan};
use crate::credentials::Secret;
use crate::id::DatasetId;
use crate::schema::Schema;
use crate::version;

/// Where and how a dataset is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Persisted {
    /// Position of the plugin in the manifest.
    pub plugin: u32,
    /// Position of the dataset type in its plugin.
    pub dataset_type: u32,
    /// The type's name: `csv`.
    pub type_name: String,
    /// The plugin's name.
    pub plugin_name: String,
    /// The path, relative ones already joined to the base directory; empty when the entry has none.
    pub path: String,
    /// The type's options as a JSON object.
    pub options_json: String,
    /// Whether each run saves a version of its own below `path`.
    pub versioned: bool,
    /// The version that `path` leads to; empty until [`Plan::set_version`], and for good where it is not versioned.
    pub version: String,
    /// The name of its credentials; empty when it has none.
    pub credentials_name: String,
    /// What the type gets as `credentials` among its options.
    pub credentials: Secret,
    /// The columns that it must have.
    pub schema: Option<Schema>,
    /// Whether its type is to be told when the run needs it no more.
    pub releases: bool,
    /// Whether a load of it is shared by all runs: the caller keeps the block beyond the run's release of it.
    pub resident: bool,
    /// Whether its bytes were handed in with the run; then the path is their name, for people only.
    pub is_handed_in: bool,
    /// What is said of its partitions, where the path is a directory of them.
    pub partitions: Option<Partitions>,
}

/// A dataset of many files.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Partitions {
    /// What the files' names end in.
    pub suffix: String,
    /// Whether what a node makes takes the place of all partitions that were there.
    pub overwrite: bool,
    /// Where it is kept how far they were processed, if only new ones are loaded.
    pub checkpoint: Option<Checkpoint>,
}

/// How far an incremental dataset was processed: the name of the last partition that was confirmed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checkpoint {
    /// The file that says so.
    pub path: String,
    /// What counts instead of what the file says.
    pub from: Option<String>,
    /// Whether the last confirmed partition is loaded once more.
    pub inclusive: bool,
}

impl Plan {
    /// Says whether a dataset is kept beyond memory, whoever saves it.
    pub fn is_persisted(&self, dataset: DatasetId) -> bool {
        self.datasets.get(dataset).is_some_and(|core| core.persisted != NONE)
    }

    /// Says whether the call that makes a dataset saves it, chunk by chunk.
    pub fn is_chunked(&self, dataset: DatasetId) -> bool {
        self.datasets.get(dataset).is_some_and(|core| core.persisted != NONE && core.task == NONE)
    }

    /// Gives the version that `--load-versions` asks for.
    pub fn load_version(&self, dataset: DatasetId) -> Option<&str> {
        let name = self.dataset_names.get(dataset);
        self.load_versions.iter().find(|(dataset, _)| dataset == name).map(|(_, version)| &**version)
    }

    /// Gives all that `--load-versions` asks for: dataset and version.
    pub fn load_versions(&self) -> &[(String, String)] {
        &self.load_versions
    }

    /// Says which version of a versioned dataset is loaded or saved; its path leads to that one from now on.
    pub fn set_version(&mut self, dataset: DatasetId, version: &str) {
        let Some(core) = self.datasets.get(dataset) else { return };
        if let Some((_, persisted)) = self.persisted.get_mut(core.persisted as usize)
            && persisted.versioned
            && persisted.version.is_empty()
        {
            persisted.path = version::path_of(&persisted.path, version);
            persisted.version = version.to_owned();
        }
    }

    /// Walks over the secrets that datasets of this plan get.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        self.persisted.iter().map(|(_, persisted)| &persisted.credentials).filter(|secret| !secret.is_empty())
    }
}
