//! Names for ids, and other small things that every conversion needs.

use engine::id::{DatasetId, NodeId};
use engine::plan::{Persisted, Plan};
use serde_json::Value;

pub(super) fn node_name(plan: &Plan, node: NodeId) -> String {
    plan.node(node).map(|node| node.name.to_owned()).unwrap_or_default()
}

pub(super) fn dataset_name(plan: &Plan, dataset: DatasetId) -> String {
    plan.dataset(dataset).map(|dataset| dataset.name.to_owned()).unwrap_or_default()
}

pub(super) fn storage_name(storage: Option<&Persisted>) -> String {
    storage.map_or_else(|| "memory".to_owned(), |persisted| persisted.type_name.clone())
}

pub(super) fn path_of(storage: Option<&Persisted>) -> Option<String> {
    storage.map(|persisted| persisted.path.clone()).filter(|path| !path.is_empty())
}

/// JSON text as a value. Metadata was written by a plugin: what is no JSON is shown as the text it is.
pub(super) fn json_or_text(json: &str) -> Value {
    if json.is_empty() {
        return Value::Null;
    }
    serde_json::from_str(json).unwrap_or_else(|_| Value::String(json.to_owned()))
}

pub(super) fn signed(microseconds: u64) -> i64 {
    i64::try_from(microseconds).unwrap_or(i64::MAX)
}
