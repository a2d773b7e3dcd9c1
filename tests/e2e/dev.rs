//! `ctl dev`: a plugin at work on. The crate's "compiler" is a script that hands out libraries made beforehand, so that a save takes
//! milliseconds; everything after it is the real thing.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use nix::sys::signal::Signal;
use tests::{Scene, Versions, processes, versions, wait};

/// A crate whose source is the version that it builds to; any other text does not compile.
fn lay_out(scene: &Scene) {
    let library = Versions::new(scene);
    for version in ["1.000", "2.000"] {
        scene.write(&format!("made/{version}"), library.library(version));
    }
    scene.write("crate/Cargo.toml", "");
    scene.write("crate/pipeline.toml", versions::pipeline(&scene.work("report")));
    let folder = scene.path("work");
    let script = format!(
        "#!/bin/sh\n\
         cd {folder} || exit 1\n\
         version=$(cat crate/src/lib.rs)\n\
         echo \"$version\" >> builds\n\
         [ -f \"made/$version\" ] || {{ echo \"error[E0000]: $version is no version\" >&2; exit 101; }}\n\
         mkdir -p crate/target && cp \"made/$version\" crate/target/libversions.so\n\
         echo '{{\"reason\":\"compiler-artifact\",\"manifest_path\":\"{folder}/crate/Cargo.toml\",\"target\":{{\"kind\":[\"cdylib\"]}},'\\\n\
         '\"filenames\":[\"{folder}/crate/target/libversions.so\"]}}'\n",
        folder = folder.canonicalize().unwrap().display()
    );
    let cargo = scene.write("cargo", script);
    fs::set_permissions(cargo, fs::Permissions::from_mode(0o755)).unwrap();
}

fn dev(scene: &Scene, arguments: &[&str]) -> std::process::Command {
    let mut command = scene.ctl_command(["dev", "crate"].iter().chain(arguments));
    command.env("CARGO", scene.work("cargo")).env_remove("DAGD_SOCKET");
    command
}

#[test]
fn each_save_is_built_loaded_and_run() {
    let scene = Scene::with(&[]).build();
    lay_out(&scene);
    scene.write("crate/src/lib.rs", "1.000");
    let running = tests::command::Running::start(&mut dev(&scene, &["crate/pipeline.toml", "--workers", "1"]));
    let ran = |version: &str| {
        let report = fs::read_to_string(scene.work("report")).unwrap_or_default();
        report.lines().filter(|line| *line == version).count() == 4
    };
    let builds = || fs::read_to_string(scene.work("builds")).unwrap_or_default();
    wait::until_true("the first version to run", || ran("1.000"));
    // What does not compile is said and changes nothing; a save during a build is built next.
    scene.write("crate/src/lib.rs", "nonsense");
    wait::until_true("nonsense to be built", || builds().ends_with("nonsense\n"));
    scene.write("crate/src/lib.rs", "2.000");
    wait::until_true("the second version to run", || ran("2.000"));
    // A change of the pipeline is no reason to build.
    fs::remove_file(scene.work("report")).unwrap();
    scene.write("crate/pipeline.toml", versions::pipeline(&scene.work("report")));
    wait::until_true("the changed pipeline to run", || ran("2.000"));
    assert_eq!(builds(), "1.000\nnonsense\n2.000\n");
    processes::signal(running.pid(), Signal::SIGINT);
    running.finish().expect_success().expect_stderr(&["built in ", "loaded in ", "versions 0.1.0 ("]);
}

#[test]
fn once_the_exit_code_tells() {
    let scene = Scene::with(&[]).build();
    lay_out(&scene);
    scene.write("crate/src/lib.rs", "1.000");
    let once = |arguments: &[&str]| tests::command::run(dev(&scene, &["--once"]).args(arguments));
    once(&["crate/pipeline.toml"]).expect_success().expect_stdout(&["succeeded"]);
    scene.write("crate/src/lib.rs", "nonsense");
    once(&["crate/pipeline.toml"]).expect_code(3).expect_stderr(&["error[E0000]: nonsense is no version"]);
    fs::remove_file(scene.work("crate/Cargo.toml")).unwrap();
    once(&[]).expect_code(3).expect_stderr(&["there is no Cargo.toml in crate", "ctl dev"]);
}

#[test]
fn a_daemon_that_runs_already_gets_the_library() {
    let scene = Scene::with(&[]).set("plugins.watch", false).build();
    lay_out(&scene);
    let daemon = scene.start();
    scene.write("crate/src/lib.rs", "1.000");
    let socket = scene.socket().display().to_string();
    let once = |arguments: &[&str]| {
        tests::command::run(dev(&scene, &["crate/pipeline.toml", "--once", "--socket", &socket]).args(arguments))
    };
    once(&[]).expect_code(2).expect_stderr(&["the daemon has no libversions.so yet", "--into"]);
    let folder = scene.plugin_folder().display().to_string();
    once(&["--into", &folder]).expect_success();
    scene.write("crate/src/lib.rs", "2.000");
    once(&[]).expect_success();
    let lines = scene.read("report");
    assert_eq!(lines.lines().filter(|line| *line == "2.000").count(), 4, "{lines}");
    assert_eq!(daemon.newest_run().summary.generation, 3);
}
