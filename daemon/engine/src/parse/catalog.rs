//! The entries of a catalog.

use serde_json::{Map, Value as Json};

use super::fields::Fields;
use super::partitions;
use crate::document::{Data, Entry, Value, Word};
use crate::problem::{Problem, Problems};
use crate::spec::{EntrySpec, SchemaSpec, Unread};

const ENTRY_KEYS: &[&str] = &[
    "type",
    "path",
    "options",
    "versioned",
    "credentials",
    "schema",
    "schema_severity",
    "reread",
    "resident",
    "partitioned",
    "incremental",
    "description",
    "layer",
    "preview",
    "metadata",
    "cached",
];

/// Reads all entries of one file. Names that begin with `_` are no datasets: entries can name what they hold, as `${_name}`.
pub(super) fn read<'a>(
    entries: Vec<Entry<'a>>,
    catalog: &mut Vec<EntrySpec<'a>>,
    anchors: &mut Map<String, Json>,
    unread: &mut Unread,
    problems: &mut Problems,
) {
    for Entry { key: name, value } in entries {
        if name.text.starts_with('_') {
            // What JSON cannot hold is null here; naming that is a problem where it is named.
            anchors.insert(name.text.into_owned(), value.to_json(&mut |_| ()));
            continue;
        }
        let mut fields = Fields::new("a catalog entry", ENTRY_KEYS, problems);
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
        versioned: None,
        credentials: None,
        schema: None,
        description: None,
        layer: None,
        preview: None,
        partitioned: None,
        incremental: None,
    };
    let mut typed = false;
    let mut severity = None;
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
            "versioned" => entry.versioned = fields.boolean(&key, &value).filter(|&wanted| wanted).map(|_| key.site),
            "credentials" => entry.credentials = credentials(&key, value, &mut fields),
            "schema" => entry.schema = schema(&key, value, &mut fields),
            "schema_severity" => severity = Some((fields.text(&key, value), key)),
            "description" => entry.description = fields.text(&key, value),
            "layer" => entry.layer = fields.text(&key, value),
            "preview" => entry.preview = Some(value),
            "cached" => check_cached(&key, &value, &mut fields),
            "partitioned" => entry.partitioned = partitions::partitioned(&key, value, &mut fields),
            "incremental" => entry.incremental = partitions::incremental(&key, value, &mut fields),
            "filepath" => refuse_kedro(&key, "path", &mut fields),
            "load_args" | "save_args" => refuse_kedro(&key, "options", &mut fields),
            _ => fields.unknown(&key),
        }
    }
    if let Some((severity, key)) = severity {
        check_severity(&mut entry, severity, &key, &mut fields);
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

/// Takes the name of credentials. Secrets themselves are refused here without a word of what they say.
fn credentials<'a>(key: &Word<'_>, value: Value<'a>, fields: &mut Fields<'_>) -> Option<Word<'a>> {
    match value {
        Value { data: Data::Text(text), site } => Some(Word { text, site }),
        other => {
            fields.problems.add("wrong-type", Some(other.site), || {
                Problem::new("wrong-type", format!("`credentials` must be a name, not {}", other.described())).hint(
                    format!(
                        "put the secrets under a name of their own into credentials.toml, and write `{} = \"name\"`",
                        key.text
                    ),
                )
            });
            None
        }
    }
}

/// Takes `{ column = "type" }`.
fn schema<'a>(key: &Word<'_>, value: Value<'a>, fields: &mut Fields<'_>) -> Option<SchemaSpec<'a>> {
    let site = key.site;
    let mut columns = Vec::new();
    for Entry { key: column, value } in fields.table(key, value)? {
        let type_name = fields.text(&column, value)?;
        if let Some(problem) = crate::schema::check_type(&type_name.text) {
            fields.problems.add(problem.code, Some(type_name.site), || problem);
        }
        columns.push((column, type_name));
    }
    Some(SchemaSpec { site, columns, warns: false })
}

fn check_severity(entry: &mut EntrySpec<'_>, severity: Option<Word<'_>>, key: &Word<'_>, fields: &mut Fields<'_>) {
    let Some(severity) = severity else { return };
    match (&*severity.text, &mut entry.schema) {
        ("error" | "warn", None) => fields.problems.add("wrong-value", Some(key.site), || {
            Problem::new("wrong-value", "`schema_severity` stands in a catalog entry that has no `schema`")
                .hint("add `schema = { column = \"type\" }`, or remove it")
        }),
        ("error", Some(schema)) => schema.warns = false,
        ("warn", Some(schema)) => schema.warns = true,
        (other, _) => fields.problems.add("wrong-value", Some(severity.site), || {
            Problem::new("wrong-value", format!("`schema_severity` must be \"error\" or \"warn\", not {other:?}"))
        }),
    }
}

/// Every dataset is cached, so `cached = true` says what holds anyway, and `cached = false` what cannot be had.
fn check_cached(key: &Word<'_>, value: &Value<'_>, fields: &mut Fields<'_>) {
    match value.data {
        Data::Boolean(true) => {}
        Data::Boolean(false) => fields.problems.add("wrong-value", Some(value.site), || {
            Problem::new("wrong-value", "`cached` of a catalog entry cannot be false: every dataset is cached")
                .cause("it is loaded once a run into shared memory, where all its readers find it, and let go after the last")
                .hint("remove `cached`")
        }),
        _ => fields.wrong_type(key, value, "a boolean"),
    }
}

fn refuse_kedro(key: &Word<'_>, ours: &str, fields: &mut Fields<'_>) {
    fields.problems.add("unknown-key", Some(key.site), || {
        Problem::new("unknown-key", format!("a catalog entry has no key `{}`", key.text))
            .hint(format!("Kedro's `{}` is `{ours}` here", key.text))
    });
}
