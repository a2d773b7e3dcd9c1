//! The pages name everything the code defines, and are roff that a formatter takes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

fn pages() -> BTreeMap<String, String> {
    manual::pages().unwrap().into_iter().collect()
}

/// What a reader sees of roff, as far as names go.
fn plain(page: &str) -> String {
    page.replace("\\fB", "").replace("\\fI", "").replace("\\fR", "").replace("\\-", "-")
}

fn check(command: &clap::Command, page: &str, missing: &mut Vec<String>) {
    for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
        let name = match argument.get_long() {
            Some(long) => format!("--{long}"),
            None => argument.get_value_names().unwrap_or_default().first().map(ToString::to_string).unwrap_or_default(),
        };
        if !page.contains(&name) {
            missing.push(format!("{} {name}", command.get_name()));
        }
    }
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        if !page.contains(&format!(" {}", sub.get_name())) {
            missing.push(sub.get_name().to_owned());
        }
        check(sub, page, missing);
    }
}

#[test]
fn every_command_and_flag_is_in_its_page() {
    for (name, command) in [("dagd.8", manual::dagd()), ("ctl.1", manual::ctl())] {
        let page = plain(&pages()[name]);
        let mut missing = Vec::new();
        check(&command, &page, &mut missing);
        assert!(missing.is_empty(), "{name} lacks {missing:?}:\n{page}");
        assert!(!page.contains("zygote"), "the inner roles are not for people");
    }
}

#[test]
fn every_key_of_the_configuration_is_in_its_page() {
    let page = plain(&pages()["dagd.toml.5"]);
    let defaults = dagd::server::config::DEFAULT_TEXT;
    let keys: Vec<&str> = defaults
        .lines()
        .filter(|line| !line.starts_with(['#', '[']))
        .filter_map(|line| line.split_once(" = "))
        .map(|(key, _)| key)
        .collect();
    assert!(keys.len() > 20, "{keys:?}");
    for key in keys {
        assert!(page.contains(&format!(".B {key} = ")), "dagd.toml.5 lacks {key}:\n{page}");
    }
    // Nothing of the file's own words is lost.
    for word in defaults.split_whitespace().filter(|word| word.chars().all(char::is_alphabetic)) {
        assert!(page.contains(word), "dagd.toml.5 lacks the word {word:?}");
    }
}

#[test]
fn completions_know_the_commands() {
    let scripts: BTreeMap<_, _> = manual::completions().into_iter().collect();
    assert_eq!(scripts.keys().collect::<Vec<_>>(), ["_ctl", "_dagd", "ctl", "ctl.fish", "dagd", "dagd.fish"]);
    for script in scripts.iter().filter(|(name, _)| name.contains("ctl")) {
        assert!(script.1.contains("submit"), "{}", script.0);
    }
}

#[test]
fn a_formatter_has_nothing_to_complain_about() {
    for (name, page) in pages() {
        let formatter = Command::new("groff")
            .args(["-man", "-Tutf8", "-ww", "-z"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let Ok(mut formatter) = formatter else {
            println!("skipped: there is no groff here");
            return;
        };
        formatter.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
        let said = formatter.wait_with_output().unwrap();
        assert!(said.status.success() && said.stderr.is_empty(), "{name}: {}", String::from_utf8_lossy(&said.stderr));
    }
}
