//! Datasets that stay in memory beyond a run: loaded once, shared, dropped when it is right.

use std::fs;

use protocol::{BlockHolder, BlockInfo, BlockList, RunState};
use tests::{Daemon, Scene, wait};

/// A pipeline of one node that reads `dataset` as text; its catalog entry has these keys.
fn pipeline(scene: &Scene, dataset: &str, entry: &str) -> String {
    format!(
        "name = \"reads\"\n[[node]]\nname = \"shout\"\ncall = \"faults::shout\"\ninputs = [\"{dataset}\"]\noutputs = [\"loud\"]\n\
         [catalog.{dataset}]\ntype = \"counted\"\nresident = true\npath = \"text.txt\"\n{entry}\n\
         [catalog.{dataset}.options]\ntrace = {:?}\n",
        scene.work("trace")
    )
}

/// How often the text was really loaded.
fn loads(scene: &Scene) -> usize {
    fs::read_to_string(scene.work("trace")).unwrap_or_default().lines().count()
}

#[track_caller]
fn run(daemon: &Daemon<'_>, pipeline: &str) {
    let id = daemon.begin(pipeline);
    let detail = daemon.wait(&id);
    assert_eq!(detail.summary.state, RunState::Succeeded, "{detail:#?}");
}

fn residents(daemon: &Daemon<'_>) -> Vec<BlockInfo> {
    let list: BlockList = daemon.get("/v1/datasets").expect(200).read();
    list.blocks.into_iter().filter(|block| block.holder == BlockHolder::Resident).collect()
}

fn loaded_once_over_many_runs(start_method: &str) {
    let scene = Scene::with(&["faults", "formats"]).set("workers.start_method", format!("{start_method:?}")).build();
    scene.write("text.txt", "hello ");
    let daemon = scene.start();
    let gate = scene.work("gate");
    let waiting = format!("{}gate = {:?}\n", pipeline(&scene, "words", ""), gate);
    // More runs than workers, all of which need it before it is there.
    let ids: Vec<String> = (0..8).map(|_| daemon.begin(&waiting)).collect();
    wait::until_true("the one load to begin", || loads(&scene) == 1);
    fs::write(&gate, "").unwrap();
    for id in &ids {
        assert_eq!(daemon.wait(id).summary.state, RunState::Succeeded);
    }
    run(&daemon, &waiting);
    assert_eq!(loads(&scene), 1);
    let there = residents(&daemon);
    assert_eq!(there.len(), 1, "{there:#?}");
    assert_eq!((&*there[0].name, &*there[0].kind, there[0].bytes, there[0].readers), ("words", "text", 6, 0));
}

#[test]
fn parity_s2_a_resident_dataset_is_loaded_once_however_many_runs_use_it_forked() {
    loaded_once_over_many_runs("fork");
}

#[test]
fn parity_s2_a_resident_dataset_is_loaded_once_however_many_runs_use_it_spawned() {
    loaded_once_over_many_runs("spawn");
}

#[test]
fn the_same_data_is_shared_under_any_name_and_other_options_are_other_data() {
    let scene = Scene::with(&["faults"]).build();
    scene.write("text.txt", "hello ");
    let daemon = scene.start();
    run(&daemon, &pipeline(&scene, "words", ""));
    run(&daemon, &pipeline(&scene, "sentence", ""));
    assert_eq!(loads(&scene), 1);
    run(&daemon, &format!("{}times = 2000\n", pipeline(&scene, "words", "")));
    assert_eq!(loads(&scene), 2);
    let names: Vec<(String, u64)> = residents(&daemon).into_iter().map(|block| (block.name, block.bytes)).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(names.contains(&("sentence, words".to_owned(), 6)), "{names:?}");
}

#[test]
fn a_changed_file_is_loaded_anew() {
    let scene = Scene::with(&["faults"]).build();
    scene.write("text.txt", "hello ");
    let daemon = scene.start();
    let pipeline = pipeline(&scene, "words", "");
    run(&daemon, &pipeline);
    scene.write("text.txt", "hello, world ");
    run(&daemon, &pipeline);
    assert_eq!(loads(&scene), 2);
    // Replaced by another file of the same size.
    scene.write("other.txt", "HELLO, WORLD ");
    fs::rename(scene.work("other.txt"), scene.work("text.txt")).unwrap();
    run(&daemon, &pipeline);
    run(&daemon, &pipeline);
    assert_eq!(loads(&scene), 3);
    assert_eq!(residents(&daemon).len(), 1);
}

