//! Reloads: a new generation beside the old one, checked, swapped in or refused; and runs that keep theirs.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use nix::sys::signal::Signal;
use protocol::{GenerationInfo, GenerationState, PluginList, ReloadReport, RunDetail, RunState};
use serde_json::json;
use tests::reloads::Soak;
use tests::{Broken, Daemon, Scene, SceneBuilder, Versions, processes, versions, wait};

/// Long enough for any library that can be loaded, on a busy machine too; only the ones that hang wait it out.
const LOAD_TIMEOUT_MS: u32 = 5000;

/// A scene whose daemon does not watch, so that only what a test asks for happens.
fn scene(plugins: &[&str]) -> SceneBuilder {
    Scene::with(plugins).set("plugins.watch", false).set("plugins.load_timeout_ms", LOAD_TIMEOUT_MS)
}

fn list(daemon: &Daemon<'_>) -> PluginList {
    daemon.get("/v1/plugins").expect(200).read()
}

fn generation(daemon: &Daemon<'_>, number: u64) -> Option<GenerationInfo> {
    list(daemon).generations.into_iter().find(|info| info.number == number)
}

/// Runs the pipeline of all versions, and gives the version that each node said.
#[track_caller]
fn versions_of_a_run(scene: &Scene, daemon: &Daemon<'_>) -> Vec<String> {
    let file = scene.work("report");
    let run = daemon.wait(&daemon.begin(&versions::pipeline(&file)));
    assert!(run.summary.state == RunState::Succeeded, "{run:#?}");
    read_versions(&file)
}

fn read_versions(file: &Path) -> Vec<String> {
    fs::read_to_string(file).unwrap().lines().skip(1).map(str::to_owned).collect()
}

/// The same pipeline with a node that waits at a gate, and the files it uses.
fn held_open(scene: &Scene) -> (String, std::path::PathBuf, std::path::PathBuf) {
    let (gate, report) = (scene.work("gate"), scene.work("held"));
    let pipeline = versions::pipeline(&report)
        .replace("parameters = {", &format!("parameters = {{ gate = {gate:?},"))
        .replace("name = \"versions\"", "name = \"held\"")
        .replace(
            "call = \"versions::goes_on\"\ninputs = [\"two\"]",
            "call = \"versions::waits\"\ninputs = { versions = \"two\", file = \"params:gate\" }",
        );
    (pipeline, gate, report)
}

#[test]
fn runs_keep_their_generation_from_the_first_node_to_the_last() {
    for start_method in ["fork", "spawn"] {
        let scene = scene(&[]).set("workers.start_method", format!("{start_method:?}")).build();
        let library = Versions::new(&scene);
        library.put("1.000");
        let daemon = scene.start();
        let (pipeline, gate, report) = held_open(&scene);
        let held = daemon.begin(&pipeline);
        daemon.wait_until_running(&held, "c");

        library.put("2.000");
        daemon.ctl(["reload"]).expect_success().expect_stdout(&["versions: 0.1.0 (", "generation 2 is current"]);
        assert_eq!(versions_of_a_run(&scene, &daemon), ["2.000"; 4]);
        let old = generation(&daemon, 1).expect("the old generation has a run");
        assert!(old.state == GenerationState::Draining && old.runs == 1, "{old:#?}");
        assert!(old.processes >= 3 && old.memory_bytes > 0 && old.library_bytes > 0, "{old:#?}");
        daemon.ctl(["plugins"]).expect_success().expect_stdout(&["draining", "current"]);

        File::create(gate).unwrap();
        let run = daemon.wait(&held);
        assert!(run.summary.state == RunState::Succeeded && run.summary.generation == 1, "{run:#?}");
        assert_eq!(read_versions(&report), ["1.000"; 4]);
        // The server, one zygote, two workers: the old ones are gone, their libraries are kept.
        wait::until_true("the old generation to go", || daemon.processes().len() == 4);
        wait::until_true("the old generation to be kept only", || {
            generation(&daemon, 1).is_some_and(|old| old.state == GenerationState::Kept && old.processes == 0)
        });
    }
}

