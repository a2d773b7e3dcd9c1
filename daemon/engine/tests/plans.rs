//! Good pipelines become the plans they should. Each plan is told as text, so that a test is its input and its outcome.
#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::fmt::Write as _;

use engine::plan::{InputBinding, Plan, TaskKind};
use support::{plan, rendered};

/// Tells a plan, one line a node, one a persisted dataset.
fn told(plan: &Plan) -> String {
    let mut text = String::new();
    for node in plan.nodes() {
        let inputs: Vec<String> = (node.inputs.iter().zip(&node.call.inputs))
            .map(|(binding, port)| match binding {
                Some(InputBinding::Dataset(id)) => format!("{port}={}", plan.dataset(*id).unwrap().name),
                Some(InputBinding::Parameter(id)) => format!("{port}={}", plan.parameter(*id).unwrap().json),
                None => format!("{port}=-"),
            })
            .collect();
        let outputs: Vec<&str> = plan.makes(node.id).map(|id| plan.dataset(id).unwrap().name).collect();
        let tags = if node.tags.is_empty() { String::new() } else { format!(" #{}", node.tags.join(" #")) };
        writeln!(
            text,
            "{} {}: {}({}) -> {}{tags}",
            node.layer,
            node.name,
            node.call.label,
            inputs.join(", "),
            outputs.join(", ")
        )
        .unwrap();
    }
    for (_, kind) in plan.tasks() {
        let (verb, id) = match kind {
            TaskKind::Load(id) => ("load", id),
            TaskKind::Save(id) => ("save", id),
            TaskKind::Call(_) | TaskKind::Confirm(_) => continue,
        };
        let dataset = plan.dataset(id).unwrap();
        let stored = dataset.storage.unwrap();
        writeln!(text, "{verb} {}: {} {} {}", dataset.name, stored.type_name, stored.path, stored.options_json)
            .unwrap();
    }
    let outputs: Vec<&str> = plan.datasets().filter(|dataset| dataset.is_output).map(|dataset| dataset.name).collect();
    writeln!(text, "outputs: {}", outputs.join(", ")).unwrap();
    text
}

fn check(files: &[(&str, &str)], expected: &str) {
    let plan = plan(files).unwrap_or_else(|problems| panic!("problems:\n{}", rendered(&problems)));
    let found = told(&plan);
    let trimmed: String = expected.trim().lines().map(|line| format!("{}\n", line.trim())).collect();
    assert_eq!(found, trimmed, "found:\n{found}");
}

const FLIGHTS: &str = include_str!("data/flights.toml");
const CATALOG: &str = include_str!("data/catalog.toml");
const PARAMETERS: &str = include_str!("data/parameters.toml");

#[test]
fn flights() {
    check(
        &[("flights.toml", FLIGHTS), ("catalog.toml", CATALOG), ("parameters.toml", PARAMETERS)],
        r#"
        0 clean_flights: flights::clean_flights(flights=flights) -> flights_clean #clean
        0 clean_planes: flights::clean_planes(planes=planes) -> planes_clean #clean
        0 clean_weather: flights::clean_weather(weather=weather) -> weather_clean #clean
        1 build_features: flights::build_features(flights=flights_clean, weather=weather_clean, planes=planes_clean) -> model_input
        1 carrier_delays: flights::carrier_delays(flights=flights_clean, airlines=airlines) -> carrier_delays
        2 delay_chart: flights::delay_chart(delays=carrier_delays) -> delay_chart
        2 split: flights::split(table=model_input) -> train, test
        3 train_EWR: flights::train(table=train, options={"features":["distance","hour"]}, origin="EWR") -> model_EWR #model #EWR
        3 train_JFK: flights::train(table=train, options={"features":["distance","hour"]}, origin="JFK") -> model_JFK #model #JFK
        3 train_LGA: flights::train(table=train, options={"features":["distance","hour"]}, origin="LGA") -> model_LGA #model #LGA
        4 evaluate: flights::evaluate(model_ewr=model_EWR, model_jfk=model_JFK, model_lga=model_LGA, test=test) -> metrics
        load flights: csv /project/data/flights.csv.gz {"null_values":["NA"]}
        load weather: csv /project/data/weather.csv {}
        load planes: csv /home/me/data/planes.csv {}
        save model_input: parquet /project/out/model_input.parquet {}
        save model_EWR: json /project/out/model_EWR.json {"title":"model of {EWR}"}
        save model_JFK: json /project/out/model_JFK.json {"title":"model of {JFK}"}
        save model_LGA: json /project/out/model_LGA.json {"title":"model of {LGA}"}
        load airlines: csv /abs/airlines.csv {"limit":16,"note":"${x} {y}"}
        outputs: metrics, delay_chart
        "#,
    );
}

