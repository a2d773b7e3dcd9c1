//! P3: included files, nested and renamed; P6: sums of pipelines; P1 and P7: what nodes are called.
#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::fmt::Write as _;

use engine::plan::{InputBinding, Plan};
use support::{plan, rendered};

/// Tells a plan, one line a node; then what is persisted.
fn told(plan: &Plan) -> String {
    let mut text = String::new();
    for node in plan.nodes() {
        let inputs = node.inputs.iter().flatten().map(|binding| match binding {
            InputBinding::Dataset(id) => plan.dataset(*id).unwrap().name.to_owned(),
            InputBinding::Parameter(id) => {
                let parameter = plan.parameter(*id).unwrap();
                format!("{}={}", parameter.name, parameter.json)
            }
        });
        let (inputs, outputs) =
            (inputs.collect::<Vec<_>>(), plan.makes(node.id).map(|id| plan.dataset(id).unwrap().name));
        let tags: String = node.tags.iter().map(|tag| format!(" #{tag}")).collect();
        let outputs = outputs.collect::<Vec<_>>().join(" ");
        let line = format!("{}: {} -> {outputs}{tags}", node.name, inputs.join(" "));
        writeln!(text, "{}", line.trim_end()).unwrap();
    }
    for dataset in plan.datasets() {
        if let Some(storage) = dataset.storage {
            writeln!(text, "{} at {} {}", dataset.name, storage.path, storage.options_json).unwrap();
        }
    }
    text
}

#[track_caller]
fn check(files: &[(&str, &str)], expected: &str) {
    let found = plan(files).map_or_else(|problems| rendered(&problems), |plan| told(&plan));
    let expected: String = expected
        .trim_matches(['\n', ' '])
        .lines()
        .map(|line| format!("{}\n", line.strip_prefix("        ").unwrap_or(line)))
        .collect();
    assert!(found == expected, "found\n{found}");
}

const CLEAN: &str = r#"
name = "clean"
tags = ["cleaning"]
retries = 2

[[node]]
name = "trim"
call = "t::copy"
inputs = ["raw"]
outputs = ["trimmed"]

[[node]]
call = "t::join"
inputs = { left = "trimmed", right = "params:limits.low", extra = "parameters" }
outputs = ["tidy"]
tags = ["last"]

[parameters.limits]
low = 1
high = 9

[catalog."{name}dy"]
type = "json"
path = "${root}/{name}dy.json"
options = { low = "${limits.low}" }
"#;

#[test]
fn parity_p3_one_file_is_included_twice() {
    check(
        &[
            (
                "pipeline.toml",
                r#"
                [[node]]
                name = "source_{what}"
                matrix = { what = ["flights", "planes"] }
                call = "t::source"
                outputs = ["{what}"]

                [[include]]
                file = "inc/clean.toml"
                namespace = "flights"
                inputs = { raw = "flights" }
                outputs = { tidy = "flights_tidy" }
                parameters = ["root"]
                tags = ["one"]

                [[include]]
                file = "inc/clean.toml"
                namespace = "planes"
                inputs = { raw = "planes" }
                parameters = { "limits.low" = "lowest", "params:root" = "root" }

                [parameters]
                root = "out"
                lowest = 5
                flights = { limits = { low = 2 } }
                "#,
            ),
            ("inc/clean.toml", CLEAN),
            ("catalog.toml", "[flights_tidy]\ntype = \"json\"\npath = \"flights.json\"\n"),
        ],
        r#"
        source_flights:  -> flights
        source_planes:  -> planes
        flights.trim: flights -> flights.trimmed #cleaning #one
        planes.trim: planes -> planes.trimmed #cleaning
        flights.join: flights.trimmed params:flights.limits.low=2 parameters={"flights":{"limits":{"high":9,"low":2}},"lowest":5,"planes":{"limits":{"high":9}},"root":"out"} -> flights_tidy #last #cleaning #one
        planes.join: planes.trimmed params:lowest=5 parameters={"flights":{"limits":{"high":9,"low":2}},"lowest":5,"planes":{"limits":{"high":9}},"root":"out"} -> planes.tidy #last #cleaning
        flights_tidy at /project/flights.json {}
        planes.tidy at /project/out/tidy.json {"low":5}
        "#,
    );
}

