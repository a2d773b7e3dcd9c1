//! Bad pipelines and bad data: each is answered with a message that a person understands, in `golden/bad_input/`, and
//! with the right exit code; the daemon has lost nothing by it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;

use protocol::exit;
use tests::{Outcome, Scene, command, golden};

/// A pipeline that must be refused, and words that its refusal must hold whatever else it says.
struct Case {
    name: &'static str,
    pipeline: &'static str,
    says: &'static [&'static str],
}

const CASES: [Case; 16] = [
    Case { name: "empty_file", pipeline: "", says: &["no nodes"] },
    Case { name: "no_nodes", pipeline: "name = \"p\"\n", says: &["node"] },
    Case { name: "not_toml", pipeline: "name = \"p\"\n[[node]\nname = 1", says: &["pipeline.toml:2"] },
    Case {
        name: "unknown_key",
        pipeline: "name = \"p\"\n[[node]]\nname = \"n\"\ncall = \"faults::noop\"\noutput = [\"x\"]\n",
        says: &["output", "outputs"],
    },
    Case {
        name: "unknown_node",
        pipeline: "name = \"p\"\n[[node]]\nname = \"n\"\ncall = \"faults::nop\"\noutputs = [\"x\"]\n",
        says: &["nop", "noop"],
    },
    Case {
        name: "unknown_plugin",
        pipeline: "name = \"p\"\n[[node]]\nname = \"n\"\ncall = \"fault::noop\"\noutputs = [\"x\"]\n",
        says: &["fault", "faults"],
    },
    Case {
        name: "bad_call",
        pipeline: "name = \"p\"\n[[node]]\nname = \"n\"\ncall = \"noop\"\noutputs = [\"x\"]\n",
        says: &["plugin::node"],
    },
    Case {
        name: "wrong_port",
        pipeline: "name = \"p\"\n[[node]]\nname = \"a\"\ncall = \"faults::noop\"\noutputs = [\"x\"]\n\
                   [[node]]\nname = \"b\"\ncall = \"faults::add\"\ninputs = { left = \"x\", write = \"x\" }\noutputs = [\"y\"]\n",
        says: &["write", "right"],
    },
    Case {
        name: "type_mismatch",
        pipeline: "name = \"p\"\n[parameters]\nt = \"words\"\n[[node]]\nname = \"a\"\ncall = \"faults::text\"\n\
                   inputs = { text = \"params:t\" }\noutputs = [\"x\"]\n\
                   [[node]]\nname = \"b\"\ncall = \"faults::noop\"\ninputs = [\"x\"]\noutputs = [\"y\"]\n",
        says: &["text", "integer"],
    },
    Case {
        name: "two_producers",
        pipeline: "name = \"p\"\n[[node]]\nname = \"a\"\ncall = \"faults::noop\"\noutputs = [\"x\"]\n\
                   [[node]]\nname = \"b\"\ncall = \"faults::noop\"\noutputs = [\"x\"]\n",
        says: &["`x`", "`a`", "`b`"],
    },
    Case {
        name: "two_of_one_name",
        pipeline: "name = \"p\"\n[[node]]\nname = \"a\"\ncall = \"faults::noop\"\noutputs = [\"x\"]\n\
                   [[node]]\nname = \"a\"\ncall = \"faults::noop\"\noutputs = [\"y\"]\n",
        says: &["`a`"],
    },
    Case {
        name: "cycle",
        pipeline: "name = \"p\"\n[[node]]\nname = \"a\"\ncall = \"faults::noop\"\ninputs = [\"z\"]\noutputs = [\"x\"]\n\
                   [[node]]\nname = \"b\"\ncall = \"faults::noop\"\ninputs = [\"x\"]\noutputs = [\"y\"]\n\
                   [[node]]\nname = \"c\"\ncall = \"faults::noop\"\ninputs = [\"y\"]\noutputs = [\"z\"]\n",
        says: &["cycle", "a", "b", "c"],
    },
    Case {
        name: "missing_parameter",
        pipeline: "name = \"p\"\n[parameters]\nvalues = 1\n[[node]]\nname = \"n\"\ncall = \"faults::constant\"\n\
                   inputs = { value = \"params:value\" }\noutputs = [\"x\"]\n",
        says: &["value"],
    },
    Case {
        name: "missing_input_dataset",
        pipeline: "name = \"p\"\n[[node]]\nname = \"n\"\ncall = \"faults::shout\"\ninputs = [\"lyrics\"]\noutputs = [\"x\"]\n",
        says: &["lyrics"],
    },
    Case {
        name: "unknown_dataset_type",
        pipeline: "name = \"p\"\n[[node]]\nname = \"n\"\ncall = \"faults::shout\"\ninputs = [\"lyrics\"]\noutputs = [\"x\"]\n\
                   [catalog.lyrics]\ntype = \"txt\"\npath = \"lyrics.txt\"\n",
        says: &["txt", "text"],
    },
    Case {
        name: "many_problems_at_once",
        pipeline: "name = \"p\"\ncolour = \"red\"\n[[node]]\nname = \"a\"\ncall = \"faults::nop\"\noutputs = [\"x\"]\n\
                   [[node]]\nname = \"b\"\ncall = \"fault::noop\"\noutputs = [\"x\"]\n\
                   [[node]]\nname = \"c\"\ncall = \"faults::add\"\ninputs = { left = \"x\", rigth = \"params:none\" }\noutputs = [\"z\"]\n",
        says: &["colour", "nop", "fault::noop", "rigth"],
    },
];

