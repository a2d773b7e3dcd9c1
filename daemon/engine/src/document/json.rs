//! JSON → tree: what is right and plain item by item ([`stream`]), all else by two readers that tell every mistake, but take
//! several times as long and a kilobyte a node: `serde_json` says whether it is JSON at all, strictly; `jsonc-parser` knows
//! where everything stands, but lets a missing comma between two tables pass even when told to be strict.

mod stream;

use std::borrow::Cow;

use jsonc_parser::ast;
use jsonc_parser::common::{Range, Ranged};
use jsonc_parser::{CollectOptions, ParseOptions};

use super::{Data, Entry, Items, Value, Word, is_unique};
use crate::problem::{Problem, Problems};
use crate::source::{Site, Texts};

const STRICT: ParseOptions = ParseOptions {
    allow_comments: false,
    allow_loose_object_property_names: false,
    allow_trailing_commas: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// Reads JSON; its first syntax error is the problem.
pub(super) fn read<'a, I: Items<'a>>(
    text: &'a str,
    number: u32,
    texts: &Texts<'_>,
    problems: &mut Problems,
) -> Option<(Vec<Entry<'a>>, I)> {
    stream::read(text, number).or_else(|| Some((read_whole(text, number, texts, problems)?, I::default())))
}

fn read_whole<'a>(text: &'a str, number: u32, texts: &Texts<'_>, problems: &mut Problems) -> Option<Vec<Entry<'a>>> {
    let mut reader = Reader { number, problems, failed: false };
    if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text) {
        let column = u32::try_from(error.column().saturating_sub(1)).unwrap_or(u32::MAX);
        let offset = texts.line_start(number, error.line()).saturating_add(column);
        let told = error.to_string();
        let told = told.split(" at line ").next().unwrap_or_default();
        reader.refuse("not-json", Site { text: number, offset }, || format!("this is not JSON: {told}"));
        return None;
    }
    let value = match jsonc_parser::parse_to_ast(text, &CollectOptions::default(), &STRICT) {
        Ok(result) => result.value?,
        Err(error) => {
            let site = reader.site(error.range());
            reader.refuse("not-json", site, || format!("this is not JSON: {}", error.kind()));
            return None;
        }
    };
    let value = reader.value(value);
    match value.data {
        _ if reader.failed => None,
        Data::Table(entries) => Some(entries),
        _ => {
            let found = value.described();
            reader.refuse("wrong-type", value.site, || format!("the file must hold a table `{{…}}`, not {found}"));
            None
        }
    }
}

/// The number that a text is; nothing where it is too large.
fn number<'a>(text: &str) -> Option<Data<'a>> {
    match text.contains(['.', 'e', 'E']) {
        false => text.parse().ok().map(Data::Integer),
        true => text.parse().ok().filter(|value: &f64| value.is_finite()).map(Data::Number),
    }
}

struct Reader<'p> {
    number: u32,
    problems: &'p mut Problems,
    failed: bool,
}

