//! JSON → tree. `serde_json` says whether it is JSON at all, strictly; `jsonc-parser` knows where everything stands.
//!
//! Two readers, as neither does both: `serde_json` keeps no places, and `jsonc-parser` lets a missing comma between two
//! tables pass even when told to be strict.

use std::borrow::Cow;

use jsonc_parser::ast;
use jsonc_parser::common::{Range, Ranged};
use jsonc_parser::{CollectOptions, ParseOptions};

use super::{Data, Entry, Value, Word};
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
pub(super) fn read<'a>(
    text: &'a str,
    number: u32,
    texts: &Texts<'_>,
    problems: &mut Problems,
) -> Option<Vec<Entry<'a>>> {
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
        let whole = !text.contains(['.', 'e', 'E']);
        match (whole, text.parse::<i64>(), text.parse::<f64>()) {
            (true, Ok(value), _) => Data::Integer(value),
            (false, _, Ok(value)) if value.is_finite() => Data::Number(value),
            _ => {
                self.refuse("bad-number", site, || format!("`{text}` is too large a number"));
                Data::Null
            }
        }
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