#[test]
fn a_run_says_which_plugins_exactly_it_ran_with() {
    let scene = scene(&[]).build();
    let library = Versions::new(&scene);
    library.put("1.000");
    let daemon = scene.start();
    versions_of_a_run(&scene, &daemon);
    let run = daemon.newest_run();
    let loaded = list(&daemon).plugins.remove(0);
    let [plugin] = &run.plugins[..] else { panic!("{run:#?}") };
    assert_eq!((plugin.name.as_str(), plugin.version.as_str()), ("versions", "0.1.0"));
    assert!(plugin.sha256.len() == 64 && plugin.sha256 == loaded.sha256, "{plugin:#?}");
    library.put("2.000");
    daemon.ctl(["reload"]).expect_success();
    daemon
        .ctl(["show", &run.summary.id])
        .expect_success()
        .expect_stdout(&["generation 1: versions 0.1.0 (", &plugin.sha256[..12]]);
    versions_of_a_run(&scene, &daemon);
    let newer: RunDetail = daemon.newest_run();
    assert!(newer.summary.generation == 2 && newer.plugins[0].sha256 != plugin.sha256, "{newer:#?}");
}

#[test]
fn one_bad_library_refuses_the_whole_generation() {
    let scene = scene(&["faults"]).build();
    let library = Versions::new(&scene);
    library.put("1.000");
    let mut daemon = scene.start();
    versions_of_a_run(&scene, &daemon);
    for (how, says) in [
        (Broken::Truncated, "cut short"),
        (Broken::WrongAbi, "expected 1.1.0"),
        (Broken::CrashOnLoad, "SIGSEGV"),
        (Broken::MissingNode, "reports_last"),
        (Broken::HangOnLoad, "5000 ms"),
    ] {
        library.spoil(how);
        let refused =
            daemon.ctl(["reload"]).expect_code(3).expect_stderr(&[says, "is refused; generation 1 stays current"]);
        assert_eq!(refused.stdout, "", "{refused}");
        daemon.ctl(["plugins"]).expect_success().expect_stdout(&[says, "refused"]);
        assert!(daemon.log().contains(says), "the log does not say {says:?}:\n{}", daemon.log());
        assert_eq!(versions_of_a_run(&scene, &daemon), ["1.000"; 4], "{how:?}");
    }
    assert_eq!(daemon.processes().len(), 4, "{:#?}", daemon.processes());
    let answer = daemon.ctl(["reload", "--json"]).expect_code(3).json();
    assert_eq!(answer["error"]["code"], "reload-refused", "{answer:#}");
    assert!(answer["error"]["problems"][0]["hints"][0].is_string(), "{answer:#}");
    library.put("2.000");
    daemon.ctl(["reload"]).expect_success();
    assert!(list(&daemon).generations.iter().all(|info| info.state != GenerationState::Refused));
    assert_eq!(versions_of_a_run(&scene, &daemon), ["2.000"; 4]);
    daemon.expect_healthy();
}

#[test]
fn a_pipeline_that_misses_a_node_is_told_of_the_generation_that_was_refused() {
    let scene = scene(&["faults"]).build();
    let daemon = scene.start();
    fs::write(scene.plugin_folder().join("libnew.so"), "no library").unwrap();
    daemon.ctl(["reload"]).expect_code(3);
    let missing = daemon.submit(&crate::pipelines::single("n", "new::node"));
    missing.expect_code(3).expect_stderr(&["no plugin is named `new`", "refused as generation 2"]);
}

#[test]
fn a_dry_run_tells_what_would_change_and_changes_nothing() {
    let scene = scene(&["faults"]).build();
    let library = Versions::new(&scene);
    library.put("1.000");
    let daemon = scene.start();
    versions_of_a_run(&scene, &daemon);
    let report: ReloadReport = daemon.post("/v1/reload", &json!({ "dry_run": true })).expect(200).read();
    assert!(report.changes.is_empty() && report.pipelines.is_empty() && report.problems.is_empty(), "{report:#?}");

    library.spoil(Broken::MissingNode);
    daemon.ctl(["reload", "--dry-run"]).expect_code(3).expect_stdout(&[
        "- node versions::reports_last",
        "pipeline versions (run ",
        "would no longer plan",
        "would be refused; nothing was changed",
    ]);
    library.put("2.000");
    daemon.ctl(["reload", "--dry-run"]).expect_success().expect_stdout(&["versions: 0.1.0 (", "nothing was changed"]);
    assert_eq!(versions_of_a_run(&scene, &daemon), ["1.000"; 4]);
    assert_eq!(list(&daemon).generation, 1);
    assert_eq!(daemon.processes().len(), 4, "{:#?}", daemon.processes());
}

