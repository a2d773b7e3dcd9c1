//! The packages of the workspace and what their manifests must say.

use toml::{Table, Value};

use crate::{expect_none, sources};

/// A package of the workspace.
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its folder, from the repository's root.
    pub folder: String,
    /// Its manifest.
    pub manifest: Table,
    text: String,
}

/// Every package of the repository.
pub fn packages() -> Vec<Package> {
    let manifests = sources::all().iter().filter_map(|source| Some((source.path.strip_suffix("/Cargo.toml")?, source)));
    manifests
        .map(|(folder, source)| {
            let manifest: Table = source.text.parse().unwrap_or_else(|problem| panic!("{}: {problem}", source.path));
            let name = manifest["package"]["name"].as_str().unwrap().to_owned();
            Package { name, folder: folder.to_owned(), manifest, text: source.text.clone() }
        })
        .collect()
}

/// The packages that this one names in these tables.
pub fn dependencies(manifest: &Table, tables: &[&str]) -> Vec<String> {
    let found = tables.iter().filter_map(|name| manifest.get(*name)?.as_table());
    found.flat_map(|table| table.keys().cloned()).collect()
}

#[test]
fn each_dependency_has_its_reason_beside_it() {
    let mut offenders = Vec::new();
    for package in packages() {
        let bare = dependencies_without_reason(&package.text).into_iter();
        offenders.extend(bare.map(|(number, line)| format!("{}/Cargo.toml:{number}: {line}", package.folder)));
    }
    expect_none("each dependency has its reason beside it: on its line, or above it", &offenders);
}

/// A comment counts for its own line, or for the lines after it up to the next empty line or table.
fn dependencies_without_reason(manifest: &str) -> Vec<(usize, &str)> {
    let (mut in_dependencies, mut covered) = (false, false);
    let mut bare = Vec::new();
    for (index, line) in manifest.lines().enumerate() {
        match line.chars().next() {
            Some('[') => {
                in_dependencies = line.trim_end_matches([']', ' ']).ends_with("dependencies");
                covered = false;
            }
            Some('#') => covered = true,
            None => covered = false,
            Some(_) if in_dependencies && line.contains('=') && !covered && !line.contains(" # ") => {
                bare.push((index + 1, line));
            }
            Some(_) => {}
        }
    }
    bare
}

#[test]
fn a_comment_above_counts_and_an_empty_line_ends_it() {
    let manifest =
        "[dependencies]\na = \"1\"\nb = \"1\" # b\n# c and d\nc = \"1\"\nd = \"1\"\n\ne = \"1\"\n[lib]\nf = 1\n";
    assert_eq!(dependencies_without_reason(manifest), [(2, "a = \"1\""), (8, "e = \"1\"")]);
}

#[test]
fn versions_stand_in_the_root_only() {
    let mut offenders = Vec::new();
    for package in packages() {
        let tables = ["dependencies", "dev-dependencies", "build-dependencies"];
        for (name, value) in tables.iter().filter_map(|table| package.manifest.get(*table)?.as_table()).flatten() {
            let shared = value.get("workspace").and_then(Value::as_bool) == Some(true) || value.get("path").is_some();
            if !shared {
                offenders.push(format!("{}/Cargo.toml: {name}", package.folder));
            }
        }
    }
    expect_none("one version of each dependency for the whole house (`x.workspace = true`)", &offenders);
}

#[test]
fn each_package_takes_the_shared_lints() {
    let without = packages().into_iter().filter(|package| {
        package.manifest.get("lints").and_then(|lints| lints.get("workspace")?.as_bool()) != Some(true)
    });
    expect_none(
        "each package has `[lints] workspace = true`",
        &without.map(|package| package.folder).collect::<Vec<_>>(),
    );
}
