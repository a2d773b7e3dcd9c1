//! Datasets in memory: what lives, and what is dropped on request.

use serde::{Deserialize, Serialize};

/// Answer of `GET /v1/datasets`: every block in memory, by holder and name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockList {
    /// The blocks.
    pub blocks: Vec<BlockInfo>,
}

/// One block: the bytes of one dataset in memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockInfo {
    /// The dataset's name; of a resident one that pipelines call by several names, all with a comma between.
    pub name: String,
    /// Who keeps it.
    pub holder: BlockHolder,
    /// The run it belongs to; none for those that belong to no run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// What it is: `table`, `json`, `text`, `bytes` or `array`.
    pub kind: String,
    /// How its bytes are to be understood: `arrow`, `json`, `text`, `bytes` or `array`.
    pub format: String,
    /// The memory it takes.
    pub bytes: u64,
    /// Of a resident one how many runs hold it, of a run's own how many tasks are still to read it.
    pub readers: u64,
    /// Since when it is in memory.
    pub since_us: i64,
    /// The dataset type that loaded it.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "type")]
    pub dataset_type: Option<String>,
    /// Where it was loaded from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Whether it goes with its last reader.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_leaving: bool,
}

/// Who keeps a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BlockHolder {
    /// The daemon, for all runs: `resident = true` in the catalog.
    Resident,
    /// A run that is under way.
    Run,
    /// The daemon, until somebody fetches it or it expires: an output of a run that is over.
    Output,
    /// The daemon, until a run uses it or it expires: bytes that a client sent.
    Upload,
}

impl BlockHolder {
    /// The word used for it in JSON and on the screen.
    pub fn as_str(self) -> &'static str {
        match self {
            BlockHolder::Resident => "resident",
            BlockHolder::Run => "run",
            BlockHolder::Output => "output",
            BlockHolder::Upload => "upload",
        }
    }
}

/// Body of `POST /v1/datasets/evict`: which resident datasets are to go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvictRequest {
    /// Their names, or the paths they were loaded from.
    pub names: Vec<String>,
    /// All of them.
    pub all: bool,
}

/// Answer of `POST /v1/datasets/evict`. A dataset that is being read goes with its last reader; runs that come after
/// the request load it anew.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Eviction {
    /// Dropped.
    pub dropped: Vec<BlockInfo>,
    /// Being read, so they are dropped with their last reader.
    pub leaving: Vec<BlockInfo>,
}
