//! What command lines mean.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use clap::CommandFactory;

use super::*;

fn parse(line: &str) -> Result<Args, String> {
    Args::try_parse_from(line.split_whitespace()).map_err(|problem| problem.to_string())
}

#[test]
fn the_definition_is_sound() {
    Args::command().debug_assert();
}

#[test]
fn global_options_may_stand_anywhere() {
    for line in ["ctl --json --socket @x status", "ctl status --socket @x --json"] {
        let args = parse(line).unwrap();
        assert!(args.json && args.socket == Some("@x".into()), "{line}");
    }
}

#[test]
fn run_takes_all_its_options() {
    let line = "ctl run p.toml --params a.b=1 -p c=x --catalog c1 --catalog c2 --parameters q --run-id r --max-workers 2 \
                --sequential --async --on-failure continue --timeout 5m --plugins d1 --plugins d2 --daemon-config f --workers 3 \
                --start-method spawn -q";
    let Command::Run(run) = parse(line).unwrap().command else { panic!("not run") };
    assert_eq!(run.pipeline.filing.params, [("a.b".into(), "1".into()), ("c".into(), "x".into())]);
    assert_eq!(run.pipeline.filing.catalog.len(), 2);
    assert_eq!(run.run.timeout, Some(300.0));
    assert_eq!(run.run.on_failure, Some(protocol::OnFailure::Continue));
    assert!(run.run.sequential && run.run.asynchronous_saves && run.quiet);
    assert_eq!(run.private.start_method.as_deref(), Some("spawn"));
    assert_eq!(run.private.plugins.len(), 2);
}

#[test]
fn filters_take_names_with_commas_between() {
    let line = "ctl graph p.toml --tags a,b -t c --from-nodes x -n y,,z --to-outputs d --namespaces n.m";
    let Command::Graph(graph) = parse(line).unwrap().command else { panic!("not graph") };
    let filter = graph.pipeline.pipeline.filter.to_filter();
    assert_eq!((filter.tags.join(" "), filter.nodes.join(" ")), ("a b c".to_owned(), "y z".to_owned()));
    assert_eq!(
        (&filter.from_nodes[0], &filter.to_outputs[0], &filter.namespaces[0]),
        (&"x".into(), &"d".into(), &"n.m".into())
    );
}

#[test]
fn what_is_mistyped_is_guessed() {
    for (line, guess) in [
        ("ctl sumbit p.toml", "'submit'"),
        ("ctl run p.toml --max-worker 2", "'--max-workers'"),
        ("ctl runs --state suceeded", "'succeeded'"),
        ("ctl graph p --format mermiad", "'mermaid'"),
        ("ctl run p --on-failure contine", "'continue'"),
    ] {
        let problem = parse(line).unwrap_err();
        assert!(problem.contains("similar") && problem.contains(guess), "{line}: {problem}");
    }
}

#[test]
fn a_count_that_is_not_positive_is_named() {
    for line in ["ctl run p --max-workers 0", "ctl run p --workers -3", "ctl submit p --timeout -1", "ctl runs -n 0"] {
        let problem = parse(line).unwrap_err();
        assert!(problem.contains("should be positive, not"), "{line}: {problem}");
    }
}

#[test]
fn options_of_a_private_daemon_ask_for_one() {
    let wants = |line: &str| match parse(line).unwrap().command {
        Command::Plugins(daemon) => daemon.wants_private(),
        other => panic!("{other:?}"),
    };
    assert!(!wants("ctl plugins"));
    assert!(wants("ctl plugins --private"));
    assert!(wants("ctl plugins --plugins target/debug"));
    assert!(parse("ctl plugins --private --socket x").is_err());
}

#[test]
fn detaching_leaves_nothing_to_be_quiet_about() {
    assert!(parse("ctl submit p --detach --quiet").is_err());
}

#[test]
fn the_exit_codes_are_told_in_full() {
    let text = exit_codes_text();
    for (code, meaning) in exit::TABLE {
        assert!(text.contains(&format!("{code:>3}  {meaning}\n")));
    }
}
