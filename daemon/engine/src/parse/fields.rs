//! Reading the keys of one table: each value with the type it should have, and a problem where it has another.

use crate::document::{Data, Entry, Value, Word};
use crate::policy::OnFailure;
use crate::problem::{Problem, Problems, did_you_mean, list};
use crate::spec::PolicySpec;

/// Durations are bounded so that sums of them never overflow: 10 years.
const SECONDS_MAX: f64 = 315_360_000.0;

/// What a table is called in messages, and which keys it knows.
pub(super) struct Fields<'p> {
    what: &'static str,
    known: &'static [&'static str],
    pub(super) problems: &'p mut Problems,
}

impl<'p> Fields<'p> {
    pub(super) fn new(what: &'static str, known: &'static [&'static str], problems: &'p mut Problems) -> Self {
        Self { what, known, problems }
    }

    /// Refuses a key that this kind of table does not know.
    pub(super) fn unknown(&mut self, key: &Word<'_>) {
        let Self { what, known, .. } = *self;
        self.problems.add("unknown-key", Some(key.site), || {
            let problem = Problem::new("unknown-key", format!("{what} has no key `{}`", key.text));
            match did_you_mean(&key.text, known.iter().copied()) {
                Some(hint) => problem.hint(hint),
                None => problem.hint(format!("its keys are {}", list(known.iter().copied()))),
            }
        });
    }

    /// Refuses a value that is not what its key takes.
    pub(super) fn wrong_type(&mut self, key: &Word<'_>, value: &Value<'_>, expected: &str) {
        let what = self.what;
        self.problems.add("wrong-type", Some(value.site), || {
            Problem::new(
                "wrong-type",
                format!("`{}` of {what} must be {expected}, not {}", key.text, value.described()),
            )
        });
    }

    /// Takes a text.
    pub(super) fn text<'a>(&mut self, key: &Word<'_>, value: Value<'a>) -> Option<Word<'a>> {
        match value {
            Value { data: Data::Text(text), site } => Some(Word { text, site }),
            other => {
                self.wrong_type(key, &other, "a text");
                None
            }
        }
    }

    /// Takes a table.
    pub(super) fn table<'a>(&mut self, key: &Word<'_>, value: Value<'a>) -> Option<Vec<Entry<'a>>> {
        match value {
            Value { data: Data::Table(entries), .. } => Some(entries),
            other => {
                self.wrong_type(key, &other, "a table");
                None
            }
        }
    }

    /// Takes true or false.
    pub(super) fn boolean(&mut self, key: &Word<'_>, value: &Value<'_>) -> Option<bool> {
        match value.data {
            Data::Boolean(value) => Some(value),
            _ => {
                self.wrong_type(key, value, "true or false");
                None
            }
        }
    }

    /// Takes a list of texts; a single text stands for a list of one.
    pub(super) fn texts<'a>(&mut self, key: &Word<'_>, value: Value<'a>) -> Option<Vec<Word<'a>>> {
        match value {
            Value { data: Data::Text(text), site } => Some(vec![Word { text, site }]),
            Value { data: Data::List(items), .. } => {
                let mut texts = Vec::with_capacity(items.len());
                for item in items {
                    texts.push(self.text_of_list(key, item)?);
                }
                Some(texts)
            }
            other => {
                self.wrong_type(key, &other, "a list of texts");
                None
            }
        }
    }

    fn text_of_list<'a>(&mut self, key: &Word<'_>, item: Value<'a>) -> Option<Word<'a>> {
        match item {
            Value { data: Data::Text(text), site } => Some(Word { text, site }),
            other => {
                self.wrong_type(key, &other, "a list of texts only");
                None
            }
        }
    }

    /// Takes a key about retries, time-outs or failure; false when it is about something else.
    pub(super) fn policy(&mut self, key: &Word<'_>, value: &Value<'_>, policy: &mut PolicySpec) -> bool {
        match &*key.text {
            "retries" => match value.data {
                Data::Integer(number) if u32::try_from(number).is_ok() => policy.retries = u32::try_from(number).ok(),
                _ => self.wrong_value(key, value, "a whole number from 0"),
            },
            "retry_backoff_seconds" => match seconds(value) {
                Some(us) => policy.retry_backoff_us = Some(us),
                None => self.wrong_value(key, value, "a number of seconds from 0 to 315360000 (10 years)"),
            },
            "timeout_seconds" => match seconds(value) {
                Some(us) if us > 0 => policy.timeout_us = Some(us),
                _ => self.wrong_value(key, value, "a number of seconds above 0, at most 315360000 (10 years)"),
            },
            "on_failure" => match &value.data {
                Data::Text(word) if OnFailure::parse(word).is_some() => policy.on_failure = OnFailure::parse(word),
                _ => self.wrong_value(key, value, "\"stop\" or \"continue\""),
            },
            // Of a node only: at the top of the file it is no key (`parse::PIPELINE_KEYS`), as all its nodes would be alike.
            "priority" if self.known.contains(&"priority") => match value.data {
                Data::Integer(number) if i32::try_from(number).is_ok() => policy.priority = i32::try_from(number).ok(),
                _ => self.wrong_value(key, value, "a whole number from -2147483648 to 2147483647"),
            },
            _ => return false,
        }
        true
    }

    fn wrong_value(&mut self, key: &Word<'_>, value: &Value<'_>, expected: &str) {
        let what = self.what;
        self.problems.add("wrong-value", Some(value.site), || {
            let found = match &value.data {
                Data::Integer(number) => number.to_string(),
                Data::Number(number) => number.to_string(),
                Data::Text(text) => format!("{text:?}"),
                _ => value.described().to_owned(),
            };
            Problem::new("wrong-value", format!("`{}` of {what} must be {expected}, not {found}", key.text))
        });
    }
}

/// Gives a number of seconds as microseconds.
fn seconds(value: &Value<'_>) -> Option<u64> {
    let seconds = match value.data {
        Data::Integer(number) => number as f64,
        Data::Number(number) => number,
        _ => return None,
    };
    // The cast is exact enough and in range: at most 3.2e14 microseconds.
    (0.0..=SECONDS_MAX).contains(&seconds).then(|| (seconds * 1e6).round() as u64)
}