/// The file's word about retries is that of its own nodes; what includes it has another.
#[test]
fn parity_p3_a_file_speaks_for_its_own_nodes() {
    let pipeline = "retries = 5\ntimeout_seconds = 1\n[[include]]\nfile = \"inc/clean.toml\"\nparameters = [\"limits.low\"]\n\
                    [[node]]\nname = \"source\"\ncall = \"t::source\"\noutputs = [\"raw\"]\n[parameters]\nroot = \"r\"\n";
    let plan = plan(&[("pipeline.toml", pipeline), ("inc/clean.toml", CLEAN)]).unwrap();
    let told: Vec<_> = plan.nodes().map(|node| (node.name, node.policy.retries, node.policy.timeout_us)).collect();
    assert_eq!(told, [("source", 5, Some(1_000_000)), ("trim", 2, Some(1_000_000)), ("join", 2, Some(1_000_000))]);
    assert_eq!(plan.default_policy().retries, 5);
}

#[test]
fn parity_p3_includes_nest() {
    let outer = r#"
        description = "cleans twice"
        [[include]]
        file = "deep/inner.toml"
        namespace = "in"
        inputs = ["raw"]
        outputs = { made = "result" }
        parameters = { depth = "how.deep" }
        [[node]]
        name = "join_{n}"
        matrix = { n = [1, 2] }
        call = "t::join"
        inputs = ["result", "in.kept", "params:n"]
        outputs = ["joined_{n}"]
    "#;
    let inner = r#"
        [[node]]
        name = "split"
        namespace = "parts"
        call = "t::join"
        inputs = ["raw", "params:depth.max"]
        outputs = ["made"]
        [[node]]
        call = "t::copy"
        inputs = ["params:other"]
        outputs = ["kept"]
    "#;
    let pipeline = |more: &str| {
        format!(
            "[[include]]\nfile = \"inc/outer.toml\"\nnamespace = \"a.b\"\ninputs = {{ raw = \"source\" }}\n\
         outputs = {{ joined_2 = \"last\" }}\n{more}\n\
         [[node]]\nname = \"s\"\ncall = \"t::source\"\noutputs = [\"source\"]\n[parameters.a.b]\nhow.deep.max = 3\nin.other = 4\n"
        )
    };
    let (prefixed, plain) = (pipeline(""), pipeline("prefix_datasets = false"));
    let files = |text| [("pipeline.toml", text), ("inc/outer.toml", outer), ("inc/deep/inner.toml", inner)];
    check(
        &files(&prefixed),
        r#"
        a.b.in.copy: params:a.b.in.other=4 -> a.b.in.kept
        s:  -> source
        a.b.in.parts.split: source params:a.b.how.deep.max=3 -> a.b.result
        a.b.join_1: a.b.result a.b.in.kept params:n=1 -> a.b.joined_1
        a.b.join_2: a.b.result a.b.in.kept params:n=2 -> last
        "#,
    );
    check(
        &files(&plain),
        r#"
        a.b.in.copy: params:a.b.in.other=4 -> in.kept
        s:  -> source
        a.b.in.parts.split: source params:a.b.how.deep.max=3 -> result
        a.b.join_1: result in.kept params:n=1 -> joined_1
        a.b.join_2: result in.kept params:n=2 -> last
        "#,
    );
}

#[test]
fn parity_p3_what_is_wrong_inside_points_into_that_file() {
    check(
        &[
            (
                "pipeline.toml",
                r#"
                include = [
                    { file = "inc/bad.toml", namespace = "one" },
                    { file = "inc/bad.toml", namespace = "two" },
                ]
                "#,
            ),
            (
                "inc/bad.toml",
                "[[node]]\ncall = \"t::cpy\"\ninput = [\"x\"]\noutputs = [\"y\"]\n[[include]]\nfile = \"worse.toml\"\n",
            ),
            ("inc/worse.toml", "name = \n"),
        ],
        r#"
        error[unknown-node]: plugin `t` has no node `cpy`
          --> inc/bad.toml:2:8
           = hint: did you mean `t::copy`?

        error[unknown-key]: a node has no key `input`
          --> inc/bad.toml:3:1
           = hint: did you mean `inputs`?

        error[not-toml]: this is not TOML: string values must be quoted, expected literal string
          --> inc/worse.toml:1:8
        "#,
    );
}

