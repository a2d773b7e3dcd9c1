//! Libraries that cannot be used: each is named with its reason, and the daemon comes up with the rest.

use std::fs;
use std::os::unix::ffi::OsStrExt;

use protocol::{PluginList, RefusedLibrary};
use tests::{Daemon, Scene};

/// Long enough for any library that can be loaded, on a busy machine too; only the one that hangs waits it out.
const LOAD_TIMEOUT_MS: u32 = 5000;

fn plugins(daemon: &Daemon<'_>) -> PluginList {
    daemon.get("/v1/plugins").expect(200).read()
}

/// Starts a daemon with a bad library beside a good one; the bad one is refused saying each of the texts.
#[track_caller]
fn check_refused(scene: &Scene, file: &str, says: &[&str]) -> RefusedLibrary {
    let mut daemon = scene.start();
    let list = plugins(&daemon);
    let refused = list.refused.iter().find(|refused| refused.path.ends_with(file));
    let refused = refused.unwrap_or_else(|| panic!("{file} is not refused: {list:#?}")).clone();
    for text in says {
        assert!(refused.reason.contains(text), "the reason does not say `{text}`: {refused:#?}");
    }
    assert!(!refused.hint.is_empty(), "nothing says what to do: {refused:#?}");
    daemon.ctl(["plugins"]).expect_success().expect_stdout(&["faults", file]);
    daemon.expect_healthy();
    assert!(daemon.stop().success());
    refused
}

#[track_caller]
fn check_plugin(plugin: &str, says: &[&str]) {
    let scene = Scene::with(&["faults", plugin]).set("plugins.load_timeout_ms", LOAD_TIMEOUT_MS).build();
    check_refused(&scene, &format!("lib{plugin}.so"), says);
}

#[track_caller]
fn check_file(content: &[u8], says: &[&str]) {
    let scene = Scene::with(&["faults"]).build();
    fs::write(scene.plugin_folder().join("libodd.so"), content).unwrap();
    check_refused(&scene, "libodd.so", says);
}

#[test]
fn one_that_crashes_on_load() {
    check_plugin("crash_on_load", &["SIGSEGV"]);
}

#[test]
fn one_that_hangs_on_load() {
    check_plugin("hang_on_load", &[&format!("{LOAD_TIMEOUT_MS} ms")]);
}

#[test]
fn one_that_is_no_plugin() {
    check_plugin("no_plugin", &["no dagd plugin"]);
}

#[test]
fn one_of_another_abi_version() {
    check_plugin("wrong_abi_version", &["expected 1.1.0", "found 0.7.0"]);
}

#[test]
fn one_that_is_laid_out_otherwise() {
    check_plugin("wrong_layout", &["laid out differently"]);
}

#[test]
fn one_with_two_nodes_of_one_name() {
    check_plugin("duplicate_nodes", &["`twice`"]);
}

#[test]
fn one_that_is_no_elf_file() {
    check_file(b"This is a note to the administrator.\n", &[]);
}

#[test]
fn one_that_is_empty() {
    check_file(b"", &[]);
}

#[test]
fn one_that_was_cut_off() {
    let whole = fs::read(tests::artifacts::product("libfaults.so")).unwrap();
    check_file(&whole[..4096], &[]);
}

#[test]
fn a_second_plugin_of_one_name() {
    let scene = Scene::with(&["faults"]).build();
    let copy = scene.plugin_folder().join("libfaults_again.so");
    fs::copy(tests::artifacts::product("libfaults.so"), copy).unwrap();
    check_refused(&scene, "libfaults_again.so", &["faults"]);
}

#[test]
fn a_library_whose_name_is_no_text() {
    let scene = Scene::with(&["faults"]).build();
    let name = std::ffi::OsStr::from_bytes(b"libodd\xff.so");
    fs::write(scene.plugin_folder().join(name), "not a library").unwrap();
    let mut daemon = scene.start();
    let list = plugins(&daemon);
    assert!(list.refused.iter().any(|refused| refused.path.contains("libodd")), "{list:#?}");
    daemon.expect_healthy();
}

#[test]
fn all_of_them_at_once() {
    let bad = ["crash_on_load", "duplicate_nodes", "hang_on_load", "no_plugin", "wrong_abi_version", "wrong_layout"];
    let scene = Scene::with(&["faults", "formats"]).set("plugins.load_timeout_ms", LOAD_TIMEOUT_MS).build();
    for plugin in bad {
        scene.add_plugin(plugin);
    }
    let mut daemon = scene.start();
    let list = plugins(&daemon);
    let refused: Vec<_> = list.refused.iter().map(|refused| refused.path.rsplit('/').next().unwrap()).collect();
    for plugin in bad {
        assert!(refused.contains(&format!("lib{plugin}.so").as_str()), "lib{plugin}.so is not in {refused:?}");
    }
    assert_eq!(list.plugins.iter().map(|plugin| plugin.name.as_str()).collect::<Vec<_>>(), ["faults", "formats"]);
    daemon.expect_healthy();
}

