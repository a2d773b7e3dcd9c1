//! Which pipeline files are meant: a file, a folder with a pipeline.toml, or a project with several in its `pipelines` folder.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use protocol::{SourceText, Syntax, exit};

use super::{cannot_read, names_in, read};
use crate::args::PipelineArgs;
use crate::error::{Error, closest};

/// The sum of all pipelines of a project, unless one has this name.
const DEFAULT: &str = "__default__";
/// The folder of a project that holds its pipelines.
const PIPELINES: &str = "pipelines";

/// The pipelines to run, one at least, and the folder that they belong to.
pub(super) struct Located {
    pub(super) pipelines: Vec<SourceText>,
    pub(super) folder: PathBuf,
}

/// Finds and reads the pipelines that are meant.
pub(super) fn locate(args: &PipelineArgs) -> Result<Located, Error> {
    let PipelineArgs { path, pipeline: names, .. } = args;
    let is_stdin = path.as_os_str() == "-";
    let folder = if path.as_os_str().is_empty() { Path::new(".") } else { path.as_path() };
    if !is_stdin && folder.is_dir() {
        let files = match names.is_empty() {
            true => in_folder(folder, path.as_os_str().is_empty())?,
            false => named(folder, names)?,
        };
        let pipelines = files.iter().map(|file| read(file, "the pipeline")).collect::<Result<_, _>>()?;
        return Ok(Located { pipelines, folder: folder.to_owned() });
    }
    if !names.is_empty() {
        let shown = if is_stdin { "standard input".to_owned() } else { path.display().to_string() };
        return Err(Error::usage(format!(
            "--pipeline chooses among the pipelines of a project, and {shown} is no folder"
        ))
        .hint("name the project's folder, or leave --pipeline out"));
    }
    if is_stdin {
        return Ok(Located { pipelines: vec![from_stdin()?], folder: PathBuf::from(".") });
    }
    let source = read(path, "the pipeline")?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    Ok(Located { pipelines: vec![source], folder })
}

fn from_stdin() -> Result<SourceText, Error> {
    let mut text = String::new();
    io::stdin()
        .read_to_string(&mut text)
        .map_err(|problem| cannot_read("the pipeline", Path::new("standard input"), &problem))?;
    let mut source = SourceText::new("<stdin>", text);
    if source.text.trim_start().starts_with('{') {
        source.syntax = Syntax::Json;
    }
    Ok(source)
}

/// The files that a folder stands for: its pipeline.toml, else all its pipelines.
fn in_folder(folder: &Path, was_omitted: bool) -> Result<Vec<PathBuf>, Error> {
    if let Some(file) = file_of(folder, "pipeline") {
        return Ok(vec![file]);
    }
    if folder.join(PIPELINES).is_dir() {
        return default_of(folder);
    }
    if was_omitted {
        return Err(Error::usage(
            "no pipeline is named, and there is neither a pipeline.toml nor a folder `pipelines` here",
        )
        .hint("name a pipeline file or the folder of a project, as in `ctl run flights/`"));
    }
    let message = format!("the folder {} has no pipeline.toml", folder.display());
    Err(Error::new(exit::PROBLEMS, "no-pipeline", message).hint_if(other_pipelines(folder)))
}

/// The file of a pipeline, TOML or JSON.
fn file_of(folder: &Path, name: &str) -> Option<PathBuf> {
    let files = ["toml", "json"].map(|extension| beneath(folder, &format!("{name}.{extension}")));
    files.into_iter().find(|file| file.exists())
}

/// Joins as people write it: without `./`.
fn beneath(folder: &Path, name: &str) -> PathBuf {
    if folder == Path::new(".") { PathBuf::from(name) } else { folder.join(name) }
}

/// The pipelines of these names, or everything that is wrong with them.
fn named(folder: &Path, names: &[String]) -> Result<Vec<PathBuf>, Error> {
    let known = pipelines_of(folder);
    if known.is_empty() {
        return Err(Error::new(
            exit::PROBLEMS,
            "no-pipeline",
            format!("--pipeline chooses from {}/, and no pipeline is there", beneath(folder, PIPELINES).display()),
        )
        .hint("a project holds its pipelines there, one file each: pipelines/clean.toml is the pipeline `clean`"));
    }
    let (mut files, mut unknown) = (Vec::new(), Vec::new());
    for name in names.iter().map(|name| name.trim()).filter(|name| !name.is_empty()) {
        match known.iter().find(|(known, _)| known == name) {
            Some((_, file)) => files.push(file.clone()),
            None if name == DEFAULT => files.extend(default_of(folder)?),
            None => unknown.push(name),
        }
    }
    if unknown.is_empty() {
        let mut once: Vec<PathBuf> = Vec::new();
        files.into_iter().for_each(|file| {
            if !once.contains(&file) {
                once.push(file)
            }
        });
        return Ok(once);
    }
    unknown.sort_unstable();
    let (plural, shown) = (if unknown.len() == 1 { "" } else { "s" }, unknown.join(", "));
    let error = Error::new(exit::PROBLEMS, "no-pipeline", format!("the project has no pipeline{plural} {shown}"));
    let names = || known.iter().map(|(name, _)| name.as_str());
    let hints = unknown.iter().filter_map(|name| Some(format!("{name}: did you mean {}?", closest(name, names())?)));
    let error = hints.fold(error, Error::hint);
    Err(error.hint(format!("it has {}", names().collect::<Vec<_>>().join(", "))))
}

