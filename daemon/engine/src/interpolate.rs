//! `${parameter}`, `${env:NAME}` and a pattern's `{placeholder}` in what a catalog says.
//!
//! `${name:-default}` stands for `default` where the parameter is missing or null, or the variable is missing or empty, as in a
//! shell. A name that begins with `_` is looked for among the catalog's own anchors first.
//!
//! `$${` stands for `${` itself. In the body of a pattern `{{` and `}}` stand for braces; elsewhere braces mean themselves.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use crate::document::{Data, Value};
use crate::problem::{Problem, did_you_mean};
use crate::source::Site;

/// What may be put in.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'s> {
    /// What a pattern's placeholders stand for; nothing outside of patterns.
    pub captures: Option<&'s [(&'s str, String)]>,
    /// All parameters.
    pub parameters: &'s Map<String, Json>,
    /// What the catalog's keys that begin with `_` hold.
    pub anchors: &'s Map<String, Json>,
    /// What `${env:NAME}` may see.
    pub environment: &'s BTreeMap<String, String>,
}

/// What stands for an interpolation.
enum Found<'t> {
    Value(Json),
    /// The default of a parameter: JSON where it can be read as that, as with `--params`.
    Default(&'t str),
}

impl Scope<'_> {
    /// Fills in a text.
    pub fn text(&self, text: &str, site: Site, refuse: &mut impl FnMut(Site, Problem)) -> String {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find(['$', '{', '}']) {
            let (before, from) = rest.split_at(at);
            filled.push_str(before);
            rest = if let Some(after) = from.strip_prefix("$${") {
                filled.push_str("${");
                after
            } else if let Some(inner) = from.strip_prefix("${") {
                let Some((name, after)) = inner.split_once('}') else {
                    refuse(
                        site,
                        Problem::new("bad-interpolation", "a `${` is never closed")
                            .hint("write `$${` for the characters themselves"),
                    );
                    return filled;
                };
                match self.look_up(name) {
                    Ok(Found::Default(text)) => filled.push_str(text),
                    Ok(Found::Value(Json::String(text))) => filled.push_str(&text),
                    Ok(Found::Value(value @ (Json::Array(_) | Json::Object(_)))) => {
                        let kind = if value.is_array() { "a list" } else { "a table" };
                        let message = format!("`${{{name}}}` is {kind}, which cannot stand inside a text");
                        refuse(site, Problem::new("bad-interpolation", message));
                    }
                    Ok(Found::Value(value)) => filled.push_str(&value.to_string()),
                    Err(problem) => refuse(site, problem),
                }
                after
            } else {
                self.brace(from, &mut filled)
            };
        }
        filled.push_str(rest);
        filled
    }

    /// Takes a `$` or brace that begins no interpolation; gives what follows it.
    fn brace<'t>(&self, from: &'t str, filled: &mut String) -> &'t str {
        if let Some(captures) = self.captures {
            if from.starts_with("{{") || from.starts_with("}}") {
                filled.push_str(&from[..1]);
                return &from[2..];
            }
            if let Some((name, after)) = from.strip_prefix('{').and_then(|inner| inner.split_once('}'))
                && let Some((_, value)) = captures.iter().find(|(capture, _)| *capture == name)
            {
                filled.push_str(value);
                return after;
            }
        }
        // `$`, `{` and `}` are one byte each.
        filled.push_str(&from[..1]);
        &from[1..]
    }

    /// Fills in every text of a value. A text that is one `${name}` and nothing else becomes the value itself, with its type.
    pub fn value(&self, value: &Value<'_>, refuse: &mut impl FnMut(Site, Problem)) -> Json {
        match &value.data {
            Data::Text(text) => {
                let whole = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
                match whole.filter(|name| !name.contains(['$', '{', '}'])) {
                    Some(name) => match self.look_up(name) {
                        Ok(Found::Value(value)) => value,
                        Ok(Found::Default(text)) => {
                            serde_json::from_str(text).unwrap_or_else(|_| Json::String(text.to_owned()))
                        }
                        Err(problem) => {
                            refuse(value.site, problem);
                            Json::Null
                        }
                    },
                    None => Json::String(self.text(text, value.site, refuse)),
                }
            }
            Data::List(items) => Json::Array(items.iter().map(|item| self.value(item, refuse)).collect()),
            Data::Table(entries) => Json::Object(
                entries.iter().map(|entry| (entry.key.text.to_string(), self.value(&entry.value, refuse))).collect(),
            ),
            _ => value.to_json(&mut |site| {
                refuse(
                    site,
                    Problem::new(
                        "bad-number",
                        "an option cannot be infinite or not a number: dataset types get it as JSON",
                    ),
                );
            }),
        }
    }

    fn look_up<'t>(&self, written: &'t str) -> Result<Found<'t>, Problem> {
        let (name, default) = match written.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (written, None),
        };
        if let Some(variable) = name.strip_prefix("env:") {
            let value = self.environment.get(variable).filter(|value| default.is_none() || !value.is_empty());
            let text = value.map(String::as_str).or(default);
            return text.map(|text| Found::Value(Json::String(text.to_owned()))).ok_or_else(|| {
                Problem::new("missing-variable", format!("the environment has no variable `{variable}`"))
                    .hint_if(did_you_mean(variable, self.environment.keys().map(String::as_str)))
                    .hint(format!("set it before the command: `{variable}=… ctl run …`"))
                    .hint(format!("or give a default: `${{env:{variable}:-…}}`"))
            });
        }
        let anchored = if name.starts_with('_') { self.anchored(name)? } else { None };
        let found = anchored.or_else(|| look_up(self.parameters, name).cloned());
        match (found, default) {
            (None | Some(Json::Null), Some(default)) => Ok(Found::Default(default)),
            (Some(value), _) => Ok(Found::Value(value)),
            (None, None) => Err(missing_parameter(self.parameters, name)),
        }
    }

    /// Finds what an anchor holds, filled in itself: it may name parameters, variables and the other anchors, but not itself again.
    fn anchored(&self, name: &str) -> Result<Option<Json>, Problem> {
        let Some(value) = look_up(self.anchors, name) else { return Ok(None) };
        if !names_something(value) {
            return Ok(Some(value.clone()));
        }
        let mut others = self.anchors.clone();
        others.remove(name.split('.').next().unwrap_or(name));
        Scope { anchors: &others, ..*self }.filled(value).map(Some)
    }

    fn filled(&self, value: &Json) -> Result<Json, Problem> {
        Ok(match value {
            Json::String(text) => {
                let mut refused = None;
                let filled = self.text(text, Site::default(), &mut |_, problem| {
                    refused.get_or_insert(problem);
                });
                match refused {
                    Some(problem) => {
                        return Err(problem.cause(format!("in `{text}`, which the catalog keeps by a name with `_`")));
                    }
                    None => Json::String(filled),
                }
            }
            Json::Array(items) => Json::Array(items.iter().map(|item| self.filled(item)).collect::<Result<_, _>>()?),
            Json::Object(entries) => {
                let fill = |(key, value): (&String, &Json)| Ok((key.clone(), self.filled(value)?));
                Json::Object(entries.iter().map(fill).collect::<Result<_, Problem>>()?)
            }
            other => other.clone(),
        })
    }
}

