//! One `[[include]]`: a pipeline file taken in under a namespace, with what it shares renamed.

use super::fields::Fields;
use crate::document::{Data, Entry, Value, Word};
use crate::module::{Mapping, Mappings};
use crate::problem::{Problem, Problems};
use crate::source::Site;

const INCLUDE_KEYS: &[&str] = &["file", "namespace", "inputs", "outputs", "parameters", "tags", "prefix_datasets"];

/// An `[[include]]` as it was written.
#[derive(Clone, Debug)]
pub(super) struct Include<'a> {
    pub(super) site: Site,
    pub(super) file: Word<'a>,
    pub(super) namespace: Option<Word<'a>>,
    pub(super) mappings: Mappings<'a>,
    pub(super) tags: Vec<Word<'a>>,
    pub(super) prefix_datasets: bool,
}

/// Reads one; nothing when the file cannot be told.
pub(super) fn read<'a>(value: Value<'a>, problems: &mut Problems) -> Option<Include<'a>> {
    let site = value.site;
    let mut fields = Fields::new("an include", INCLUDE_KEYS, problems);
    let what = Word { text: "include".into(), site };
    let entries = fields.table(&what, value)?;
    let (mut file, mut named) = (None, false);
    let mut include = Include {
        site,
        file: Word { text: "".into(), site },
        namespace: None,
        mappings: Mappings::default(),
        tags: Vec::new(),
        prefix_datasets: true,
    };
    for Entry { key, value } in entries {
        match &*key.text {
            "file" => {
                named = true;
                file = fields.text(&key, value);
            }
            "namespace" => include.namespace = fields.text(&key, value).filter(|name| namespace(name, &mut fields)),
            "inputs" => include.mappings.inputs = mapping(&key, value, false, &mut fields),
            "outputs" => include.mappings.outputs = mapping(&key, value, false, &mut fields),
            "parameters" => include.mappings.parameters = mapping(&key, value, true, &mut fields),
            "tags" => include.tags = fields.texts(&key, value).unwrap_or_default(),
            "prefix_datasets" => include.prefix_datasets = fields.boolean(&key, &value).unwrap_or(true),
            _ => fields.unknown(&key),
        }
    }
    if !named {
        problems.add("missing-key", Some(site), || {
            Problem::new("missing-key", "an include does not say which file").hint("add `file = \"other.toml\"`")
        });
    }
    include.file = file?;
    Some(include)
}

/// Refuses what cannot stand before the dot of a name.
pub(super) fn namespace(name: &Word<'_>, fields: &mut Fields<'_>) -> bool {
    let good = name.text.split('.').all(is_plain);
    if !good {
        fields.problems.add("bad-name", Some(name.site), || {
            Problem::new("bad-name", format!("`{}` cannot be a namespace", name.text))
                .hint("a namespace is made of letters, digits, `_` and `-`, with a dot between it and one inside of it")
        });
    }
    good
}

fn is_plain(part: &str) -> bool {
    !part.is_empty() && part.chars().all(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '-'))
}

/// Reads `["a", "b"]`, whose names stay as they are, or `{ inner = "outer" }`.
fn mapping<'a>(key: &Word<'_>, value: Value<'a>, parameters: bool, fields: &mut Fields<'_>) -> Vec<Mapping<'a>> {
    let pairs: Vec<(Word<'a>, Word<'a>)> = match value {
        Value { data: Data::Table(entries), .. } => {
            let pair = |Entry { key, value }: Entry<'a>| Some((key.clone(), fields.text(&key, value)?));
            entries.into_iter().filter_map(pair).collect()
        }
        value @ Value { data: Data::Text(_) | Data::List(_), .. } => {
            let names = fields.texts(key, value).unwrap_or_default();
            names.into_iter().map(|name| (name.clone(), name)).collect()
        }
        other => {
            fields.wrong_type(key, &other, "a list of names that stay, or a table `{ inner = \"outer\" }`");
            Vec::new()
        }
    };
    let mut mappings: Vec<Mapping<'a>> = Vec::with_capacity(pairs.len());
    for (from, to) in pairs {
        let [Some(from), Some(to)] = [from, to].map(|name| shared(name, parameters, fields)) else { continue };
        if mappings.iter().any(|known| known.from.text == from.text) {
            fields.problems.add("bad-mapping", Some(from.site), || {
                Problem::new("bad-mapping", format!("`{}` stands twice in `{}` of an include", from.text, key.text))
            });
            continue;
        }
        mappings.push(Mapping { from, to, interpolated: false });
    }
    mappings
}

/// Takes a name that an include may map: of a dataset, or of a parameter with or without its `params:`.
fn shared<'a>(name: Word<'a>, parameters: bool, fields: &mut Fields<'_>) -> Option<Word<'a>> {
    let stripped = name.text.strip_prefix("params:");
    let problem = match (parameters, stripped, &*name.text) {
        (_, _, "parameters") => Some(
            Problem::new(
                "bad-mapping",
                "`parameters` are all parameters, in an included file too: they have no other name",
            )
            .hint("leave it out; a single parameter can be mapped"),
        ),
        (false, Some(rest), _) => Some(
            Problem::new("bad-mapping", format!("`{}` is a parameter, not a dataset", name.text))
                .hint(format!("name it in `parameters` of the include: `parameters = [\"{rest}\"]`")),
        ),
        (true, _, text) if !stripped.unwrap_or(text).split('.').all(|part| !part.is_empty()) => {
            Some(Problem::new("bad-mapping", format!("`{text}` is no name of a parameter")))
        }
        (false, None, text) if text.contains('@') => Some(
            Problem::new(
                "bad-mapping",
                format!("`{text}` names one format of a dataset; an include maps whole datasets"),
            )
            .hint(format!("write `{}`", text.split('@').next().unwrap_or_default())),
        ),
        (false, None, text) if !text.split('.').all(is_plain) => Some(
            Problem::new("bad-name", format!("`{text}` cannot name a dataset"))
                .hint("names are made of letters, digits, `_`, `-` and `.`"),
        ),
        _ => None,
    };
    match (problem, stripped) {
        (Some(problem), _) => {
            fields.problems.add(problem.code, Some(name.site), || problem);
            None
        }
        (None, Some(rest)) => Some(Word { text: rest.to_owned().into(), site: name.site }),
        (None, None) => Some(name),
    }
}
