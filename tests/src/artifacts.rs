//! Where the built binaries and plugin libraries are, and that they are of the present source.
//!
//! `cargo test` builds neither other packages' binaries nor their `cdylib`s, so the harness asks cargo for them once per
//! test process. `make test` has just built them and says so with `DAGD_TESTS_BUILT=1`; `DAGD_TESTS_PRODUCTS=DIR` names a
//! folder with others to test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The repository's root.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests live in the repository")
}

/// The folder of this build's products (`target/debug` or `target/release`), up to date.
pub fn products() -> &'static Path {
    static PRODUCTS: OnceLock<PathBuf> = OnceLock::new();
    PRODUCTS.get_or_init(|| {
        if let Some(folder) = std::env::var_os("DAGD_TESTS_PRODUCTS") {
            return folder.into();
        }
        let folder = folder_of_this_build();
        build(&folder);
        folder
    })
}

/// The file of a product, say `dagd` or `libformats.so`.
#[track_caller]
pub fn product(name: &str) -> PathBuf {
    let path = products().join(name);
    assert!(path.exists(), "{} is not built; run `cargo build --workspace` first", path.display());
    path
}

/// Test binaries live in `<products>/deps`, plain binaries in `<products>` itself.
fn folder_of_this_build() -> PathBuf {
    let executable = std::env::current_exe().expect("a process knows its executable");
    let folder = executable.parent().expect("an executable is in a folder");
    if folder.ends_with("deps") { folder.parent().unwrap_or(folder).into() } else { folder.into() }
}

fn build(folder: &Path) {
    let (Some(cargo), None) = (std::env::var_os("CARGO"), std::env::var_os("DAGD_TESTS_BUILT")) else {
        return; // Not run by cargo, or just built: take what is there, and `product` complains about what is not.
    };
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(other) => other,
    };
    let status = Command::new(cargo)
        .args(["build", "--workspace", "--quiet", "--profile", profile])
        .current_dir(repository())
        .status();
    assert!(
        status.as_ref().is_ok_and(std::process::ExitStatus::success),
        "`cargo build --workspace --profile {profile}` failed ({status:?}); the tests need its binaries and plugins"
    );
}