#[test]
fn a_failed_load_is_each_runs_own_failure() {
    let scene = Scene::with(&["faults"]).build();
    let daemon = scene.start();
    let pipeline = pipeline(&scene, "words", "");
    let ids: Vec<String> = (0..4).map(|_| daemon.begin(&pipeline)).collect();
    for id in &ids {
        let detail = daemon.wait(id);
        assert_eq!(detail.summary.state, RunState::Failed);
        assert!(detail.failures[0].message.contains("text.txt"), "{detail:#?}");
    }
    assert_eq!(loads(&scene), 4);
    scene.write("text.txt", "hello ");
    run(&daemon, &pipeline);
}

#[test]
fn a_run_that_waits_for_a_load_can_be_cancelled_and_another_takes_its_turn() {
    let scene = Scene::with(&["faults"]).build();
    scene.write("text.txt", "hello ");
    let daemon = scene.start();
    let gate = scene.work("gate");
    let waiting = format!("{}gate = {:?}\n", pipeline(&scene, "words", ""), gate);
    let loader = daemon.begin(&waiting);
    wait::until_true("the load to begin", || loads(&scene) == 1);
    let parked = daemon.begin(&waiting);
    let patient = daemon.begin(&waiting);
    daemon.ctl(["cancel", &parked]).expect_success();
    assert_eq!(daemon.wait(&parked).summary.state, RunState::Cancelled);
    // The one that loads for everybody goes: somebody else loads.
    daemon.ctl(["cancel", &loader]).expect_success();
    assert_eq!(daemon.wait(&loader).summary.state, RunState::Cancelled);
    fs::write(&gate, "").unwrap();
    assert_eq!(daemon.wait(&patient).summary.state, RunState::Succeeded);
    assert_eq!(loads(&scene), 2);
}

#[test]
fn datasets_are_listed_and_evicted() {
    let scene = Scene::with(&["faults"]).build();
    scene.write("text.txt", "hello ");
    let daemon = scene.start();
    daemon.ctl(["datasets"]).expect_success().expect_stdout(&["no dataset is in memory"]);
    run(&daemon, &pipeline(&scene, "words", ""));
    daemon.ctl(["datasets"]).expect_success().expect_stdout(&["words", "resident", "text", "6 B", "text.txt"]);
    let listed = daemon.ctl(["datasets", "--json"]).expect_success().json();
    assert_eq!(listed["blocks"][0]["type"], "faults::counted");
    daemon.ctl(["datasets", "evict", "wrods"]).expect_code(6).expect_stderr(&["wrods", "did you mean \"words\"?"]);
    daemon.ctl(["datasets", "evict"]).expect_code(2);
    daemon.ctl(["datasets", "evict", "words"]).expect_success().expect_stdout(&["words (6 B): dropped"]);
    daemon.ctl(["datasets", "evict", "--all"]).expect_success().expect_stdout(&["no dataset is resident"]);
    run(&daemon, &pipeline(&scene, "words", ""));
    assert_eq!(loads(&scene), 2);
    let evicted = daemon.ctl(["datasets", "evict", "--all", "--json"]).expect_success().json();
    assert_eq!(evicted["dropped"][0]["name"], "words");
    assert!(residents(&daemon).is_empty());
}

#[test]
fn one_that_is_being_read_goes_with_its_last_reader() {
    let scene = Scene::with(&["faults"]).build();
    scene.write("text.txt", "hello ");
    let daemon = scene.start();
    let gate = scene.work("gate");
    let held = format!(
        "name = \"holds\"\n[[node]]\nname = \"waits\"\ncall = \"faults::holds\"\n\
         inputs = {{ block = \"words\", file = \"params:gate\" }}\noutputs = [\"done\"]\n[parameters]\ngate = {gate:?}\n\
         [catalog.words]\ntype = \"counted\"\nresident = true\npath = \"text.txt\"\noptions = {{ trace = {:?} }}\n",
        scene.work("trace")
    );
    let id = daemon.begin(&held);
    daemon.wait_until_running(&id, "waits");
    daemon.ctl(["datasets", "evict", "words"]).expect_success().expect_stdout(&["is read by 1 run now"]);
    let there = residents(&daemon);
    assert!(there.len() == 1 && there[0].is_leaving && there[0].readers == 1, "{there:#?}");
    // Who comes now gets a block of its own loading.
    run(&daemon, &pipeline(&scene, "words", ""));
    assert_eq!(loads(&scene), 2);
    fs::write(&gate, "").unwrap();
    assert_eq!(daemon.wait(&id).summary.state, RunState::Succeeded);
    wait::until_true("the old one to go", || residents(&daemon).len() == 1);
    assert!(!residents(&daemon)[0].is_leaving);
}

