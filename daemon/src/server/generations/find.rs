//! Finds the libraries of a generation in the configured directories.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;

/// What a search gave.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The libraries, in the order they are loaded: directory by directory, by name within one.
    pub libraries: Vec<PathBuf>,
    /// What an operator ought to know: directories that were named and cannot be read, libraries that are hidden.
    pub warnings: Vec<String>,
}

/// A directory to search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// Where it is.
    pub path: PathBuf,
    /// Whether somebody named it: then its absence is worth a warning.
    pub named: bool,
}

/// Looks for `lib*.so` in the directories. Of two files of one name the one in the earlier directory is taken.
pub fn libraries(directories: &[Directory]) -> Found {
    let mut found = Found::default();
    let mut names = BTreeSet::<OsString>::new();
    let mut seen = BTreeSet::<PathBuf>::new();
    for directory in directories {
        // The same directory may be named twice, or be a default and named.
        let identity = std::fs::canonicalize(&directory.path).unwrap_or_else(|_| directory.path.clone());
        if !seen.insert(identity) {
            continue;
        }
        let entries = match std::fs::read_dir(&directory.path) {
            Ok(entries) => entries,
            Err(error) => {
                if directory.named {
                    found
                        .warnings
                        .push(format!("cannot read the plugin directory {}: {error}", directory.path.display()));
                }
                continue;
            }
        };
        let mut files: Vec<OsString> =
            entries.flatten().map(|entry| entry.file_name()).filter(|name| is_library_name(name)).collect();
        files.sort();
        for name in files {
            let path = directory.path.join(&name);
            if path.is_dir() {
                continue;
            }
            if names.insert(name) {
                found.libraries.push(path);
            } else {
                found.warnings.push(format!(
                    "{} is not used: a library of the same name stands in a directory that goes first",
                    path.display()
                ));
            }
        }
    }
    found
}

fn is_library_name(name: &std::ffi::OsStr) -> bool {
    let bytes = name.as_encoded_bytes();
    bytes.starts_with(b"lib") && bytes.ends_with(b".so") && bytes.len() > b"lib.so".len()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use std::path::Path;

    fn named(path: &Path) -> Directory {
        Directory { path: path.to_owned(), named: true }
    }

    #[test]
    fn by_directory_then_by_name_and_the_first_directory_wins() {
        let root = tempfile::tempdir().unwrap();
        let (first, second) = (root.path().join("a"), root.path().join("b"));
        for (directory, names) in
            [(&first, ["libz.so", "liba.so", "notes.txt"]), (&second, ["liba.so", "libb.so", "lib.so"])]
        {
            std::fs::create_dir(directory).unwrap();
            for name in names {
                std::fs::write(directory.join(name), "").unwrap();
            }
        }
        std::fs::create_dir(second.join("libdirectory.so")).unwrap();
        let found = libraries(&[named(&first), named(&second), named(&first)]);
        assert_eq!(found.libraries, [first.join("liba.so"), first.join("libz.so"), second.join("libb.so")]);
        assert_eq!(found.warnings.len(), 1, "{:?}", found.warnings);
        assert!(found.warnings[0].contains("liba.so"));
    }

    #[test]
    fn only_a_directory_that_somebody_named_is_missed() {
        let absent = Directory { path: "/nonexistent/plugins".into(), named: false };
        assert_eq!(libraries(&[absent]), Found::default());
        let found = libraries(&[named(Path::new("/nonexistent/plugins"))]);
        assert!(found.warnings[0].contains("/nonexistent/plugins"), "{:?}", found.warnings);
    }
}
