//! JSON → tree by `serde_json`, the items of the list that is asked for one at a time, so that a file of a million nodes never
//! is a tree as a whole.
//!
//! `serde_json` keeps no places, but lends the raw text of a value ([`RawValue`]), and where that lies in the whole text is its
//! place. So every value is read twice, a level at a time: which is still several times quicker than a tree of tokens.
//!
//! Reads only what is right, and of that only what people write in large files. Whatever is wrong, or rare (keys with escapes, very
//! deep nesting), it leaves to the reader of whole texts, which reads everything and tells every mistake. So nothing here
//! words a problem, and where this gives a tree, the other gives the same (see the tests).

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::document::{Data, Entry, Items, Value, Word, is_unique};
use crate::source::Site;

/// Lists and tables nest at most so deep here: what is nested is read once for each level.
const DEPTH_MAX: u32 = 16;

/// Reads a text; nothing where it is left to the other reader.
pub(super) fn read<'a, I: Items<'a>>(text: &'a str, number: u32) -> Option<(Vec<Entry<'a>>, I)> {
    let mut items = I::default();
    let entries = Table { place: Place { text, number, depth: 0 }, items: Some(&mut items) }.read(text)?;
    Some((entries, items))
}

/// What is known of a value before it is read.
#[derive(Clone, Copy)]
struct Place<'a> {
    /// The whole text.
    text: &'a str,
    number: u32,
    depth: u32,
}

impl<'a> Place<'a> {
    /// Where a part of the text stands in it.
    fn site(self, part: &'a str) -> Site {
        let offset = part.as_ptr().addr().wrapping_sub(self.text.as_ptr().addr());
        Site { text: self.number, offset: u32::try_from(offset).unwrap_or(u32::MAX) }
    }

    fn value(self, raw: &'a RawValue) -> Option<Value<'a>> {
        let text = raw.get();
        let within = Place { depth: self.depth + 1, ..self };
        let data = match text.as_bytes().first()? {
            b'n' => Data::Null,
            b't' => Data::Boolean(true),
            b'f' => Data::Boolean(false),
            b'"' => Data::Text(match text.contains('\\') {
                false => Cow::Borrowed(text.get(1..text.len().checked_sub(1)?)?),
                true => Cow::Owned(serde_json::from_str(text).ok()?),
            }),
            _ if within.depth > DEPTH_MAX => return None,
            b'[' => {
                let mut items = Vec::new();
                List { place: within, take: |item| items.push(item) }.read(text)?;
                Data::List(items)
            }
            b'{' => Data::Table(Table::<()> { place: within, items: None }.read(text)?),
            _ => super::number(text)?,
        };
        Some(Value { data, site: self.site(text) })
    }

    /// Where a key's value begins.
    fn after(self, key: &'a str) -> Option<&'a str> {
        let end = self.site(key).offset as usize + key.len();
        // Behind the key's quote a colon, with white space on both sides.
        let rest = self.text.get(end + 1..)?.trim_start_matches(WHITE).strip_prefix(':')?;
        Some(rest.trim_start_matches(WHITE))
    }
}

/// JSON's white space.
const WHITE: [char; 4] = [' ', '\t', '\r', '\n'];

/// Reads a table, and hands over the items of the list that `I` asks for.
struct Table<'a, 'i, I> {
    place: Place<'a>,
    items: Option<&'i mut I>,
}

impl<'a, I: Items<'a>> Table<'a, '_, I> {
    fn read(self, text: &'a str) -> Option<Vec<Entry<'a>>> {
        let mut reader = serde_json::Deserializer::from_str(text);
        let entries = reader.deserialize_map(self).ok()?;
        reader.end().ok()?;
        is_unique(&entries).then_some(entries)
    }
}

impl<'a, I: Items<'a>> Visitor<'a> for Table<'a, '_, I> {
    type Value = Vec<Entry<'a>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table")
    }

    fn visit_map<M: MapAccess<'a>>(mut self, mut map: M) -> Result<Vec<Entry<'a>>, M::Error> {
        let mut entries = Vec::new();
        // A key with escapes cannot be lent: an error, and so left to the other reader.
        while let Some(key) = map.next_key::<&'a str>()? {
            let value = match &mut self.items {
                Some(items) if I::LIST == Some(key) => {
                    let site = self.place.site(self.place.after(key).ok_or_else(left)?);
                    let place = Place { depth: 1, ..self.place };
                    map.next_value_seed(List { place, take: |item| items.take(item) })?;
                    Value { data: Data::List(Vec::new()), site }
                }
                _ => self.place.value(map.next_value()?).ok_or_else(left)?,
            };
            entries.push(Entry { key: Word { text: Cow::Borrowed(key), site: key_site(self.place.site(key)) }, value });
        }
        Ok(entries)
    }
}

/// A key stands where its quote does.
fn key_site(inner: Site) -> Site {
    Site { offset: inner.offset.wrapping_sub(1), ..inner }
}

/// Reads a list item by item.
struct List<'a, T> {
    place: Place<'a>,
    take: T,
}

impl<'a, T: FnMut(Value<'a>)> List<'a, T> {
    fn read(self, text: &'a str) -> Option<()> {
        let mut reader = serde_json::Deserializer::from_str(text);
        self.deserialize(&mut reader).ok()?;
        reader.end().ok()
    }
}

impl<'a, T: FnMut(Value<'a>)> DeserializeSeed<'a> for List<'a, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'a, T: FnMut(Value<'a>)> Visitor<'a> for List<'a, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<S: SeqAccess<'a>>(mut self, mut sequence: S) -> Result<(), S::Error> {
        while let Some(raw) = sequence.next_element()? {
            (self.take)(self.place.value(raw).ok_or_else(left)?);
        }
        Ok(())
    }
}

/// The text is left to the other reader.
fn left<E: serde::de::Error>() -> E {
    E::custom("")
}
