//! What a call is told about itself, as JSON. Unknown keys are ignored, missing ones have defaults.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The argument of a node call.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeArgument {
    /// The run's id.
    pub run: String,
    /// The node's name in the pipeline.
    pub node: String,
    /// The plugin's name.
    pub plugin: String,
    /// The node's name in the plugin.
    pub call: String,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// The number of the worker.
    pub worker: u32,
    /// All parameters of the run.
    pub parameters: Value,
    /// The names of the input ports in order.
    pub ports: Vec<String>,
    /// The output ports whose chunks are saved as they come.
    pub chunked: Vec<u32>,
}

/// The argument of an operation on a dataset.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DatasetArgument {
    /// The run's id.
    pub run: String,
    /// The dataset's name.
    pub dataset: String,
    /// Where it lives; absolute, or empty if the catalog gives none.
    pub path: String,
    /// What the catalog gives as `options`; may hold `credentials`.
    pub options: Value,
    /// The kind that its readers want, or empty.
    pub kind: String,
    /// Which chunks belong together: for `APPEND`, `FINISH` and `ABANDON`, unique in its process.
    pub session: String,
}
