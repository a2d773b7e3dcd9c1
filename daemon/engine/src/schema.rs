//! The columns that a table must have: types as people write them, held against what a block says of itself.
//!
//! A block of a table describes its columns in its metadata (`{"columns": [["name", "Int64"], …]}`), so no data library is
//! needed here. Columns beyond those of a schema are nobody's business.

use serde_json::Value as Json;

use crate::problem::{Problem, did_you_mean, nearest};

/// What a dataset's columns must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    /// Columns and their types, as written.
    pub columns: Vec<(String, String)>,
    /// Whether data that does not fit is only warned of.
    pub warns: bool,
}

/// Families of types, and how the names of Arrow types that belong to each begin.
const FAMILIES: &[(&str, &[&str])] = &[
    ("any", &[""]),
    ("integer", &["Int8", "Int16", "Int32", "Int64", "UInt"]),
    ("float", &["Float"]),
    ("number", &["Int8", "Int16", "Int32", "Int64", "UInt", "Float", "Decimal"]),
    ("decimal", &["Decimal"]),
    ("boolean", &["Boolean"]),
    ("text", &["Utf8", "LargeUtf8"]),
    ("bytes", &["Binary", "LargeBinary", "FixedSizeBinary"]),
    ("date", &["Date"]),
    ("time", &["Time32", "Time64"]),
    ("timestamp", &["Timestamp"]),
    ("duration", &["Duration"]),
    ("list", &["List", "LargeList", "FixedSizeList"]),
    ("struct", &["Struct"]),
];

/// Other words for the families.
const ALIASES: &[(&str, &str)] =
    &[("string", "text"), ("str", "text"), ("bool", "boolean"), ("int", "integer"), ("datetime", "timestamp")];

/// Arrow types that can be written by name; in catalogs in any case.
const EXACT: &[&str] = &[
    "Int8",
    "Int16",
    "Int32",
    "Int64",
    "UInt8",
    "UInt16",
    "UInt32",
    "UInt64",
    "Float16",
    "Float32",
    "Float64",
    "Utf8",
    "LargeUtf8",
    "Utf8View",
    "Boolean",
    "Date32",
    "Date64",
    "Binary",
    "LargeBinary",
    "Null",
];

/// Arrow types with parameters are written as Arrow writes them.
const PARAMETRIC: &[&str] = &[
    "Timestamp(",
    "Decimal128(",
    "Decimal256(",
    "Dictionary(",
    "List(",
    "LargeList(",
    "Struct(",
    "Time32(",
    "Time64(",
];

/// Says what is wrong with the name of a type; nothing when it is one.
pub fn check_type(written: &str) -> Option<Problem> {
    let word = family_of(written);
    let known = FAMILIES.iter().any(|(family, _)| *family == word)
        || EXACT.iter().any(|exact| exact.eq_ignore_ascii_case(written))
        || PARAMETRIC.iter().any(|start| written.starts_with(start));
    if known {
        return None;
    }
    let words = || FAMILIES.iter().map(|(family, _)| *family).chain(ALIASES.iter().map(|(alias, _)| *alias));
    let families: Vec<&str> = FAMILIES.iter().map(|(family, _)| *family).collect();
    Some(
        Problem::new("unknown-column-type", format!("`{written}` is no type of a column"))
            .hint_if(did_you_mean(written, words().chain(EXACT.iter().copied())))
            .hint(format!("types are {}, or one of Arrow's, as in Int64", families.join(", "))),
    )
}

fn family_of(written: &str) -> String {
    let word = written.to_ascii_lowercase();
    ALIASES.iter().find(|(alias, _)| *alias == word).map_or(word, |(_, family)| (*family).to_owned())
}

/// Says whether a column of this Arrow type is what was written. A dictionary counts as what it is a dictionary of.
fn fits(written: &str, found: &str) -> bool {
    if written.eq_ignore_ascii_case(found) {
        return true;
    }
    let entry = found.strip_prefix("Dictionary(").and_then(|rest| rest.split_once(", ")).map(|(_, value)| value);
    let found = entry.map_or(found, |value| value.trim_end_matches(')'));
    let family = family_of(written);
    let starts = FAMILIES.iter().find(|(name, _)| *name == family).map_or(&[][..], |(_, starts)| starts);
    written.eq_ignore_ascii_case(found) || starts.iter().any(|start| found.starts_with(start))
}

impl Schema {
    /// Holds the schema against the metadata of a block: everything that does not fit, one sentence each.
    pub fn check(&self, metadata_json: &str) -> Vec<String> {
        let metadata: Json = serde_json::from_str(metadata_json).unwrap_or_default();
        let Some(columns) = metadata.get("columns").and_then(Json::as_array) else {
            return vec!["the data is no table, so it has no columns".to_owned()];
        };
        let found: Vec<(&str, &str)> =
            columns.iter().filter_map(|column| Some((column.get(0)?.as_str()?, column.get(1)?.as_str()?))).collect();
        // A column that the schema names, too, is none that was misspelt.
        let is_free = |name: &str| self.columns.iter().all(|(column, _)| column != name);
        let names = || found.iter().map(|(name, _)| *name).filter(|name| is_free(name));
        (self.columns.iter())
            .filter_map(|(name, wanted)| match found.iter().find(|(column, _)| column == name) {
                Some((_, found)) if fits(wanted, found) => None,
                Some((_, found)) => Some(format!("column `{name}` should be {wanted}, but is {found}")),
                None => Some(match nearest(name, names()) {
                    Some(near) => format!("column `{name}` ({wanted}) is missing; there is a column `{near}`"),
                    None => format!("column `{name}` ({wanted}) is missing"),
                }),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_families_or_arrows_own() {
        for good in ["integer", "Number", "STRING", "int64", "Utf8", "Timestamp(Microsecond, None)", "any"] {
            assert_eq!(check_type(good), None, "{good}");
        }
        let problem = check_type("interger").map(|problem| problem.hints).unwrap_or_default();
        assert!(problem.iter().any(|hint| hint == "did you mean `integer`?"), "{problem:?}");
        for (written, found, expected) in [
            ("integer", "Int64", true),
            ("integer", "UInt8", true),
            ("integer", "Float64", false),
            ("integer", "Interval(DayTime)", false),
            ("number", "Float64", true),
            ("text", "Dictionary(Int32, Utf8)", true),
            ("utf8", "Dictionary(Int32, Utf8)", true),
            ("text", "Utf8View", true),
            ("bytes", "BinaryView", true),
            ("int64", "Int64", true),
            ("int64", "Int32", false),
            ("timestamp", "Timestamp(Microsecond, None)", true),
            ("time", "Timestamp(Microsecond, None)", false),
            ("any", "Null", true),
        ] {
            assert_eq!(fits(written, found), expected, "{written} {found}");
        }
    }
}