#[test]
fn json_says_what_toml_says() {
    let expected = r#"
        0 first: t::source() -> a
        1 copy_1: t::copy(value=a) -> b_1
        1 copy_2: t::copy(value=a) -> b_2
        2 join: t::join(left=b_1, right=b_2, extra=-) -> c #last
        save c: json /project/c.json {"indent":2}
        outputs: c
    "#;
    let toml = r#"
        retries = 1
        [[node]]
        name = "first"
        call = "t::source"
        outputs = "a"
        [[node]]
        call = "t::copy"
        matrix = { n = [1, 2] }
        inputs = ["a"]
        outputs = ["b_{n}"]
        [[node]]
        call = "t::join"
        inputs = { right = "b_2", left = "b_1" }
        outputs = { out = "c" }
        tags = ["last"]
        [catalog.c]
        type = "json"
        path = "c.json"
        options.indent = 2
    "#;
    let json = r#"{
        "retries": 1,
        "node": [
            {"name": "first", "call": "t::source", "outputs": "a"},
            {"call": "t::copy", "matrix": {"n": [1, 2]}, "inputs": ["a"], "outputs": ["b_{n}"]},
            {"call": "t::join", "inputs": {"right": "b_2", "left": "b_1"}, "outputs": {"out": "c"}, "tags": ["last"]}
        ],
        "catalog": {"c": {"type": "json", "path": "c.json", "options": {"indent": 2}}}
    }"#;
    check(&[("pipeline.toml", toml)], expected);
    check(&[("pipeline.json", json)], expected);
}

#[test]
fn a_matrix_of_two_axes_varies_the_last_fastest() {
    check(
        &[(
            "pipeline.toml",
            r#"
            [[node]]
            call = "t::copy"
            name = "fit_{origin}_{year}"
            matrix = { origin = ["EWR", "JFK"], year = [2013, 2014] }
            inputs = ["params:year"]
            outputs = ["fit_{origin}_{year}"]
            "#,
        )],
        r#"
        0 fit_EWR_2013: t::copy(value=2013) -> fit_EWR_2013
        0 fit_EWR_2014: t::copy(value=2014) -> fit_EWR_2014
        0 fit_JFK_2013: t::copy(value=2013) -> fit_JFK_2013
        0 fit_JFK_2014: t::copy(value=2014) -> fit_JFK_2014
        outputs: fit_EWR_2013, fit_EWR_2014, fit_JFK_2013, fit_JFK_2014
        "#,
    );
}

/// C1: the exact name, then patterns by their literal characters, then the catch-all.
#[test]
fn parity_c1_entries_by_specificity() {
    let entry = |name: &str, path: &str| format!("[\"{name}\"]\ntype = \"json\"\npath = \"{path}\"\n");
    let catalog = [
        entry("{default}", "default/{default}"),
        entry("model_{x}", "x/{x}"),
        entry("model_{x}_{y}", "xy/{x}/{y}"),
        entry("model_{x}_best", "best/{x}"),
        entry("model_a_best", "exact"),
    ]
    .concat();
    check(
        &[
            (
                "pipeline.toml",
                r#"
                [[node]]
                call = "t::source"
                name = "make_{n}"
                matrix = { n = ["model_a_best", "model_b_best", "model_b_c", "model_b", "other"] }
                outputs = ["{n}"]
                "#,
            ),
            ("catalog.toml", &catalog),
        ],
        r#"
        0 make_model_a_best: t::source() -> model_a_best
        0 make_model_b: t::source() -> model_b
        0 make_model_b_best: t::source() -> model_b_best
        0 make_model_b_c: t::source() -> model_b_c
        0 make_other: t::source() -> other
        save model_a_best: json /project/exact {}
        save model_b_best: json /project/best/b {}
        save model_b_c: json /project/xy/b/c {}
        save model_b: json /project/x/b {}
        save other: json /project/default/other {}
        outputs: model_a_best, model_b_best, model_b_c, model_b, other
        "#,
    );
}

