//! Names → entries: the exact name first, then patterns by specificity, then a catch-all, then the patterns that the run
//! brings along in the same order, then shared memory.

use std::collections::HashMap;

use crate::document::{Data, Entry, Value};
use crate::problem::{Problem, Problems, list};
use crate::spec::{EntrySpec, Spec};

/// The entries of a catalog, ready to be asked.
#[derive(Debug)]
pub struct Catalog<'s, 'a> {
    exact: HashMap<&'s str, &'s EntrySpec<'a>>,
    /// Most specific first; a catch-all, having no literal characters, is last.
    patterns: Vec<Pattern<'s, 'a>>,
    /// Those of the run, in the same order.
    default_patterns: Vec<Pattern<'s, 'a>>,
}

/// Why a name resolved to its entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// The entry has that very name.
    Exact,
    /// It is the most specific pattern that matches.
    Pattern,
    /// No other pattern matches; this one matches everything.
    CatchAll,
    /// The catalog has nothing that matches, but the patterns that the run brought along have.
    DefaultPattern,
}

/// What a name resolved to.
#[derive(Debug)]
pub struct Resolved<'s, 'a> {
    /// The entry.
    pub entry: &'s EntrySpec<'a>,
    /// Why it is this one.
    pub how: How,
    /// What the placeholders of its name stand for; nothing when the name was exact.
    pub captures: Option<Vec<(&'s str, String)>>,
}

#[derive(Debug)]
struct Pattern<'s, 'a> {
    entry: &'s EntrySpec<'a>,
    shape: Shape<'s>,
}

/// `model_{origin}.{kind}`: literals around placeholders, one more of them.
#[derive(Debug, PartialEq, Eq)]
struct Shape<'s> {
    literals: Vec<&'s str>,
    placeholders: Vec<&'s str>,
}

impl<'s, 'a> Catalog<'s, 'a> {
    /// Takes a spec's entries; what is wrong with patterns becomes problems, used or not.
    pub fn new(spec: &'s Spec<'a>, problems: &mut Problems) -> Self {
        let is_pattern = |entry: &&EntrySpec<'_>| entry.name.text.contains(['{', '}']);
        for entry in spec.default_patterns.iter().filter(|entry| !is_pattern(entry)) {
            problems.add("bad-pattern", Some(entry.name.site), || {
                Problem::new(
                    "bad-pattern",
                    format!("`{}` is no pattern, but stands among those of the run", entry.name.text),
                )
                .hint(
                    "a pattern has a placeholder, as in \"{name}\"; entries of single datasets belong into the catalog",
                )
            });
        }
        Self {
            exact: (spec.catalog.iter())
                .filter(|entry| !is_pattern(entry))
                .map(|entry| (&*entry.name.text, entry))
                .collect(),
            patterns: read_patterns(spec, spec.catalog.iter().filter(is_pattern), problems),
            default_patterns: read_patterns(spec, spec.default_patterns.iter().filter(is_pattern), problems),
        }
    }

    /// Finds the entry for a name; nothing means shared memory.
    pub fn resolve(&self, name: &str) -> Option<Resolved<'s, 'a>> {
        if let Some(entry) = self.exact.get(name) {
            return Some(Resolved { entry, how: How::Exact, captures: None });
        }
        let matching = |patterns: &[Pattern<'s, 'a>]| {
            patterns.iter().find_map(|pattern| {
                let captures = Some(pattern.shape.captures(name)?);
                let how = if pattern.shape.literal_count() == 0 { How::CatchAll } else { How::Pattern };
                Some(Resolved { entry: pattern.entry, how, captures })
            })
        };
        matching(&self.patterns).or_else(|| {
            matching(&self.default_patterns).map(|resolved| Resolved { how: How::DefaultPattern, ..resolved })
        })
    }

    /// Gives every entry that a name matches, in the order they are asked: the first is what it resolves to.
    pub fn matching(&self, name: &str) -> Vec<&'s EntrySpec<'a>> {
        let patterns = self.patterns.iter().chain(&self.default_patterns);
        let patterns = patterns.filter(|pattern| pattern.shape.captures(name).is_some()).map(|pattern| pattern.entry);
        self.exact.get(name).copied().into_iter().chain(patterns).collect()
    }

