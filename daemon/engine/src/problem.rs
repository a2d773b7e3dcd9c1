//! What is wrong with a pipeline, told so that a person can mend it.

use std::collections::BTreeMap;
use std::fmt;

use crate::source::{Site, Texts};

/// One thing wrong with what was written: code, message, place, causes, hints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Names the kind of problem, stable, for programs: `unknown-node`.
    pub code: &'static str,
    /// What is wrong, in one sentence, with what was expected.
    pub message: String,
    /// Where it was written.
    pub place: Option<Place>,
    /// What led to it: other places, the members of a cycle, the message of a parser.
    pub causes: Vec<String>,
    /// What to do about it.
    pub hints: Vec<String>,
}

/// A place in a file; line and column are counted from 1, columns in characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file's name as the caller gave it.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
}

impl Problem {
    /// Starts a problem that has no place yet.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), place: None, causes: Vec::new(), hints: Vec::new() }
    }

    /// Adds where it was written.
    pub fn at(mut self, place: impl Into<Option<Place>>) -> Self {
        self.place = place.into();
        self
    }

    /// Adds something that led to it.
    pub fn cause(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    /// Adds something to do about it.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds something to do about it, if there is something.
    pub fn hint_if(mut self, hint: Option<String>) -> Self {
        self.hints.extend(hint);
        self
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error[{}]: {}", self.code, self.message)?;
        if let Some(place) = &self.place {
            write!(f, "\n  --> {place}")?;
        }
        for cause in &self.causes {
            write!(f, "\n   = {}", cause.replace('\n', "\n     "))?;
        }
        for hint in &self.hints {
            write!(f, "\n   = hint: {}", hint.replace('\n', "\n     "))?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}

/// Of each kind of problem at most this many are told one by one; the rest is counted.
pub const PROBLEMS_PER_CODE_MAX: usize = 20;

/// Collects problems: keeps them in the order of the files and bounds how many of one kind are told, so that a pipeline of
/// 100,000 nodes with one wrong word in each gives a page, not a book.
#[derive(Clone, Debug, Default)]
pub struct Problems {
    found: Vec<(Option<Site>, Problem)>,
    counts: BTreeMap<&'static str, usize>,
}

impl Problems {
    /// Adds a problem at a site. `tell` is called only where the problem will be told.
    pub fn add(&mut self, code: &'static str, site: Option<Site>, tell: impl FnOnce() -> Problem) {
        let count = self.counts.entry(code).or_default();
        *count += 1;
        if *count <= PROBLEMS_PER_CODE_MAX {
            self.found.push((site, Problem { code, ..tell() }));
        }
    }

    /// Keeps where each problem is and of what kind, and says no more than `message` about it: for texts that nobody may read.
    pub fn reduced_to(mut self, message: &str) -> Self {
        for (_, problem) in &mut self.found {
            *problem = Problem::new(problem.code, message);
        }
        self
    }

    /// Says whether nothing is wrong so far.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Takes over the problems of another step.
    pub fn extend(&mut self, other: Problems) {
        self.found.extend(other.found);
        for (code, count) in other.counts {
            *self.counts.entry(code).or_default() += count;
        }
    }

    /// Gives all problems in the order of the files, those without a place last.
    pub fn finish(mut self, texts: &Texts<'_>) -> Vec<Problem> {
        self.found.sort_by_key(|(site, _)| (site.is_none(), *site));
        let mut problems: Vec<Problem> = Vec::with_capacity(self.found.len());
        for (site, problem) in self.found {
            let problem = Problem { place: site.and_then(|site| texts.place(site)), ..problem };
            // What is wrong in a file that is included twice is wrong once. Few are kept of each kind, so looking back is cheap.
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
        for (code, count) in self.counts {
            if count > PROBLEMS_PER_CODE_MAX {
                let more = count - PROBLEMS_PER_CODE_MAX;
                problems.push(Problem::new(code, format!("{more} more problems of this kind are not shown")));
            }
        }
        problems
    }
}

/// Gives "did you mean `x`?" for the candidate nearest to what was written, if one is near enough.
pub fn did_you_mean<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(written, candidates).map(|name| format!("did you mean `{name}`?"))
}

/// Gives the candidate nearest to what was written: at most a third of its letters differ, case aside. Ties go by name.
pub fn nearest<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lowered = written.to_lowercase();
    let distance_max = (written.chars().count() / 3).max(1);
    (candidates.into_iter())
        .filter(|candidate| candidate.len().abs_diff(written.len()) <= 4 * distance_max)
        .map(|candidate| (strsim::osa_distance(&lowered, &candidate.to_lowercase()), candidate))
        .filter(|&(distance, candidate)| distance <= distance_max && candidate != written)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Writes names as a list for people: `` `a`, `b` and `c` ``.
pub fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match names.as_slice() {
        [] => "none".to_owned(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}
