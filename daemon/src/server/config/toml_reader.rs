//! Reads TOML tables key by key, and finds every problem on the way instead of the first.
//!
//! A [`Section`] is asked for the keys it may hold; [`Section::finish`] then reports those nobody asked for. Every value
//! knows its place in the text.

use protocol::{Place, Problem};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::read::Environment;

/// What is being read, and what was found wrong with it.
pub(super) struct Reader<'t> {
    file: &'t str,
    text: &'t str,
    environment: &'t Environment<'t>,
    problems: Vec<Problem>,
    /// Every key asked for.
    #[cfg(test)]
    asked: Vec<String>,
}

impl<'t> Reader<'t> {
    pub(super) fn new(file: &'t str, text: &'t str, environment: &'t Environment<'t>) -> Reader<'t> {
        Reader {
            file,
            text,
            environment,
            problems: Vec::new(),
            #[cfg(test)]
            asked: Vec::new(),
        }
    }

    /// The problems, in the order of the text.
    pub(super) fn into_problems(mut self) -> Vec<Problem> {
        let position = |problem: &Problem| problem.place.as_ref().map(|place| (place.line, place.column));
        self.problems.sort_by_key(position);
        self.problems
    }

    #[cfg(test)]
    pub(super) fn into_asked(self) -> Vec<String> {
        self.asked
    }

    /// Reports a problem with the text from `offset` on.
    pub(super) fn report(&mut self, code: &str, message: String, offset: Option<usize>, hint: Option<String>) {
        let place = offset.map(|offset| self.place(offset));
        let hints = hint.into_iter().collect();
        self.problems.push(Problem { code: code.to_owned(), message, place, causes: Vec::new(), hints });
    }

    fn place(&self, offset: usize) -> Place {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Place {
            file: self.file.to_owned(),
            line: count(before.matches('\n').count() + 1),
            column: count(before[line_start..].chars().count() + 1),
        }
    }

    /// Replaces each `${env:NAME}`.
    fn expand(&self, text: &str) -> Result<String, Wrong> {
        let mut expanded = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            expanded.push_str(before);
            let Some((placeholder, following)) = after.split_once('}') else {
                return Err(Wrong::new("bad-placeholder", "a \"${\" here is never closed by \"}\"".to_owned())
                    .hint("write ${env:NAME} for the value of an environment variable"));
            };
            let Some(name) = placeholder.strip_prefix("env:") else {
                return Err(Wrong::new("bad-placeholder", format!("${{{placeholder}}} means nothing here"))
                    .hint("only ${env:NAME} is known in the configuration"));
            };
            let Some(value) = (self.environment)(name) else {
                let message = format!("the environment variable {name:?} is not set");
                return Err(Wrong::new("unset-variable", message)
                    .hint(format!("set {name} where the daemon is started, or write the value itself")));
            };
            expanded.push_str(&value);
            rest = following;
        }
        expanded.push_str(rest);
        Ok(expanded)
    }
}

/// What is wrong with a value.
pub(super) struct Wrong {
    code: &'static str,
    message: String,
    hint: Option<String>,
}

