//! Versions of datasets: `path/VERSION/file`, where the version is the moment of the run that saved it.

/// Says whether a text can name a version: it becomes the name of a folder, and nothing but that.
pub fn is_safe(version: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+');
    (1..=128).contains(&version.len())
        && version.chars().all(allowed)
        && version.starts_with(|first: char| first.is_ascii_alphanumeric())
}

/// Gives the name of the file in each version of what is kept at `path`; nothing for a path that ends in no name.
pub fn file_name(path: &str) -> Option<&str> {
    let name = path.rsplit('/').next().unwrap_or_default();
    (!matches!(name, "" | "." | "..")).then_some(name)
}

/// Gives where a version of what is kept at `path` is.
pub fn path_of(path: &str, version: &str) -> String {
    format!("{path}/{version}/{}", file_name(path).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_the_name_of_one_folder() {
        for good in ["2026-11-22T10.11.12.123Z", "7", "v1.2+3"] {
            assert!(is_safe(good), "{good}");
        }
        for bad in ["", ".", "..", "../x", "a/b", "a\\b", "/etc", "a b", "-x", "_x", "ü", "a\n", &"x".repeat(129)] {
            assert!(!is_safe(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_version_holds_a_file_of_the_name_that_the_path_has() {
        assert_eq!(path_of("/out/model.json", "v1"), "/out/model.json/v1/model.json");
        assert_eq!(file_name("model"), Some("model"));
        assert_eq!([file_name("/out/"), file_name(".."), file_name("")], [None; 3]);
    }
}
