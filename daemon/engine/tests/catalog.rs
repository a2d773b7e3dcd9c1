//! What a catalog makes of names, and what its entries may ask for.
#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use engine::catalog::How;
use engine::credentials::{REDACTED, Redactor};
use engine::plan::{Found, Plan, PlanOptions, check, look_up};
use engine::source::{Source, Sources};
use support::{PLUGINS, manifest, rendered, sources};

const COPY: &str = "[[node]]\ncall = \"t::copy\"\ninputs = [\"a\"]\noutputs = [\"b\"]\n";

fn planned(sources: &Sources) -> Plan {
    let plan = check(sources, &manifest(PLUGINS), &PlanOptions::default());
    plan.unwrap_or_else(|problems| panic!("{}", rendered(&problems)))
}

fn refused(sources: &Sources) -> String {
    match check(sources, &manifest(PLUGINS), &PlanOptions::default()) {
        Ok(_) => "no problem at all".to_owned(),
        Err(problems) => rendered(&problems),
    }
}

/// Tells where a dataset is kept: type, path, options.
fn told(plan: &Plan, name: &str) -> String {
    let dataset = plan.dataset(plan.find_dataset(name).unwrap()).unwrap();
    match dataset.storage {
        Some(storage) => format!("{} {} {}", storage.type_name, storage.path, storage.options_json),
        None => "memory".to_owned(),
    }
}

fn found(sources: &Sources, names: &[&str]) -> Vec<Found> {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    look_up(sources, &manifest(PLUGINS), &names).unwrap_or_else(|problems| panic!("{}", rendered(&problems)))
}

const TIERS: &str = r#"
    exact = { type = "json", path = "exact" }
    "{any}" = { type = "json", path = "any/{any}" }
    "model_{x}" = { type = "json", path = "model/{x}" }
    "model_{x}_{y}" = { type = "json", path = "both/{x}/{y}" }
"#;

#[test]
fn parity_c1_a_name_resolves_to_the_first_that_matches_and_tells_why() {
    let sources = sources(&[("pipeline.toml", COPY), ("catalog.toml", TIERS)]);
    let told: Vec<(String, Option<How>, String)> = found(&sources, &["exact", "model_a_b", "other"])
        .into_iter()
        .map(|found| (found.entry.unwrap(), found.how, found.why))
        .collect();
    assert_eq!(
        told[0],
        (
            "exact".into(),
            Some(How::Exact),
            "the entry has this very name; `{any}` matches, too, and comes after it".into()
        )
    );
    let why = "the pattern matches, with x = a, y = b; `model_{x}` and `{any}` match, too, and come after it";
    assert_eq!(told[1], ("model_{x}_{y}".into(), Some(How::Pattern), why.into()));
    let why = "nothing else matches; this pattern takes every name, with any = other";
    assert_eq!(told[2], ("{any}".into(), Some(How::CatchAll), why.into()));
    let found = found(&sources, &["model_a_b"]).remove(0);
    assert_eq!(found.storage.unwrap().path, "/project/both/a/b");
    assert_eq!(found.place.unwrap().line, 5);
    assert!(!found.is_used);
}

#[test]
fn a_name_that_nobody_has_is_told_with_the_one_that_was_meant() {
    let catalog = "records = { type = \"json\", path = \"a\" }\n\"model_{x}\" = { type = \"json\", path = \"{x}\" }";
    let pipeline = COPY.replace("\"b\"", "\"greetings\"");
    let sources = sources(&[("pipeline.toml", &pipeline), ("catalog.toml", catalog)]);
    let near = |name: &str| found(&sources, &[name]).remove(0).near;
    assert_eq!(near("greetngs").as_deref(), Some("greetings"), "of the pipeline");
    assert_eq!(near("recrods").as_deref(), Some("records"), "of the catalog");
    assert_eq!((near("greetings"), near("records"), near("model_a"), near("else")), (None, None, None, None));
    assert!(found(&sources, &[]).iter().all(|found| found.near.is_none()));
}

