//! Golden texts: what a person reads is kept in `golden/` and compared whole.
//!
//! `DAGD_TESTS_BLESS=1 cargo test` writes the present texts; the diff is then read before it is committed.

use std::fs;
use std::path::Path;

use crate::artifacts;
use crate::scene::Scene;

/// Compares with `golden/<name>`, after what differs from run to run is replaced by a word for it.
#[track_caller]
pub fn check(scene: &Scene, name: &str, actual: &str) {
    let actual = normalise(scene, actual);
    let path = artifacts::repository().join("tests/golden").join(name);
    if std::env::var_os("DAGD_TESTS_BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).unwrap();
        fs::write(&path, &actual).unwrap();
        return;
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        expected == actual,
        "differs from {}\n--- expected\n{expected}\n--- actual\n{actual}\n--- \
         (DAGD_TESTS_BLESS=1 writes the actual text there)",
        path.display()
    );
}

fn normalise(scene: &Scene, text: &str) -> String {
    let folder = scene.path("work").to_string_lossy().into_owned();
    let root = scene.path("").to_string_lossy().trim_end_matches('/').to_owned();
    text.replace(&folder, "<work>").replace(&root, "<scene>")
}