#[test]
fn parameters_are_merged_file_by_file_and_then_overridden() {
    let pipeline = r#"
        [[node]]
        call = "t::copy"
        inputs = ["parameters"]
        outputs = ["all"]
        [parameters]
        a = { b = 1, c = 2 }
        e = "pipeline"
    "#;
    let mut sources = support::sources(&[
        ("pipeline.toml", pipeline),
        ("parameters.toml", "a = { c = 3 }\ne = \"file\"\n"),
        ("parameters-local.json", r#"{"a": {"d": [1]}}"#),
    ]);
    for (key, value) in [("a.b", "7"), ("f.g", "true"), ("e", "two words"), ("a.d", "{\"x\": null}")] {
        sources.overrides.push((key.to_owned(), value.to_owned()));
    }
    let plan = engine::plan::check(&sources, &support::manifest(support::PLUGINS), &Default::default()).unwrap();
    assert_eq!(plan.parameters_json(), r#"{"a":{"b":7,"c":3,"d":{"x":null}},"e":"two words","f":{"g":true}}"#);
}

#[test]
fn bad_overrides_are_problems() {
    let mut sources = support::sources(&[(
        "pipeline.toml",
        "[[node]]\ncall = \"t::source\"\noutputs = [\"a\"]\n[parameters]\na = 1\n",
    )]);
    let deep = ["x"; 5_000].join(".");
    for key in ["", "a..b", "a.b", &deep] {
        sources.overrides.push((key.to_owned(), "1".to_owned()));
    }
    let problems =
        engine::plan::check(&sources, &support::manifest(support::PLUGINS), &Default::default()).unwrap_err();
    assert_eq!(problems.len(), 4);
    assert!(problems.iter().all(|problem| problem.code == "bad-override"));
    assert_eq!(problems[2].message, "`a.b` cannot be set: parameter `a` is 1, not a table");
}

#[test]
fn policies_come_from_the_node_then_the_pipeline() {
    let plan = plan(&[(
        "pipeline.toml",
        r#"
        timeout_seconds = 2.5
        retries = 3
        on_failure = "continue"
        [[node]]
        name = "a"
        call = "t::source"
        outputs = ["x"]
        [[node]]
        name = "b"
        call = "t::source"
        outputs = ["y"]
        retries = 0
        retry_backoff_seconds = 0
        timeout_seconds = 1
        on_failure = "stop"
        "#,
    )])
    .unwrap();
    let told: Vec<String> = (plan.nodes())
        .map(|node| {
            format!(
                "{} {} {:?} {:?}",
                node.policy.retries, node.policy.retry_backoff_us, node.policy.timeout_us, node.policy.on_failure
            )
        })
        .collect();
    assert_eq!(told, ["3 1000000 Some(2500000) None", "0 0 Some(1000000) Some(Stop)"]);
    assert_eq!(plan.on_failure(), Some(engine::policy::OnFailure::Continue));
    assert_eq!(plan.default_policy().retries, 3);
}

#[test]
fn single_process_types_are_allowed_to_one_worker() {
    let files = [
        ("pipeline.toml", "[[node]]\ncall = \"flights::clean_flights\"\ninputs = [\"f\"]\noutputs = [\"c\"]\n"),
        ("catalog.toml", "[f]\ntype = \"sqlite\"\npath = \"f.db\"\n"),
    ];
    let plan = |workers| {
        let options = engine::plan::PlanOptions { workers, ..Default::default() };
        engine::plan::check(&support::sources(&files), &support::manifest(support::PLUGINS), &options)
    };
    assert!(plan(Some(1)).is_ok());
    assert_eq!(plan(Some(2)).unwrap_err()[0].code, "single-process");
}

/// A pipeline of 100,000 nodes in one chain: planning and running need no stack for that, and every node runs once.
#[test]
fn a_hundred_thousand_nodes() {
    use engine::action::{Action, RunState};
    use engine::event::Event;
    use engine::id::Time;
    const NODES: usize = 100_000;
    let mut text = String::from("[[node]]\ncall = \"t::source\"\noutputs = [\"d0\"]\n");
    for number in 1..NODES {
        let before = number - 1;
        write!(
            text,
            "[[node]]\nname = \"n{number}\"\ncall = \"t::copy\"\ninputs = [\"d{before}\"]\noutputs = [\"d{number}\"]\n"
        )
        .unwrap();
    }
    let plan = std::sync::Arc::new(plan(&[("pipeline.toml", &text)]).unwrap());
    assert_eq!((plan.node_count(), plan.layer_count()), (NODES, NODES));
    // The first node fails: everything after it is skipped in one step.
    for fails in [false, true] {
        let mut run = engine::run::Run::new(plan.clone(), engine::policy::RunPolicy::default());
        let mut actions = Vec::new();
        run.on(Event::Start, Time(0), &mut actions);
        let mut calls = 0;
        while run.state().is_none() {
            let next = actions.drain(..).find_map(|action| match action {
                Action::Dispatch { task, attempt } => Some((task, attempt)),
                _ => None,
            });
            let (task, attempt) = next.expect("a chain always has a next node");
            let failure = Box::new(engine::failure::Failure::new(engine::failure::FailureKind::Error, "no"));
            let event = match fails {
                true => Event::Failed { task, attempt, worker: 0, failure },
                false => Event::Finished { task, attempt, worker: 0 },
            };
            calls += 1;
            run.on(event, Time(calls), &mut actions);
        }
        let counts = run.report().counts;
        match fails {
            true => assert_eq!((calls, counts.failed, counts.skipped), (1, 1, NODES as u32 - 1)),
            false => assert_eq!((run.state(), counts.finished), (Some(RunState::Succeeded), NODES as u32)),
        }
    }
}

/// A long cycle is shown by its ends.
#[test]
fn a_long_cycle_is_shown_by_its_ends() {
    let mut text = String::new();
    for number in 0..20_000 {
        let before = (number + 19_999) % 20_000;
        write!(
            text,
            "[[node]]\nname = \"n{number}\"\ncall = \"t::copy\"\ninputs = [\"d{before}\"]\noutputs = [\"d{number}\"]\n"
        )
        .unwrap();
    }
    let problems = plan(&[("pipeline.toml", &text)]).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert_eq!(
        problems[0].message,
        "the nodes wait for each other: n0 -> n1 -> n2 -> n3 -> n4 -> n5 -> n6 -> n7 -> n8 -> n9 -> (19990 more) -> n0"
    );
}
