//! Saves that cannot be: the message names dataset and path, and what was there before is still there.

use std::fs;
use std::process::Command;

use tests::{Scene, command};

const SAVE: &str = r#"
    name = "save"
    parameters = { bytes = 4000000 }
    [[node]]
    name = "big"
    call = "faults::big"
    inputs = { bytes = "params:bytes" }
    outputs = ["data"]
    [catalog.data]
    type = "bytes"
    path = "PATH"
"#;

#[test]
fn a_full_disk_leaves_the_old_file() {
    let scene = Scene::with(&["faults", "formats"]).build();
    let disk = scene.work("disk");
    fs::create_dir(&disk).unwrap();
    let pipeline = scene.write("pipeline.toml", SAVE.replace("PATH", "disk/data.bin"));
    // A disk of one megabyte, in a mount namespace that ends with the command.
    let script = r#"
        mount -t tmpfs -o size=1m none "$1" || exit 99
        printf old > "$1/data.bin"
        "$2" run "$3" --daemon-config "$4"
        code=$?
        [ "$(cat "$1/data.bin")" = old ] || { echo "the old file is gone" >&2; exit 98; }
        [ "$(ls -A "$1" | wc -l)" = 1 ] || { ls -lA "$1" >&2; echo "something was left beside it" >&2; exit 97; }
        exit $code
    "#;
    let mut unshare = scene.program("ctl"); // For its environment and folder.
    let mut command = Command::new("unshare");
    command.env_clear().envs(unshare.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.current_dir(unshare.current_dir(scene.path("work")).get_current_dir().unwrap());
    command.args(["--map-root-user", "--mount", "sh", "-c", script, "sh"]);
    command.arg(&disk).arg(scene.path("bin/ctl")).arg(&pipeline).arg(scene.path("dagd.toml"));
    let outcome = command::run(&mut command);
    if outcome.code == 99 || outcome.stderr.contains("unshare") {
        eprintln!("skipped: no private mount namespace here: {}", outcome.stderr.trim());
        return;
    }
    outcome.expect_code(1).expect_said(&["data", "disk/data.bin", "the disk is full", "help: free some space"]);
}

#[test]
fn a_folder_that_is_missing_is_named() {
    let scene = Scene::with(&["faults", "formats"]).build();
    // A file where a folder should be cannot be made one, not even by root.
    scene.write("not_a_folder", "");
    let outcome = scene.run(&SAVE.replace("PATH", "not_a_folder/data.bin"));
    outcome.expect_code(1).expect_said(&["data", "not_a_folder", "help:"]);
}

#[test]
fn a_folder_that_may_not_be_written_is_named() {
    let scene = Scene::with(&["faults", "formats"]).build();
    // Nobody may create files in /proc, not even root.
    let outcome = scene.run(&SAVE.replace("PATH", "/proc/data.bin"));
    outcome.expect_code(1).expect_said(&["data", "/proc", "help:"]);
}
