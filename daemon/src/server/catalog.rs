//! What clients ask about a catalog: which entry a name resolves to and why, and which versions there are.
#![forbid(unsafe_code)]

use std::time::Duration;

use engine::catalog::How;
use engine::plan::{Found, look_up};
use engine::problem::Problem;
use engine::signature::Manifest;
use engine::source::Sources;
use protocol::{
    CatalogDataset, CatalogList, DatasetExists, DatasetVersions, ExistsList, Place, Resolution, VersionList,
};
use serde_json::Value;

use crate::server::generations::Generation;
use crate::server::probe::{self, Question};
use crate::server::{convert, versions};

/// How long the types may take to look for everything that is asked about.
const EXISTS_PATIENCE: Duration = Duration::from_secs(60);

/// The datasets of these names, or every one of the pipeline and of the catalog.
///
/// # Errors
/// Every problem of the files, and of the entries that are asked about.
pub fn list(sources: &Sources, manifest: &Manifest, names: &[String]) -> Result<CatalogList, Vec<Problem>> {
    let found = look_up(sources, manifest, names)?;
    Ok(CatalogList { datasets: found.into_iter().map(dataset).collect() })
}

/// The versions of the datasets of these names, or of every versioned one of the pipeline.
///
/// # Errors
/// As [`list`]; also when a dataset that is asked about is not versioned, or its folder cannot be read.
pub fn versions(sources: &Sources, manifest: &Manifest, names: &[String]) -> Result<VersionList, Vec<Problem>> {
    let (mut datasets, mut problems) = (Vec::new(), Vec::new());
    for found in look_up(sources, manifest, names)? {
        let Some(storage) = found.storage.as_ref().filter(|storage| storage.versioned) else {
            if !names.is_empty() {
                let message = format!("dataset `{}` is not versioned", found.name);
                let problem = Problem::new("not-versioned", message).cause(found.why);
                problems.push(match found.near {
                    Some(near) => problem.hint(meant(&near)),
                    None => problem.hint("add `versioned = true` to its catalog entry"),
                });
            }
            continue;
        };
        match versions::list(&storage.path) {
            Ok(versions) => datasets.push(DatasetVersions { name: found.name, path: storage.path.clone(), versions }),
            Err(error) => {
                let message =
                    format!("the versions of dataset `{}` cannot be listed: {}: {error}", found.name, storage.path);
                problems.push(Problem::new("unreadable-versions", message));
            }
        }
    }
    if problems.is_empty() { Ok(VersionList { datasets }) } else { Err(problems) }
}

/// Whether the data of the datasets of these names is there, or of every persisted one of the pipeline: their types are asked.
///
/// # Errors
/// As [`list`]; also when a dataset that is asked about is not persisted.
pub fn exists(sources: &Sources, generation: &Generation, names: &[String]) -> Result<ExistsList, Vec<Problem>> {
    let (mut asked, mut problems) = (Vec::new(), Vec::new());
    for found in look_up(sources, &generation.signature, names)? {
        match found.storage {
            Some(storage) => asked.push((found.name, storage)),
            None if names.is_empty() => {}
            None => {
                let message =
                    format!("dataset `{}` is kept in memory only, so there is nothing to look for", found.name);
                let problem = Problem::new("not-persisted", message).cause(found.why);
                problems.push(problem.hint_if(found.near.as_deref().map(meant)));
            }
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let questions: Vec<Question> = asked.iter().map(|(name, storage)| Question::exists_at(name, storage, "")).collect();
    let answers = probe::exist(generation, &questions, EXISTS_PATIENCE);
    let datasets = asked.into_iter().zip(answers).map(|((name, storage), answer)| {
        let (exists, failure) = match answer {
            Ok(exists) => (Some(exists), None),
            Err(failure) => (None, Some(convert::failure(&failure))),
        };
        let path = Some(storage.path).filter(|path| !path.is_empty());
        DatasetExists { name, storage: storage.type_name, path, exists, failure }
    });
    Ok(ExistsList { datasets: datasets.collect() })
}

fn meant(near: &str) -> String {
    format!("did you mean `{near}`?")
}

fn dataset(found: Found) -> CatalogDataset {
    let storage = found.storage.as_ref();
    let json = |text: &str| serde_json::from_str(text).unwrap_or(Value::Null);
    let not_empty = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    CatalogDataset {
        resolution: match found.how {
            Some(How::Exact) => Resolution::Exact,
            Some(How::Pattern) => Resolution::Pattern,
            Some(How::CatchAll) => Resolution::CatchAll,
            Some(How::DefaultPattern) => Resolution::DefaultPattern,
            None => Resolution::Memory,
        },
        storage: match storage {
            Some(storage) => storage.type_name.clone(),
            None => not_empty(&found.type_name).unwrap_or_else(|| "memory".to_owned()),
        },
        plugin: storage.map(|storage| storage.plugin_name.clone()),
        path: storage.and_then(|storage| not_empty(&storage.path)),
        options: storage
            .map(|storage| json(&storage.options_json))
            .filter(|options| *options != Value::Object(Default::default()))
            .unwrap_or_default(),
        versioned: storage.is_some_and(|storage| storage.versioned),
        credentials: storage.and_then(|storage| not_empty(&storage.credentials_name)),
        schema: storage.and_then(|storage| storage.schema.clone()).map(|schema| schema.columns).unwrap_or_default(),
        description: found.notes.description,
        layer: found.notes.layer,
        preview: json(&found.notes.preview_json),
        metadata: json(&found.notes.metadata_json),
        name: found.name,
        entry: found.entry,
        place: found.place.map(|place| Place { file: place.file, line: place.line, column: place.column }),
        why: found.why,
        captures: found.captures.into_iter().collect(),
        passed_over: found.passed_over,
        used: found.is_used,
        near: found.near,
    }
}
