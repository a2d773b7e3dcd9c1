//! Reads a pipeline and the files that belong to it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use protocol::{Credentials, SourceText, Submission, exit};

use crate::args::{Filing, PipelineArgs, RunArgs};
use crate::error::{Error, closest};
use overlay::Overlay;

mod include;
mod project;

/// Reads everything a run needs.
pub fn submission(pipeline: &PipelineArgs, run: &RunArgs) -> Result<Submission, Error> {
    let Filing { catalog, parameters, params, env, credentials, default_patterns, load_versions, input } =
        &pipeline.filing;
    let project::Located { pipelines, folder } = project::locate(pipeline)?;
    let includes = include::read_all(&pipelines.iter().collect::<Vec<_>>())?;
    let mut pipelines = pipelines.into_iter();
    let beside = if pipeline.path.as_os_str() == "-" { None } else { Some(folder.as_path()) };
    let overlay = Overlay::find(env.as_deref(), std::env::var("DAGD_ENV").ok().as_deref(), beside)?;
    let files = |named: &[PathBuf], usual: &str| -> Result<Vec<SourceText>, Error> {
        let mut files = companions(named, beside, usual)?;
        if let Some(overlay) = overlay.as_ref().filter(|overlay| named.is_empty() || overlay.is_asked_for) {
            files.extend(companions(&[], Some(&overlay.folder), usual)?);
        }
        Ok(files)
    };
    let mut submission = Submission {
        pipeline: pipelines.next().unwrap_or_default(),
        summed: pipelines.collect(),
        includes,
        catalogs: files(catalog, "catalog.toml")?,
        default_patterns: companions(default_patterns, None, "catalog.toml")?,
        parameters: files(parameters, "parameters.toml")?,
        credentials: Credentials { files: files(credentials, "credentials.toml")?, ..Credentials::default() },
        load_versions: load_versions.clone(),
        save_version: run.save_version.clone(),
        overrides: params.clone(),
        base_directory: absolute(&folder)?,
        filter: pipeline.filter.to_filter(),
        inputs: crate::handed_in::named(input),
        run_id: run.run_id.clone(),
        max_workers: run.max_workers,
        sequential: run.sequential,
        asynchronous_saves: run.asynchronous_saves,
        only_missing_outputs: run.only_missing_outputs,
        fail_fast: run.fail_fast,
        on_failure: run.on_failure,
        timeout_seconds: run.timeout,
        ..Submission::default()
    };
    let lookup = |name: &str| std::env::var(name).ok();
    submission.environment = mentioned_environment(&submission, lookup);
    submission.credentials.environment = mentioned(submission.credentials.files.iter().map(|file| &*file.text), lookup);
    Ok(submission)
}

/// Reads credentials by themselves, with the variables that they mention.
pub fn credentials(named: &[PathBuf]) -> Result<Credentials, Error> {
    let files = companions(named, None, "credentials.toml")?;
    let environment = mentioned(files.iter().map(|file| &*file.text), |name| std::env::var(name).ok());
    Ok(Credentials { files, environment })
}

/// The files named, or else the one of the usual name beside the pipeline if it is there.
fn companions(named: &[PathBuf], beside: Option<&Path>, usual: &str) -> Result<Vec<SourceText>, Error> {
    let what = match usual {
        "catalog.toml" => "the catalog",
        "credentials.toml" => "the credentials",
        _ => "the parameters",
    };
    if !named.is_empty() {
        return named.iter().map(|path| read(path, what)).collect();
    }
    let Some(folder) = beside else { return Ok(Vec::new()) };
    let path = if folder == Path::new(".") { PathBuf::from(usual) } else { folder.join(usual) };
    // Anything but "not there" is told: a catalog that cannot be read must not be taken for none.
    match std::fs::symlink_metadata(&path) {
        Err(problem) if problem.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        _ => Ok(vec![read(&path, what)?]),
    }
}

