//! The files that a pipeline includes, and those that they include.
//!
//! What an `[[include]]` means is the daemon's to say; here only its `file` is looked at. A text that cannot be read is sent as
//! it is: the daemon tells what is wrong with it.

use std::collections::BTreeSet;
use std::path::Path;

use protocol::{SourceText, Syntax, exit};
use toml::de::{DeTable, DeValue};

use super::read;
use crate::error::Error;

/// More files than these are a mistake.
const FILES_MAX: usize = 10_000;

/// Reads everything that these pipelines include, each file once, nearest first.
pub(super) fn read_all(pipelines: &[&SourceText]) -> Result<Vec<SourceText>, Error> {
    let mut known: BTreeSet<String> = pipelines.iter().map(|source| source.name.clone()).collect();
    let mut found: Vec<SourceText> = Vec::new();
    let mut open: Vec<(String, Included)> = pipelines.iter().flat_map(|source| included(source)).collect();
    open.reverse();
    while let Some((name, Included { includer, line })) = open.pop() {
        if !known.insert(name.clone()) {
            continue;
        }
        let place = line.map_or(includer.clone(), |line| format!("{includer}:{line}"));
        if found.len() >= FILES_MAX {
            return Err(Error::new(
                exit::PROBLEMS,
                "too-many-includes",
                format!("{place}: more than {FILES_MAX} files are included"),
            ));
        }
        let source =
            read(Path::new(&name), "the included file").map_err(|error| error.cause(format!("{place} includes it")))?;
        open.extend(included(&source).into_iter().rev());
        found.push(source);
    }
    Ok(found)
}

/// Where a file is included.
struct Included {
    includer: String,
    line: Option<usize>,
}

/// Finds the files that a text includes, each with its name.
fn included(source: &SourceText) -> Vec<(String, Included)> {
    let files = match source.syntax {
        Syntax::Toml => in_toml(&source.text),
        Syntax::Json => in_json(&source.text),
    };
    let named = |(file, line): (String, Option<usize>)| {
        (included_name(&source.name, &file), Included { includer: source.name.clone(), line })
    };
    files.into_iter().filter(|(file, _)| !file.is_empty()).map(named).collect()
}

fn in_toml(text: &str) -> Vec<(String, Option<usize>)> {
    let (table, _) = DeTable::parse_recoverable(text);
    let Some(DeValue::Array(includes)) = table.get_ref().get("include").map(|value| value.get_ref()) else {
        return Vec::new();
    };
    let files = includes.iter().filter_map(|include| include.get_ref().as_table()?.get("file"));
    let line = |offset: usize| Some(text.get(..offset)?.matches('\n').count() + 1);
    files.filter_map(|file| Some((file.get_ref().as_str()?.to_owned(), line(file.span().start)))).collect()
}

fn in_json(text: &str) -> Vec<(String, Option<usize>)> {
    let value: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    let includes = value["include"].as_array().into_iter().flatten();
    includes.filter_map(|include| Some((include["file"].as_str()?.to_owned(), None))).collect()
}

/// Gives the name under which the daemon looks for an included file; the same rule as there: relative to the folder of the
/// includer, without `.` and with `..` taken back where that is possible.
fn included_name(includer: &str, file: &str) -> String {
    let joined = match includer.rsplit_once('/') {
        Some((folder, _)) if !file.starts_with('/') => format!("{folder}/{file}"),
        _ => file.to_owned(),
    };
    let root = if joined.starts_with('/') { "/" } else { "" };
    let mut parts: Vec<&str> = Vec::new();
    for part in joined.split('/') {
        match part {
            "." | "" => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            ".." if !root.is_empty() => {}
            part => parts.push(part),
        }
    }
    format!("{root}{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use std::fs;

    #[test]
    fn parity_p3_files_are_read_through_each_other_and_each_once() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("sub")).unwrap();
        let file = |name: &str| folder.path().join(name).display().to_string();
        fs::write(file("sub/a.toml"), "[[include]]\nfile = \"../b.json\"\n[[include]]\nfile = \"../p.toml\"\n")
            .unwrap();
        fs::write(file("b.json"), r#"{"include": [{"file": "./sub/../sub/a.toml"}, {"file": 3}, 4]}"#).unwrap();
        let text = "include = [{ file = 'sub/a.toml' }, { file = 'b.json' }]\nname = \n";
        let pipeline = SourceText::new(file("p.toml"), text);
        let names: Vec<String> = read_all(&[&pipeline]).unwrap().into_iter().map(|source| source.name).collect();
        assert_eq!(names, [file("sub/a.toml"), file("b.json")]);
    }

    #[test]
    fn parity_p3_a_missing_file_is_told_with_who_includes_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name).display().to_string();
        fs::write(file("clean.toml"), "").unwrap();
        let pipeline = SourceText::new(file("p.toml"), "\n[[include]]\nfile = \"claen.toml\"\n");
        let Err(Error::Failed(complaint)) = read_all(&[&pipeline]) else { panic!("no complaint") };
        let detail = complaint.detail;
        assert_eq!(
            detail.message,
            format!("cannot read the included file {}: there is no such file", file("claen.toml"))
        );
        assert_eq!(detail.causes, [format!("{}:3 includes it", file("p.toml"))]);
        assert_eq!(detail.hints, [format!("did you mean {}?", file("clean.toml"))]);
    }
}
