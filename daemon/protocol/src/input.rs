//! Data that comes with a run: values in the submission, or bytes that were sent before.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What one input of a pipeline is given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InputData {
    /// A value: a number, a text, any JSON.
    Value(Value),
    /// Bytes that were sent with `POST /v1/blocks`; a dataset type loads them.
    Block(InputBlock),
}

/// Bytes that were sent before, and how they are to be loaded.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputBlock {
    /// The id that `POST /v1/blocks` answered. Where nothing runs (`validate`, `graph`) it may be empty.
    #[serde(default)]
    pub id: String,
    /// The file's name as people know it; its extension tells the dataset type where nothing else does.
    pub name: String,
    /// The dataset type. Without it the catalog's entry for the dataset decides, if it fits the name's extension, and else the extension.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "type")]
    pub dataset_type: Option<String>,
    /// The type's options.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<Map<String, Value>>,
}

/// Answer of `POST /v1/blocks`: the bytes are in the daemon's memory, until a run uses them or they expire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadedBlock {
    /// What a submission calls them.
    pub id: String,
    /// How many there are.
    pub bytes: u64,
    /// When they are dropped if no run has used them.
    pub expires_us: i64,
}
