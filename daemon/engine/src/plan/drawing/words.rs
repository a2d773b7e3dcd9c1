//! The texts of a node with the values of its matrix in them, and the names that they may be.

use std::borrow::Cow;

use super::{Drawing, axis_names};
use crate::document::Word;
use crate::matrix::{Combination, FillError};
use crate::plan::transcoding::split;
use crate::problem::{Problem, did_you_mean, list};
use crate::source::Site;

impl<'a> Drawing<'_, '_, 'a> {
    /// Puts the matrix's values into a text; what is wrong with it is told once a node.
    pub(super) fn fill<'t>(&mut self, word: &'t Word<'a>, combination: &Combination<'_, '_>) -> Option<Cow<'t, str>> {
        let error = match combination.fill(&word.text) {
            Ok(filled) => return Some(filled),
            Err(error) => error,
        };
        self.draft.doubtful = true;
        if self.first {
            let axes = || axis_names(self.spec);
            self.draft.problems.add("unknown-placeholder", Some(word.site), || match error {
                FillError::Unbalanced => {
                    Problem::new("unknown-placeholder", format!("a brace in `{}` has no partner", word.text))
                }
                FillError::Unknown(name) => {
                    let problem =
                        Problem::new("unknown-placeholder", format!("`{{{name}}}` is no value of this node's matrix"));
                    match (did_you_mean(name, axes()), self.spec.matrix().is_empty()) {
                        (Some(hint), _) => problem.hint(hint),
                        (None, true) => {
                            problem.hint(format!("this node has no matrix; add `matrix = {{ {name} = [\"…\"] }}`"))
                        }
                        (None, false) => problem.hint(format!("its matrix has {}", list(axes()))),
                    }
                }
            });
        }
        None
    }

    /// Refuses a name that holds more than letters, digits, `_`, `-` and `.`; of a dataset also one format behind an `@`.
    pub(super) fn check_name(&mut self, name: &str, what: &str, site: Site) -> bool {
        let (base, format) = if what == "a dataset" { split(name) } else { (name, None) };
        let plain = |character: &char| character.is_alphanumeric() || matches!(character, '_' | '-' | '.');
        let bad = base.chars().chain(format.unwrap_or_default().chars()).find(|character| !plain(character));
        if bad.is_none() && base.split('.').all(|part| !part.is_empty()) && format != Some("") {
            return true;
        }
        self.draft.problems.add("bad-name", Some(site), || {
            let problem = match bad {
                None if name.is_empty() => Problem::new("bad-name", format!("the name of {what} is empty")),
                None if format == Some("") => {
                    Problem::new("bad-name", format!("`{name}` cannot name {what}: no format follows the `@`"))
                }
                None => Problem::new(
                    "bad-name",
                    format!("`{name}` cannot name {what}: a dot stands between a namespace and a name"),
                ),
                Some(bad) => Problem::new("bad-name", format!("`{name}` cannot name {what}: it holds {bad:?}")),
            };
            match (bad, name.strip_prefix("param:").or_else(|| name.strip_prefix("parameters:"))) {
                (_, Some(rest)) => problem.hint(format!("did you mean `params:{rest}`?")),
                (Some('@'), _) if what == "a dataset" => problem.hint("a name has one `@` at most: `name@format`"),
                _ => problem.hint("names are made of letters, digits, `_`, `-` and `.`"),
            }
        });
        false
    }
}