impl Reader<'_> {
    fn site(&self, range: Range) -> Site {
        Site { text: self.number, offset: u32::try_from(range.start).unwrap_or(u32::MAX) }
    }

    fn refuse(&mut self, code: &'static str, site: Site, message: impl FnOnce() -> String) {
        self.failed = true;
        self.problems.add(code, Some(site), || Problem::new(code, message()));
    }

    fn value<'a>(&mut self, value: ast::Value<'a>) -> Value<'a> {
        let site = self.site(value.range());
        let data = match value {
            ast::Value::NullKeyword(_) => Data::Null,
            ast::Value::BooleanLit(literal) => Data::Boolean(literal.value),
            ast::Value::StringLit(literal) => Data::Text(literal.value),
            ast::Value::NumberLit(literal) => self.number(literal.value, site),
            ast::Value::Array(list) => {
                Data::List(list.elements.into_iter().map(|element| self.value(element)).collect())
            }
            ast::Value::Object(object) => Data::Table(self.table(object.properties)),
        };
        Value { data, site }
    }

    fn number<'a>(&mut self, text: &str, site: Site) -> Data<'a> {
        number(text).unwrap_or_else(|| {
            self.refuse("bad-number", site, || format!("`{text}` is too large a number"));
            Data::Null
        })
    }

    fn table<'a>(&mut self, properties: Vec<ast::ObjectProp<'a>>) -> Vec<Entry<'a>> {
        let entries: Vec<Entry<'a>> = (properties.into_iter())
            .map(|property| {
                let site = self.site(property.name.range());
                let text = match property.name {
                    ast::ObjectPropName::String(literal) => literal.value,
                    ast::ObjectPropName::Word(word) => Cow::Borrowed(word.value),
                };
                Entry { key: Word { text, site }, value: self.value(property.value) }
            })
            .collect();
        if is_unique(&entries) {
            return entries;
        }
        let mut order: Vec<&Word<'a>> = entries.iter().map(|entry| &entry.key).collect();
        order.sort_by(|one, other| (&one.text, one.site).cmp(&(&other.text, other.site)));
        for pair in order.windows(2) {
            if let [first, second] = pair
                && first.text == second.text
            {
                self.refuse("not-json", second.site, || format!("the key `{}` stands twice in one table", second.text));
            }
        }
        entries
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::document::taken::Taken;
    use crate::source::{Source, Syntax};

    /// Reads a text both ways. What the reader of items gives, it must give as the other does, which then finds no mistake.
    fn read_both_ways(text: &str) -> bool {
        let source = Source { syntax: Syntax::Json, ..Source::new("p.json", text) };
        let (mut texts, mut problems) = (Texts::default(), Problems::default());
        let number = texts.add(&source);
        let whole = read_whole(text, number, &texts, &mut problems);
        let Some((mut entries, taken)) = stream::read::<Taken<'_>>(text, number) else { return false };
        taken.put_back(&mut entries);
        assert!(problems.is_empty(), "a mistake was not seen in {text:?}");
        assert_eq!(Some(entries), whole, "{text:?}");
        true
    }

    #[test]
    fn what_people_write_is_read_item_by_item() {
        for text in [
            "{}",
            " {\"name\" : \"a\\tb\\u00e9\", \"é\":-0.5e1}\r\n",
            "{\"node\"\n:\t[ {\"name\": \"x\", \"inputs\": {\"a\": [1, null, true, false, []]}}, 7 ], \"tags\": [{}]}",
            "{\"node\": [], \"catalog\": {\"node\": [1], \"\": 9223372036854775807}}",
        ] {
            assert!(read_both_ways(text), "{text:?}");
        }
        let nested = |depth: usize| format!("{{\"a\": {}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(read_both_ways(&nested(16)));
        assert!(!read_both_ways(&nested(17)));
    }

    #[test]
    fn what_is_rare_or_wrong_is_left() {
        for text in [
            "",
            "[]",
            "{} {}",
            "\u{feff}{}",
            "{\"a\": 1,}",
            "{\"a\": 1 \"b\": 2}",
            "{\"node\": [{} {}]}",
            "{\"node\": {}}",
            "{\"node\": [], \"node\": []}",
            "{\"node\": [{\"a\": 1, \"a\": 2}]}",
            "{\"\\u0061\": 1}",
            "{\"a\": \"\\ud800\"}",
            "{\"a\": 9223372036854775808}",
            "{\"a\": 1e999}",
            "{\"a\": 01}",
            "{\"a\": NaN}",
            "{\"a\": \"\n\"}",
            "{\"a\": 1 /* one */}",
            "{\"a\": [",
        ] {
            assert!(!read_both_ways(text), "{text:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn both_readers_agree(parts in prop::collection::vec(prop_oneof![
            4 => "\"(node|a|b|c\\\\n|é)\" ?:[ \n]?(1|-2\\.5|\"x\"|\"\\\\\\\\\"|\\[\\]|\\[1, \\[null\\]\\]|\\{\"a\": \\[\\{\\}, true\\]\\})",
            1 => "[a-c\\[\\]{}:,\"\\\\ \n0-9.e-]{0,8}",
        ], 0..6)) {
            read_both_ways(&format!("{{{}}}", parts.join(",")));
        }
    }
}