#[test]
fn one_that_starts_a_thread_turns_forking_off() {
    let scene = Scene::with(&["faults", "thread_on_load"]).build();
    let mut daemon = scene.start();
    let list = plugins(&daemon);
    assert_eq!(list.start_method, "spawn", "{list:#?}");
    assert!(list.warnings.iter().any(|warning| warning.contains("thread_on_load")), "{list:#?}");
    daemon.submit(&crate::pipelines::single("asks", "thread_on_load::answer")).expect_success();
    daemon.expect_healthy();
}

#[test]
fn one_that_keeps_a_file_open_turns_forking_off() {
    let scene = Scene::with(&["faults", "file_on_load"]).build();
    let mut daemon = scene.start();
    let list = plugins(&daemon);
    assert_eq!(list.start_method, "spawn", "{list:#?}");
    assert!(list.warnings.iter().any(|warning| warning.contains("file_on_load")), "{list:#?}");
    daemon.submit(&crate::pipelines::single("reads", "file_on_load::read")).expect_success();
    daemon.expect_healthy();
}

#[test]
fn a_plugin_does_not_see_the_daemons_environment() {
    for start_method in ["fork", "spawn"] {
        let scene =
            Scene::with(&["faults", "formats"]).set("workers.start_method", format!("{start_method:?}")).build();
        let mut daemon = scene.start();
        let seen = |name: &str| {
            let pipeline = "name = \"looks\"\n\n[[node]]\nname = \"looks\"\ncall = \"faults::environment\"\n\
                inputs = { name = \"params:name\" }\noutputs = [\"value\"]\n\n[catalog.value]\ntype = \"text\"\n";
            let text = format!("{pipeline}path = \"value.txt\"\n\n[parameters]\nname = \"{name}\"\n");
            daemon.submit(&text).expect_success();
            fs::read_to_string(scene.path("work/value.txt")).unwrap()
        };
        // What a program needs to find its files is handed on; everything else is the daemon's own.
        assert_eq!(seen("HOME"), scene.path("home").to_str().unwrap());
        assert_eq!(seen("XDG_RUNTIME_DIR"), "not set");
        daemon.expect_healthy();
    }
}

#[test]
fn a_pipeline_that_needs_a_refused_plugin_says_so() {
    let scene = Scene::with(&["faults", "wrong_abi_version"]).build();
    let daemon = scene.start();
    let outcome = daemon.submit(&crate::pipelines::single("n", "wrong_abi_version::anything"));
    outcome.expect_code(3).expect_stderr(&["wrong_abi_version"]);
}

#[test]
fn a_library_may_be_overwritten_while_it_is_in_use() {
    for start_method in ["fork", "spawn"] {
        let scene = Scene::with(&[]).set("workers.start_method", format!("{start_method:?}")).build();
        // A copy, not a link: this test destroys it.
        let library = scene.plugin_folder().join("libfaults.so");
        fs::copy(tests::artifacts::product("libfaults.so"), &library).unwrap();
        let mut daemon = scene.start();
        let length = fs::metadata(&library).unwrap().len();
        fs::write(&library, vec![0; usize::try_from(length).unwrap()]).unwrap();
        daemon.expect_healthy();
        // A crash makes the daemon start a worker anew, from the library as it was.
        let crash = daemon.begin(&crate::pipelines::single("dies", "faults::segfaults"));
        daemon.wait(&crash);
        daemon.expect_healthy();
    }
}

/// What a person sees who forgot to build, or named the wrong folder.
#[test]
fn a_plugin_folder_without_a_library_is_told() {
    let scene = Scene::with(&["faults"]).build();
    let folder = scene.path("nothing");
    fs::create_dir(&folder).unwrap();
    let file = scene.write("pipeline.toml", "name = \"p\"\n[[node]]\nname = \"n\"\ncall = \"tides::average\"\n");
    let outcome = scene.run_file(&file, &["--plugins", folder.to_str().unwrap()]).expect_code(3);
    outcome.expect_said(&[
        "there is no library lib*.so in the plugin folder",
        "nothing",
        "cargo build",
        "unknown-plugin",
    ]);
    fs::copy(scene.plugin_folder().join("libfaults.so"), folder.join("libfaults.so")).unwrap();
    let good = scene
        .write("pipeline.toml", "name = \"p\"\n[[node]]\nname = \"n\"\ncall = \"faults::noop\"\noutputs = [\"d\"]\n");
    let outcome = scene.run_file(&good, &["--plugins", folder.to_str().unwrap()]).expect_success();
    assert!(!outcome.stderr.contains("no library"), "{}", outcome.stderr);
}
