//! Parameters: several tables merged deeply, then single values set over them.

use serde_json::{Map, Value as Json};

use crate::document::{Entry, to_json_object};
use crate::problem::{Problem, Problems};

/// Tables nest no deeper than the parsers let them; a dotted path could, and what nests too deep cannot be dropped safely.
const DEPTH_MAX: usize = 64;

/// The merge so far.
#[derive(Default)]
pub(super) struct Layers {
    merged: Map<String, Json>,
}

impl Layers {
    /// Lays a table over what there is: tables are merged key by key, everything else is replaced.
    pub(super) fn merge(&mut self, entries: &[Entry<'_>], problems: &mut Problems) {
        let upper = to_json_object(entries, &mut |site| problems.add("bad-number", Some(site), bad_number));
        self.merge_values(upper);
    }

    /// Lays values over what there is.
    pub(super) fn merge_values(&mut self, upper: Map<String, Json>) {
        merge(&mut self.merged, upper);
    }

    /// Sets one value by its dotted path, as `--params a.b=1` asks.
    pub(super) fn set(&mut self, path: &str, text: &str, problems: &mut Problems) {
        let value = serde_json::from_str(text).unwrap_or_else(|_| Json::String(text.to_owned()));
        let mut segments: Vec<&str> = path.split('.').collect();
        let last = segments.pop().unwrap_or_default();
        if last.is_empty() || segments.iter().any(|segment| segment.is_empty()) || segments.len() >= DEPTH_MAX {
            problems.add("bad-override", None, || {
                Problem::new("bad-override", format!("`{path}` is no name of a parameter"))
                    .hint("write `--params name=value` or `--params table.name=value`")
            });
            return;
        }
        let mut table = &mut self.merged;
        for segment in segments {
            let slot = table.entry(segment).or_insert_with(|| Json::Object(Map::new()));
            let Json::Object(inner) = slot else {
                let found = slot.to_string();
                problems.add("bad-override", None, || {
                    let message = format!("`{path}` cannot be set: parameter `{segment}` is {found}, not a table");
                    Problem::new("bad-override", message)
                });
                return;
            };
            table = inner;
        }
        match (table.get_mut(last), value) {
            (Some(Json::Object(lower)), Json::Object(upper)) => merge(lower, upper),
            (_, value) => drop(table.insert(last.to_owned(), value)),
        }
    }

    pub(super) fn finish(self) -> Map<String, Json> {
        self.merged
    }
}

/// Tells of a number that JSON cannot hold.
pub(super) fn bad_number() -> Problem {
    Problem::new("bad-number", "a parameter cannot be infinite or not a number: nodes get it as JSON")
}

/// Recurses as deep as the tables nest, which the parsers bound.
fn merge(lower: &mut Map<String, Json>, upper: Map<String, Json>) {
    for (key, value) in upper {
        match (lower.get_mut(&key), value) {
            (Some(Json::Object(below)), Json::Object(above)) => merge(below, above),
            (_, value) => drop(lower.insert(key, value)),
        }
    }
}