#[test]
fn a_plugin_may_be_taken_away_and_force_takes_one_that_breaks_pipelines() {
    let scene = scene(&["faults"]).build();
    let library = Versions::new(&scene);
    library.put("1.000");
    let daemon = scene.start();
    versions_of_a_run(&scene, &daemon);
    library.spoil(Broken::MissingNode);
    daemon.ctl(["reload"]).expect_code(3).expect_stderr(&["would no longer plan", "ctl reload --force"]);
    daemon.ctl(["reload", "--force"]).expect_success().expect_stderr(&["no longer plans"]);
    library.put("2.000");
    daemon.ctl(["reload"]).expect_success();
    assert_eq!(versions_of_a_run(&scene, &daemon), ["2.000"; 4]);
    // Somebody removed the whole file: that was meant.
    library.remove();
    daemon.ctl(["reload"]).expect_success().expect_stdout(&["versions: gone"]).expect_stderr(&["no longer plans"]);
    let missing = daemon.submit(&versions::pipeline(&scene.work("report")));
    missing.expect_code(3).expect_stderr(&["no plugin is named `versions`"]);
}

#[test]
fn a_rollback_takes_the_contents_from_before_whatever_lies_in_the_directory() {
    let scene = scene(&[]).build();
    let library = Versions::new(&scene);
    library.put("1.000");
    let daemon = scene.start();
    daemon.ctl(["reload", "--rollback"]).expect_code(2).expect_stderr(&["nothing to roll back to"]);
    library.put("2.000");
    daemon.ctl(["reload"]).expect_success();
    assert_eq!(versions_of_a_run(&scene, &daemon), ["2.000"; 4]);
    wait::until_true("the first generation to go", || daemon.processes().len() == 4);
    library.remove();
    daemon.ctl(["reload", "--rollback"]).expect_success().expect_stderr(&["the plugins of generation 1"]);
    assert_eq!(versions_of_a_run(&scene, &daemon), ["1.000"; 4]);
    // And back again.
    daemon.ctl(["reload", "--rollback"]).expect_success();
    assert_eq!(versions_of_a_run(&scene, &daemon), ["2.000"; 4]);
    assert_eq!(list(&daemon).generation, 4);
}

#[test]
fn a_rollback_is_not_undone_by_the_watch_and_a_second_reload_does_not_lose_it() {
    let scene = Scene::with(&[]).set("log.level", "\"debug\"").build();
    let library = Versions::new(&scene);
    library.put("1.000");
    let daemon = scene.start();
    library.put("2.000");
    wait::until_true("the second version", || list(&daemon).generation == 2);
    // The same once more: what is kept is still the first version.
    daemon.ctl(["reload"]).expect_success().expect_stdout(&["no plugin differs"]);
    daemon.ctl(["reload", "--rollback"]).expect_success();
    assert_eq!(versions_of_a_run(&scene, &daemon), ["1.000"; 4]);
    // Looked at, found to be what was rolled back from.
    fs::set_permissions(library.path(), fs::Permissions::from_mode(0o600)).unwrap();
    wait::until_true("the watch to look", || daemon.log().contains("what is loaded is still what is there"));
    assert_eq!(list(&daemon).generation, 4);
    library.put("3.000");
    wait::until_true("another version", || list(&daemon).generation == 5);
    assert_eq!(versions_of_a_run(&scene, &daemon), ["3.000"; 4]);
}