/// The pipeline `__default__`, else all of them.
fn default_of(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let all = pipelines_of(folder);
    if let Some((_, file)) = all.iter().find(|(name, _)| name == DEFAULT) {
        return Ok(vec![file.clone()]);
    }
    if all.is_empty() {
        let shown = beneath(folder, PIPELINES);
        return Err(Error::new(
            exit::PROBLEMS,
            "no-pipeline",
            format!("the folder {} has no pipelines", shown.display()),
        )
        .hint("a pipeline is a file in it, as in pipelines/clean.toml"));
    }
    Ok(all.into_iter().map(|(_, file)| file).collect())
}

/// A project's pipelines by name.
fn pipelines_of(folder: &Path) -> Vec<(String, PathBuf)> {
    let inside = beneath(folder, PIPELINES);
    let mut found: Vec<(String, PathBuf)> = names_in(&inside)
        .into_iter()
        .filter_map(|file| {
            let (name, extension) = file.rsplit_once('.')?;
            let is_ours = matches!(extension, "toml" | "json") && !name.is_empty() && !name.starts_with('.');
            is_ours.then(|| (name.to_owned(), inside.join(&file)))
        })
        .collect();
    found.sort();
    // Of a name with both endings the JSON one, as it would run twice otherwise; sorted, it comes first.
    found.dedup_by(|later, first| later.0 == first.0);
    found
}

fn other_pipelines(folder: &Path) -> Option<String> {
    let names = names_in(folder);
    let mut files: Vec<&String> = names
        .iter()
        .filter(|name| name.ends_with(".toml") || name.ends_with(".json"))
        .filter(|name| !["catalog.toml", "parameters.toml", "credentials.toml", "Cargo.toml"].contains(&name.as_str()))
        .collect();
    files.sort();
    let first = files.first()?;
    Some(format!("name the file, as in {}", folder.join(first).display()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::args::{Filing, FilterArgs};
    use std::fs;

    fn project(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let file = folder.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
        }
        folder
    }

    /// Tells the files that are meant, or what is wrong, without the folder.
    fn located(folder: &tempfile::TempDir, path: &str, names: &[&str]) -> String {
        let args = PipelineArgs {
            path: folder.path().join(path),
            pipeline: names.iter().map(|name| (*name).to_owned()).collect(),
            filing: Filing::default(),
            filter: FilterArgs::default(),
        };
        let told = match locate(&args) {
            Ok(found) => found.pipelines.iter().map(|source| source.name.clone()).collect::<Vec<_>>().join(" "),
            Err(Error::Failed(complaint)) => {
                format!("{}: {}", complaint.detail.message, complaint.detail.hints.join("; "))
            }
            Err(error) => format!("{error:?}"),
        };
        told.replace(&format!("{}/", folder.path().display()), "")
    }

    #[test]
    fn parity_p6_a_project_holds_several_pipelines() {
        let folder = project(&["pipelines/b.toml", "pipelines/a.json", "pipelines/notes.md", "catalog.toml"]);
        assert_eq!(located(&folder, "", &[]), "pipelines/a.json pipelines/b.toml", "the sum of all");
        assert_eq!(located(&folder, "", &["b"]), "pipelines/b.toml");
        assert_eq!(located(&folder, "", &["b", "a", "b"]), "pipelines/b.toml pipelines/a.json");
        assert_eq!(located(&folder, "", &["__default__"]), "pipelines/a.json pipelines/b.toml");
        fs::write(folder.path().join("pipelines/__default__.toml"), "").unwrap();
        assert_eq!(located(&folder, "", &[]), "pipelines/__default__.toml");
        fs::write(folder.path().join("pipeline.toml"), "").unwrap();
        assert_eq!(located(&folder, "", &[]), "pipeline.toml", "the one that stands beside the catalog");
        assert_eq!(located(&folder, "", &["a"]), "pipelines/a.json");
    }

    #[test]
    fn parity_p6_unknown_pipelines_are_all_told() {
        let folder = project(&["pipelines/train.toml", "pipelines/clean.toml", "p.toml"]);
        assert_eq!(
            located(&folder, "", &["trian", "clean", "zzz"]),
            "the project has no pipelines trian, zzz: trian: did you mean train?; it has clean, train"
        );
        assert!(
            located(&folder, "p.toml", &["train"]).starts_with("--pipeline chooses among the pipelines of a project")
        );
        assert!(
            located(&project(&["x"]), "", &["a"])
                .starts_with("--pipeline chooses from pipelines/, and no pipeline is there")
        );
    }
}
