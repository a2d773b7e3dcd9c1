//! Credentials reach the dataset type that needs them, and nobody else.

use std::fs;
use std::path::Path;

use protocol::RunState;
use serde_json::Value;
use tests::{Scene, SceneBuilder};

const PASSWORD: &str = "hunter2-\\\"quoted\\\"";
/// Whatever is written about the secret holds at least this.
const TRACE: &str = "hunter2";

const PIPELINE: &str = r#"
    name = "secretive"
    [[node]]
    name = "shout"
    call = "faults::shout"
    inputs = ["vault"]
    outputs = ["loud"]
    [catalog]
    loud = { type = "text", path = "loud.txt" }
"#;

fn scene(start_method: &str) -> SceneBuilder {
    Scene::with(&["faults", "formats", "keepers"])
        .set("workers.start_method", format!("{start_method:?}"))
        .set("hooks.enabled", "[\"keepers::Listener\"]")
        .set("log.level", "\"debug\"")
}

/// Says in which files below a folder the secret stands.
fn searched(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            searched(&path, found);
        } else if fs::read(&path).unwrap_or_default().windows(TRACE.len()).any(|bytes| bytes == TRACE.as_bytes()) {
            found.push(path.display().to_string());
        }
    }
}

#[test]
fn parity_c4_a_secret_is_in_no_output_no_event_no_hook_and_no_file() {
    for start_method in ["fork", "spawn"] {
        for refuses in [false, true] {
            let scene = scene(start_method).build();
            let heard = scene.path("heard.json");
            scene.configure_more("hooks.settings.\"keepers::Listener\".options", &format!("{{ file = {heard:?} }}"));
            let credentials = scene.write("credentials.toml", format!("[safe]\npassword = \"{PASSWORD}\"\n"));
            scene.write("pipeline.toml", PIPELINE);
            scene.write(
                "catalog.toml",
                format!(
                    "vault = {{ type = \"vault\", credentials = \"safe\", options = {{ refuses = {refuses} }} }}\n"
                ),
            );
            let daemon = scene.start();
            let code = i32::from(refuses);
            let mut told = vec![daemon.ctl(["submit", ".", "--json"]).expect_code(code).stdout];
            let run = daemon.newest_run();
            assert_eq!(run.summary.state, if refuses { RunState::Failed } else { RunState::Succeeded });
            if !refuses {
                // Until here the data may hold it: that is what the credentials are for.
                assert_eq!(scene.read("loud.txt"), "HUNTER2-\"QUOTED\"");
                fs::remove_file(scene.work("loud.txt")).unwrap();
            }
            let id = run.summary.id.as_str();
            for arguments in [&["show", id][..], &["show", id, "--json"], &["logs", id], &["graph", ".", "--json"]] {
                let outcome = daemon.ctl(arguments.iter()).expect_success();
                told.extend([outcome.stdout, outcome.stderr]);
            }
            for arguments in [&["catalog", "list", ".", "--json"][..], &["catalog", "resolve", ".", "vault"]] {
                told.push(daemon.ctl(arguments.iter()).expect_success().stdout);
            }
            for path in ["/v1/runs".to_owned(), format!("/v1/runs/{id}"), format!("/v1/runs/{id}/logs")] {
                told.push(daemon.get(&path).expect(200).json().to_string());
            }
            let all = told.join("\n");
            assert!(!all.to_lowercase().contains(TRACE), "{all}");
            assert!(all.contains("logging in with [redacted]"), "{all}");
            assert!(all.contains("printed \"[redacted]\""), "{all}");
            if refuses {
                assert!(all.contains("the password [redacted] was refused"), "{all}");
            }
            let heard: Value = serde_json::from_str(&fs::read_to_string(&heard).unwrap()).unwrap();
            assert_eq!(heard["credentials"]["safe"], "[redacted]");
            drop(daemon);
            fs::remove_file(credentials).unwrap();
            // The state with the database, the daemon's log, what the hook heard, what the run wrote.
            let mut found = Vec::new();
            for folder in ["state", "work", "run", "home"] {
                searched(&scene.path(folder), &mut found);
            }
            for file in ["dagd.log", "heard.json"] {
                let text = fs::read_to_string(scene.path(file)).unwrap_or_default();
                assert!(!text.contains(TRACE), "{file}: {text}");
            }
            assert_eq!(found, [""; 0]);
        }
    }
}

