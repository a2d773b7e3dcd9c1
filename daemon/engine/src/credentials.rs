//! Secrets by name, what they become where an entry names them, and how they are kept out of every text.
//!
//! `${env:NAME}` and `${env:NAME:-default}` are filled in; nothing else is, as a password may hold any characters. A problem
//! names credentials and variables, never a value.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Map, Value as Json};

use crate::document::{Data, Value};
use crate::failure::Failure;
use crate::problem::{Problem, did_you_mean};
use crate::source::Site;

/// The credentials that were read, as written.
#[derive(Clone)]
pub struct Secrets<'a> {
    values: BTreeMap<Cow<'a, str>, Value<'a>>,
    environment: &'a BTreeMap<String, String>,
    withheld: bool,
}

/// A secret as JSON text. It shows itself only to who asks for it by name.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(String);

/// What stands for a secret in a text.
pub const REDACTED: &str = "[redacted]";

/// A shorter secret is not searched for in texts: it would be found everywhere.
const LENGTH_MIN: usize = 4;

impl<'a> Secrets<'a> {
    /// Makes an empty collection; `environment` is what `${env:NAME}` may see. Where secrets are `withheld`, a name that is
    /// not there stands for nothing.
    pub fn new(environment: &'a BTreeMap<String, String>, withheld: bool) -> Self {
        Self { values: BTreeMap::new(), environment, withheld }
    }

    pub(crate) fn insert(&mut self, name: Cow<'a, str>, value: Value<'a>) {
        self.values.insert(name, value);
    }

    /// Gives what a name stands for.
    ///
    /// # Errors
    /// The problem and its place: nothing has that name (then the place is the caller's), or a variable is missing.
    pub fn resolve(&self, name: &str) -> Result<Secret, Box<(Option<Site>, Problem)>> {
        if self.withheld && !self.values.contains_key(name) {
            return Ok(Secret::default());
        }
        let value = self.values.get(name).ok_or_else(|| {
            let problem = Problem::new("missing-credentials", format!("there are no credentials `{name}`"))
                .hint_if(did_you_mean(name, self.values.keys().map(|name| &**name)))
                .hint(format!("put them into credentials.toml beside the catalog:\n[{name}]\npassword = \"…\""))
                .hint("they are not kept with a run; the daemon itself can have them from systemd (LoadCredential=)");
            Box::new((None, problem))
        })?;
        self.json(value).map(|json| Secret(json.to_string())).map_err(|(site, variable)| {
            let message = format!("credentials `{name}`: the environment has no variable `{variable}`");
            let problem = Problem::new("missing-variable", message)
                .hint(format!("set it before the command: `{variable}=… ctl run …`"));
            Box::new((Some(site), problem))
        })
    }

    /// Gives a value with its variables filled in; an error is where a variable is missing, and its name.
    fn json(&self, value: &Value<'_>) -> Result<Json, (Site, String)> {
        Ok(match &value.data {
            Data::Text(text) => Json::String(self.fill(text).map_err(|variable| (value.site, variable))?),
            Data::List(items) => Json::Array(items.iter().map(|item| self.json(item)).collect::<Result<_, _>>()?),
            Data::Table(entries) => {
                let fill =
                    |entry: &crate::document::Entry<'_>| Ok((entry.key.text.to_string(), self.json(&entry.value)?));
                Json::Object(entries.iter().map(fill).collect::<Result<Map<_, _>, _>>()?)
            }
            // A number that JSON cannot hold is no secret anybody uses.
            _ => value.to_json(&mut |_| ()),
        })
    }

    /// Fills in variables; an error is the name of one that is missing.
    fn fill(&self, text: &str) -> Result<String, String> {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, from)) = rest.split_once("${env:") {
            if let Some(before) = before.strip_suffix('$') {
                filled.push_str(before);
                filled.push_str("${env:");
                rest = from;
                continue;
            }
            let Some((written, after)) = from.split_once('}') else { break };
            let (variable, default) = match written.split_once(":-") {
                Some((variable, default)) => (variable, Some(default)),
                None => (written, None),
            };
            let value = self.environment.get(variable).filter(|value| default.is_none() || !value.is_empty());
            let value = value.map(String::as_str).or(default).ok_or_else(|| variable.to_owned())?;
            filled.push_str(before);
            filled.push_str(value);
            rest = after;
        }
        filled.push_str(rest);
        Ok(filled)
    }
}

impl Secret {
    /// Gives the JSON text; empty where there is no secret.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Says whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl fmt::Debug for Secrets<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

/// Takes secrets out of texts: whatever a plugin says may quote what it was given.
#[derive(Clone, Default)]
pub struct Redactor {
    /// Longest first, so that a secret that holds another goes whole.
    values: Vec<String>,
}

impl Redactor {
    /// Collects every text in these secrets, as it is and as JSON writes it.
    pub fn new<'s>(secrets: impl Iterator<Item = &'s Secret>) -> Self {
        let mut values = BTreeSet::new();
        for secret in secrets.filter(|secret| !secret.is_empty()) {
            collect(&serde_json::from_str(&secret.0).unwrap_or_default(), &mut values);
        }
        let mut values: Vec<String> = values.into_iter().collect();
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        Self { values }
    }

    /// Gives the text without secrets.
    pub fn redact<'t>(&self, text: impl Into<Cow<'t, str>>) -> Cow<'t, str> {
        let text = text.into();
        self.values.iter().fold(text, |text, value| match text.contains(&**value) {
            true => Cow::Owned(text.replace(&**value, REDACTED)),
            false => text,
        })
    }

    /// Takes secrets out of what is told of a failure: whoever failed may quote what it was given.
    pub fn redact_failure(&self, failure: Failure) -> Failure {
        let redact = |text: String| self.redact(text).into_owned();
        Failure {
            message: redact(failure.message),
            causes: failure.causes.into_iter().map(redact).collect(),
            hints: failure.hints.into_iter().map(redact).collect(),
            ..failure
        }
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({} values)", self.values.len())
    }
}

fn collect(value: &Json, into: &mut BTreeSet<String>) {
    match value {
        Json::String(text) if text.chars().count() >= LENGTH_MIN => {
            let quoted = Json::from(text.as_str()).to_string();
            let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(&quoted);
            // As a debugger would write it, too: that is how most errors quote a text.
            into.extend([text.clone(), inner.to_owned(), text.escape_debug().to_string()]);
            // And each line of a key of many lines: logs are cut into lines.
            into.extend(text.lines().filter(|line| line.chars().count() >= LENGTH_MIN).map(str::to_owned));
        }
        Json::Array(items) => items.iter().for_each(|item| collect(item, into)),
        Json::Object(entries) => entries.values().for_each(|value| collect(value, into)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_taken_out_however_it_is_quoted() {
        let secret = Secret(r#"{"user":"me","password":"pass\"wo\nrd","port":5432}"#.to_owned());
        let redactor = Redactor::new(std::iter::once(&secret));
        for text in ["pass\"wo\nrd", r#"pass\"wo\nrd"#, "got \"pass\\\"wo\\nrd\" here"] {
            let shown = redactor.redact(text);
            assert!(shown.contains(REDACTED) && !shown.contains("pass"), "{shown}");
        }
        assert_eq!(redactor.redact("me at 5432"), "me at 5432", "what is too short to be searched for stays");
        assert!(!format!("{secret:?} {redactor:?}").contains("pass"));
    }
}
