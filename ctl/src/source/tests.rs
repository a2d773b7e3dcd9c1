//! Reading what is there, and saying what is not.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use super::*;
use crate::args::FilterArgs;
use protocol::Syntax;

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn args(path: PathBuf) -> PipelineArgs {
    PipelineArgs { path, pipeline: Vec::new(), filing: Filing::default(), filter: FilterArgs::default() }
}

fn read_all(path: PathBuf) -> Result<Submission, Error> {
    submission(&args(path), &RunArgs::default())
}

fn complaint(outcome: Result<Submission, Error>) -> (u8, String, String) {
    match outcome {
        Err(Error::Failed(complaint)) => {
            (complaint.exit, complaint.detail.message.clone(), complaint.detail.hints.join("\n"))
        }
        other => panic!("no complaint but {other:?}"),
    }
}

#[test]
fn a_folder_means_its_pipeline_with_what_lies_beside_it() {
    let folder =
        folder(&[("pipeline.toml", "p"), ("catalog.toml", "c"), ("parameters.toml", "q"), ("other.toml", "o")]);
    let read = read_all(folder.path().to_owned()).unwrap();
    assert_eq!(read.pipeline.text, "p");
    assert_eq!(read.pipeline.name, folder.path().join("pipeline.toml").to_str().unwrap());
    assert_eq!((read.catalogs[0].text.as_str(), read.parameters[0].text.as_str()), ("c", "q"));
    assert_eq!(read.base_directory, folder.path().canonicalize().unwrap().to_str().unwrap());
    let named = read_all(folder.path().join("other.toml")).unwrap();
    assert_eq!((named.pipeline.text.as_str(), named.catalogs.len()), ("o", 1));
}

#[test]
fn files_named_replace_those_beside() {
    let folder = folder(&[("p.json", "{}"), ("catalog.toml", "c"), ("a.toml", "a"), ("b.toml", "b")]);
    let mut args = args(folder.path().join("p.json"));
    args.filing.catalog = vec![folder.path().join("a.toml"), folder.path().join("b.toml")];
    let read = submission(&args, &RunArgs::default()).unwrap();
    assert_eq!(read.pipeline.syntax, Syntax::Json);
    let texts: Vec<&str> = read.catalogs.iter().map(|source| source.text.as_str()).collect();
    assert_eq!(texts, ["a", "b"]);
    assert!(read.parameters.is_empty());
}

#[test]
fn a_missing_file_is_guessed() {
    let folder = folder(&[("pipeline.toml", "")]);
    let path = folder.path().join("pipline.toml");
    let (exit, message, hints) = complaint(read_all(path.clone()));
    assert_eq!(exit, exit::PROBLEMS);
    assert_eq!(message, format!("cannot read the pipeline {}: there is no such file", path.display()));
    assert_eq!(hints, format!("did you mean {}?", folder.path().join("pipeline.toml").display()));
    let (_, _, hints) = complaint(read_all(folder.path().join("nightly.toml")));
    assert_eq!(hints, "", "one that has only its ending in common");
}

#[test]
fn a_folder_without_a_pipeline_says_so() {
    let folder = folder(&[("catalog.toml", ""), ("flights.toml", "")]);
    let (exit, message, hints) = complaint(read_all(folder.path().to_owned()));
    assert_eq!(exit, exit::PROBLEMS);
    assert!(message.ends_with("has no pipeline.toml"), "{message}");
    assert!(hints.ends_with("/flights.toml"), "{hints}");
}

#[test]
fn a_link_that_leads_nowhere_is_not_called_missing() {
    let folder = folder(&[("pipeline.toml", "")]);
    std::os::unix::fs::symlink("nowhere", folder.path().join("catalog.toml")).unwrap();
    let (_, message, _) = complaint(read_all(folder.path().to_owned()));
    assert!(
        message.starts_with("cannot read the catalog ") && message.ends_with("the link leads nowhere"),
        "{message}"
    );
}

#[test]
fn text_that_is_not_utf8_is_placed() {
    let folder = folder(&[]);
    fs::write(folder.path().join("p.toml"), b"a\nb\n\xff\n").unwrap();
    let (exit, message, _) = complaint(read_all(folder.path().join("p.toml")));
    assert_eq!(exit, exit::PROBLEMS);
    assert!(message.ends_with("is not UTF-8: see line 3"), "{message}");
}

#[test]
fn names_that_are_not_utf8_are_refused_with_a_reason() {
    let folder = folder(&[]);
    let path = folder.path().join(OsStr::from_bytes(b"p\xff.toml"));
    fs::write(&path, "").unwrap();
    let (exit, message, _) = complaint(read_all(path));
    assert_eq!(exit, exit::USAGE);
    assert!(message.contains("is not UTF-8"), "{message}");
    let inner = folder.path().join(OsStr::from_bytes(b"d\xff"));
    fs::create_dir(&inner).unwrap();
    fs::write(inner.join("pipeline.toml"), "").unwrap();
    assert_eq!(complaint(read_all(inner)).0, exit::USAGE);
}