impl Wrong {
    pub(super) fn new(code: &'static str, message: String) -> Wrong {
        Wrong { code, message, hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Wrong {
        self.hint = Some(hint.into());
        self
    }
}

/// A value that can stand in the configuration.
pub(super) trait FromToml: Sized {
    /// What is expected, as in "expected a string".
    fn expected() -> String;

    /// Takes the value. None means it is not what is expected; anything more special is said outright.
    fn from_toml(value: &DeValue<'_>, reader: &mut Reader<'_>) -> Result<Option<Self>, Wrong>;
}

impl FromToml for String {
    fn expected() -> String {
        "a string".to_owned()
    }

    fn from_toml(value: &DeValue<'_>, reader: &mut Reader<'_>) -> Result<Option<String>, Wrong> {
        value.as_str().map(|text| reader.expand(text)).transpose()
    }
}

impl FromToml for bool {
    fn expected() -> String {
        "true or false".to_owned()
    }

    fn from_toml(value: &DeValue<'_>, _: &mut Reader<'_>) -> Result<Option<bool>, Wrong> {
        Ok(value.as_bool())
    }
}

macro_rules! whole_numbers {
    ($($number:ty),*) => {$(
        impl FromToml for $number {
            fn expected() -> String {
                if <$number>::BITS == 64 {
                    "a whole number, 0 or more".to_owned()
                } else {
                    format!("a whole number from 0 to {}", <$number>::MAX)
                }
            }

            fn from_toml(value: &DeValue<'_>, _: &mut Reader<'_>) -> Result<Option<$number>, Wrong> {
                let integer = value.as_integer();
                Ok(integer.and_then(|integer| <$number>::from_str_radix(integer.as_str(), integer.radix()).ok()))
            }
        }
    )*};
}
whole_numbers!(u32, u64);

impl<T: FromToml> FromToml for Vec<T> {
    fn expected() -> String {
        format!("a list, each item {}", T::expected())
    }

    fn from_toml(value: &DeValue<'_>, reader: &mut Reader<'_>) -> Result<Option<Vec<T>>, Wrong> {
        let Some(array) = value.as_array() else { return Ok(None) };
        // Each bad item is reported at its own place.
        Ok(Some(array.iter().filter_map(|item| read_value(item, reader, "an item of this list")).collect()))
    }
}

impl FromToml for serde_json::Value {
    fn expected() -> String {
        "a value".to_owned()
    }

    fn from_toml(value: &DeValue<'_>, reader: &mut Reader<'_>) -> Result<Option<serde_json::Value>, Wrong> {
        use serde_json::Value;
        Ok(match value {
            DeValue::String(text) => Some(Value::String(reader.expand(text)?)),
            DeValue::Boolean(flag) => Some(Value::Bool(*flag)),
            DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix()).ok().map(Value::from),
            DeValue::Float(float) => float.as_str().parse::<f64>().ok().map(Value::from),
            DeValue::Datetime(datetime) => Some(Value::String(datetime.to_string())),
            DeValue::Array(array) => Some(
                array.iter().filter_map(|item| read_value::<Value>(item, reader, "an item of this list")).collect(),
            ),
            DeValue::Table(table) => {
                let mut object = serde_json::Map::new();
                for (key, item) in table {
                    if let Some(item) = read_value(item, reader, key.get_ref()) {
                        object.insert(key.get_ref().to_string(), item);
                    }
                }
                Some(Value::Object(object))
            }
        })
    }
}

/// Reads a value; reports it when it is wrong.
pub(super) fn read_value<T: FromToml>(value: &Spanned<DeValue<'_>>, reader: &mut Reader<'_>, name: &str) -> Option<T> {
    let offset = Some(value.span().start);
    match T::from_toml(value.get_ref(), reader) {
        Ok(Some(value)) => Some(value),
        Ok(None) => {
            let message = format!("{name} must be {}, not {}", T::expected(), describe(value.get_ref()));
            reader.report("wrong-type", message, offset, None);
            None
        }
        Err(wrong) => {
            reader.report(wrong.code, format!("{name}: {}", wrong.message), offset, wrong.hint);
            None
        }
    }
}

fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the string {text:?}"),
        DeValue::Integer(integer) => format!("the number {integer}"),
        DeValue::Float(float) => format!("the number {float}"),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(datetime) => format!("the time {datetime}"),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// One table, being read.
pub(super) struct Section<'s> {
    /// Dotted name, empty for the whole file.
    name: String,
    table: Option<&'s DeTable<'s>>,
    known: Vec<&'static str>,
}

