//! `partitioned` and `incremental` of a catalog entry.

use super::fields::Fields;
use crate::document::{Data, Entry, Value, Word};
use crate::problem::Problem;
use crate::spec::{Incremental, Partitioned};

/// Reads `true` or `{ suffix = ".csv", overwrite = true }`.
pub(super) fn partitioned<'a>(key: &Word<'a>, value: Value<'a>, fields: &mut Fields<'_>) -> Option<Partitioned<'a>> {
    let mut partitioned = Partitioned { site: key.site, suffix: None, overwrite: false };
    let entries = match value {
        Value { data: Data::Boolean(wanted), .. } => return wanted.then_some(partitioned),
        Value { data: Data::Table(entries), .. } => entries,
        other => {
            fields.wrong_type(key, &other, "true, or a table `{ suffix = \".csv\" }`");
            return None;
        }
    };
    let mut fields = Fields::new("`partitioned`", &["suffix", "overwrite"], fields.problems);
    for Entry { key, value } in entries {
        match &*key.text {
            "suffix" => partitioned.suffix = fields.text(&key, value),
            "overwrite" => partitioned.overwrite = fields.boolean(&key, &value).unwrap_or_default(),
            _ => fields.unknown(&key),
        }
    }
    Some(partitioned)
}

/// Reads `true` or `{ checkpoint = "done.txt", from = "2024-01", comparison = ">=" }`.
pub(super) fn incremental<'a>(key: &Word<'a>, value: Value<'a>, fields: &mut Fields<'_>) -> Option<Incremental<'a>> {
    let mut incremental = Incremental { site: key.site, checkpoint: None, from: None, inclusive: false };
    let entries = match value {
        Value { data: Data::Boolean(wanted), .. } => return wanted.then_some(incremental),
        Value { data: Data::Table(entries), .. } => entries,
        other => {
            fields.wrong_type(key, &other, "true, or a table `{ checkpoint = \"done.txt\" }`");
            // It was meant to be one, so whoever confirms it is right.
            return Some(incremental);
        }
    };
    let mut fields = Fields::new("`incremental`", &["checkpoint", "from", "comparison"], fields.problems);
    for Entry { key, value } in entries {
        match &*key.text {
            "checkpoint" => incremental.checkpoint = fields.text(&key, value),
            "from" => incremental.from = fields.text(&key, value),
            "comparison" => {
                incremental.inclusive = fields.text(&key, value).is_some_and(|word| is_inclusive(&word, &mut fields))
            }
            _ => fields.unknown(&key),
        }
    }
    Some(incremental)
}

/// Reads `>` or `>=`: how the name of a partition must compare with the checkpoint.
fn is_inclusive(word: &Word<'_>, fields: &mut Fields<'_>) -> bool {
    if !matches!(&*word.text, ">" | ">=") {
        fields.problems.add("wrong-value", Some(word.site), || {
            Problem::new(
                "wrong-value",
                format!("`comparison` of `incremental` must be \">\" or \">=\", not {:?}", word.text),
            )
            .hint("with \">\" the last confirmed partition is done, with \">=\" it is loaded once more")
        });
    }
    word.text == ">="
}
