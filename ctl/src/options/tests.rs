//! P9: what files of options mean, and what is said of bad ones.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::args::{Command, SubmitCommand};

fn submit(text: &str, line: &str) -> Result<SubmitCommand, Refusal> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.toml");
    std::fs::write(&file, text).unwrap();
    let words = line.split_whitespace().map(OsString::from);
    let arguments: Vec<OsString> = words.chain(["--config".into(), file.into_os_string()]).collect();
    match parse(&arguments)?.command {
        Command::Submit(command) => Ok(command),
        other => panic!("not submit but {other:?}"),
    }
}

fn told(outcome: Result<SubmitCommand, Refusal>) -> Vec<String> {
    match outcome {
        Err(Refusal::File(Error::Failed(complaint))) => {
            assert_eq!(complaint.exit, exit::USAGE);
            let problems = complaint.detail.problems.iter().map(|problem| {
                let place = problem.place.as_ref().unwrap();
                format!("{}:{} {} ({})", place.line, place.column, problem.message, problem.hints.join("; "))
            });
            if complaint.detail.problems.is_empty() { vec![complaint.detail.message] } else { problems.collect() }
        }
        other => panic!("no complaint but {other:?}"),
    }
}

const FILE: &str = r#"
tags = ["daily", "weekly"]
from_nodes = "clean"
max_workers = 3
sequential = false
async = true
timeout = "5m"
on_failure = "continue"

[params]
threshold = 0.5
name = "7"
model = { depth = 3, "wide" = [1, 2] }
"#;

#[test]
fn parity_p9_a_file_says_what_flags_say() {
    let command = submit(FILE, "ctl submit p.toml").unwrap();
    let filter = command.pipeline.filter.to_filter();
    assert_eq!((filter.tags.join(" "), filter.from_nodes.join(" ")), ("daily weekly".to_owned(), "clean".to_owned()));
    assert_eq!(
        (command.run.max_workers, command.run.sequential, command.run.asynchronous_saves),
        (Some(3), false, true)
    );
    assert_eq!((command.run.timeout, command.run.on_failure), (Some(300.0), Some(protocol::OnFailure::Continue)));
    let params: Vec<String> =
        command.pipeline.filing.params.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(params, ["threshold=0.5", "name=\"7\"", r#"model={"depth":3,"wide":[1,2]}"#]);
}

#[test]
fn parity_p9_the_command_line_wins() {
    let line = "ctl --socket submit submit p.toml --tags other --max-workers 1 --params threshold=1 --timeout 9";
    let command = submit(FILE, line).unwrap();
    assert_eq!(command.pipeline.filter.tags, ["other"], "not the file's beside it");
    assert_eq!((command.run.max_workers, command.run.timeout), (Some(1), Some(9.0)));
    let params = &command.pipeline.filing.params;
    let last = params.iter().rfind(|(name, _)| name == "threshold").unwrap();
    assert_eq!((params.len(), last.1.as_str()), (4, "1"), "of parameters the later goes before, so both are sent");
}

#[test]
fn parity_p9_unknown_keys_are_all_refused_with_hints() {
    let text = "tag = \"a\"\nmax-workers = 2\njson = true\ncolour = 1\n[server]\nsocket = \"x\"\n";
    let told = told(submit(text, "ctl submit p.toml"));
    assert_eq!(
        told[..2],
        [
            "1:1 `ctl submit` has no option `tag` (did you mean `tags`?)",
            "3:1 `ctl submit` has no option `json` (`--json` belongs on the command line)",
        ]
    );
    assert!(told[2].starts_with("4:1 `ctl submit` has no option `colour` (its options are "), "{told:?}");
    assert!(told[3].contains("--daemon-config FILE"), "{told:?}");
    assert_eq!(told.len(), 4);
}

#[test]
fn parity_p9_wrong_values_are_told_with_the_file() {
    let text = "async = 1\nparams = 3\ntimeout = [1]\ntags = [[1]]\n";
    assert_eq!(
        told(submit(text, "ctl submit p.toml")),
        [
            "1:9 `async` must be true or false ()",
            "2:10 `params` must be a table, as in `[params]` with `name = value` below ()",
            "3:11 `timeout` must be a text or a number ()",
            "4:8 `tags` must be a list of texts ()",
        ]
    );
    let told_of = |text| told(submit(text, "ctl submit p.toml")).join("\n");
    assert!(told_of("max_workers = 0").contains("run.toml: invalid value '0' for '--max-workers <N>'"));
    assert!(told_of("on_failure = \"explode\"").contains("run.toml: invalid value 'explode'"));
    assert!(told_of("tags = [").contains("this is not TOML"));
}

#[test]
fn a_file_that_is_not_there_is_told() {
    let arguments = ["ctl", "submit", "p.toml", "--config", "/nowhere/run.toml"].map(OsString::from);
    let Err(Refusal::File(Error::Failed(complaint))) = parse(&arguments) else { panic!("no complaint") };
    assert!(complaint.detail.message.starts_with("cannot read the options /nowhere/run.toml"));
}

#[test]
fn a_mistyped_command_gets_one_guess_that_is_near() {
    for (line, guess) in [
        ("ctl rnu p.toml", "run"),
        ("ctl --socket x sumbit p.toml", "submit"),
        ("ctl chekc p.toml", "check"),
        ("ctl catalog reslove p.toml x", "resolve"),
        ("ctl datasets evcit", "evict"),
    ] {
        let arguments: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        let Err(Refusal::Usage(problem)) = parse(&arguments) else { panic!("{line} is taken") };
        let told = problem.to_string();
        assert!(told.contains(&format!("a similar subcommand exists: '{guess}'\n")), "{line}: {told}");
    }
}
