//! The configuration file: every key documented, every mistake answered with its place.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use super::{Config, DEFAULT_TEXT, HookErrorPolicy, HookOrder};
use crate::ipc::message::StartMethod;

fn environment(name: &str) -> Option<String> {
    (name == "HOME").then(|| "/home/ada".to_owned())
}

fn parse(text: &str) -> Config {
    Config::parse("config.toml", text, Path::new("/etc/dagd"), &environment).unwrap()
}

/// The problems of a text, each on a line of its own: place, code, message, hint.
fn problems(text: &str) -> String {
    let problems = Config::parse("config.toml", text, Path::new("/etc/dagd"), &environment).unwrap_err();
    let lines = problems.iter().map(|problem| {
        let place = problem.place.as_ref().map(|place| format!("{place} ")).unwrap_or_default();
        let hint = problem.hints.first().map(|hint| format!(" | {hint}")).unwrap_or_default();
        format!("{place}{}: {}{hint}\n", problem.code, problem.message)
    });
    lines.collect()
}

#[test]
fn the_defaults_are_the_file() {
    let config = Config::default();
    assert_eq!(config.workers.start_method, StartMethod::Fork);
    assert_eq!(config.plugins.load_timeout_ms, 10_000);
    assert_eq!(config.server.connections_max, 256);
    assert_eq!(config.runs.keep_count, 1000);
    assert_eq!(config, parse(""), "an empty file changes nothing");
}

#[test]
fn the_guides_example_of_a_hook_is_read() {
    let guide = include_str!("../../../../plugins/README.md");
    let example = guide.split("```toml\n").find(|block| block.starts_with("[hooks]\n")).unwrap();
    let config = parse(example.split("```").next().unwrap());
    assert_eq!(config.hooks.enabled, ["tides::Slowest"]);
    let settings = &config.hooks.settings["tides::Slowest"];
    assert_eq!(settings.on_error, HookErrorPolicy::Ignore);
    assert_eq!(settings.options["least_us"], 1_000_000);
}

#[test]
fn every_key_stands_in_the_default_file_with_a_comment() {
    // A value that the file did not set would be what the type starts with: zero, empty. Those that may be so on
    // purpose are told apart by the key standing in the text.
    let mut commented = false;
    for line in DEFAULT_TEXT.lines() {
        if line.is_empty() {
            commented = false;
        } else if line.starts_with('#') {
            commented = true;
        } else if !line.starts_with('[') {
            assert!(commented, "no comment above: {line}");
        }
    }
    let keys = super::read::all_keys();
    assert!(keys.len() > 20, "{keys:?}");
    for key in keys {
        let last = key.rsplit('.').next().unwrap();
        let found = DEFAULT_TEXT.lines().any(|line| line.trim_start_matches("# ").starts_with(&format!("{last} = ")));
        assert!(found, "{key} is not in default-config.toml");
    }
}

#[test]
fn a_file_overlays_the_defaults() {
    let config = parse(
        r#"
        [server]
        socket = "run/dagd.sock"
        state_directory = "${env:HOME}/state"
        allowed_uids = [1000, 1001]
        [plugins]
        directories = ["plugins", "/opt/plugins"]
        [workers]
        start_method = "spawn"
        memory_max_bytes = 0x4000_0000
        [hooks]
        enabled = ["trace::ChromeTrace"]
        [hooks.settings."trace::ChromeTrace"]
        on_error = "ignore"
        order = "last"
        options = { directory = "${env:HOME}/traces", deep = [1, { a = 1.5 }] }
        [log]
        level = "debug"
        "#,
    );
    assert_eq!(config.server.socket, Path::new("/etc/dagd/run/dagd.sock"));
    assert_eq!(config.server.state_directory, Path::new("/home/ada/state"));
    assert_eq!(config.server.allowed_uids, [1000, 1001]);
    assert_eq!(config.plugins.directories, [PathBuf::from("/etc/dagd/plugins"), PathBuf::from("/opt/plugins")]);
    assert_eq!(config.plugins.load_timeout_ms, 10_000, "what is not given stays");
    assert_eq!(config.workers.start_method, StartMethod::Spawn);
    assert_eq!(config.workers.memory_max_bytes, 1 << 30);
    assert_eq!(config.log.level, log::LevelFilter::Debug);
    let hook = config.hooks.settings_of("trace::ChromeTrace");
    assert_eq!((hook.on_error, hook.order, hook.deadline_ms), (HookErrorPolicy::Ignore, HookOrder::Last, 5000));
    let options = serde_json::json!({ "directory": "/home/ada/traces", "deep": [1, { "a": 1.5 }] });
    assert_eq!(hook.options, options);
    assert_eq!(config.hooks.settings_of("other::Hook").on_error, HookErrorPolicy::Fail);
}