/// Reads a file; `what` is what people call it.
pub(crate) fn read(path: &Path, what: &str) -> Result<SourceText, Error> {
    let Some(name) = path.to_str() else {
        return Err(Error::usage(format!("the name {:?} of {what} is not UTF-8", path.display().to_string()))
            .hint("problems could not be shown with their place: rename the file"));
    };
    let bytes = std::fs::read(path).map_err(|problem| cannot_read(what, path, &problem))?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(SourceText::new(name, text)),
        Err(problem) => {
            let good = problem.utf8_error().valid_up_to();
            let line = problem.as_bytes()[..good].iter().filter(|&&byte| byte == b'\n').count() + 1;
            Err(Error::new(exit::PROBLEMS, "not-utf8", format!("{what} {name} is not UTF-8: see line {line}"))
                .hint("save the file as UTF-8; if it is no text, it is the wrong file"))
        }
    }
}

fn cannot_read(what: &str, path: &Path, problem: &io::Error) -> Error {
    let shown = path.display();
    match problem.kind() {
        io::ErrorKind::NotFound => {
            let is_link = std::fs::symlink_metadata(path).is_ok();
            let why = if is_link { "the link leads nowhere" } else { "there is no such file" };
            Error::new(exit::PROBLEMS, "missing-file", format!("cannot read {what} {shown}: {why}"))
                .hint_if(similar_file(path).map(|name| format!("did you mean {name}?")))
        }
        io::ErrorKind::PermissionDenied => {
            Error::new(exit::PROBLEMS, "unreadable-file", format!("cannot read {what} {shown}: permission denied"))
                .hint(format!("`ls -l {shown}` shows who may"))
        }
        io::ErrorKind::IsADirectory => {
            Error::new(exit::PROBLEMS, "unreadable-file", format!("cannot read {what} {shown}: it is a folder"))
                .hint("name a file in it")
        }
        io::ErrorKind::InvalidData => Error::new(exit::PROBLEMS, "not-utf8", format!("{what} on {shown} is not UTF-8")),
        _ => Error::new(exit::PROBLEMS, "unreadable-file", format!("cannot read {what} {shown}")).cause(problem),
    }
}

pub(crate) fn similar_file(path: &Path) -> Option<String> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let names = names_in(folder.unwrap_or(Path::new(".")));
    let close = closest(path.file_name()?.to_str()?, names.iter().map(String::as_str))?;
    // That both end in `.toml` does not make two names alike.
    let (near, stem) = (Path::new(close), path.file_stem()?.to_str()?);
    if near.extension() == path.extension() && closest(stem, near.file_stem()?.to_str()).is_none() {
        return None;
    }
    Some(folder.map_or_else(|| close.to_owned(), |folder| folder.join(close).display().to_string()))
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

fn absolute(folder: &Path) -> Result<String, Error> {
    let full = folder.canonicalize().map_err(|problem| cannot_read("the folder of the pipeline", folder, &problem))?;
    full.into_os_string().into_string().map_err(|name| {
        Error::usage(format!("the pipeline's folder {:?} has a name that is not UTF-8", name.to_string_lossy()))
            .hint("paths in the catalog are relative to it, and travel as text: rename the folder")
    })
}

/// Finds the variables that the files ask for as `${env:NAME}`, as far as they are set. No others leave this process.
fn mentioned_environment(submission: &Submission, lookup: impl Fn(&str) -> Option<String>) -> BTreeMap<String, String> {
    let files = (submission.texts())
        .map(|source| source.text.as_str())
        .chain(submission.overrides.iter().map(|(_, value)| value.as_str()));
    mentioned(files, lookup)
}

fn mentioned<'t>(
    texts: impl Iterator<Item = &'t str>,
    lookup: impl Fn(&str) -> Option<String>,
) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for text in texts {
        for rest in text.split("${env:").skip(1) {
            let Some((written, _)) = rest.split_once('}') else { continue };
            let name = written.split_once(":-").map_or(written, |(name, _)| name);
            let plausible = !name.is_empty() && !name.contains(['=', '\0', '\n']);
            if let Some(value) = plausible.then(|| lookup(name)).flatten() {
                found.insert(name.to_owned(), value);
            }
        }
    }
    found
}

mod overlay;
#[cfg(test)]
mod tests;