#[test]
fn every_bad_pipeline_is_answered() {
    let scene = Scene::with(&["faults", "formats"]).build();
    let mut daemon = scene.start();
    for Case { name, pipeline, says } in CASES {
        let outcome = daemon.submit(pipeline);
        assert!(outcome.code == i32::from(exit::PROBLEMS), "{name}: {outcome}");
        assert!(outcome.stdout.is_empty(), "{name}: problems belong on standard error:\n{outcome}");
        let outcome = outcome.expect_stderr(says);
        golden::check(&scene, &format!("bad_input/{name}.txt"), &outcome.stderr);
    }
    daemon.expect_healthy();
    let runs: protocol::RunList = daemon.get("/v1/runs").expect(200).read();
    assert_eq!(runs.runs.len(), 1, "nothing of these ran: {runs:#?}");
}

/// A pipeline that shouts a text.
const SHOUT: &str = r#"
    name = "shout"
    [[node]]
    name = "shout"
    call = "faults::shout"
    inputs = ["lyrics"]
    outputs = ["loud"]
    [catalog]
    lyrics = { type = "text", path = "lyrics.txt" }
    loud = { type = "text", path = "out/loud.txt" }
"#;

#[test]
fn a_missing_input_file_is_named() {
    let scene = Scene::with(&["faults", "formats"]).build();
    let outcome = scene.run(SHOUT).expect_code(1).expect_said(&[
        "lyrics",
        "lyrics.txt",
        "no such file",
        "help: check the dataset's `path`",
    ]);
    assert!(!scene.work("out/loud.txt").exists(), "{outcome}");
}

#[test]
fn a_folder_in_the_place_of_an_input_is_named() {
    let scene = Scene::with(&["faults", "formats"]).build();
    fs::create_dir(scene.work("lyrics.txt")).unwrap();
    scene.run(SHOUT).expect_code(1).expect_said(&["lyrics", "lyrics.txt", "directory", "help: name a file"]);
}

#[test]
fn an_unreadable_input_is_named() {
    let scene = Scene::with(&["faults", "formats"]).build();
    let input = scene.write("lyrics.txt", "la la");
    fs::set_permissions(&input, fs::Permissions::from_mode(0o000)).unwrap();
    let advice = "help: let the user that runs the daemon read the file";
    run_as_nobody(&scene, SHOUT).expect_code(1).expect_said(&["lyrics", "lyrics.txt", "permission denied", advice]);
}

