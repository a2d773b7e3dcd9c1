//! R12: only what is missing is made, by the word of the dataset types.

use std::fs;

use protocol::RunState;
use tests::Scene;

/// `a` and `c` are persisted, `b` in between is not.
fn pipeline(scene: &Scene) -> String {
    let trace = scene.path("trace");
    let node = |name: &str, before: &str| {
        format!(
            "[[node]]\nname = \"{name}\"\ncall = \"faults::step\"\ninputs = {{ trace = \"params:trace\"{before} }}\n\
             outputs = [\"{name}\"]\n"
        )
    };
    format!(
        "name = \"steps\"\nparameters = {{ trace = {trace:?} }}\n{}{}{}[catalog]\na = {{ type = \"json\", path = \"a.json\" }}\n\
         c = {{ type = \"json\", path = \"c.json\" }}\n",
        node("a", ""),
        node("b", ", before = \"a\""),
        node("c", ", before = \"b\""),
    )
}

#[test]
fn parity_r12_only_what_is_missing_is_made() {
    for start_method in ["fork", "spawn"] {
        let scene =
            Scene::with(&["faults", "formats"]).set("workers.start_method", format!("{start_method:?}")).build();
        let daemon = scene.start();
        let path = scene.write("pipeline.toml", pipeline(&scene));
        let submit = |more: &[&str]| {
            let all = ["submit", path.to_str().unwrap(), "--only-missing-outputs"];
            daemon.ctl(all.iter().chain(more)).expect_success()
        };
        let trace = || fs::read_to_string(scene.path("trace")).unwrap().replace('\n', " ");
        submit(&[]).expect_said(&["Running 3 of 3 nodes"]);
        submit(&[]).expect_said(&["Skipping all 3 nodes: all persisted outputs exist"]);
        let nothing = daemon.newest_run();
        assert_eq!((nothing.summary.state, nothing.summary.counts.total), (RunState::Succeeded, 0));
        assert_eq!(trace(), "a b c ");

        fs::remove_file(scene.work("c.json")).unwrap();
        submit(&[]).expect_said(&["Skipping 1 nodes with existing outputs: a", "Running 2 of 3 nodes"]);
        assert_eq!(trace(), "a b c b c ");
        let id = daemon.newest_run().summary.id;
        daemon.ctl(["logs", &id]).expect_success().expect_stdout(&[
            "Running c: its output c does not exist",
            "Running b: c runs and reads b, which is in memory only",
        ]);

        // Filters come first.
        fs::remove_file(scene.work("a.json")).unwrap();
        submit(&["--to-nodes", "a"]).expect_said(&["Running 1 of 1 nodes"]);
        assert_eq!(trace(), "a b c b c a ");
    }
}

#[test]
fn parity_r12_what_cannot_be_known_is_named_and_nothing_runs() {
    let scene = Scene::with(&["faults", "formats"]).build();
    let daemon = scene.start();
    let node = |name: &str| {
        format!(
            "[[node]]\nname = \"{name}\"\ncall = \"faults::text\"\ninputs = {{ text = \"params:t\" }}\noutputs = [\"{name}\"]\n"
        )
    };
    let entry = |name: &str, exists: &str| {
        format!("[catalog.{name}]\ntype = \"gated\"\npath = \"{name}.txt\"\noptions = {{ exists = \"{exists}\" }}\n")
    };
    let text = format!(
        "name = \"asks\"\nparameters = {{ t = \"x\" }}\n{}{}{}{}{}{}",
        node("silent"),
        node("good"),
        node("dead"),
        entry("silent", "fails"),
        entry("good", "really"),
        entry("dead", "crashes"),
    );
    let path = scene.write("pipeline.toml", text);
    daemon.ctl(["submit", path.to_str().unwrap(), "--only-missing-outputs"]).expect_code(3).expect_stderr(&[
        "`dead` and `silent`",
        "the server does not say",
        "SIGABRT",
        "--only-missing-outputs",
    ]);
    assert!(!scene.work("good.txt").exists());
    daemon.ctl(["submit", path.to_str().unwrap()]).expect_success();
}
