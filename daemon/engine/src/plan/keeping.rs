//! What a catalog entry asks for beyond a type and a path: versions, credentials, a schema.

use crate::catalog::Catalog;
use crate::credentials::Secret;
use crate::id::NodeId;
use crate::plan::NONE;
use crate::plan::draft::Draft;
use crate::plan::storage::{Storage, Storages};
use crate::problem::{Problem, Problems, nearest};
use crate::schema::Schema;
use crate::signature::PortKind;
use crate::source::Site;
use crate::spec::EntrySpec;
use crate::version;

/// Shared memory keeps no versions and asks for no password: an entry that says so means another type.
pub(super) fn check_memory(problems: &mut Problems, entry: &EntrySpec<'_>, name: &str) -> Storage {
    let credentials = entry.credentials.as_ref().map(|word| word.site);
    let schema = entry.schema.as_ref().map(|schema| schema.site);
    let mut storage = Storage::Memory;
    for (key, site) in [("versioned", entry.versioned), ("credentials", credentials), ("schema", schema)] {
        let Some(site) = site else { continue };
        storage = Storage::Broken;
        problems.add("needs-storage", Some(site), || {
            let message =
                format!("`{key}` of dataset `{name}`: it lives in memory only, so it is neither loaded nor saved");
            Problem::new("needs-storage", message)
                .hint(format!("leave `{key}` out, or give the entry a type that keeps the data"))
        });
    }
    storage
}

/// Versions are folders below the path, so there must be one, on a file system.
pub(super) fn check_versioned(problems: &mut Problems, entry: &EntrySpec<'_>, name: &str, path: &str) -> bool {
    let Some(site) = entry.versioned else { return true };
    let why = if path.is_empty() {
        "it has no path"
    } else if path.contains("://") {
        "its path is no file of this machine"
    } else if version::file_name(path).is_none() {
        "its path does not end in the name of a file"
    } else {
        return true;
    };
    problems.add("not-versionable", Some(site), || {
        Problem::new("not-versionable", format!("dataset `{name}` cannot be versioned: {why}"))
            .hint("a version is kept as PATH/VERSION/FILE: give a path of a file, as in \"out/model.json\"")
    });
    false
}

/// Gives the credentials that an entry names: none where it names none, nothing after telling what is wrong.
pub(super) fn credentials(
    draft: &mut Draft<'_, '_>,
    entry: &EntrySpec<'_>,
    name: &str,
    credentials_name: &str,
    has_credentials: bool,
) -> Option<Secret> {
    let Some(word) = &entry.credentials else { return Some(Secret::default()) };
    if has_credentials {
        draft.problems.add("two-credentials", Some(word.site), || {
            Problem::new("two-credentials", format!("dataset `{name}` has credentials by name and among its `options`"))
                .hint("keep the name: what stands in the catalog is shown to everybody")
        });
        return None;
    }
    match draft.spec.credentials.resolve(credentials_name) {
        Ok(secret) => Some(secret),
        Err(unresolved) => {
            let (site, problem) = *unresolved;
            if !(draft.spec.unread.credentials && problem.code == "missing-credentials") {
                let place = site.map(|_| format!(", named at {}", draft.told(Some(word.site)))).unwrap_or_default();
                draft.problems.add(problem.code, Some(site.unwrap_or(word.site)), || {
                    problem.cause(format!("for the catalog entry of dataset `{name}`{place}"))
                });
            }
            None
        }
    }
}

/// Gives the schema that an entry asks for.
pub(super) fn schema(entry: &EntrySpec<'_>) -> Option<Schema> {
    let written = entry.schema.as_ref()?;
    let columns = written.columns.iter().map(|(name, wanted)| (name.text.to_string(), wanted.text.to_string()));
    Some(Schema { columns: columns.collect(), warns: written.warns })
}

/// What `--load-versions` names must be there, be versioned, and be harmless as the name of a folder.
pub(super) fn check_load_versions(draft: &mut Draft<'_, '_>, catalog: &Catalog<'_, '_>) {
    for (name, wanted) in draft.spec.load_versions {
        let mut add = |code, message: String, hint: Option<String>| {
            draft.problems.add(code, None, || Problem::new(code, format!("--load-versions: {message}")).hint_if(hint));
        };
        let Some(resolved) = catalog.resolve(name) else {
            let known = catalog.names().chain(draft.producers.ids().map(|dataset| draft.dataset_names.name(dataset)));
            let hint = nearest(name, known).map(|near| format!("did you mean `{near}`?"));
            if !draft.spec.unread.catalog {
                add("unknown-dataset", format!("the catalog has no dataset `{name}`"), hint);
            }
            continue;
        };
        if resolved.entry.versioned.is_none() {
            let hint = "add `versioned = true` to its catalog entry".to_owned();
            add("not-versioned", format!("dataset `{name}` is not versioned"), Some(hint));
        }
        if !version::is_safe(wanted) {
            let hint = "a version is the name of a folder: letters, digits, `.`, `-`, `_` and `+`".to_owned();
            add("bad-version", format!("{wanted:?} of dataset `{name}` is no version"), Some(hint));
        }
    }
}

/// A schema is of a table: where the data is known to be none, the run need not begin.
pub(super) fn check_schemas(draft: &mut Draft<'_, '_>, storages: &Storages<'_>) {
    for (position, (dataset, persisted)) in storages.persisted.iter().enumerate() {
        if persisted.schema.is_none() {
            continue;
        }
        let name = draft.dataset_names.name(*dataset).to_owned();
        let is_table = |kind: &PortKind| matches!(kind, PortKind::Table | PortKind::Any | PortKind::Other(_));
        let producer = draft.producers[*dataset];
        let made = draft.producer_kind(*dataset).filter(|kind| !is_table(kind)).cloned();
        let (why, site): (String, Option<Site>) = if let Some(kind) = made {
            let node = NodeId(producer.node);
            let maker = draft.node_names.name(node).to_owned();
            (format!("`{maker}` makes it as {kind}"), draft.output_site(node, producer.port as usize))
        } else {
            let signature = storages.types.get(position);
            let kinds = signature
                .map_or(&[][..], |signature| if producer.node == NONE { &signature.loads } else { &signature.saves });
            if kinds.iter().any(is_table) {
                continue;
            }
            (format!("its type `{}` keeps no tables", persisted.type_name), None)
        };
        draft.problems.add("schema-of-no-table", site, || {
            Problem::new("schema-of-no-table", format!("dataset `{name}` has a `schema`, but is no table: {why}"))
                .hint("remove `schema` from its catalog entry, or give it another type")
        });
    }
}
