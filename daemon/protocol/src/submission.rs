//! What a client sends to have a pipeline run, checked or drawn.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{Credentials, Filter, InputData};

/// A pipeline with everything that belongs to it, and how to run it.
///
/// The client reads the files and sends their text: the daemon may run as another user, and problems can then be shown
/// with the names the user knows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Submission {
    /// The pipeline itself.
    pub pipeline: SourceText,
    /// Further pipelines that run together with it, as one sum; nodes that are equal in two of them are one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub summed: Vec<SourceText>,
    /// The files that these include, directly or through each other. An include's `file` is looked for under a name relative to
    /// the folder of the file that includes it: `../b.toml` in `p/a/x.toml` is `p/b.toml`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub includes: Vec<SourceText>,
    /// Catalogs, later ones overlaying earlier ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub catalogs: Vec<SourceText>,
    /// Patterns for datasets that the catalogs know nothing of, in files of a catalog's form.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub default_patterns: Vec<SourceText>,
    /// Secrets, by the names that catalog entries give; not kept with the run.
    #[serde(default, skip_serializing_if = "Credentials::is_empty")]
    pub credentials: Credentials,
    /// Which version of a versioned dataset to load instead of the latest: dataset and version.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub load_versions: Vec<(String, String)>,
    /// The version that versioned datasets are saved as, instead of the moment; refused if one of them has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub save_version: Option<String>,
    /// Parameter files, later ones overlaying earlier ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<SourceText>,
    /// Single parameters set over the files: dotted name and value, `["model.alpha", "0.1"]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<(String, String)>,
    /// Data that comes with the run, by the name of the dataset that it is. Goes before the catalog.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, InputData>,
    /// Outputs that somebody will fetch: kept until then, or until they expire, whatever else needs the memory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<String>,
    /// Absolute directory against which the relative paths of the catalog are resolved.
    #[serde(default)]
    pub base_directory: String,
    /// Values for `${env:NAME}` in the files; only the names the files mention need be sent.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// Which nodes shall run; nothing means all.
    #[serde(default, skip_serializing_if = "Filter::is_empty")]
    pub filter: Filter,
    /// Id for the run instead of a generated one; refused if it is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// How many workers this run may use at once; none means as many as the pool has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_workers: Option<u32>,
    /// One node after the other, in the plan's order, on one worker.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sequential: bool,
    /// Readers start from memory while a save is still under way.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub asynchronous_saves: bool,
    /// What a failed node means for the rest of the run; none means what the pipeline says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<OnFailure>,
    /// Run only what is needed to make persisted outputs that are missing; what exists is left as it is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub only_missing_outputs: bool,
    /// Where a failure stops the run, stop what runs too instead of letting it finish.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fail_fast: bool,
    /// When the run takes longer than this, what is under way is stopped and the run has failed, with a cause of kind
    /// `timeout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<f64>,
}

impl Submission {
    /// What of it may be kept and shown: everything but the secrets.
    pub fn without_secrets(&self) -> Submission {
        Submission { credentials: Credentials::default(), ..self.clone() }
    }

    /// Walks over all texts, that of the pipeline first.
    pub fn texts(&self) -> impl Iterator<Item = &SourceText> {
        let pipelines = std::iter::once(&self.pipeline).chain(&self.summed).chain(&self.includes);
        pipelines.chain(&self.catalogs).chain(&self.default_patterns).chain(&self.parameters)
    }
}

/// The text of one file and the name to use for it in messages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceText {
    /// The name problems are reported under, as the user wrote it.
    pub name: String,
    /// The whole text.
    pub text: String,
    /// How the text is written.
    #[serde(default)]
    pub syntax: Syntax,
}

impl SourceText {
    /// Makes a source from a file's name and text; a name ending in `.json` is JSON, everything else TOML.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> SourceText {
        let name = name.into();
        let syntax = Syntax::of_name(&name);
        SourceText { name, text: text.into(), syntax }
    }
}

/// How a source is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Syntax {
    /// TOML 1.0.
    #[default]
    Toml,
    /// JSON with the same keys.
    Json,
}

impl Syntax {
    /// Says by a file's name how it is written.
    pub fn of_name(name: &str) -> Syntax {
        let json = Path::new(name).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
        if json { Syntax::Json } else { Syntax::Toml }
    }
}

/// What a failed node means for the rest of its run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// No new node starts; those running finish.
    #[default]
    Stop,
    /// Everything that does not depend on the failed node still runs.
    Continue,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn a_submission_needs_no_more_than_its_pipeline() {
        let submission: Submission = serde_json::from_str(r#"{"pipeline":{"name":"p.toml","text":""}}"#).unwrap();
        assert_eq!(submission.pipeline.syntax, Syntax::Toml);
        assert_eq!(submission, Submission { pipeline: SourceText::new("p.toml", ""), ..Submission::default() });
    }

    #[test]
    fn a_misspelt_option_is_refused_by_name() {
        let text = r#"{"pipeline":{"name":"p.toml","text":""},"max_worker":2}"#;
        let error = serde_json::from_str::<Submission>(text).unwrap_err().to_string();
        assert!(error.contains("max_worker"), "{error}");
    }

    #[test]
    fn the_name_tells_the_syntax() {
        assert_eq!(Syntax::of_name("a/b.JSON"), Syntax::Json);
        assert_eq!(Syntax::of_name("json"), Syntax::Toml);
        assert_eq!(Syntax::of_name("-"), Syntax::Toml);
    }
}