#[test]
fn a_library_that_is_written_is_loaded_without_asking() {
    let scene = Scene::with(&[]).set("plugins.load_timeout_ms", LOAD_TIMEOUT_MS).build();
    let library = Versions::new(&scene);
    library.put("1.000");
    let daemon = scene.start();
    let is_current = |number: u64| list(&daemon).generation == number;
    library.put("2.000");
    wait::until_true("the renamed library to be loaded", || is_current(2));
    assert_eq!(versions_of_a_run(&scene, &daemon), ["2.000"; 4]);

    // Written in two halves: never tried between them. What changes meanwhile waits for it.
    let whole = library.library("3.000");
    let other = scene.plugin_folder().join("libother.so");
    fs::remove_file(library.path()).unwrap();
    wait::until_true("the removed library to be gone", || is_current(3));
    let mut file = File::create(library.path()).unwrap();
    file.write_all(&whole[..whole.len() / 2]).unwrap();
    File::create(&other).unwrap();
    fs::remove_file(&other).unwrap();
    file.write_all(&whole[whole.len() / 2..]).unwrap();
    drop(file);
    wait::until_true("the finished library to be loaded", || is_current(4));
    assert_eq!(versions_of_a_run(&scene, &daemon), ["3.000"; 4]);

    // A broken one is refused and tried again when it is written again.
    library.spoil(Broken::Truncated);
    wait::until_true("the truncated library to be refused", || {
        generation(&daemon, 5).is_some_and(|info| info.state == GenerationState::Refused)
    });
    library.put("4.000");
    wait::until_true("the mended library to be loaded", || is_current(6));
    assert!(!daemon.log().contains("generation 3 is refused"), "{}", daemon.log());
}

#[test]
fn a_plugin_directory_may_come_later() {
    let scene = Scene::with(&["faults"]).build();
    let later = scene.path("later/plugins");
    scene.configure_more("plugins.directories", &format!("[{later:?}]"));
    let daemon = scene.start();
    fs::create_dir_all(&later).unwrap();
    fs::copy(tests::artifacts::product("libversions.so"), later.join("libversions.so")).unwrap();
    wait::until_true("the new directory's plugin to be loaded", || list(&daemon).plugins.len() == 2);
    // A directory that goes away is perhaps being replaced: what was loaded from it stays until somebody asks.
    fs::rename(scene.path("later"), scene.path("aside")).unwrap();
    fs::remove_dir_all(scene.path("aside")).unwrap();
    wait::until_true("the log to say so", || daemon.log().contains("is gone; its plugins stay"));
    assert_eq!(list(&daemon).plugins.len(), 2);
    daemon.ctl(["reload"]).expect_success().expect_stdout(&["versions: gone"]);
}

#[test]
fn reloads_at_once_share_one_and_no_submit_fails() {
    let scene = scene(&[]).build();
    let library = Versions::new(&scene);
    library.put("1.000");
    let daemon = scene.start();
    library.put("2.000");
    std::thread::scope(|scope| {
        let reloads: Vec<_> =
            (0..8).map(|_| scope.spawn(|| daemon.ctl(["reload", "--json"]).expect_success())).collect();
        for number in 0..20 {
            let file = scene.work(&format!("report-{number}"));
            let run = daemon.wait(&daemon.begin(&versions::pipeline(&file)));
            assert!(run.summary.state == RunState::Succeeded, "{run:#?}");
            let versions = read_versions(&file);
            assert!(versions.iter().all(|version| *version == versions[0]), "{versions:?}");
        }
        reloads.into_iter().for_each(|reload| drop(reload.join().unwrap()));
    });
    assert!(list(&daemon).generation <= 9);
    assert_eq!(versions_of_a_run(&scene, &daemon), ["2.000"; 4]);
}

#[test]
fn a_daemon_that_is_told_to_stop_does_not_wait_for_a_reload() {
    let scene = scene(&["faults"]).set("plugins.load_timeout_ms", 600_000).build();
    let daemon = scene.start();
    scene.add_plugin("hang_on_load");
    let reload = scene.start_ctl(["reload"]);
    wait::until_true("the second zygote to be there", || {
        daemon.processes().iter().filter(|process| process.name.contains("zygote")).count() == 2
    });
    assert!(daemon.stop().success());
    let outcome = reload.finish();
    assert!(outcome.code != 0, "{outcome}");
}