#[test]
fn every_mistake_is_reported_with_its_place() {
    let text = r#"
[server]
sokcet = "x"
connections_max = 0
allowed_uids = [1, -1, "ada"]
[worker]
[workers]
count = "four"
start_method = "frok"
[plugins]
directories = "plugins"
[hooks]
settings = 3
[log]
level = "${env:NO_SUCH}"
"#;
    assert_eq!(
        problems(text),
        "\
config.toml:3:1 unknown-key: [server] has no key \"sokcet\" | did you mean \"socket\"?
config.toml:4:19 too-small: server.connections_max must be at least 1, not 0
config.toml:5:20 wrong-type: an item of this list must be a whole number from 0 to 4294967295, not the number -1
config.toml:5:24 wrong-type: an item of this list must be a whole number from 0 to 4294967295, not the string \"ada\"
config.toml:6:2 unknown-key: the configuration has no key \"worker\" | did you mean \"workers\"?
config.toml:8:9 wrong-type: workers.count must be a whole number from 0 to 4294967295, not the string \"four\"
config.toml:9:16 unknown-word: workers.start_method: must be \"fork\" or \"spawn\", not \"frok\" | did you mean \"fork\"?
config.toml:11:15 wrong-type: plugins.directories must be a list, each item a string, not the string \"plugins\"
config.toml:13:12 wrong-type: hooks.settings must be a table, not the number 3 | write [hooks.settings] on a line of its own
config.toml:15:9 unset-variable: log.level: the environment variable \"NO_SUCH\" is not set | set NO_SUCH where the daemon is started, or write the value itself
"
    );
}

#[test]
fn what_is_no_toml_is_reported_by_line() {
    let found = problems("[server]\nsocket = \n[log\nlevel = 'x'\n");
    assert!(found.starts_with("config.toml:2:"), "{found}");
    assert!(found.contains("config.toml:3:"), "both mistakes: {found}");
}

#[test]
fn placeholders_are_checked() {
    assert_eq!(
        problems("[server]\nsocket = \"${HOME}/x\"\ngroup = \"a${env:HOME\"\n"),
        "\
config.toml:2:10 bad-placeholder: server.socket: ${HOME} means nothing here | only ${env:NAME} is known in the configuration
config.toml:3:9 bad-placeholder: server.group: a \"${\" here is never closed by \"}\" | write ${env:NAME} for the value of an environment variable
"
    );
}

#[test]
fn a_file_that_cannot_be_read_is_explained() {
    let problems = Config::load(Path::new("/no/such/config.toml"), &environment).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].message.starts_with("cannot read the configuration /no/such/config.toml: "), "{problems:?}");

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    std::fs::write(&file, b"[server]\n\xff").unwrap();
    let problems = Config::load(&file, &environment).unwrap_err();
    assert!(problems[0].message.contains("line 2"), "{problems:?}");
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(\\[[a-z.\"]{1,8}\\]\n|[a-z_]{1,8} = ([0-9]{1,3}|\"[^\"]{0,8}\"|\\[.{0,4}\\])\n|.{0,6}){0,8}") {
        let _ = Config::parse("config.toml", &text, Path::new("/etc"), &environment);
    }
}
