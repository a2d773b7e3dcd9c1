//! Who may use whom: between packages by their manifests, inside the daemon by the names each folder's code mentions.

use crate::manifests::{dependencies, packages};
use crate::{expect_none, sources};

/// Packages of ours that a package may depend on, by the folder it lives in; first match counts.
const MAY_USE: [(&str, &[&str]); 12] = [
    ("plugin-api/macros", &[]),
    ("plugin-api", &["plugin-api-macros"]),
    ("plugins/", &["plugin-api"]),
    ("tests/plugins/", &["plugin-api"]),
    ("tests/planning", &["engine"]),
    ("tests/sequential", &["plugin-api"]),
    ("tests", &["protocol"]),
    ("ctl", &["protocol"]),
    ("packaging/manual", &["ctl", "dagd", "protocol"]),
    ("daemon/engine", &[]),
    ("daemon/protocol", &[]),
    ("daemon", &["engine", "protocol", "plugin-api"]),
];

/// Tables of dependencies that reach what is shipped. Tests of a plugin may use another plugin.
const TABLES: [&str; 2] = ["dependencies", "build-dependencies"];

/// Names that the code of a folder must not mention.
const NEVER_NAMES: [(&str, &[&str]); 9] = [
    ("daemon/src/server/", &["plugin_api", "libloading", "abi_stable"]),
    ("daemon/src/zygote/", &["engine", "protocol", "server"]),
    ("daemon/src/worker/", &["engine", "protocol", "server"]),
    ("daemon/src/hook_host/", &["engine", "protocol", "server"]),
    ("daemon/src/ipc/", &["engine", "protocol", "server", "plugin_api"]),
    ("daemon/src/block/", &["engine", "protocol", "server", "plugin_api"]),
    ("daemon/src/sys/", &["engine", "protocol", "server", "plugin_api"]),
    ("daemon/engine/src/", &["fs", "env", "thread", "Instant", "SystemTime", "nix", "libloading"]),
    ("ctl/src/", &["engine", "plugin_api", "dagd"]),
];

#[test]
fn packages_use_only_what_they_may() {
    let ours: Vec<String> = packages().into_iter().map(|package| package.name).collect();
    let mut offenders = Vec::new();
    for package in packages() {
        let rule = MAY_USE.iter().find(|(folder, _)| package.folder.starts_with(folder));
        let Some((_, allowed)) = rule else {
            offenders.push(format!("{} is in no folder of the house", package.folder));
            continue;
        };
        let used = dependencies(&package.manifest, &TABLES).into_iter().filter(|name| ours.contains(name));
        let wrong = used.filter(|name| !allowed.contains(&name.as_str()) && *name != package.name);
        offenders.extend(wrong.map(|name| format!("{} depends on {name}", package.folder)));
    }
    expect_none("a package uses only what its place in the house allows", &offenders);
}

#[test]
fn processes_name_only_what_they_may() {
    let mut offenders = Vec::new();
    for source in sources::all().iter().filter(|source| source.is_rust()) {
        for (_, names) in NEVER_NAMES.iter().filter(|(folder, _)| source.path.starts_with(folder)) {
            for (number, line) in source.code_lines() {
                let paths = names.iter().filter(|name| mentions_path(&line, name));
                offenders.extend(paths.map(|name| format!("{}:{number} names `{name}`", source.path)));
            }
        }
    }
    expect_none("a process's folder never names what belongs to another's side", &offenders);
}

/// Whether the name stands here as part of a path: `name::…`, `…::name`, `{name, …}` of a `use`.
fn mentions_path(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + name.len()..]);
        let in_word = |c: char| c.is_alphanumeric() || c == '_';
        if before.ends_with(in_word) || after.starts_with(in_word) {
            return false;
        }
        let in_use = line.trim_start().starts_with("use ") || line.trim_start().starts_with("pub use ");
        after.starts_with("::") && !before.ends_with("self::")
            || before.ends_with("crate::")
            || before.ends_with("std::")
            || in_use && before.ends_with(['{', ' '])
    })
}

#[test]
fn a_path_is_told_from_a_word() {
    assert!(mentions_path("use crate::server::Daemon;", "server"));
    assert!(mentions_path("use crate::{block, server};", "server"));
    assert!(mentions_path("let t = std::fs::read(x);", "fs"));
    assert!(mentions_path("use std::{env, fs};", "fs"));
    assert!(!mentions_path("let server = 1;", "server"));
    assert!(!mentions_path("my_server::x()", "server"));
}
