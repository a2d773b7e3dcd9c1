//! What the catalog makes of names, and what is there of what it names.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Failure, Place, Submission};

/// Body of `POST /v1/catalog` and what is below it: a pipeline, and the datasets that are asked about.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogRequest {
    /// The pipeline with everything that belongs to it.
    pub submission: Submission,
    /// The datasets; none means every one that the request can be about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub datasets: Vec<String>,
}

/// Answer of `POST /v1/catalog`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CatalogList {
    /// The datasets: those asked for in their order; else by name, those of the pipeline first.
    pub datasets: Vec<CatalogDataset>,
}

/// One dataset and the entry that its name resolves to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CatalogDataset {
    /// Its name.
    pub name: String,
    /// The name of the entry, which may be a pattern; none for shared memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<String>,
    /// Where the entry stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// Why it is this entry.
    pub resolution: Resolution,
    /// The same in a sentence.
    pub why: String,
    /// What the placeholders of the entry's name stand for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub captures: BTreeMap<String, String>,
    /// Patterns that match, too, and come after it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passed_over: Vec<String>,
    /// `memory`, or the name of its dataset type.
    pub storage: String,
    /// The plugin that has the type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// Where it is persisted; of a versioned dataset the folder of its versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What the dataset type is told.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub options: Value,
    /// Whether each run saves a version of its own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub versioned: bool,
    /// The name of its credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<String>,
    /// The columns that it must have: name and type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schema: Vec<(String, String)>,
    /// What the catalog says about it, in a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The layer that the catalog counts it to.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub layer: String,
    /// How it may be shown, as the catalog says.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub preview: Value,
    /// The `metadata` of its entry.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub metadata: Value,
    /// Whether the pipeline has a dataset of this name.
    pub used: bool,
    /// The name that was probably meant, where neither the pipeline nor an entry of the catalog has this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub near: Option<String>,
}

/// Why a name resolves to its entry; they are asked in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// The entry has that very name.
    Exact,
    /// It is the most specific pattern that matches.
    Pattern,
    /// No other pattern matches, and this one matches every name.
    CatchAll,
    /// The catalog has nothing for it, a pattern that the run brings along matches.
    DefaultPattern,
    /// Nothing matches: shared memory.
    Memory,
}

impl Resolution {
    /// The word used for it on the screen.
    pub fn as_str(self) -> &'static str {
        match self {
            Resolution::Exact => "exact",
            Resolution::Pattern => "pattern",
            Resolution::CatchAll => "catch-all",
            Resolution::DefaultPattern => "default pattern",
            Resolution::Memory => "memory",
        }
    }
}

/// Answer of `POST /v1/catalog/versions`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionList {
    /// The versioned datasets.
    pub datasets: Vec<DatasetVersions>,
}

/// The versions of one dataset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetVersions {
    /// Its name.
    pub name: String,
    /// The folder of its versions.
    pub path: String,
    /// The versions that really hold its file, latest first.
    pub versions: Vec<String>,
}

/// Answer of `POST /v1/catalog/exists`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ExistsList {
    /// The datasets.
    pub datasets: Vec<DatasetExists>,
}

/// Whether the data of one dataset is there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatasetExists {
    /// Its name.
    pub name: String,
    /// The name of its dataset type.
    pub storage: String,
    /// Where it is persisted; of a versioned dataset the folder of its versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Whether it is there; none when its type could not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exists: Option<bool>,
    /// Why its type could not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}