#[test]
fn a_folder_that_may_not_be_written_is_named() {
    let scene = Scene::with(&["faults", "formats"]).build();
    scene.write("lyrics.txt", "la la");
    fs::create_dir(scene.work("out")).unwrap();
    fs::set_permissions(scene.work("out"), fs::Permissions::from_mode(0o555)).unwrap();
    let advice = "help: let the user that runs the daemon write into that directory";
    run_as_nobody(&scene, SHOUT).expect_code(1).expect_said(&["loud", "out/loud.txt", "permission denied", advice]);
    assert_eq!(fs::read_dir(scene.work("out")).unwrap().count(), 0, "something was left there");
}

/// Runs the pipeline as a user to whom permissions apply: root, to whom they do not, runs it as somebody else.
#[track_caller]
fn run_as_nobody(scene: &Scene, pipeline: &str) -> Outcome {
    let pipeline = scene.write("pipeline.toml", pipeline);
    let mut ctl = scene.ctl_command([OsStr::new("run"), pipeline.as_os_str()]);
    if nix::unistd::geteuid().is_root() {
        // Where everybody may write no plugin is loaded from.
        for (folder, mode) in [
            ("", 0o755),
            ("bin", 0o755),
            ("bin/plugins", 0o755),
            ("work", 0o777),
            ("run", 0o777),
            ("home", 0o777),
            ("state", 0o777),
        ] {
            fs::set_permissions(scene.path(folder), fs::Permissions::from_mode(mode)).unwrap();
        }
        ctl.uid(65534).gid(65534);
    }
    command::run(&mut ctl)
}

#[test]
fn a_ragged_line_is_named_with_file_and_line() {
    let scene = Scene::with(&["faults", "formats"]).build();
    scene.write("in.csv", "origin,delay\nEWR,1\nJFK,2,3\nLGA,4\n");
    let pipeline = r#"
        name = "ragged"
        [[node]]
        name = "count"
        call = "faults::rows"
        inputs = ["flights"]
        outputs = ["rows"]
        [catalog]
        flights = { type = "csv", path = "in.csv" }
    "#;
    scene.run(pipeline).expect_code(1).expect_said(&["flights", "in.csv", "line 3", "3 fields", "has 2", "help: "]);
}

#[test]
fn text_that_is_no_utf8_is_named() {
    let scene = Scene::with(&["faults", "formats"]).build();
    scene.write("lyrics.txt", b"la \xff la");
    scene.run(SHOUT).expect_code(1).expect_said(&["lyrics", "lyrics.txt", "UTF-8", "help: "]);
}

#[test]
fn a_missing_folder_of_an_output_is_made() {
    let scene = Scene::with(&["faults", "formats"]).build();
    scene.write("lyrics.txt", "la la");
    assert!(!scene.work("out").exists());
    scene.run(SHOUT).expect_success();
    assert_eq!(scene.read("out/loud.txt"), "LA LA");
}

#[test]
fn a_pipeline_that_is_not_there_is_named() {
    let scene = Scene::with(&["faults"]).build();
    let outcome = scene.ctl(["run", "nightly.toml"]);
    assert_eq!(outcome.code, i32::from(exit::PROBLEMS), "{outcome}");
    outcome.expect_stderr(&["nightly.toml"]);
}

#[test]
fn a_pipeline_that_is_no_utf8_is_named() {
    let scene = Scene::with(&["faults"]).build();
    scene.write("pipeline.toml", b"name = \"\xff\"");
    let outcome = scene.ctl(["run", "pipeline.toml"]);
    assert_eq!(outcome.code, i32::from(exit::PROBLEMS), "{outcome}");
    outcome.expect_stderr(&["pipeline.toml", "UTF-8"]);
}

