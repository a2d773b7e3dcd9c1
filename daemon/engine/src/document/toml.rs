//! TOML → tree, by the `toml` crate's own tree with byte ranges.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Data, Entry, Value, Word};
use crate::problem::{Problem, Problems};
use crate::source::Site;

/// Reads TOML; every syntax error is a problem of its own.
pub(super) fn read<'a>(text: &'a str, number: u32, problems: &mut Problems) -> Option<Vec<Entry<'a>>> {
    let mut reader = Reader { number, problems, failed: false };
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let site = error.span().map(|span| reader.site(&span));
        reader.refuse("not-toml", site, || format!("this is not TOML: {}", error.message()));
    }
    if reader.failed {
        return None;
    }
    let entries = reader.table(table.into_inner());
    (!reader.failed).then_some(entries)
}

struct Reader<'p> {
    number: u32,
    problems: &'p mut Problems,
    failed: bool,
}

impl Reader<'_> {
    fn site(&self, span: &Range<usize>) -> Site {
        Site { text: self.number, offset: u32::try_from(span.start).unwrap_or(u32::MAX) }
    }

    fn refuse(&mut self, code: &'static str, site: Option<Site>, message: impl FnOnce() -> String) {
        self.failed = true;
        self.problems.add(code, site, || Problem::new(code, message()));
    }

    fn table<'a>(&mut self, table: DeTable<'a>) -> Vec<Entry<'a>> {
        let mut entries: Vec<Entry<'a>> = (table.into_iter())
            .map(|(key, value)| {
                let site = self.site(&key.span());
                Entry { key: Word { text: key.into_inner(), site }, value: self.value(value) }
            })
            .collect();
        // The crate sorts by key; we keep the order of the file, as people read it.
        entries.sort_by_key(|entry| entry.key.site);
        entries
    }

    fn value<'a>(&mut self, value: Spanned<DeValue<'a>>) -> Value<'a> {
        let site = self.site(&value.span());
        let data = match value.into_inner() {
            DeValue::String(text) => Data::Text(text),
            DeValue::Boolean(value) => Data::Boolean(value),
            DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
                Ok(value) => Data::Integer(value),
                Err(_) => {
                    self.refuse("bad-number", Some(site), || {
                        format!("`{integer}` is not a whole number between -2^63 and 2^63-1")
                    });
                    Data::Null
                }
            },
            DeValue::Float(float) => match float.as_str().parse() {
                Ok(value) => Data::Number(value),
                Err(_) => {
                    self.refuse("bad-number", Some(site), || format!("`{float}` is not a number"));
                    Data::Null
                }
            },
            DeValue::Datetime(datetime) => Data::Datetime(datetime.to_string()),
            DeValue::Array(items) => Data::List(items.into_iter().map(|item| self.value(item)).collect()),
            DeValue::Table(table) => Data::Table(self.table(table)),
        };
        Value { data, site }
    }
}
