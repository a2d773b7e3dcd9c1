//! One `[[node]]`.

use super::fields::Fields;
use super::include;
use crate::document::{Data, Entry, Items, Value, Word};
use crate::matrix::NODES_MAX;
use crate::problem::{Problem, Problems};
use crate::source::Site;
use crate::spec::{Axis, AxisValue, More, NodeSpec, PolicySpec, Ports};

const NODE_KEYS: &[&str] = &[
    "name",
    "namespace",
    "description",
    "call",
    "inputs",
    "outputs",
    "confirms",
    "tags",
    "matrix",
    "timeout_seconds",
    "retries",
    "retry_backoff_seconds",
    "on_failure",
    "priority",
];

/// The nodes of a file, each read as soon as its text was.
#[derive(Default)]
pub(super) struct Nodes<'a> {
    pub(super) nodes: Vec<NodeSpec<'a>>,
    /// Whether some node could not be read.
    pub(super) unread: bool,
    pub(super) problems: Problems,
}

impl<'a> Items<'a> for Nodes<'a> {
    const LIST: Option<&'static str> = Some("node");

    fn take(&mut self, item: Value<'a>) {
        match read(item, &mut self.problems) {
            Some(node) => self.nodes.push(node),
            None => self.unread = true,
        }
    }

    /// The nodes of a file are about as long as each other, so their number can be guessed. Growing by doubling instead copies,
    /// and touches, as much again.
    fn progress(&mut self, read: usize, all: usize) {
        let rest = self.nodes.len().saturating_mul(all.saturating_sub(read)) / read.max(1);
        let room = (rest + rest / 16).min(NODES_MAX);
        if self.nodes.capacity() - self.nodes.len() < rest.min(room) {
            // Where the guess is too bold for this machine, the list grows as it must.
            drop(self.nodes.try_reserve_exact(room));
        }
    }
}

/// Reads one node; nothing when what it calls cannot be told, or its ports cannot be read.
fn read<'a>(value: Value<'a>, problems: &mut Problems) -> Option<NodeSpec<'a>> {
    let site = value.site;
    let Data::Table(entries) = value.data else {
        problems.add("wrong-type", Some(site), || {
            Problem::new("wrong-type", format!("a node must be a table, not {}", value.described()))
        });
        return None;
    };
    let mut name = None;
    let mut call = None;
    let mut inputs = Some(no_ports(site));
    let mut outputs = Some(no_ports(site));
    let mut more = More::default();
    let mut calls = false;
    let mut fields = Fields::new("a node", NODE_KEYS, problems);
    for Entry { key, value } in entries {
        match &*key.text {
            "name" => name = fields.text(&key, value),
            "namespace" => {
                more.namespace = fields.text(&key, value).filter(|name| include::namespace(name, &mut fields))
            }
            // For people; it stays in the file.
            "description" => drop(fields.text(&key, value)),
            "call" => {
                calls = true;
                call = fields.text(&key, value);
            }
            "inputs" => inputs = ports(&key, value, &mut fields),
            "outputs" => outputs = ports(&key, value, &mut fields),
            "confirms" => more.confirms = fields.texts(&key, value).unwrap_or_default(),
            "tags" => more.tags = fields.texts(&key, value).unwrap_or_default(),
            "matrix" => more.matrix = axes(&key, value, &mut fields),
            _ => {
                if !fields.policy(&key, &value, &mut more.policy) {
                    fields.unknown(&key);
                }
            }
        }
    }
    if !calls {
        let told =
            name.as_ref().map_or_else(|| "this node".to_owned(), |name: &Word<'_>| format!("node `{}`", name.text));
        problems.add("missing-key", Some(site), || {
            Problem::new("missing-key", format!("{told} does not say what it calls"))
                .hint("add `call = \"plugin::node\"`; `ctl nodes` lists what there is")
        });
    }
    let More { namespace, confirms, tags, matrix, policy } = &more;
    let lists_nothing = confirms.is_empty() && tags.is_empty() && matrix.is_empty();
    let is_plain = namespace.is_none() && lists_nothing && *policy == PolicySpec::default();
    let more = (!is_plain).then(|| Box::new(more));
    Some(NodeSpec { site, name, call: call?, inputs: inputs?, outputs: outputs?, more })
}

fn no_ports<'a>(site: Site) -> Ports<'a> {
    Ports { site, names: None, targets: Box::default() }
}

/// Reads `["a", "b"]`, `{ port = "a" }` or `"a"`.
fn ports<'a>(key: &Word<'_>, value: Value<'a>, fields: &mut Fields<'_>) -> Option<Ports<'a>> {
    let site = key.site;
    match value {
        Value { data: Data::Table(entries), .. } => {
            let mut names = Vec::with_capacity(entries.len());
            let mut targets = Vec::with_capacity(entries.len());
            for Entry { key: port, value } in entries {
                targets.push(fields.text(&port, value)?);
                names.push(port);
            }
            Some(Ports { site, names: Some(names.into()), targets: targets.into() })
        }
        value @ Value { data: Data::Text(_) | Data::List(_), .. } => {
            Some(Ports { site, names: None, targets: fields.texts(key, value)?.into() })
        }
        other => {
            fields.wrong_type(key, &other, "a list of datasets or a table `{ port = \"dataset\" }`");
            None
        }
    }
}

/// Reads `{ origin = ["EWR", "JFK"], year = [2013] }`.
fn axes<'a>(key: &Word<'_>, value: Value<'a>, fields: &mut Fields<'_>) -> Vec<Axis<'a>> {
    let Some(entries) = fields.table(key, value) else { return Vec::new() };
    let mut axes = Vec::with_capacity(entries.len());
    for Entry { key: name, value } in entries {
        let Value { data: Data::List(items), site } = value else {
            fields.wrong_type(&name, &value, "a list of values");
            continue;
        };
        if !name.text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') || name.text.is_empty() {
            fields.problems.add("bad-name", Some(name.site), || {
                let message = format!("`{}` cannot name a placeholder: letters, digits and `_` only", name.text);
                Problem::new("bad-name", message)
            });
            continue;
        }
        if items.is_empty() {
            fields.problems.add("empty-matrix", Some(site), || {
                Problem::new(
                    "empty-matrix",
                    format!("`{}` of the matrix has no values, so there would be no node", name.text),
                )
            });
        }
        let values = items.iter().filter_map(|item| axis_value(&name, item, fields)).collect();
        axes.push(Axis { name, values });
    }
    axes
}

fn axis_value(name: &Word<'_>, item: &Value<'_>, fields: &mut Fields<'_>) -> Option<AxisValue> {
    let text = match &item.data {
        Data::Text(text) => text.to_string(),
        Data::Integer(number) => number.to_string(),
        Data::Number(number) if number.is_finite() => number.to_string(),
        Data::Boolean(value) => value.to_string(),
        Data::Datetime(text) => text.clone(),
        _ => {
            fields.wrong_type(name, item, "a list of texts, numbers or booleans");
            return None;
        }
    };
    let json = item.to_json(&mut |_| ()).to_string();
    Some(AxisValue { text, json })
}