#[test]
fn memory_that_a_run_needs_is_taken_from_what_nobody_reads() {
    let scene = Scene::with(&["faults"]).set("blocks.memory_budget_bytes", 5_000_000).build();
    scene.write("text.txt", "0123456789");
    let daemon = scene.start();
    // 2 MB stay; a run that makes 4 MB does not fit beside them.
    run(&daemon, &format!("{}times = 200000\n", pipeline(&scene, "words", "")));
    assert_eq!(residents(&daemon).len(), 1);
    let big = "name = \"big\"\n[[node]]\nname = \"big\"\ncall = \"faults::big\"\ninputs = { bytes = \"params:bytes\" }\n\
               outputs = [\"data\"]\n[parameters]\nbytes = 4000000\n";
    run(&daemon, big);
    assert!(residents(&daemon).is_empty());
}

#[test]
fn a_reload_that_would_strand_one_is_refused_until_it_is_evicted_or_forced() {
    let scene = Scene::with(&["faults", "formats"]).set("plugins.watch", false).build();
    scene.write("text.txt", "hello ");
    let daemon = scene.start();
    let library = scene.plugin_folder().join("libfaults.so");
    let taken_away = || fs::rename(&library, scene.work("aside")).unwrap();
    let is_named = &["resident dataset words", "faults::counted", "`ctl datasets evict words`", "`ctl reload --force`"];
    run(&daemon, &pipeline(&scene, "words", ""));
    taken_away();
    daemon.ctl(["reload", "--dry-run"]).expect_code(3).expect_stdout(is_named);
    daemon.ctl(["reload"]).expect_code(3).expect_stderr(is_named).expect_stderr(&["generation 1 stays current"]);
    run(&daemon, &pipeline(&scene, "words", ""));
    daemon.ctl(["datasets", "evict", "words"]).expect_success();
    daemon.ctl(["reload"]).expect_success().expect_stdout(&["faults: gone"]);

    // The other way: what is in memory stays there, for whoever brings its type back.
    fs::rename(scene.work("aside"), &library).unwrap();
    daemon.ctl(["reload"]).expect_success();
    run(&daemon, &pipeline(&scene, "words", ""));
    taken_away();
    daemon.ctl(["reload", "--force"]).expect_success().expect_stderr(&["resident dataset words", "faults::counted"]);
    fs::rename(scene.work("aside"), &library).unwrap();
    daemon.ctl(["reload"]).expect_success();
    run(&daemon, &pipeline(&scene, "words", ""));
    assert_eq!(loads(&scene), 2);
}

/// A version is data of its own: the latest is loaded once, a newer one anew, and one that is asked for is another dataset.
#[test]
fn parity_c3_versions_of_a_resident_dataset_are_told_apart() {
    let scene = Scene::with(&["faults", "formats"]).build();
    let path = |version: &str| format!("text.txt/{version}/text.txt");
    let [old, new] = ["2024-01-01T00.00.00.000Z", "2025-01-01T00.00.00.000Z"];
    scene.write(&path(old), "old");
    let daemon = scene.start();
    let reads = pipeline(&scene, "words", "versioned = true")
        .replace("[catalog.words]", "[catalog.loud]\ntype = \"text\"\npath = \"loud.txt\"\n[catalog.words]");
    for (expected, loaded) in [("OLD", 1), ("OLD", 1)] {
        daemon.submit(&reads).expect_success();
        assert_eq!((scene.read("loud.txt").as_str(), loads(&scene)), (expected, loaded));
    }
    scene.write(&path(new), "new");
    daemon.submit(&reads).expect_success();
    assert_eq!((scene.read("loud.txt").as_str(), loads(&scene)), ("NEW", 2));
    // The old one is still there.
    let asked = format!("words:{old}");
    daemon.ctl(["submit", "pipeline.toml", "--load-versions", &asked]).expect_success();
    assert_eq!((scene.read("loud.txt").as_str(), loads(&scene)), ("OLD", 2));
    assert_eq!(residents(&daemon).len(), 2);
}
