//! What a catalog may say about a CSV dataset.

use std::collections::BTreeMap;

use plugin_api::manifest::OptionManifest;
use serde::Deserialize;

use super::kind::Kind;
use super::token::Dialect;
use crate::problem::{Problem, Result};

/// The `options` of a CSV dataset, as written.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Written {
    header: bool,
    delimiter: String,
    quote: String,
    null_values: Vec<String>,
    columns: Option<Vec<String>>,
    types: BTreeMap<String, String>,
    infer_rows: usize,
}

impl Default for Written {
    fn default() -> Self {
        Self {
            header: true,
            delimiter: ",".to_owned(),
            quote: "\"".to_owned(),
            null_values: vec![String::new(), "NA".to_owned()],
            columns: None,
            types: BTreeMap::new(),
            infer_rows: 1000,
        }
    }
}

/// The same for people.
pub fn manifest() -> Vec<OptionManifest> {
    vec![
        OptionManifest::new("header", "true", "whether the first line names the columns"),
        OptionManifest::new("delimiter", "\",\"", "the character between two fields"),
        OptionManifest::new(
            "quote",
            "\"\\\"\"",
            "the character around fields that contain a delimiter, a quote or a line break",
        ),
        OptionManifest::new(
            "null_values",
            "[\"\", \"NA\"]",
            "what stands for a missing value unless it is quoted; the first is written on save",
        ),
        OptionManifest::new("columns", "all", "the columns to load, in this order"),
        OptionManifest::new("types", "{}", &format!("column types, the others are guessed: {}", Kind::names())),
        OptionManifest::new("infer_rows", "1000", "how many rows to guess types from"),
    ]
}

/// The options, checked.
#[derive(Debug)]
pub struct Options {
    /// Whether the first line names the columns.
    pub has_header: bool,
    /// The characters between and around fields.
    pub dialect: Dialect,
    /// What stands for a missing value; the first is what is written.
    pub null_values: Vec<String>,
    /// The columns wanted, in this order; all if absent.
    pub columns: Option<Vec<String>>,
    /// Declared types by column; the others are guessed.
    pub types: BTreeMap<String, Kind>,
    /// How many rows to guess types from.
    pub infer_rows: usize,
}

impl Options {
    /// Reads and checks the options of a dataset.
    pub fn parse(options: &serde_json::Value) -> Result<Self> {
        let written: Written = crate::options::parse("csv", options)?;
        let dialect = Dialect {
            delimiter: one_byte("delimiter", &written.delimiter)?,
            quote: one_byte("quote", &written.quote)?,
        };
        if dialect.delimiter == dialect.quote {
            return Err(Problem::new("csv options: `delimiter` and `quote` are the same character"));
        }
        let mut types = BTreeMap::new();
        for (column, name) in written.types {
            let kind = Kind::named(&name).ok_or_else(|| {
                Problem::new(format!("csv options: column `{column}` has the unknown type `{name}`"))
                    .hint(format!("the types are {}", Kind::names()))
            })?;
            types.insert(column, kind);
        }
        let null_values = if written.null_values.is_empty() { vec![String::new()] } else { written.null_values };
        Ok(Self {
            has_header: written.header,
            dialect,
            null_values,
            columns: written.columns,
            types,
            infer_rows: written.infer_rows,
        })
    }

    /// Whether an unquoted field stands for a missing value.
    #[inline]
    pub fn is_missing(&self, field: &[u8]) -> bool {
        // The first byte tells nearly always, without a call to compare the rest.
        let is_alike = |value: &[u8]| value.len() == field.len() && value.first() == field.first() && value == field;
        self.null_values.iter().any(|value| is_alike(value.as_bytes()))
    }
}

fn one_byte(option: &str, text: &str) -> Result<u8> {
    match text.as_bytes() {
        [b'\n' | b'\r'] => Err(Problem::new(format!("csv options: `{option}` cannot be a line break"))),
        [byte] if byte.is_ascii() => Ok(*byte),
        _ => Err(Problem::new(format!("csv options: `{option}` must be one ASCII character, not {text:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn says_what_is_wrong_with_an_option() {
        let check = |options: serde_json::Value, expected: &str| {
            let problem = Options::parse(&options).expect_err(expected);
            assert!(problem.to_string().contains(expected), "{problem}");
        };
        check(json!({ "delimeter": ";" }), "unknown field `delimeter`");
        check(json!({ "delimiter": ";;" }), "`delimiter` must be one ASCII character");
        check(json!({ "delimiter": "\n" }), "cannot be a line break");
        check(json!({ "delimiter": "\"" }), "the same character");
        check(json!({ "types": { "a": "integer" } }), "column `a` has the unknown type `integer`");
    }

    #[test]
    fn takes_absent_options_for_the_defaults() {
        for absent in [json!(null), json!({})] {
            let options = Options::parse(&absent).expect("defaults");
            assert!(options.has_header && options.is_missing(b"NA") && options.is_missing(b""));
            assert!(!options.is_missing(b"N"));
        }
    }
}
