//! The parameters that a drawn node reads.

use std::borrow::Cow;

use serde_json::Value as Json;

use super::{Drawing, axis_names};
use crate::document::Word;
use crate::id::ParameterId;
use crate::interpolate::{look_up, missing_parameter};
use crate::matrix::Combination;
use crate::plan::{Parameter, types};
use crate::problem::{Problem, did_you_mean};
use crate::signature::{Port, PortKind};

impl<'s, 'a> Drawing<'_, 's, 'a> {
    /// Finds a parameter: a value of the matrix first, then the pipeline's parameters.
    pub(super) fn parameter(
        &mut self,
        path: &str,
        target: &Word<'_>,
        combination: &Combination<'s, 'a>,
    ) -> Option<ParameterId> {
        if let Some(value) = combination.value(path) {
            let name = format!("params:{path}");
            let key = (name.clone(), &*value.json);
            let parameters = &mut self.draft.parameters;
            let new = || parameters.push(Parameter { name, json: value.json.clone() });
            return Some(*self.caches.values.entry(key).or_insert_with(new));
        }
        let path = match path {
            "" => Cow::Borrowed(""),
            path => self.draft.renaming.parameter(self.module, Cow::Borrowed(path)),
        };
        let path = &*path;
        if let Some(&Some(known)) = self.caches.parameters.get(path) {
            return Some(known);
        }
        let name = if path.is_empty() { "parameters".to_owned() } else { format!("params:{path}") };
        let all = &self.draft.spec.parameters;
        let json = match path {
            "" => Some(Json::Object(all.clone()).to_string()),
            path => look_up(all, path).map(Json::to_string),
        };
        let found = json.map(|json| self.draft.parameters.push(Parameter { name, json }));
        if found.is_none() && !self.draft.spec.unread.parameters {
            let axes = axis_names(self.spec);
            self.draft.tell_if_run("missing-parameter", Some(target.site), || {
                let problem = missing_parameter(all, path);
                match did_you_mean(path, axes) {
                    Some(hint) => Problem { hints: vec![hint], ..problem },
                    None => problem,
                }
            });
        }
        self.caches.parameters.insert(path.to_owned(), found);
        found
    }

    /// Refuses a parameter at a port that cannot take it.
    pub(super) fn check_parameter(&mut self, parameter: ParameterId, port: &Port, target: &Word<'_>) {
        let call = &self.spec.call.text;
        let Parameter { name, json } = &self.draft.parameters[parameter];
        if !port.parameter && !port.kind.is_json() {
            let message = format!(
                "input `{}` of `{call}` takes a dataset ({}), but `{name}` is a parameter",
                port.name, port.kind
            );
            self.draft.problems.add("parameter-port", Some(target.site), || Problem::new("parameter-port", message));
            return;
        }
        let fits = match &port.kind {
            PortKind::Number => json.parse::<f64>().is_ok(),
            PortKind::Integer => json.parse::<i64>().is_ok(),
            PortKind::Boolean => matches!(json.as_str(), "true" | "false"),
            PortKind::String => json.starts_with('"'),
            _ => true,
        };
        if fits && let Some(schema) = &port.schema {
            return types::check(self.draft, schema, parameter, (&port.name, call), target);
        }
        if !fits {
            let shown: String = json.chars().take(60).collect();
            let message =
                format!("input `{}` of `{call}` takes {}, but `{name}` is {shown}", port.name, article(&port.kind));
            self.draft.tell_if_run("parameter-type", Some(target.site), || Problem::new("parameter-type", message));
        }
    }
}

/// Gives the path of `params:a.b`, and the empty path for `parameters`, which is all of them.
pub(in crate::plan) fn parameter_path(name: &str) -> Option<&str> {
    match name {
        "parameters" => Some(""),
        _ => name.strip_prefix("params:").filter(|path| !path.is_empty()),
    }
}

fn article(kind: &PortKind) -> String {
    let vowel = kind.to_string().starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {kind}", if vowel { "an" } else { "a" })
}
