//! The entries of a catalog.

use super::fields::Fields;
use crate::document::{Entry, Word};
use crate::problem::{Problem, Problems};
use crate::spec::{EntrySpec, Unread};

const ENTRY_KEYS: &[&str] = &["type", "path", "options", "metadata", "reread", "resident"];
/// Keys with a meaning to come. They are refused where the entry is used, so that one catalog can serve several pipelines.
const ENTRY_KEYS_LATER: &[&str] =
    &["versioned", "credentials", "schema", "layer", "preview", "partitioned", "incremental", "cached"];

/// Reads all entries of one file. Names that begin with `_` are anchors for people and are left out.
pub(super) fn read<'a>(
    entries: Vec<Entry<'a>>,
    catalog: &mut Vec<EntrySpec<'a>>,
    unread: &mut Unread,
    problems: &mut Problems,
) {
    for Entry { key: name, value } in entries {
        if name.text.starts_with('_') {
            continue;
        }
        let mut fields = Fields::new("a catalog entry", ENTRY_KEYS, ENTRY_KEYS_LATER, problems);
        let Some(entries) = fields.table(&name, value) else {
            unread.catalog = true;
            continue;
        };
        catalog.push(entry(name, entries, fields));
    }
}

fn entry<'a>(name: Word<'a>, entries: Vec<Entry<'a>>, mut fields: Fields<'_>) -> EntrySpec<'a> {
    let mut entry = EntrySpec {
        name,
        type_name: None,
        path: None,
        options: Vec::new(),
        metadata: Vec::new(),
        reread: None,
        resident: None,
        unsupported: Vec::new(),
    };
    let mut typed = false;
    for Entry { key, value } in entries {
        match &*key.text {
            "type" => {
                typed = true;
                entry.type_name = fields.text(&key, value);
            }
            "path" => entry.path = fields.text(&key, value),
            "options" => entry.options = fields.table(&key, value).unwrap_or_default(),
            "metadata" => entry.metadata = fields.table(&key, value).unwrap_or_default(),
            "reread" => entry.reread = fields.boolean(&key, &value).filter(|&wanted| wanted).map(|_| key.site),
            "resident" => entry.resident = fields.boolean(&key, &value).filter(|&wanted| wanted).map(|_| key.site),
            "filepath" => refuse_kedro(&key, "path", &mut fields),
            "load_args" | "save_args" => refuse_kedro(&key, "options", &mut fields),
            later if ENTRY_KEYS_LATER.contains(&later) => entry.unsupported.push(key),
            _ => fields.unknown(&key),
        }
    }
    if !typed {
        let Word { text, site } = &entry.name;
        fields.problems.add("missing-key", Some(*site), || {
            Problem::new("missing-key", format!("catalog entry `{text}` does not say its type"))
                .hint("add `type = \"csv\"` or another; `ctl plugins` lists the dataset types, and \"memory\" is always there")
        });
    }
    entry
}

fn refuse_kedro(key: &Word<'_>, ours: &str, fields: &mut Fields<'_>) {
    fields.problems.add("unknown-key", Some(key.site), || {
        Problem::new("unknown-key", format!("a catalog entry has no key `{}`", key.text))
            .hint(format!("Kedro's `{}` is `{ours}` here", key.text))
    });
}
