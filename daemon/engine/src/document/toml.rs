//! TOML → tree: what is right and plain piece by piece, all else by the `toml` crate's own tree with byte ranges, which tells
//! every mistake, but takes three times as long and several kilobytes a node.

mod stream;

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Data, Entry, Items, Value, Word};
use crate::problem::{Problem, Problems};
use crate::source::Site;

/// Reads TOML; every syntax error is a problem of its own.
pub(super) fn read<'a, I: Items<'a>>(
    text: &'a str,
    number: u32,
    problems: &mut Problems,
) -> Option<(Vec<Entry<'a>>, I)> {
    stream::read(text, number).or_else(|| Some((read_whole(text, number, problems)?, I::default())))
}

fn read_whole<'a>(text: &'a str, number: u32, problems: &mut Problems) -> Option<Vec<Entry<'a>>> {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::document::taken::Taken;

    /// Reads a text both ways. What the reader of pieces gives, it must give as the other does, which then finds no mistake.
    fn read_both_ways(text: &str) -> bool {
        let mut problems = Problems::default();
        let whole = read_whole(text, 3, &mut problems);
        let Some((mut entries, taken)) = stream::read::<Taken<'_>>(text, 3) else { return false };
        taken.put_back(&mut entries);
        assert!(problems.is_empty(), "a mistake was not seen in {text:?}");
        assert_eq!(Some(entries), whole, "{text:?}");
        true
    }

    #[test]
    fn what_people_write_is_read_piece_by_piece() {
        for text in [
            "",
            "\u{feff}a = 1 # one\r\n",
            "[[node]]\nname = \"a\\tb\"\ninputs = [\n  'x', # first\n  \"\"\"y\"\"\",\n]\n[node.matrix]\na = [1, -2.5, true]\n\n[[node]]\n",
            "[catalog.flights]\ntype = \"csv\"\n[catalog.\"model_{x}\"]\noptions = { a = { b = [{}] } }\n[parameters]\n",
            "[[a.b]]\n[[a.b]]\n[a.b.c]\nd = 0x1F\n[[a.b.e]]\n[[a.b.e]]\n[f]\n",
        ] {
            assert!(read_both_ways(text), "{text:?}");
        }
    }

    #[test]
    fn what_is_rare_or_wrong_is_left() {
        for text in [
            "a.b = 1",
            "a = { b.c = 1 }",
            "day = 2013-01-01",
            "[a]\n[b]\n[a.c]",
            "[a.b]\n[a]",
            "[[a]]\n[b]\n[[a]]",
            "[a]\n[a]",
            "[[a]]\n[a]",
            "[a]\n[[a]]",
            "a = 1\na = 2",
            "a = { b = 1, b = 2 }",
            "a = {}\n[a.b]",
            "a = []\n[[a]]",
            "a = 99999999999999999999",
            "a = [",
            "a = ]",
            "[a",
            "a",
            "= 1",
            "a = 1 b = 2",
            "a = # nothing\n",
            "a = 1 # \u{7}\n",
            "a = \"\\q\"",
        ] {
            assert!(!read_both_ways(text), "{text:?}");
        }
        let nested = |depth: usize| format!("a = {}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(read_both_ways(&nested(80)));
        assert!(!read_both_ways(&nested(81)));
    }

    #[test]
    fn a_text_of_many_pieces_is_read_as_a_whole() {
        let node = |number: usize| {
            format!(
                "[[node]]\nname = 'n{number}'\ninputs = [\n'd{number}',\n\n[[{number}]]\n]\n[node.tags]\na = {{}}\n"
            )
        };
        let text: String = (0..1_000).map(node).collect();
        assert!(read_both_ways(&text));
        assert!(!read_both_ways(&format!("{text}[[node]]\na = 1\na = 2\n")));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn both_readers_agree(lines in prop::collection::vec(prop_oneof![
            "\\[(a|b|node)(\\.(a|b|c)){0,2}\\]",
            "\\[\\[(a|b|node)(\\.(a|b|c)){0,2}\\]\\]",
            "(a|b|c|d|\"e\"|'f') = (1|true|-0.5|'x'|\"y\\\\n\"|\\[\\]|\\[1, \\[2\\],\\]|\\{ a = 1 \\}|\\{ a = 1, b = \\[\\] \\})",
            "(a|b|c|x.y) = (1|inf|1_000|\\[\n1,\n\\]|\\{\\}|2013-01-01)",
            "[a-c\\[\\]{}=,.#\"' \n0-9]{0,8}",
        ], 0..9)) {
            read_both_ways(&lines.join("\n"));
        }
    }
}