#[test]
fn parity_c4_credentials_come_from_files_environments_variables_and_systemd() {
    let scene = scene("fork").set("hooks.enabled", "[]").build();
    let pipeline = scene.write("pipeline.toml", PIPELINE);
    scene.write("catalog.toml", "vault = { type = \"vault\", credentials = \"safe\" }\n");
    let missing = scene.run_file(&pipeline, &[]).expect_code(3);
    missing.expect_stderr(&[
        "there are no credentials `safe`",
        "catalog.toml:1",
        "credentials.toml",
        "LoadCredential=",
    ]);

    scene.write("passes/credentials.toml", "[safe]\npassword = \"from systemd\"\n");
    let run = |arguments: &[&str]| {
        let configuration = scene.path("dagd.toml");
        let mut command =
            scene.ctl_command(["run", "pipeline.toml", "--daemon-config", configuration.to_str().unwrap()]);
        command.args(arguments).env("SECRET", "from a variable").env("CREDENTIALS_DIRECTORY", scene.work("passes"));
        tests::command::run(&mut command).expect_success();
        scene.read("loud.txt")
    };
    assert_eq!(run(&[]), "FROM SYSTEMD");
    scene.write("credentials.toml", "[safe]\npassword = \"from the file\"\n");
    assert_eq!(run(&[]), "FROM THE FILE", "a submission's own go before the daemon's");
    scene.write("env/prod/credentials.toml", "[safe]\npassword = \"${env:SECRET}\"\n");
    assert_eq!(run(&["--env", "prod"]), "FROM A VARIABLE");
    let named = scene.write("named.toml", "[safe]\npassword = \"named\"\n");
    assert_eq!(run(&["--credentials", named.to_str().unwrap()]), "NAMED");
}

#[test]
fn parity_h2_hooks_hear_of_the_catalog_all_but_the_secrets() {
    for start_method in ["fork", "spawn"] {
        let scene = scene(start_method).build();
        let file = scene.path("heard.json");
        scene.configure_more("hooks.settings.\"keepers::Listener\".options", &format!("{{ file = {file:?} }}"));
        scene.write("credentials.toml", format!("[safe]\npassword = \"{PASSWORD}\"\n"));
        scene.write("said.txt/v1/said.txt", "la");
        let daemon = scene.start();
        scene.write(
            "pipeline.toml",
            "[[node]]\nname = \"one\"\ncall = \"faults::shout\"\ninputs = [\"said\"]\noutputs = [\"loud\"]\n\
             [[node]]\nname = \"two\"\ncall = \"faults::shout\"\ninputs = [\"vault\"]\noutputs = [\"louder\"]\n\
             [parameters]\nx = 1\n[catalog]\nvault = { type = \"vault\", credentials = \"safe\" }\n\
             said = { type = \"text\", path = \"said.txt\", versioned = true }\n\
             loud = { type = \"text\", path = \"loud.txt\", versioned = true }\n",
        );
        daemon.ctl(["submit", "pipeline.toml", "--load-versions", "said:v1", "--save-version", "v2"]).expect_success();
        let heard: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        assert_eq!(heard["credentials"], serde_json::json!({ "safe": "[redacted]" }));
        assert_eq!((&heard["save_version"], &heard["load_versions"]["said"]), (&"v2".into(), &"v1".into()));
        assert_eq!(heard["parameters"], serde_json::json!({ "x": 1 }));
        let said = heard["datasets"].as_array().unwrap().iter().find(|dataset| dataset["name"] == "said").unwrap();
        assert_eq!(said["version"], "v1");
    }
}
