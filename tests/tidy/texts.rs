//! Rules of every text: no notes to self, no paths of one machine, no dead links.

use crate::{expect_none, sources};

/// Words that no file may hold. Split, so that this file may.
const NEVER: [(&str, &str); 9] = [
    ("TO", "DO"),
    ("FIX", "ME"),
    ("XX", "X:"),
    ("PLACE", "HOLDER"),
    ("/wo", "rk/main"),
    ("/wo", "rk/shared"),
    ("/ro", "ot/"),
    ("/tmp/", "target"),
    ("/tmp/", "brief"),
];

#[test]
fn no_text_holds_what_it_must_not() {
    let words: Vec<String> = NEVER.iter().map(|(head, tail)| format!("{head}{tail}")).collect();
    let mut offenders = Vec::new();
    for source in sources::all() {
        for (index, line) in source.text.lines().enumerate() {
            let found = words.iter().filter(|word| line.contains(word.as_str()));
            offenders.extend(found.map(|word| format!("{}:{}: {word}", source.path, index + 1)));
        }
    }
    expect_none("no notes to self and no paths of one machine", &offenders);
}

#[test]
fn lines_end_clean() {
    let mut offenders = Vec::new();
    for source in sources::all().iter().filter(|source| !source.path.contains("golden/")) {
        let lines = source.text.lines().enumerate();
        let trailing = lines.filter(|(_, line)| line.ends_with([' ', '\t', '\r']));
        offenders.extend(trailing.map(|(index, _)| format!("{}:{}: space at the end", source.path, index + 1)));
        if !source.text.is_empty() && !source.text.ends_with('\n') {
            offenders.push(format!("{}: no line break at the end", source.path));
        }
    }
    expect_none("lines end without spaces and files with a line break", &offenders);
}

#[test]
fn links_lead_somewhere() {
    let root = tests::artifacts::repository();
    let mut offenders = Vec::new();
    for source in sources::all().iter().filter(|source| source.path.ends_with(".md")) {
        let folder = root.join(&source.path).parent().unwrap().to_owned();
        for (index, line) in source.text.lines().enumerate() {
            for target in link_targets(line) {
                let file = target.split('#').next().unwrap_or_default();
                if !file.is_empty() && !target.contains("://") && !folder.join(file).exists() {
                    offenders.push(format!("{}:{}: {target}", source.path, index + 1));
                }
            }
        }
    }
    expect_none("links in the documentation lead to a file", &offenders);
}

#[test]
fn the_promised_documents_are_there() {
    let promised = [
        "README.md",
        "daemon/README.md",
        "plugins/README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "LICENSE-MIT",
        "LICENSE-APACHE",
        "Makefile",
        ".ci/run",
    ];
    let root = tests::artifacts::repository();
    let missing = promised.iter().filter(|path| !root.join(path).exists()).map(|path| (*path).to_owned());
    expect_none("the documents that a newcomer is promised are there", &missing.collect::<Vec<_>>());
}

fn link_targets(line: &str) -> Vec<&str> {
    line.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect()
}