impl<'s> Section<'s> {
    /// The whole file.
    pub(super) fn root(table: &'s DeTable<'s>) -> Section<'s> {
        Section { name: String::new(), table: Some(table), known: Vec::new() }
    }

    /// A table in this one; empty if it is not there.
    pub(super) fn section(&mut self, key: &'static str, reader: &mut Reader<'_>) -> Section<'s> {
        self.known.push(key);
        let name = self.name_of(key);
        let found = self.table.and_then(|table| table.get(key));
        let table = found.and_then(|value| table_of(value, &name, reader));
        Section { name, table, known: Vec::new() }
    }

    /// The tables in this one, whatever their names are.
    pub(super) fn sections(&self, reader: &mut Reader<'_>) -> Vec<(String, Section<'s>)> {
        let mut sections = Vec::new();
        for (key, value) in self.table.into_iter().flatten() {
            let key = key.get_ref().to_string();
            let name = format!("{}.{key:?}", self.name);
            if let Some(table) = table_of(value, &name, reader) {
                sections.push((key, Section { name, table: Some(table), known: Vec::new() }));
            }
        }
        sections
    }

    /// Reads a key into `target`, which stays as it is when the key is missing or wrong.
    pub(super) fn read<T: FromToml>(&mut self, key: &'static str, target: &mut T, reader: &mut Reader<'_>) {
        let Some(value) = self.take(key, reader) else { return };
        if let Some(value) = read_value(value, reader, &self.name_of(key)) {
            *target = value;
        }
    }

    /// Reads a number that must not be smaller than `least`.
    pub(super) fn read_at_least<T: FromToml + PartialOrd + std::fmt::Display>(
        &mut self,
        key: &'static str,
        least: T,
        target: &mut T,
        reader: &mut Reader<'_>,
    ) {
        let Some(spanned) = self.take(key, reader) else { return };
        let name = self.name_of(key);
        let Some(value) = read_value::<T>(spanned, reader, &name) else { return };
        if value < least {
            let message = format!("{name} must be at least {least}, not {value}");
            reader.report("too-small", message, Some(spanned.span().start), None);
        } else {
            *target = value;
        }
    }

    fn take(&mut self, key: &'static str, reader: &mut Reader<'_>) -> Option<&'s Spanned<DeValue<'s>>> {
        self.known.push(key);
        #[cfg(test)]
        reader.asked.push(self.name_of(key));
        #[cfg(not(test))]
        let _ = reader;
        self.table?.get(key)
    }

    /// Reports the keys nobody asked for.
    pub(super) fn finish(self, reader: &mut Reader<'_>) {
        for (key, _) in self.table.into_iter().flatten() {
            let name = key.get_ref();
            if self.known.iter().any(|known| *known == name.as_ref()) {
                continue;
            }
            let place = if self.name.is_empty() { "the configuration".to_owned() } else { format!("[{}]", self.name) };
            let hint = nearest(name, &self.known)
                .map(|known| format!("did you mean {known:?}?"))
                .unwrap_or_else(|| format!("{place} knows: {}", self.known.join(", ")));
            reader.report("unknown-key", format!("{place} has no key {name:?}"), Some(key.span().start), Some(hint));
        }
    }

    fn name_of(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }
}

fn table_of<'s>(value: &'s Spanned<DeValue<'s>>, name: &str, reader: &mut Reader<'_>) -> Option<&'s DeTable<'s>> {
    let table = value.get_ref().as_table();
    if table.is_none() {
        let message = format!("{name} must be a table, not {}", describe(value.get_ref()));
        reader.report(
            "wrong-type",
            message,
            Some(value.span().start),
            Some(format!("write [{name}] on a line of its own")),
        );
    }
    table
}

/// The known word that was probably meant.
pub(super) fn nearest<'w>(word: &str, known: &[&'w str]) -> Option<&'w str> {
    let close = |candidate: &&'w str| strsim::jaro_winkler(word, candidate);
    known
        .iter()
        .copied()
        .map(|candidate| (close(&candidate), candidate))
        .filter(|(closeness, _)| *closeness > 0.8)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}