#[test]
fn parity_p3_cycles_and_missing_files_are_shown() {
    check(
        &[
            (
                "pipeline.toml",
                "include = [{ file = 'inc/a.toml' }, { file = 'inc/aa.toml' }, { file = 'pipeline.toml' }]",
            ),
            ("inc/a.toml", "[[include]]\nfile = './../inc/b.toml'\n"),
            ("inc/b.toml", "[[include]]\nfile = 'a.toml'\n"),
        ],
        r#"
        error[missing-include]: the text of the included file `inc/aa.toml` is not there
          --> pipeline.toml:1:46
           = an included file is named from the folder of the file that includes it
           = hint: did you mean `inc/a.toml`?
           = hint: `ctl` sends it by itself; other clients put it into `includes` of the submission

        error[include-cycle]: the files include each other: pipeline.toml -> pipeline.toml
          --> pipeline.toml:1:72
           = hint: move what they share into a file of its own that both include

        error[include-cycle]: the files include each other: inc/a.toml -> inc/b.toml -> inc/a.toml
          --> inc/b.toml:2:8
           = hint: move what they share into a file of its own that both include
        "#,
    );
}

#[test]
fn parity_p3_mappings_name_what_is_there() {
    check(
        &[
            (
                "pipeline.toml",
                r#"
[[include]]
file = "inc/clean.toml"
namespace = "c"
inputs = ["rwa", "trimmed", "nothing_of_it"]
outputs = { raw = "x", trimed = "y" }
parameters = ["limits.hgih", "parameters", "limits.low"]

[[include]]
fil = "inc/clean.toml"
inputs = { "params:a" = "b", "data@csv" = "d", x = "y z" }
namespace = "a..b"
parameters = ["a..b", "a", "params:a"]
"#,
            ),
            ("inc/clean.toml", CLEAN),
        ],
        r#"
        error[bad-mapping]: `parameters` are all parameters, in an included file too: they have no other name
          --> pipeline.toml:7:30
           = hint: leave it out; a single parameter can be mapped

        error[missing-key]: an include does not say which file
          --> pipeline.toml:9:1
           = hint: add `file = "other.toml"`

        error[unknown-key]: an include has no key `fil`
          --> pipeline.toml:10:1
           = hint: did you mean `file`?

        error[bad-mapping]: `params:a` is a parameter, not a dataset
          --> pipeline.toml:11:12
           = hint: name it in `parameters` of the include: `parameters = ["a"]`

        error[bad-mapping]: `data@csv` names one format of a dataset; an include maps whole datasets
          --> pipeline.toml:11:30
           = hint: write `data`

        error[bad-name]: `y z` cannot name a dataset
          --> pipeline.toml:11:52
           = hint: names are made of letters, digits, `_`, `-` and `.`

        error[bad-name]: `a..b` cannot be a namespace
          --> pipeline.toml:12:13
           = hint: a namespace is made of letters, digits, `_` and `-`, with a dot between it and one inside of it

        error[bad-mapping]: `a..b` is no name of a parameter
          --> pipeline.toml:13:15

        error[bad-mapping]: `a` stands twice in `parameters` of an include
          --> pipeline.toml:13:28

        error[missing-parameter]: there is no parameter `c.root`
          --> inc/clean.toml:24:8
           = in the catalog entry of dataset `c.tidy`
           = hint: add it to the parameters, or set it with `--params c.root=…`
        "#,
    );
    check(
        &[
            (
                "pipeline.toml",
                r#"
[[include]]
file = "inc/clean.toml"
namespace = "c"
inputs = ["rwa", "trimmed", "nothing_of_it"]
outputs = { raw = "x", trimed = "y" }
parameters = ["limits.hgih", "limits.low"]
[parameters]
limits.low = 1
[catalog.x]
type = "json"
path = "x"
"#,
            ),
            ("inc/clean.toml", CLEAN),
        ],
        r#"
        error[bad-mapping]: no node of inc/clean.toml reads a dataset `rwa`
          --> pipeline.toml:5:11
           = hint: did you mean `raw`?

        error[bad-mapping]: `trimmed` is no input of inc/clean.toml: a node in it makes that dataset
          --> pipeline.toml:5:18
           = hint: name it in `outputs` of the include

        error[bad-mapping]: no node of inc/clean.toml reads a dataset `nothing_of_it`
          --> pipeline.toml:5:29
           = hint: its inputs are `raw`

        error[bad-mapping]: `raw` is no output of inc/clean.toml: its nodes read that dataset and none makes it
          --> pipeline.toml:6:13
           = hint: name it in `inputs` of the include

        error[bad-mapping]: no node of inc/clean.toml makes a dataset `trimed`
          --> pipeline.toml:6:24
           = hint: did you mean `trimmed`?

        error[bad-mapping]: no node of inc/clean.toml reads a parameter `limits.hgih`
          --> pipeline.toml:7:15
           = hint: its parameters are `limits.low`

        error[missing-parameter]: there is no parameter `c.root`
          --> inc/clean.toml:24:8
           = in the catalog entry of dataset `c.tidy`
           = hint: add it to the parameters, or set it with `--params c.root=…`
        "#,
    );
}