#[test]
fn names_that_are_no_utf8_are_answered() {
    let scene = Scene::with(&["faults", "formats"]).build();
    // Problems are shown with the file's name, so it must be one that can be shown.
    let name = OsStr::from_bytes(b"pipe\xffline.toml");
    fs::write(scene.work("x").with_file_name(name), crate::pipelines::single("n", "faults::noop")).unwrap();
    scene.ctl([OsStr::new("run"), name]).expect_code(i32::from(exit::USAGE)).expect_stderr(&["UTF-8"]);
    // Nor can a folder of such a name be said in the API's JSON.
    let folder = scene.work("x").with_file_name(OsStr::from_bytes(b"fold\xffer"));
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("pipeline.toml"), crate::pipelines::single("n", "faults::noop")).unwrap();
    let outcome = scene.ctl([OsStr::new("run"), folder.as_os_str()]);
    outcome.expect_code(i32::from(exit::USAGE)).expect_stderr(&["UTF-8"]);
}

#[test]
fn a_parameter_that_nothing_reads_is_warned_of_and_the_run_goes_on() {
    let scene = Scene::with(&["faults"]).build();
    let daemon = scene.start();
    let pipeline = "name = \"p\"\n[parameters]\ntext = \"la\"\n[[node]]\ncall = \"faults::text\"\n\
                    inputs = { text = \"params:text\" }\noutputs = [\"x\"]\n";
    scene.write("pipeline.toml", pipeline);
    let warning =
        "parameter `txet` was set with `--params`, but nothing in the pipeline reads it; did you mean `text`?";
    for command in [&["run"][..], &["submit"], &["submit", "--detach"], &["validate"]] {
        let ask = |name: &str| scene.ctl(command.iter().chain(&["pipeline.toml", "--params", name])).expect_success();
        ask("txet=lo").expect_stderr(&[warning]);
        let other = ask("text=lo");
        assert!(!other.stderr.contains("nothing in the pipeline reads"), "{other}");
    }
    let told = scene.ctl(["validate", "pipeline.toml", "--params", "txet=lo", "--json"]).expect_success();
    assert_eq!((told.json()["warnings"][0].as_str(), &*told.stderr), (Some(warning), ""));
    drop(daemon);
}

#[test]
fn a_wrong_command_line_is_told_from_a_wrong_pipeline() {
    let scene = Scene::with(&["faults"]).build();
    scene.ctl(["run"]).expect_code(2);
    scene.ctl(["sumbit", "x"]).expect_code(2).expect_stderr(&["submit"]);
    scene.ctl(["run", "p.toml", "--max-workers", "0"]).expect_code(2).expect_stderr(&["0"]);
}

#[test]
fn a_wrong_configuration_is_named_with_its_line() {
    let scene = Scene::with(&["faults"]).set("workers.cuont", 2).build();
    let mut command = scene.program("dagd");
    command.arg("serve").arg("--socket").arg(scene.socket()).arg("--config").arg(scene.path("dagd.toml"));
    command::run(&mut command).expect_code(3).expect_stderr(&["cuont", "count", "dagd.toml:"]);
}

#[test]
fn a_configuration_is_checked_without_a_start() {
    let scene = Scene::with(&[]).build();
    let file = scene.path("dagd.toml");
    let check = || command::run(scene.program("dagd").arg("check-config").arg(&file));
    check().expect_success().expect_stdout(&["dagd.toml: nothing is wrong"]);
    scene.configure_more("workers.cuont", "3");
    scene.configure_more("server.group", "\"nobodys-group\"");
    check().expect_code(3).expect_stderr(&["cuont", "did you mean \"count\"?", "dagd.toml:"]);
    fs::write(&file, "server.group = \"nobodys-group\"\nplugins.directories = [\"nowhere\"]\n").unwrap();
    // What only this machine can tell.
    check().expect_code(3).expect_stderr(&["nobodys-group", "nowhere", "make it, or leave it out"]);
    assert!(!scene.socket().exists() && scene.processes().is_empty(), "something was started");
}
