//! The flights pipeline, placed in a scene: its files copied, its data linked.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::artifacts;
use crate::scene::Scene;

/// The folder of the pipeline in the repository.
pub fn folder() -> PathBuf {
    artifacts::repository().join("plugins/flights")
}

/// Places the pipeline in the scene's work folder and returns its path; what it writes goes there too.
#[track_caller]
pub fn place(scene: &Scene) -> PathBuf {
    let target = scene.work("flights");
    fs::create_dir_all(&target).unwrap();
    for name in ["pipeline.toml", "catalog.toml", "parameters.toml"] {
        copy_if_there(&folder().join(name), &target.join(name));
    }
    symlink(folder().join("data"), target.join("data")).unwrap();
    target.join("pipeline.toml")
}

fn copy_if_there(from: &Path, to: &Path) {
    if from.exists() {
        fs::copy(from, to).unwrap();
    }
}