/// Files that include others twice each would be 2^40 modules.
#[test]
fn parity_p3_includes_are_bounded() {
    let mut files: Vec<(String, String)> =
        vec![("pipeline.toml".to_owned(), "include = [{ file = 'inc/0.toml' }]".to_owned())];
    for number in 0..25 {
        let next = number + 1;
        files.push((
            format!("inc/{number}.toml"),
            format!(
                "include = [{{ file = '{next}.toml', namespace = 'a' }}, {{ file = '{next}.toml', namespace = 'b' }}]"
            ),
        ));
    }
    files.push(("inc/25.toml".to_owned(), "[[node]]\ncall = 't::source'\noutputs = ['x']\n".to_owned()));
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (&**name, &**text)).collect();
    let problems = plan(&files).unwrap_err();
    assert!(problems.iter().all(|problem| problem.code == "too-many-includes"), "{}", rendered(&problems));
}

#[test]
fn parity_p6_a_sum_of_pipelines_has_equal_nodes_once() {
    let shared = "[[node]]\nname = \"source\"\ncall = \"t::source\"\noutputs = [\"raw\"]\ntags = [\"TAG\"]\n";
    let first = format!("name = \"clean\"\n{}", shared.replace("TAG", "one"));
    let second = format!(
        "{}[[node]]\ncall = \"t::copy\"\ninputs = [\"raw\"]\noutputs = [\"b\"]\n",
        shared.replace("TAG", "two")
    );
    let files = [("pipelines/clean.toml", &*first), ("pipelines/fit.toml", &second)];
    check(&files, "source:  -> raw #one #two\ncopy: raw -> b");
    assert_eq!(plan(&files).unwrap().name(), "clean+fit");
    let other = first.replace("outputs = [\"raw\"]", "outputs = [\"other\"]");
    check(
        &[("pipelines/clean.toml", &*other), ("pipelines/fit.toml", &second)],
        r#"
        error[duplicate-node]: two nodes are named `source`
          --> pipelines/fit.toml:2:8
           = the first is at pipelines/clean.toml:3:8
           = hint: give one of them another name
        "#,
    );
    // Within one pipeline a name stands for one node.
    check(
        &[("pipeline.toml", &format!("{shared}{shared}"))],
        r#"
        error[duplicate-node]: two nodes are named `source`
          --> pipeline.toml:7:8
           = the first is at pipeline.toml:2:8
           = hint: give one of them another name

        error[two-producers]: dataset `raw` is made twice: by `source` and by `source`
          --> pipeline.toml:9:12
           = it is first made at pipeline.toml:4:12
           = hint: let one of them make a dataset of another name
        "#,
    );
}

#[test]
fn parity_p1_nodes_without_a_name_are_called_after_what_they_do() {
    check(
        &[(
            "pipeline.toml",
            r#"
            [[node]]
            call = "t::source"
            outputs = ["a"]
            [[node]]
            call = "t::copy"
            inputs = ["a"]
            outputs = ["b.c"]
            [[node]]
            call = "t::copy"
            matrix = { n = [1, 2] }
            inputs = ["b.c"]
            outputs = ["d_{n}"]
            [[node]]
            call = "t::sink"
            inputs = ["d_1"]
            [[node]]
            call = "t::sink"
            inputs = ["params:p"]
            [parameters]
            p = 1
            "#,
        )],
        "
        sink-p: params:p=1 ->
        source:  -> a
        copy-b_c: a -> b.c
        copy-d_1: b.c -> d_1
        copy-d_2: b.c -> d_2
        sink-d_1: d_1 ->
        ",
    );
}

#[test]
fn parity_p7_a_dot_stands_between_namespace_and_name() {
    check(
        &[(
            "pipeline.toml",
            "[[node]]\nname = \"a..b\"\ncall = \"t::source\"\noutputs = [\".c\"]\n[[node]]\nname = \"für_ö-1.x\"\ncall = \"t::source\"\noutputs = [\"d\"]\n",
        )],
        "
        error[bad-name]: `a..b` cannot name a node: a dot stands between a namespace and a name
          --> pipeline.toml:2:8
           = hint: names are made of letters, digits, `_`, `-` and `.`

        error[bad-name]: `.c` cannot name a dataset: a dot stands between a namespace and a name
          --> pipeline.toml:4:12
           = hint: names are made of letters, digits, `_`, `-` and `.`
        ",
    );
}