#[test]
fn parity_r6_patterns_of_a_run_come_after_the_whole_catalog() {
    let catalog = "a = { type = \"json\", path = \"a\" }\n\"c_{x}\" = { type = \"json\", path = \"c/{x}\" }";
    let mut sources = sources(&[("pipeline.toml", COPY), ("catalog.toml", catalog)]);
    assert_eq!(told(&planned(&sources), "b"), "memory", "without a pattern: shared memory");
    sources.default_patterns =
        vec![Source::new("more.toml", "\"{default}\" = { type = \"json\", path = \"more/{default}\" }")];
    let plan = planned(&sources);
    assert_eq!(told(&plan, "a"), "json /project/a {}", "the catalog goes before");
    assert_eq!(told(&plan, "b"), "json /project/more/b {}");
    let found = found(&sources, &["c_1", "b"]);
    assert_eq!((found[0].how, found[1].how), (Some(How::Pattern), Some(How::DefaultPattern)));
    // A catch-all of the catalog itself decides for everything, so nothing is left for the run's.
    sources.catalogs[0].text.push_str("\n\"{default}\" = { type = \"memory\" }");
    assert_eq!(told(&planned(&sources), "b"), "memory");
    sources.default_patterns[0].text = "b = { type = \"json\", path = \"x\" }".to_owned();
    assert!(refused(&sources).contains("error[bad-pattern]: `b` is no pattern, but stands among those of the run"));
}

