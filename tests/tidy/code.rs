//! Rules of Rust files: where `unsafe` may stand, how long a file may be, how it begins.

use crate::{expect_none, sources};

/// Folders and files in which `unsafe` may stand, each for a reason.
const UNSAFE_MAY_STAND_IN: [(&str, &str); 10] = [
    ("daemon/src/sys/", "every raw system call, thin, each with its proof"),
    ("daemon/src/ipc/", "shared pages are atomics on mapped memory"),
    ("daemon/src/block/", "blocks are views of mapped memory"),
    ("daemon/src/worker/abi", "the worker's side of the plugin boundary"),
    ("daemon/src/worker/start.rs", "a forked child closes its parent's files"),
    ("daemon/src/zygote/library.rs", "dlopen, and the one symbol that is looked up"),
    ("plugin-api/src/abi", "the plugin's side of the boundary"),
    ("plugin-api/macros/src/", "the export that the macros generate"),
    ("tests/plugins/", "faults are deliberate"),
    ("tests/bench/floors.rs", "the bench measures fork itself"),
];

const LINES_MAX: usize = 600;
const LINES_WARN: usize = 400;

#[test]
fn unsafe_stands_only_where_it_may() {
    let mut offenders = Vec::new();
    for source in sources::all().iter().filter(|source| source.is_rust()) {
        if UNSAFE_MAY_STAND_IN.iter().any(|(place, _)| source.path.starts_with(place)) {
            continue;
        }
        let lines = source.code_lines().into_iter().filter(|(_, line)| has_word(line, "unsafe"));
        offenders.extend(lines.map(|(number, line)| format!("{}:{number}: {}", source.path, line.trim())));
    }
    expect_none("`unsafe` lives in a few small folders", &offenders);
}

#[test]
fn files_stay_small() {
    let mut offenders = Vec::new();
    for source in sources::all().iter().filter(|source| source.is_rust()) {
        let lines = source.text.lines().count();
        if lines > LINES_MAX {
            offenders.push(format!("{}: {lines} lines", source.path));
        } else if lines > LINES_WARN {
            println!("warning: {}: {lines} lines; a file that grows gets a folder", source.path);
        }
    }
    expect_none("no file has more than 600 lines; a file that grows gets a folder", &offenders);
}

#[test]
fn each_file_says_its_purpose_first() {
    let rust = sources::all().iter().filter(|source| source.is_rust() && !source.path.ends_with("tests.rs"));
    let silent = rust.filter(|source| !source.text.trim_start().starts_with("//!"));
    expect_none(
        "each file starts with `//!` and its purpose",
        &silent.map(|source| source.path.clone()).collect::<Vec<_>>(),
    );
}

#[test]
fn nothing_is_left_unfinished() {
    let mut offenders = Vec::new();
    for source in sources::all().iter().filter(|source| source.is_rust()) {
        for (number, line) in source.code_lines() {
            let unfinished = ["todo!", "unimplemented!", "dbg!", "#[ignore"].iter().any(|word| line.contains(word));
            if unfinished {
                offenders.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    expect_none("nothing is left unfinished or switched off", &offenders);
}

fn has_word(line: &str, word: &str) -> bool {
    let in_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(in_word) && !line[at + word.len()..].starts_with(in_word))
}