    /// Gives the entries with exact names that are not among these, in the order of their names.
    pub fn unused<'n>(&self, used: impl Iterator<Item = &'n str>) -> Vec<&'s EntrySpec<'a>> {
        let mut unused = self.exact.clone();
        for name in used {
            unused.remove(name);
        }
        let mut unused: Vec<_> = unused.into_values().collect();
        unused.sort_unstable_by(|one, other| one.name.text.cmp(&other.name.text));
        unused
    }

    /// Walks over the patterns in the order they are asked, those of the run last.
    pub fn patterns(&self) -> impl Iterator<Item = &'s EntrySpec<'a>> {
        self.patterns.iter().chain(&self.default_patterns).map(|pattern| pattern.entry)
    }

    /// Walks over the exact names, for hints.
    pub fn names(&self) -> impl Iterator<Item = &'s str> {
        self.exact.keys().copied()
    }
}

/// Reads patterns and puts them into the order they are asked; the later of two with one name counts.
fn read_patterns<'s, 'a>(
    spec: &Spec<'a>,
    entries: impl Iterator<Item = &'s EntrySpec<'a>>,
    problems: &mut Problems,
) -> Vec<Pattern<'s, 'a>> {
    let mut patterns: Vec<Pattern<'s, 'a>> = Vec::new();
    for entry in entries {
        match Shape::parse(&entry.name.text) {
            Ok(shape) => {
                check_body(entry, &shape, problems);
                patterns.retain(|pattern| pattern.entry.name.text != entry.name.text);
                patterns.push(Pattern { entry, shape });
            }
            Err(why) => problems.add("bad-pattern", Some(entry.name.site), || {
                Problem::new("bad-pattern", format!("`{}` is no pattern: {why}", entry.name.text))
            }),
        }
    }
    let catch_alls: Vec<&Pattern<'_, '_>> =
        patterns.iter().filter(|pattern| pattern.shape.literal_count() == 0).collect();
    if let [first, .., last] = catch_alls.as_slice() {
        problems.add("two-catch-alls", Some(last.entry.name.site), || {
            let names = list(catch_alls.iter().map(|pattern| &*pattern.entry.name.text));
            Problem::new("two-catch-alls", format!("{names} each match every name; there can be one such pattern"))
                .cause(match spec.texts.place(first.entry.name.site) {
                    Some(place) => format!("the first is at {place}"),
                    None => "one of them is in another file".to_owned(),
                })
                .hint("give all but one a letter of its own, or remove them")
        });
    }
    patterns.sort_by(|one, other| one.order().cmp(&other.order()));
    patterns
}

impl Pattern<'_, '_> {
    /// More literal characters first, then more placeholders, then by name: a total order, so that the choice never varies.
    fn order(&self) -> (std::cmp::Reverse<usize>, std::cmp::Reverse<usize>, &str) {
        use std::cmp::Reverse;
        (Reverse(self.shape.literal_count()), Reverse(self.shape.placeholders.len()), &self.entry.name.text)
    }
}

impl<'s> Shape<'s> {
    fn parse(text: &'s str) -> Result<Self, String> {
        let mut shape = Self { literals: Vec::new(), placeholders: Vec::new() };
        let mut rest = text;
        while let Some((literal, from)) = rest.split_once('{') {
            let (name, after) = from.split_once('}').ok_or("a `{` is never closed")?;
            if literal.contains('}') {
                return Err("a `}` has no `{` before it".to_owned());
            }
            if name.is_empty() || name.contains('{') {
                return Err("a placeholder needs a name: `{name}`".to_owned());
            }
            if shape.placeholders.contains(&name) {
                return Err(format!("`{{{name}}}` stands twice in it; give the second a name of its own"));
            }
            if literal.is_empty() && !shape.placeholders.is_empty() {
                return Err("two placeholders stand side by side, so nothing tells where one ends".to_owned());
            }
            shape.literals.push(literal);
            shape.placeholders.push(name);
            rest = after;
        }
        if rest.contains('}') {
            return Err("a `}` has no `{` before it".to_owned());
        }
        shape.literals.push(rest);
        Ok(shape)
    }