#[test]
fn a_catalog_that_is_a_folder_is_told() {
    let folder = folder(&[("pipeline.toml", "")]);
    fs::create_dir(folder.path().join("catalog.toml")).unwrap();
    let (exit, message, _) = complaint(read_all(folder.path().to_owned()));
    assert_eq!(exit, exit::PROBLEMS);
    assert!(message.ends_with("it is a folder"), "{message}");
}

#[test]
fn parity_c5_an_environment_overlays_the_files_beside_the_pipeline() {
    let folder = folder(&[("pipeline.toml", "p"), ("catalog.toml", "base"), ("credentials.toml", "secret")]);
    for (env, name) in [("local", "catalog.toml"), ("prod", "catalog.toml"), ("prod", "credentials.toml")] {
        fs::create_dir_all(folder.path().join("env").join(env)).unwrap();
        fs::write(folder.path().join("env").join(env).join(name), env).unwrap();
    }
    let mut args = args(folder.path().to_owned());
    let catalogs = |args: &PipelineArgs| -> Vec<String> {
        submission(args, &RunArgs::default()).unwrap().catalogs.into_iter().map(|source| source.text).collect()
    };
    assert_eq!(catalogs(&args), ["base", "local"], "env/local holds when nobody names another");
    args.filing.env = Some("prod".to_owned());
    assert_eq!(catalogs(&args), ["base", "prod"]);
    let credentials = submission(&args, &RunArgs::default()).unwrap().credentials;
    let texts: Vec<&str> = credentials.files.iter().map(|source| source.text.as_str()).collect();
    assert_eq!(texts, ["secret", "prod"]);
    let named = folder.path().join("named.toml");
    fs::write(&named, "named").unwrap();
    args.filing.catalog = vec![named];
    assert_eq!(catalogs(&args), ["named", "prod"], "the environment asked for overlays the files named");
    args.filing.env = None;
    assert_eq!(catalogs(&args), ["named"], "env/local does not overlay what was named");
    args.filing.env = Some("prd".to_owned());
    let (exit, message, hints) = complaint(submission(&args, &RunArgs::default()));
    assert_eq!((exit, hints.as_str()), (exit::PROBLEMS, "did you mean prod?"));
    assert!(message.starts_with("--env: there is no environment prd: "), "{message}");
    args.filing.env = Some("../prod".to_owned());
    assert_eq!(complaint(submission(&args, &RunArgs::default())).0, exit::USAGE);
}

#[test]
fn parity_c5_the_variable_names_the_environment_when_no_argument_does() {
    let folder = folder(&[("pipeline.toml", "p")]);
    fs::create_dir_all(folder.path().join("env/prod")).unwrap();
    let find = |argument, variable| Overlay::find(argument, variable, Some(folder.path()));
    let prod = Overlay { folder: folder.path().join("env/prod"), is_asked_for: true };
    assert_eq!(find(None, Some("prod")).unwrap(), Some(prod));
    assert_eq!(find(None, Some("")).unwrap(), None, "an empty variable names nothing");
    assert!(find(Some("none"), Some("prod")).is_err(), "the argument goes before the variable");
    assert_eq!(Overlay::find(None, Some("prod"), None).unwrap(), None, "standard input has no folder");
    assert!(Overlay::find(Some("prod"), None, None).is_err());
}

#[test]
fn parity_c4_variables_of_credentials_travel_with_them_only() {
    let folder = folder(&[("pipeline.toml", "p"), ("credentials.toml", "[db]\npassword = \"${env:HOME:-none}\"")]);
    let read = read_all(folder.path().to_owned()).unwrap();
    assert!(read.environment.is_empty());
    assert_eq!(read.credentials.environment.keys().collect::<Vec<_>>(), ["HOME"]);
    assert!(read.without_secrets().credentials.is_empty());
}

#[test]
fn only_variables_that_are_asked_for_are_sent() {
    let submission = Submission {
        pipeline: SourceText::new("p", "path = \"${env:DATA}/${env:UNSET}/${env:}/${env:open\""),
        overrides: vec![("a".into(), "${env:HOME}".into())],
        ..Submission::default()
    };
    let lookup = |name: &str| ["DATA", "HOME", "PASSWORD"].contains(&name).then(|| format!("<{name}>"));
    let found = mentioned_environment(&submission, lookup);
    let found: Vec<(&str, &str)> = found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(found, [("DATA", "<DATA>"), ("HOME", "<HOME>")]);
}
