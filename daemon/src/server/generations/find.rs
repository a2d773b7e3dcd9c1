//! Finds the libraries of a generation in the configured directories.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;

use super::{Refused, trust};

/// What a search gave.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The libraries, in the order they are loaded: directory by directory, by name within one.
    pub libraries: Vec<PathBuf>,
    /// Directories and libraries that are not trusted.
    pub refused: Vec<Refused>,
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
        let opened =
            std::fs::metadata(&directory.path).and_then(|metadata| Ok((metadata, std::fs::read_dir(&directory.path)?)));
        let entries = match opened {
            Ok((metadata, entries)) => match trust::directory(&directory.path, &metadata) {
                None => entries,
                Some(refused) => {
                    found.refused.push(refused);
                    continue;
                }
            },
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
            let metadata = std::fs::metadata(&path).ok();
            if metadata.as_ref().is_some_and(std::fs::Metadata::is_dir) {
                continue;
            }
            if names.insert(name) {
                match metadata.and_then(|metadata| trust::file(&path, &metadata)) {
                    None => found.libraries.push(path),
                    Some(refused) => found.refused.push(refused),
                }
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

/// Whether a file of this name is taken for a plugin's library: `lib*.so`.
pub fn is_library_name(name: &std::ffi::OsStr) -> bool {
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
    fn nothing_is_taken_that_everybody_may_write_to() {
        use std::os::unix::fs::PermissionsExt as _;
        let root = tempfile::tempdir().unwrap();
        let open = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        std::fs::write(root.path().join("liba.so"), "").unwrap();
        std::fs::write(root.path().join("libb.so"), "").unwrap();
        open(&root.path().join("liba.so"), 0o666);
        let found = libraries(&[named(root.path())]);
        assert_eq!(found.libraries, [root.path().join("libb.so")]);
        assert!(found.refused[0].path.ends_with("liba.so"), "{found:?}");
        open(root.path(), 0o777);
        let found = libraries(&[named(root.path())]);
        assert!(found.libraries.is_empty() && found.refused[0].hint.starts_with("chmod o-w "), "{found:?}");
    }

    #[test]
    fn only_a_directory_that_somebody_named_is_missed() {
        let absent = Directory { path: "/nonexistent/plugins".into(), named: false };
        assert_eq!(libraries(&[absent]), Found::default());
        let found = libraries(&[named(Path::new("/nonexistent/plugins"))]);
        assert!(found.warnings[0].contains("/nonexistent/plugins"), "{:?}", found.warnings);
    }
}