#[test]
fn parity_c2_placeholders_come_from_the_name_and_there_is_one_catch_all() {
    let catalog = "\"m_{x}\" = { type = \"json\", path = \"{y}\", metadata = { a = [\"{z}\"] } }\n\"{p}\" = { type = \"json\", path = \"p\" }\n\"{q}\" = { type = \"json\", path = \"q\" }";
    let text = refused(&sources(&[("pipeline.toml", COPY), ("catalog.toml", catalog)]));
    for expected in [
        "error[unknown-placeholder]: `{y}` does not stand in the pattern's name `m_{x}`",
        "error[unknown-placeholder]: `{z}` does not stand in the pattern's name `m_{x}`",
        "error[two-catch-alls]: `{p}` and `{q}` each match every name; there can be one such pattern",
    ] {
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn parity_r24_an_entry_that_is_not_used_stands_in_nobodys_way() {
    let catalog = "a = { type = \"json\", path = \"a\" }\nunused = { type = \"nowhere\", path = \"${env:NOT_SET}\", credentials = \"none\", versioned = true }";
    let sources = sources(&[("pipeline.toml", COPY), ("catalog.toml", catalog)]);
    assert_eq!(planned(&sources).dataset_count(), 2);
    let listed = found(&sources, &[]);
    let names: Vec<(&str, bool)> = listed.iter().map(|found| (found.name.as_str(), found.is_used)).collect();
    assert_eq!(names, [("a", true), ("b", true), ("unused", false)]);
    assert_eq!(listed[2].type_name, "nowhere");
}

#[test]
fn parity_c5_values_have_defaults_and_anchors() {
    let catalog = r#"
        _base = "data/raw"
        _csv = { delimiter = ";" }
        a = { type = "json", path = "${_base}/${env:NOT_SET:-here}/${model.name:-m}.json", options = { limit = "${limit:-5}", csv = "${_csv}", word = "${env:EMPTY:-3}", kept = "${model.kind:-none}" } }
    "#;
    let mut sources =
        sources(&[("pipeline.toml", COPY), ("catalog.toml", catalog), ("parameters.toml", "[model]\nkind = \"tree\"")]);
    sources.environment.insert("EMPTY".to_owned(), String::new());
    let options = r#"{"csv":{"delimiter":";"},"kept":"tree","limit":5,"word":"3"}"#;
    assert_eq!(told(&planned(&sources), "a"), format!("json /project/data/raw/here/m.json {options}"));
    // A later file replaces an anchor like an entry: whole.
    sources.catalogs.push(Source::new("env/prod/catalog.toml", "_base = \"/mnt\""));
    sources.environment.insert("NOT_SET".to_owned(), "there".to_owned());
    assert!(told(&planned(&sources), "a").starts_with("json /mnt/there/m.json"));
}

#[test]
fn parity_c5_anchors_name_variables_and_each_other() {
    let catalog = r#"
        _root = "${env:ROOT:-data}"
        _raw = "${_root}/raw"
        _options = { place = "${_raw}", of = ["${model}"] }
        a = { type = "json", path = "${_raw}/a.json", options = "OPTIONS" }
    "#;
    let catalog = catalog.replace("\"OPTIONS\"", "{ all = \"${_options}\" }");
    let planned_with = |root: Option<&str>| {
        let mut sources =
            sources(&[("pipeline.toml", COPY), ("catalog.toml", &catalog), ("parameters.toml", "model = 3")]);
        sources.environment.extend(root.map(|root| ("ROOT".to_owned(), root.to_owned())));
        told(&planned(&sources), "a")
    };
    let expected =
        |root: &str, path: &str| format!(r#"json {path}/raw/a.json {{"all":{{"of":["3"],"place":"{root}/raw"}}}}"#);
    assert_eq!(planned_with(None), expected("data", "/project/data"));
    assert_eq!(planned_with(Some("/mnt")), expected("/mnt", "/mnt"));
    let circle = "_x = \"${_y}\"\n_y = \"${_x}/y\"\na = { type = \"json\", path = \"${_x}\" }";
    let told = refused(&sources(&[("pipeline.toml", COPY), ("catalog.toml", circle)]));
    assert!(told.contains("there is no parameter `_x`") && told.contains("in `${_x}/y`"), "{told}");
}

#[test]
fn parity_c5_entries_are_replaced_whole_and_parameters_merged_deeply() {
    let mut sources = sources(&[
        ("pipeline.toml", "[[node]]\ncall = \"t::join\"\ninputs = [\"a\", \"params:model\"]\noutputs = [\"b\"]\n"),
        ("catalog.toml", "a = { type = \"json\", path = \"a\", options = { indent = 1 } }"),
        ("catalog-prod.toml", "a = { type = \"json\", path = \"prod/a\" }"),
        ("parameters.toml", "[model]\ndepth = 3\nkind = \"tree\"\n[model.inner]\nx = 1"),
        ("parameters-prod.toml", "[model]\ndepth = 4\n[model.inner]\ny = 2"),
    ]);
    sources.overrides = vec![("model.inner.x".into(), "9".into()), ("model.name".into(), "first".into())];
    let plan = planned(&sources);
    assert_eq!(told(&plan, "a"), "json /project/prod/a {}");
    let parameters = r#"{"model":{"depth":4,"inner":{"x":9,"y":2},"kind":"tree","name":"first"}}"#;
    assert_eq!(plan.parameters_json(), parameters);
}

#[test]
fn parity_c5_a_key_stands_once_in_a_file() {
    for (name, text) in [
        ("catalog.toml", "[a]\ntype = \"json\"\npath = \"a\"\n[a]\ntype = \"json\""),
        ("catalog.json", "{\"a\": {\"type\": \"json\", \"path\": \"a\"}, \"a\": {\"type\": \"json\"}}"),
    ] {
        let told = refused(&sources(&[("pipeline.toml", COPY), (name, text)]));
        assert!(told.contains(name) && (told.contains("twice") || told.contains("duplicate")), "{told}");
    }
}

const SECRETIVE: &str = "a = { type = \"json\", path = \"a\", credentials = \"db\", options = { indent = 2 } }";

#[test]
fn parity_c4_credentials_come_by_name_and_show_themselves_nowhere() {
    let mut sources = sources(&[("pipeline.toml", COPY), ("catalog.toml", SECRETIVE)]);
    sources.credentials = vec![
        Source::new("credentials.toml", "[db]\nuser = \"me\"\npassword = \"old\"\n[other]\nx = \"${env:UNSET}\""),
        Source::new(
            "env/prod/credentials.toml",
            "[db]\npassword = \"hunter2 ${literal} $${env:X}\"\ntoken = \"${env:TOKEN}\"",
        ),
    ];
    sources.credentials_environment.insert("TOKEN".to_owned(), "tok3n".to_owned());
    let plan = planned(&sources);
    let storage = plan.dataset(plan.find_dataset("a").unwrap()).unwrap().storage.unwrap().clone();
    assert_eq!(storage.credentials.expose(), r#"{"password":"hunter2 ${literal} ${env:X}","token":"tok3n"}"#);
    assert_eq!((storage.credentials_name.as_str(), storage.options_json.as_str()), ("db", "{\"indent\":2}"));
    for shown in [format!("{storage:?}"), format!("{plan:?}")] {
        assert!(shown.contains(REDACTED) && !shown.contains("hunter2") && !shown.contains("tok3n"), "{shown}");
    }
    let redactor = Redactor::new(plan.secrets());
    assert_eq!(redactor.redact("login with tok3n refused"), "login with [redacted] refused");
}

#[test]
fn parity_c4_what_is_missing_is_named_and_nothing_is_quoted() {
    let told = |credentials: &str| {
        let mut sources = sources(&[("pipeline.toml", COPY), ("catalog.toml", SECRETIVE)]);
        sources.credentials = vec![Source::new("credentials.toml", credentials)];
        refused(&sources)
    };
    let missing = told("[dbs]\npassword = \"hunter2\"");
    assert!(
        missing.contains("error[missing-credentials]: there are no credentials `db`\n  --> catalog.toml:1:48"),
        "{missing}"
    );
    assert!(missing.contains("hint: did you mean `dbs`?"), "{missing}");
    let mut withheld = sources(&[("pipeline.toml", COPY), ("catalog.toml", SECRETIVE)]);
    withheld.credentials_withheld = true;
    assert!(planned(&withheld).secrets().next().is_none(), "what is only checked needs none");
    let unset = told("[db]\npassword = \"${env:NOT_SET}\"");
    assert!(
        unset.contains("credentials `db`: the environment has no variable `NOT_SET`\n  --> credentials.toml:2:12"),
        "{unset}"
    );
    for broken in
        ["[db]\npassword = hunter2", "[db]\nhunter2", "db = 12345\nhunter2 = 1", "[db]\nhunter2 = 1\nhunter2 = 2"]
    {
        let shown = told(broken);
        assert!(
            shown.contains("--> credentials.toml:") && !shown.contains("hunter2") && !shown.contains("12345"),
            "{shown}"
        );
    }
    let inline = "a = { type = \"json\", path = \"a\", credentials = { password = \"hunter2\" } }";
    let shown = refused(&sources(&[("pipeline.toml", COPY), ("catalog.toml", inline)]));
    assert!(shown.contains("`credentials` must be a name, not a table") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn parity_c3_versions_are_asked_of_versioned_datasets_only() {
    let catalog =
        "a = { type = \"json\", path = \"in/a.json\", versioned = true }\nb = { type = \"json\", path = \"b\" }";
    let mut sources = sources(&[("pipeline.toml", COPY), ("catalog.toml", catalog)]);
    sources.load_versions = vec![("a".into(), "v1".into())];
    let mut plan = planned(&sources);
    let a = plan.find_dataset("a").unwrap();
    assert_eq!(plan.load_version(a), Some("v1"));
    plan.set_version(a, "v1");
    assert_eq!(told(&plan, "a"), "json /project/in/a.json/v1/a.json {}");
    let pairs = [("aa", "v1"), ("b", "v1"), ("a", "../v1"), ("a", "v/1"), ("a", "")];
    sources.load_versions = pairs.iter().map(|&(name, version)| (name.into(), version.into())).collect();
    let shown = refused(&sources);
    for expected in [
        "error[unknown-dataset]: --load-versions: the catalog has no dataset `aa`\n   = hint: did you mean `a`?",
        "error[not-versioned]: --load-versions: dataset `b` is not versioned",
        "error[bad-version]: --load-versions: \"../v1\" of dataset `a` is no version",
        "error[bad-version]: --load-versions: \"v/1\" of dataset `a` is no version",
        "error[bad-version]: --load-versions: \"\" of dataset `a` is no version",
    ] {
        assert!(shown.contains(expected), "{expected}\nin\n{shown}");
    }
}

#[test]
fn parity_c3_what_has_no_file_has_no_versions() {
    for (entry, why) in [
        ("type = \"json\"", "it has no path"),
        ("type = \"json\", path = \"https://example.org/a.json\"", "its path is no file of this machine"),
        ("type = \"json\", path = \"in/\"", "its path does not end in the name of a file"),
    ] {
        let catalog = format!("a = {{ {entry}, versioned = true }}");
        let shown = refused(&sources(&[("pipeline.toml", COPY), ("catalog.toml", &catalog)]));
        assert!(shown.contains(&format!("dataset `a` cannot be versioned: {why}")), "{shown}");
    }
}

#[test]
fn parity_c8_notes_are_kept_for_persisted_and_other_datasets() {
    let catalog = r#"
        a = { type = "json", path = "a", layer = "raw", description = "What came in", metadata = { owner = "${who:-me}" } }
        "{x}" = { type = "memory", layer = "made", preview = { rows = 5 }, description = "The {x}" }
    "#;
    let plan = planned(&sources(&[("pipeline.toml", COPY), ("catalog.toml", catalog)]));
    let notes = |name: &str| plan.notes(plan.find_dataset(name).unwrap()).unwrap();
    assert_eq!((notes("a").layer.as_str(), notes("a").description.as_str()), ("raw", "What came in"));
    assert_eq!(notes("a").metadata_json, r#"{"owner":"me"}"#);
    assert_eq!((notes("b").preview_json.as_str(), notes("b").description.as_str()), (r#"{"rows":5}"#, "The b"));
}

#[test]
fn parity_c9_a_schema_is_checked_where_both_sides_are_known() {
    let pipeline = "[[node]]\ncall = \"flights::clean_flights\"\ninputs = [\"a\"]\noutputs = [\"b\"]\n";
    let catalog =
        "a = { type = \"csv\", path = \"a\", schema = { x = \"integer\", y = \"Utf8\" }, schema_severity = \"warn\" }";
    let plan = planned(&sources(&[("pipeline.toml", pipeline), ("catalog.toml", catalog)]));
    let schema = plan.dataset(plan.find_dataset("a").unwrap()).unwrap().storage.unwrap().schema.clone().unwrap();
    assert!(schema.warns);
    let fits = r#"{"rows":1,"columns":[["x","Int64"],["y","Dictionary(Int32, Utf8)"],["z","Float64"]]}"#;
    assert_eq!(schema.check(fits), [""; 0]);
    let wrong = schema.check(r#"{"rows":1,"columns":[["x","Utf8"],["yy","Utf8"]]}"#);
    assert_eq!(
        wrong,
        ["column `x` should be integer, but is Utf8", "column `y` (Utf8) is missing; there is a column `yy`"]
    );
    assert_eq!(schema.check(""), ["the data is no table, so it has no columns"]);

    for (catalog, expected) in [
        (
            "a = { type = \"json\", path = \"a\", schema = { x = \"integer\" } }",
            "dataset `a` has a `schema`, but is no table: its type `json` keeps no tables",
        ),
        (
            "a = { type = \"json\", path = \"a\" }\nb = { type = \"csv\", path = \"b\", schema = { x = \"integer\" } }",
            "dataset `b` has a `schema`, but is no table: `copy` makes it as json",
        ),
        ("a = { type = \"json\", path = \"a\", schema = { x = \"interger\" } }", "`interger` is no type of a column"),
        (
            "a = { type = \"json\", path = \"a\", schema_severity = \"warn\" }",
            "`schema_severity` stands in a catalog entry that has no `schema`",
        ),
        (
            "a = { type = \"json\", path = \"a\" }\nb = { type = \"memory\", schema = { x = \"integer\" } }",
            "`schema` of dataset `b`: it lives in memory only, so it is neither loaded nor saved",
        ),
    ] {
        let shown = refused(&sources(&[("pipeline.toml", COPY), ("catalog.toml", catalog)]));
        assert!(shown.contains(expected), "{expected}\nin\n{shown}");
    }
}

#[test]
fn parity_c6_cached_is_what_every_dataset_is() {
    let catalog = |value: &str| format!("a = {{ type = \"json\", path = \"a\", cached = {value} }}");
    planned(&sources(&[("pipeline.toml", COPY), ("catalog.toml", &catalog("true"))]));
    let shown = refused(&sources(&[("pipeline.toml", COPY), ("catalog.toml", &catalog("false"))]));
    assert!(shown.contains("`cached` of a catalog entry cannot be false: every dataset is cached"), "{shown}");
}
