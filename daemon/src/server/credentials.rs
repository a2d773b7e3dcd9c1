//! Credentials that the daemon itself has: those that systemd hands to its unit (`LoadCredential=`, `$CREDENTIALS_DIRECTORY`).
//!
//! `credentials.toml` and `credentials.json` there are read like the files of a submission; any other file is one secret
//! text under its own name. They come before those of a submission, which may replace them by name.
#![forbid(unsafe_code)]

use std::path::Path;

use engine::source::{Source, Syntax};
use serde_json::{Map, Value};

/// systemd's own bound on one credential.
const BYTES_MAX: u64 = 1 << 20;

/// Reads what is there now: systemd replaces the files when they change.
pub fn of_the_daemon() -> Vec<Source> {
    match std::env::var_os("CREDENTIALS_DIRECTORY").filter(|folder| !folder.is_empty()) {
        Some(folder) => read(Path::new(&folder)),
        None => Vec::new(),
    }
}

fn read(folder: &Path) -> Vec<Source> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            log::warn!("credentials in {} cannot be read: {error}", folder.display());
            return Vec::new();
        }
    };
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    let (mut texts, mut sources) = (Map::new(), Vec::new());
    for path in files {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        if std::fs::metadata(&path).is_ok_and(|metadata| metadata.len() > BYTES_MAX) {
            log::warn!("the credential {} is larger than {BYTES_MAX} bytes and left out", path.display());
            continue;
        }
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) => {
                log::warn!("the credential {} cannot be read and is left out: {error}", path.display());
                continue;
            }
        };
        if matches!(name, "credentials.toml" | "credentials.json") {
            sources.push(Source::new(path.display().to_string(), text));
        } else {
            // Editors and `echo` end a file with a line feed that is no part of the secret.
            let secret = text.strip_suffix('\n').unwrap_or(&text);
            texts.insert(name.to_owned(), Value::from(secret));
        }
    }
    if !texts.is_empty() {
        let text = Value::Object(texts).to_string();
        sources.insert(0, Source { name: folder.display().to_string(), text, syntax: Syntax::Json });
    }
    sources
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn a_file_is_a_secret_and_a_table_is_many() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), "hunter2\n").unwrap();
        std::fs::write(folder.path().join("credentials.toml"), "[db]\npassword = \"x\"").unwrap();
        std::fs::write(folder.path().join("binary"), b"\xff").unwrap();
        let sources = read(folder.path());
        let texts: Vec<&str> = sources.iter().map(|source| source.text.as_str()).collect();
        assert_eq!(texts, [r#"{"token":"hunter2"}"#, "[db]\npassword = \"x\""]);
        assert!(read(&folder.path().join("nowhere")).is_empty());
    }
}
