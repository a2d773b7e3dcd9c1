//! Credentials files: secrets by name. What is wrong with one is told with its place, and without a word of what it says.

use crate::credentials::Secrets;
use crate::document::{self, Data, Entry};
use crate::problem::{Problem, Problems};
use crate::source::{Sources, Texts};
use crate::spec::Unread;

/// Reads all files; of two tables with one name the later one counts, whole. Names that begin with `_` are left out.
pub(super) fn read<'a>(
    sources: &'a Sources,
    texts: &mut Texts<'a>,
    unread: &mut Unread,
    problems: &mut Problems,
) -> Secrets<'a> {
    let mut secrets = Secrets::new(&sources.credentials_environment, sources.credentials_withheld);
    for source in &sources.credentials {
        // A parser quotes what it does not understand.
        let mut found = Problems::default();
        let entries = document::read(source, texts, &mut found);
        problems.extend(found.reduced_to(
            "the credentials cannot be read here: the syntax is wrong, or a name stands twice (the line itself is not shown)",
        ));
        let Some(entries) = entries else {
            unread.credentials = true;
            continue;
        };
        for Entry { key, value } in entries {
            if key.text.starts_with('_') {
                continue;
            }
            if matches!(value.data, Data::Table(_) | Data::Text(_)) {
                secrets.insert(key.text, value);
                continue;
            }
            unread.credentials = true;
            problems.add("wrong-type", Some(value.site), || {
                Problem::new("wrong-type", format!("credentials are a table or a text, not {}", value.described()))
                    .hint("write a table for each name:\n[name]\nuser = \"…\"\npassword = \"…\"")
            });
        }
    }
    secrets
}