/// Says whether some text of a value holds an interpolation.
fn names_something(value: &Json) -> bool {
    match value {
        Json::String(text) => text.contains("${"),
        Json::Array(items) => items.iter().any(names_something),
        Json::Object(entries) => entries.values().any(names_something),
        _ => false,
    }
}

/// Finds a parameter by its dotted path.
pub fn look_up<'p>(parameters: &'p Map<String, Json>, path: &str) -> Option<&'p Json> {
    let mut segments = path.split('.');
    let first = parameters.get(segments.next()?)?;
    segments.try_fold(first, |value, segment| value.as_object()?.get(segment))
}

/// Tells that a parameter is missing, naming the part of the path that is and what stands beside it.
pub fn missing_parameter(parameters: &Map<String, Json>, path: &str) -> Problem {
    let problem = Problem::new("missing-parameter", format!("there is no parameter `{path}`"));
    let mut table = parameters;
    let mut walked = String::new();
    for segment in path.split('.') {
        match table.get(segment) {
            Some(Json::Object(inner)) => {
                table = inner;
                walked = format!("{walked}{segment}.");
            }
            Some(value) => {
                let value = value.to_string();
                let shown: String = value.chars().take(40).collect();
                return problem.cause(format!("`{walked}{segment}` is {shown}, not a table"));
            }
            None => {
                let near = crate::problem::nearest(segment, table.keys().map(String::as_str));
                return match near {
                    Some(near) => problem.hint(format!("did you mean `{walked}{near}`?")),
                    None => problem.hint(format!("add it to the parameters, or set it with `--params {path}=…`")),
                };
            }
        }
    }
    problem
}