#[test]
fn sighup_reads_plugins_and_configuration_anew_and_a_wrong_one_changes_nothing() {
    let scene = scene(&["faults"]).build();
    let daemon = scene.start();
    let hang_up = || processes::signal(daemon.pid(), Signal::SIGHUP);
    scene.add_plugin("versions");
    scene.configure_more("hooks.disabled_plugins", "[\"nobody\"]");
    hang_up();
    wait::until_true("the second generation", || list(&daemon).generation == 2);
    assert_eq!(list(&daemon).plugins.len(), 2);

    let sound = fs::read_to_string(scene.path("dagd.toml")).unwrap();
    fs::write(scene.path("dagd.toml"), sound.replace("workers.count = 2", "workers.cuont = 3")).unwrap();
    hang_up();
    wait::until_true("the log to say why", || {
        daemon.log().contains("did you mean \"count\"") || daemon.log().contains("cuont")
    });
    daemon.ctl(["reload"]).expect_code(3).expect_stderr(&[
        "cuont",
        "did you mean \"count\"?",
        "generation 2 stays current",
    ]);
    fs::remove_file(scene.path("dagd.toml")).unwrap();
    daemon.ctl(["reload"]).expect_code(3).expect_stderr(&["cannot read the configuration"]);
    assert_eq!((list(&daemon).generation, daemon.status().workers.len()), (2, 2));

    let new = sound.replace("workers.count = 2", "workers.count = 3") + "runs.keep_count = 7\n";
    fs::write(scene.path("dagd.toml"), new).unwrap();
    daemon.ctl(["reload"]).expect_success().expect_stderr(&["[runs]", "starts again"]);
    assert_eq!(daemon.status().workers.len(), 3);
}

#[test]
fn only_pinned_libraries_are_loaded() {
    let scene = scene(&["faults"]).build();
    let library = Versions::new(&scene);
    library.put("1.000");
    let hash = {
        let daemon = scene.start();
        let versions = list(&daemon).plugins.into_iter().find(|plugin| plugin.name == "versions");
        versions.expect("it is loaded").sha256
    };
    scene.configure_more("plugins.allow", &format!("{{ \"libversions.so\" = \"sha256:{hash}\" }}"));
    let daemon = scene.start();
    daemon.ctl(["plugins"]).expect_success().expect_stdout(&["libfaults.so: it is not on the list", "[plugins] allow"]);
    assert_eq!(versions_of_a_run(&scene, &daemon), ["1.000"; 4]);
    fs::remove_file(scene.plugin_folder().join("libfaults.so")).unwrap();
    daemon.ctl(["reload"]).expect_success();
    library.put("2.000");
    daemon.ctl(["reload"]).expect_code(3).expect_stderr(&["its SHA-256 is", &hash, "[plugins] allow"]);
    assert_eq!(versions_of_a_run(&scene, &daemon), ["1.000"; 4]);
}

#[test]
fn a_directory_that_everybody_may_write_to_is_refused_with_the_fix() {
    let mode = |folder: &Path, mode| fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
    let scene = Scene::with(&["faults"]).build();
    mode(&scene.plugin_folder(), 0o777);
    let mut daemon = scene.start();
    let fix = format!("chmod o-w {}", scene.plugin_folder().display());
    daemon.ctl(["plugins"]).expect_success().expect_stdout(&["every user may write to it (mode 0777)", &fix]);
    daemon.ctl(["reload"]).expect_code(3).expect_stderr(&[&fix]);
    assert!(list(&daemon).plugins.is_empty());
    // Done as told, nothing else is needed: the directory is watched.
    mode(&scene.plugin_folder(), 0o755);
    wait::until_true("the plugin to be loaded", || list(&daemon).plugins.len() == 1);
    daemon.expect_healthy();
}

#[test]
fn under_load_no_run_fails_and_nothing_is_left() {
    let tally = Soak { reloads: 12, broken: 5, load_timeout_ms: LOAD_TIMEOUT_MS.into(), runs_before: 1 };
    let tally = tally.run(|line| println!("{line}"));
    assert!(tally.failed == 0 && tally.mixed == 0 && tally.leaked_processes == 0, "{tally}\n{:#?}", tally.reasons);
    assert!(tally.runs > 0 && tally.reloads == 12 && tally.broken == 5, "{tally}");
    // Connections of the clients come and go.
    assert!(tally.leaked_files <= 4 && tally.leaked_threads <= 4, "{tally:#?}");
}