    fn literal_count(&self) -> usize {
        self.literals.iter().map(|literal| literal.chars().count()).sum()
    }

    /// Gives what each placeholder stands for. Each takes at least one character and as few as it can; the last takes the rest.
    fn captures(&self, name: &str) -> Option<Vec<(&'s str, String)>> {
        let (last, between) = self.literals.split_last()?;
        let (first, between) = between.split_first()?;
        let mut rest = name.strip_prefix(first)?.strip_suffix(last)?;
        let mut captures = Vec::with_capacity(self.placeholders.len());
        for (placeholder, literal) in self.placeholders.iter().zip(between) {
            // At least one character, then the nearest place where the literal stands.
            let one = rest.chars().next()?.len_utf8();
            let end = one + rest[one..].find(literal)?;
            captures.push((*placeholder, rest[..end].to_owned()));
            rest = &rest[end + literal.len()..];
        }
        if rest.is_empty() {
            return None;
        }
        captures.push((*self.placeholders.last()?, rest.to_owned()));
        Some(captures)
    }
}

/// Every placeholder that the body of a pattern uses must stand in its name.
fn check_body(entry: &EntrySpec<'_>, shape: &Shape<'_>, problems: &mut Problems) {
    let mut check = |text: &str, site| {
        for name in placeholders(text) {
            if !shape.placeholders.contains(&name) {
                problems.add("unknown-placeholder", Some(site), || {
                    let message = format!("`{{{name}}}` does not stand in the pattern's name `{}`", entry.name.text);
                    Problem::new("unknown-placeholder", message)
                        .hint_if(crate::problem::did_you_mean(name, shape.placeholders.iter().copied()))
                        .hint("write `{{` and `}}` for braces that mean themselves")
                });
            }
        }
    };
    for word in
        [&entry.type_name, &entry.path, &entry.credentials, &entry.description, &entry.layer].into_iter().flatten()
    {
        check(&word.text, word.site);
    }
    let values = entry.options.iter().chain(&entry.metadata).map(|entry| &entry.value);
    values.chain(&entry.preview).for_each(|value| each_text(value, &mut check));
}

fn each_text(value: &Value<'_>, visit: &mut impl FnMut(&str, crate::source::Site)) {
    match &value.data {
        Data::Text(text) => visit(text, value.site),
        Data::List(items) => items.iter().for_each(|item| each_text(item, visit)),
        Data::Table(entries) => entries.iter().for_each(|Entry { value, .. }| each_text(value, visit)),
        _ => {}
    }
}

/// Walks over the `{names}` in a pattern's body; `{{`, `}}` and `${…}` are none.
fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let at = rest.find('{')?;
            let (before, from) = rest.split_at(at);
            if let Some(after) = from.strip_prefix("{{") {
                rest = after;
                continue;
            }
            let (name, after) = from[1..].split_once('}')?;
            rest = after;
            if !before.ends_with('$') {
                return Some(name);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tells what a pattern makes of a name.
    fn check(pattern: &str, name: &str, expected: Option<&str>) {
        let shape = Shape::parse(pattern).unwrap();
        let found = shape.captures(name).map(|captures| {
            let each: Vec<String> = captures.iter().map(|(name, value)| format!("{name}={value}")).collect();
            each.join(" ")
        });
        assert_eq!(found.as_deref(), expected, "{pattern} on {name}");
    }

    #[test]
    fn placeholders_take_at_least_one_character_and_as_few_as_they_can() {
        check("{x}", "anything", Some("x=anything"));
        check("{x}", "", None);
        check("{x}_model", "EWR_model", Some("x=EWR"));
        check("{x}_model", "_model", None);
        check("{x}_model", "EWR_models", None);
        check("model_{x}", "model_", None);
        check("{a}_{b}", "one_two_three", Some("a=one b=two_three"));
        check("{a}_{b}", "__x", Some("a=_ b=x"));
        check("{a}.{b}.csv", "x.y.csv", Some("a=x b=y"));
        check("{a}.{b}.csv", "x.csv", None);
        check("aa{x}aa", "aaa", None);
        check("日{x}本", "日é本", Some("x=é"));
        check("{a}é{b}", "日éx", Some("a=日 b=x"));
    }
}
