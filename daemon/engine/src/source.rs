//! The texts that a plan is made from, as the caller read them.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use crate::problem::Place;

/// How a text is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Syntax {
    /// TOML 1.1.
    #[default]
    Toml,
    /// JSON, strictly: no comments, no trailing commas.
    Json,
}

/// One text and the name that problems call it by.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Source {
    /// The file's name as people know it.
    pub name: String,
    /// What it says.
    pub text: String,
    /// How it is written.
    pub syntax: Syntax,
}

/// Everything that a plan is made from, beside the plugins' manifest.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Sources {
    /// The pipeline file.
    pub pipeline: Source,
    /// Further pipeline files that run together with it, as one sum: nodes that are equal in two of them are one.
    pub summed: Vec<Source>,
    /// The files that these include, directly or through each other; named as [`included_name`] says.
    pub includes: Vec<Source>,
    /// Catalog files; an entry of a later one replaces the entry of that name in an earlier one.
    pub catalogs: Vec<Source>,
    /// Patterns for datasets that the catalog knows nothing of; of the files of a catalog's form.
    pub default_patterns: Vec<Source>,
    /// Credentials files; a later one's table replaces the table of that name in an earlier one.
    pub credentials: Vec<Source>,
    /// What `${env:NAME}` may see in them.
    pub credentials_environment: BTreeMap<String, String>,
    /// Whether credentials are not at hand: then a name that is missing is no problem, and stands for nothing.
    pub credentials_withheld: bool,
    /// `--load-versions dataset:version`.
    pub load_versions: Vec<(String, String)>,
    /// Parameter files; later ones are merged deeply over earlier ones.
    pub parameters: Vec<Source>,
    /// `--params a.b=1`, merged last. Values are JSON where they can be read as that, else text.
    pub overrides: Vec<(String, String)>,
    /// What `${env:NAME}` may see.
    pub environment: BTreeMap<String, String>,
    /// The directory that relative paths of datasets start from: that of the pipeline file.
    pub base_directory: String,
    /// Data handed in with the run, by the name of the dataset that it is. Goes before the catalog.
    pub inputs: BTreeMap<String, HandedIn>,
}

/// Data handed in with a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HandedIn {
    /// A value, as JSON text.
    Value(String),
    /// Bytes that a dataset type loads.
    File(HandedInFile),
}

/// Bytes handed in with a run, and how they are to be loaded.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct HandedInFile {
    /// The file's name, for people; its extension tells the type where nothing else does.
    pub name: String,
    /// The dataset type, where the caller says it.
    pub type_name: Option<String>,
    /// The type's options as a JSON object, where the caller says them.
    pub options_json: Option<String>,
}

impl Source {
    /// Makes a source; a name that ends in `.json` is JSON, every other one TOML.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let name = name.into();
        let syntax = if name.to_ascii_lowercase().ends_with(".json") { Syntax::Json } else { Syntax::Toml };
        Self { name, text: text.into(), syntax }
    }
}

/// Gives the name under which an included file is looked for: relative to the folder of the file that includes it, without
/// `.` and with `..` taken back where that is possible.
pub fn included_name(includer: &str, file: &str) -> String {
    let folder = includer.rsplit_once('/').map_or("", |(folder, _)| folder);
    let joined = match (file.starts_with('/'), includer.contains('/')) {
        (true, _) | (_, false) => file.to_owned(),
        (false, true) => format!("{folder}/{file}"),
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in joined.split('/') {
        match part {
            "." | "" => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            ".." if joined.starts_with('/') => {}
            part => parts.push(part),
        }
    }
    format!("{}{}", if joined.starts_with('/') { "/" } else { "" }, parts.join("/"))
}

/// Where something was written: the number of its text and the byte in it. Small, as every node keeps several.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Site {
    /// The number of the text in [`Texts`].
    pub text: u32,
    /// The byte offset in it.
    pub offset: u32,
}

/// The texts of one plan, numbered, so that a [`Site`] can be told as file, line and column.
#[derive(Clone, Debug, Default)]
pub struct Texts<'a> {
    texts: Vec<Lines<'a>>,
}

#[derive(Clone, Debug)]
struct Lines<'a> {
    name: &'a str,
    text: &'a str,
    /// Where each line starts; found when it is first asked for, as a text without mistakes needs no places.
    starts: OnceCell<Vec<u32>>,
}

impl Lines<'_> {
    fn starts(&self) -> &[u32] {
        self.starts.get_or_init(|| {
            let newlines = self.text.bytes().enumerate().filter(|&(_, byte)| byte == b'\n');
            std::iter::once(0).chain(newlines.map(|(index, _)| offset(index + 1))).collect()
        })
    }
}

impl<'a> Texts<'a> {
    /// Adds a text and gives its number.
    pub fn add(&mut self, source: &'a Source) -> u32 {
        self.texts.push(Lines { name: &source.name, text: &source.text, starts: OnceCell::new() });
        offset(self.texts.len() - 1)
    }

    /// Walks over the texts themselves.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &'a str> {
        self.texts.iter().map(|lines| lines.text)
    }

    /// Tells a site as file, line and column; nothing when it is in no text of ours.
    pub fn place(&self, site: Site) -> Option<Place> {
        let lines = self.texts.get(site.text as usize)?;
        let line = lines.starts().partition_point(|&start| start <= site.offset).max(1);
        let start = *lines.starts().get(line - 1)? as usize;
        let mut end = (site.offset as usize).min(lines.text.len());
        while !lines.text.is_char_boundary(end) {
            end -= 1;
        }
        let column = lines.text.get(start..end)?.chars().count() + 1;
        Some(Place { file: lines.name.to_owned(), line: offset(line), column: offset(column) })
    }

    /// Gives the byte at which a line starts (from 1); the end of the text for a line beyond it.
    pub fn line_start(&self, text: u32, line: usize) -> u32 {
        let Some(lines) = self.texts.get(text as usize) else { return 0 };
        lines.starts().get(line.saturating_sub(1)).copied().unwrap_or_else(|| offset(lines.text.len()))
    }
}

/// Texts are bounded by [`TEXT_BYTES_MAX`](crate::document::TEXT_BYTES_MAX), far below 4 GiB.
fn offset(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::included_name;

    #[test]
    fn included_files_are_named_from_the_folder_of_their_includer() {
        for (includer, file, name) in [
            ("pipeline.toml", "clean.toml", "clean.toml"),
            ("flights/pipeline.toml", "./sub//clean.toml", "flights/sub/clean.toml"),
            ("a/b/p.toml", "../c.toml", "a/c.toml"),
            ("p.toml", "../c.toml", "../c.toml"),
            ("../p.toml", "../c.toml", "../../c.toml"),
            ("/a/p.toml", "../../c.toml", "/c.toml"),
            ("a/p.toml", "/etc/c.toml", "/etc/c.toml"),
            ("<stdin>", "c.toml", "c.toml"),
        ] {
            assert_eq!(included_name(includer, file), name);
        }
    }
}
