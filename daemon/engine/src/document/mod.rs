//! One tree for TOML and JSON, in which every value and key knows where it was written.
//!
//! What follows sees no syntax any more: whatever a TOML file can say, JSON can, with the same problems at the same places.
//! Strings are borrowed from the text wherever they hold no escapes.

mod json;
#[cfg(test)]
mod taken;
mod toml;

use std::borrow::Cow;

use crate::problem::{Problem, Problems};
use crate::source::{Site, Source, Syntax, Texts};

/// A text longer than this is refused: sites are of 4 bytes, and a plan of a million nodes written out is 200 MB.
pub const TEXT_BYTES_MAX: usize = 1 << 30;

/// A value and where it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Value<'a> {
    /// What was written.
    pub data: Data<'a>,
    /// Where.
    pub site: Site,
}

/// What was written.
#[derive(Clone, Debug, PartialEq)]
pub enum Data<'a> {
    /// JSON's `null`.
    Null,
    /// True or false.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A floating-point number; TOML's may be infinite or not a number.
    Number(f64),
    /// A text.
    Text(Cow<'a, str>),
    /// TOML's date or time, as written.
    Datetime(String),
    /// A list.
    List(Vec<Value<'a>>),
    /// A table, in the order it was written; keys are unique.
    Table(Vec<Entry<'a>>),
}

/// A key of a table and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry<'a> {
    /// The key.
    pub key: Word<'a>,
    /// Its value.
    pub value: Value<'a>,
}

/// A text and where it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word<'a> {
    /// The text.
    pub text: Cow<'a, str>,
    /// Where.
    pub site: Site,
}

/// What takes the items of one list at the top of a file while the file is read, so that a long list is never a tree as a whole.
pub trait Items<'a>: Default {
    /// The key of the list; nothing where no list is asked for.
    const LIST: Option<&'static str>;
    /// Takes the next item.
    fn take(&mut self, item: Value<'a>);
    /// Hears from time to time how many of the text's bytes have been read, so that room for the rest can be made at once.
    fn progress(&mut self, _read: usize, _all: usize) {}
}

/// Asks for no list.
impl<'a> Items<'a> for () {
    const LIST: Option<&'static str> = None;
    fn take(&mut self, _: Value<'a>) {}
}

/// Reads a text as the table it must be. Nothing when its syntax is wrong; then every mistake is among the problems.
pub fn read<'a>(source: &'a Source, texts: &mut Texts<'a>, problems: &mut Problems) -> Option<Vec<Entry<'a>>> {
    read_items::<()>(source, texts, problems).map(|(entries, ())| entries)
}

/// Reads a text as the table it must be, and hands over the items of the list that is asked for: all of them, and then that
/// list is empty in the table, or none. The caller takes what is left in the table.
pub fn read_items<'a, I: Items<'a>>(
    source: &'a Source,
    texts: &mut Texts<'a>,
    problems: &mut Problems,
) -> Option<(Vec<Entry<'a>>, I)> {
    if source.text.len() > TEXT_BYTES_MAX {
        let bytes = source.text.len();
        problems.add("too-large", None, || {
            Problem::new("too-large", format!("{} has {bytes} bytes; at most {TEXT_BYTES_MAX} are read", source.name))
        });
        return None;
    }
    let number = texts.add(source);
    match source.syntax {
        Syntax::Toml => toml::read(&source.text, number, problems),
        Syntax::Json => json::read(&source.text, number, texts, problems),
    }
}

/// Whether no key stands twice.
fn is_unique(entries: &[Entry<'_>]) -> bool {
    const FEW: usize = 16;
    if entries.len() <= FEW {
        let before = |position: usize| entries[..position].iter().map(|entry| &entry.key.text);
        return entries
            .iter()
            .enumerate()
            .all(|(position, entry)| before(position).all(|text| *text != entry.key.text));
    }
    let mut keys: Vec<&str> = entries.iter().map(|entry| &*entry.key.text).collect();
    keys.sort_unstable();
    keys.windows(2).all(|pair| pair[0] != pair[1])
}

impl Value<'_> {
    /// Gives the kind of value for messages: "a text", "a list".
    pub fn described(&self) -> &'static str {
        match self.data {
            Data::Null => "null",
            Data::Boolean(_) => "a boolean",
            Data::Integer(_) => "an integer",
            Data::Number(_) => "a number",
            Data::Text(_) => "a text",
            Data::Datetime(_) => "a date",
            Data::List(_) => "a list",
            Data::Table(_) => "a table",
        }
    }

    /// Gives the value as JSON. Dates become texts; numbers that JSON cannot hold are handed to `refuse` and become null.
    pub fn to_json(&self, refuse: &mut impl FnMut(Site)) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.data {
            Data::Null => Json::Null,
            Data::Boolean(value) => Json::Bool(*value),
            Data::Integer(value) => Json::from(*value),
            Data::Number(value) => serde_json::Number::from_f64(*value).map_or_else(
                || {
                    refuse(self.site);
                    Json::Null
                },
                Json::Number,
            ),
            Data::Text(text) => Json::String(text.clone().into_owned()),
            Data::Datetime(text) => Json::String(text.clone()),
            Data::List(items) => Json::Array(items.iter().map(|item| item.to_json(refuse)).collect()),
            Data::Table(entries) => Json::Object(to_json_object(entries, refuse)),
        }
    }
}

/// Gives a table's entries as a JSON object, see [`Value::to_json`].
pub fn to_json_object(
    entries: &[Entry<'_>],
    refuse: &mut impl FnMut(Site),
) -> serde_json::Map<String, serde_json::Value> {
    entries.iter().map(|entry| (entry.key.text.to_string(), entry.value.to_json(refuse))).collect()
}
