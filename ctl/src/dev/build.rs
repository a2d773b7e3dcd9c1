//! Builds a plugin crate with cargo. What the compiler has to say goes straight to standard error.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use protocol::exit;
use serde_json::Value;
use tokio::process::Command;

use crate::error::Error;

/// A plugin crate that built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// Its library.
    pub library: PathBuf,
    /// The files it was built from, as far as cargo tells.
    pub sources: BTreeSet<PathBuf>,
}

/// Builds the crate in a folder; nothing if it does not compile, which cargo has explained by then.
pub async fn build(folder: &Path, release: bool) -> Result<Option<Built>, Error> {
    let manifest = folder.join("Cargo.toml");
    if !manifest.is_file() {
        return Err(Error::new(exit::PROBLEMS, "no-crate", format!("there is no Cargo.toml in {}", folder.display()))
            .hint("name the folder of the plugin's crate, as in `ctl dev plugins/flights pipeline.toml`"));
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(&cargo);
    command.args(["build", "--message-format=json-render-diagnostics", "--manifest-path"]).arg(&manifest);
    if release {
        command.arg("--release");
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).kill_on_drop(true);
    let cannot = |problem: std::io::Error| {
        Error::new(exit::UNREACHABLE, "no-cargo", format!("cannot run {}", cargo.display()))
            .cause(problem)
            .hint("install Rust (rustup.rs), or set CARGO to where cargo is")
    };
    let child = command.spawn().map_err(cannot)?;
    let output = child.wait_with_output().await.map_err(cannot)?;
    if !output.status.success() {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let library = library(&text, &folder)?;
    let told = std::fs::read_to_string(library.with_extension("d")).unwrap_or_default();
    Ok(Some(Built { sources: sources_of(&told), library }))
}

/// The one library for plugins that cargo says it made of crates in the folder.
fn library(messages: &str, folder: &Path) -> Result<PathBuf, Error> {
    let mut libraries: Vec<PathBuf> = Vec::new();
    for message in messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let is_here = message["manifest_path"].as_str().is_some_and(|manifest| Path::new(manifest).starts_with(folder));
        let kinds = message["target"]["kind"].as_array();
        let is_cdylib = kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind == "cdylib"));
        if message["reason"] != "compiler-artifact" || !is_here || !is_cdylib {
            continue;
        }
        let files = message["filenames"].as_array().into_iter().flatten().filter_map(Value::as_str);
        libraries.extend(files.filter(|file| file.ends_with(".so")).map(PathBuf::from));
    }
    match &libraries[..] {
        [one] => Ok(one.clone()),
        [] => Err(Error::new(
            exit::PROBLEMS,
            "no-plugin",
            format!("the crate in {} builds no library that could be a plugin", folder.display()),
        )
        .hint("a plugin's Cargo.toml has: [lib] crate-type = [\"cdylib\"]")),
        several => {
            let names: Vec<String> = several.iter().map(|file| file.display().to_string()).collect();
            Err(Error::new(exit::PROBLEMS, "several-plugins", format!("{} builds several plugins", folder.display()))
                .cause(names.join(", "))
                .hint("name the folder of one of them"))
        }
    }
}

/// The files that a `.d` file of cargo names: `library: file file …`, blanks in names escaped.
fn sources_of(told: &str) -> BTreeSet<PathBuf> {
    let Some((_, list)) = told.lines().next().and_then(|line| line.split_once(": ")) else { return BTreeSet::new() };
    let mut files = BTreeSet::new();
    let mut file = String::new();
    let mut characters = list.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => file.extend(characters.next()),
            ' ' => {
                files.insert(PathBuf::from(std::mem::take(&mut file)));
            }
            character => file.push(character),
        }
    }
    files.insert(PathBuf::from(file));
    files.retain(|file| !file.as_os_str().is_empty());
    files
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn artifact(manifest: &str, kind: &str, file: &str) -> String {
        serde_json::json!({
            "reason": "compiler-artifact", "manifest_path": manifest, "target": { "kind": [kind] }, "filenames": [file],
        })
        .to_string()
    }

    #[test]
    fn the_library_is_the_one_of_the_crate_itself() {
        let messages = [
            artifact("/else/Cargo.toml", "cdylib", "/t/libelse.so"),
            artifact("/crate/Cargo.toml", "lib", "/t/liba.rlib"),
            "warning: no JSON".to_owned(),
            artifact("/crate/Cargo.toml", "cdylib", "/t/liba.so"),
        ];
        assert_eq!(library(&messages.join("\n"), Path::new("/crate")).unwrap(), Path::new("/t/liba.so"));
        assert_eq!(library(&messages[..3].join("\n"), Path::new("/crate")).unwrap_err().code(), "no-plugin");
        let two = [messages[3].clone(), artifact("/crate/b/Cargo.toml", "cdylib", "/t/libb.so")].join("\n");
        assert_eq!(library(&two, Path::new("/crate")).unwrap_err().code(), "several-plugins");
    }

    #[test]
    fn sources_are_those_that_cargo_names() {
        let files: Vec<PathBuf> =
            sources_of("/t/liba.so: /a/src/lib.rs /a/my\\ data.csv\n\n/a/src/lib.rs:\n").into_iter().collect();
        assert_eq!(files, [Path::new("/a/my data.csv"), Path::new("/a/src/lib.rs")]);
        assert!(sources_of("").is_empty());
    }
}
