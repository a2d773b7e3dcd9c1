//! P2: slices of a pipeline, against a naive reference on small random pipelines, and what is told of names that it lacks.
#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use engine::filter::Filter;
use engine::plan::{Plan, PlanOptions, check};
use engine::problem::Problem;
use engine::signature::{DatasetTypeSignature, Manifest, NodeSignature, PluginSignature, Port, PortKind};
use engine::source::{Source, Sources};
use proptest::prelude::*;

const PORTS_MAX: usize = 3;
const TAGS: [&str; 3] = ["red", "green", "blue"];
const SPACES: [&str; 5] = ["", "a.", "a.b.", "ab.", "c."];

/// A node as people think of it.
#[derive(Clone, Debug)]
struct Node {
    name: String,
    inputs: Vec<String>,
    outputs: Vec<String>,
    tags: Vec<&'static str>,
}

/// Nodes that read what earlier ones made, inputs of the pipeline, and parameters.
fn pipelines() -> impl Strategy<Value = Vec<Node>> {
    let node = (prop::collection::vec(any::<u8>(), 0..=PORTS_MAX), 0..=PORTS_MAX, 0usize..8, 0..SPACES.len());
    prop::collection::vec(node, 1..9).prop_map(|drafts| {
        let mut known: Vec<String> = ["in0", "in1", "params:p", "params:q.r", "parameters"].map(str::to_owned).into();
        let mut nodes = Vec::new();
        for (number, (picks, outputs, tags, space)) in drafts.into_iter().enumerate() {
            let inputs: Vec<String> =
                picks.iter().map(|pick| known[usize::from(*pick) % known.len()].clone()).collect();
            let least = usize::from(inputs.is_empty());
            let outputs: Vec<String> = (0..outputs.max(least)).map(|port| format!("d{number}_{port}")).collect();
            known.extend(outputs.iter().cloned());
            let tags = (0..TAGS.len()).filter(|bit| tags >> bit & 1 == 1).map(|bit| TAGS[bit]).collect();
            nodes.push(Node { name: format!("{}n{number}", SPACES[space]), inputs, outputs, tags });
        }
        nodes
    })
}

/// Names that a filter may ask for: of each kind some that are there.
fn filters(nodes: Vec<Node>) -> impl Strategy<Value = (Vec<Node>, Filter)> {
    let names: Vec<String> = nodes.iter().map(|node| node.name.clone()).collect();
    let datasets: BTreeSet<String> =
        nodes.iter().flat_map(|node| node.inputs.iter().chain(&node.outputs)).cloned().collect();
    let makeable: Vec<String> = datasets.iter().filter(|name| !name.starts_with("param")).cloned().collect();
    let tags: BTreeSet<String> = nodes.iter().flat_map(|node| &node.tags).map(|tag| (*tag).to_owned()).collect();
    let spaces: BTreeSet<String> = (nodes.iter())
        .filter_map(|node| node.name.rsplit_once('.'))
        .flat_map(|(space, _)| [space.to_owned(), space.split('.').next().unwrap().to_owned()])
        .collect();
    let some = |names: Vec<String>| {
        let count = names.len().min(3);
        prop_oneof![3 => Just(Vec::new()).boxed(), 2 => prop::sample::subsequence(names, 0..=count).boxed()]
    };
    (
        some(tags.into_iter().collect()),
        some(names.clone()),
        some(names.clone()),
        some(names),
        some(datasets.into_iter().collect()),
        some(makeable),
        some(spaces.into_iter().collect()),
    )
        .prop_map(move |(tags, from_nodes, to_nodes, names, from_inputs, to_outputs, namespaces)| {
            let filter = Filter { tags, from_nodes, to_nodes, nodes: names, from_inputs, to_outputs, namespaces };
            (nodes.clone(), filter)
        })
}

type Names = BTreeSet<String>;

/// The reference: sets of names, each grown until nothing is added.
fn reference(nodes: &[Node], filter: &Filter) -> Names {
    let find = |takes: &dyn Fn(&Node) -> bool| -> Names {
        nodes.iter().filter(|node| takes(node)).map(|node| node.name.clone()).collect()
    };
    let grown = |mut taken: Names, next: &dyn Fn(&Node, &Node) -> bool| -> Names {
        loop {
            let more = find(&|node| nodes.iter().any(|from| taken.contains(&from.name) && next(from, node)));
            let before = taken.len();
            taken.extend(more);
            if taken.len() == before {
                return taken;
            }
        }
    };
    let feeds = |from: &Node, node: &Node| from.outputs.iter().any(|made| node.inputs.contains(made));
    let fed_by = |from: &Node, node: &Node| feeds(node, from);
    let Filter { tags, from_nodes, to_nodes, nodes: named, from_inputs, to_outputs, namespaces } = filter;
    let mut result = find(&|_| true);
    let mut intersect = |asked: &[String], taken: &dyn Fn() -> Names| {
        if !asked.is_empty() {
            let taken = taken();
            result.retain(|name| taken.contains(name));
        }
    };
    intersect(tags, &|| find(&|node| node.tags.iter().any(|tag| tags.iter().any(|asked| asked == tag))));
    intersect(from_nodes, &|| grown(find(&|node| from_nodes.contains(&node.name)), &feeds));
    intersect(to_nodes, &|| grown(find(&|node| to_nodes.contains(&node.name)), &fed_by));
    intersect(named, &|| find(&|node| named.contains(&node.name)));
    intersect(from_inputs, &|| {
        grown(find(&|node| node.inputs.iter().any(|input| from_inputs.contains(input))), &feeds)
    });
    intersect(to_outputs, &|| {
        grown(find(&|node| node.outputs.iter().any(|output| to_outputs.contains(output))), &fed_by)
    });
    intersect(namespaces, &|| {
        find(&|node| {
            let mut parts: Vec<&str> = node.name.split('.').collect();
            parts.pop();
            (1..=parts.len()).any(|length| namespaces.contains(&parts[..length].join(".")))
        })
    });
    result
}

fn text(nodes: &[Node]) -> String {
    let mut text =
        String::from("[parameters]\np = 1\nq = { r = 2 }\n[catalog.\"{any}\"]\ntype = \"any\"\npath = \"{any}\"\n");
    for Node { name, inputs, outputs, tags } in nodes {
        write!(text, "[[node]]\nname = {name:?}\ncall = \"p::n{}_{}\"\n", inputs.len(), outputs.len()).unwrap();
        write!(text, "inputs = {inputs:?}\noutputs = {outputs:?}\ntags = {tags:?}\n").unwrap();
    }
    text
}

fn slice(text: &str, filter: &Filter) -> Result<Plan, Vec<Problem>> {
    let sources = Sources { pipeline: Source::new("pipeline.toml", text), ..Sources::default() };
    check(&sources, &manifest(), &PlanOptions { filter: filter.clone(), ..PlanOptions::default() })
}

/// A plugin with a node for each number of inputs and outputs, which take and give anything.
fn manifest() -> Manifest {
    let ports = |side: &str, count: usize| {
        (0..count)
            .map(|number| Port {
                name: format!("{side}{number}"),
                kind: PortKind::Any,
                optional: false,
                parameter: false,
                schema: None,
                chunks: false,
            })
            .collect()
    };
    let counts = (0..=PORTS_MAX).flat_map(|inputs| (0..=PORTS_MAX).map(move |outputs| (inputs, outputs)));
    let nodes = counts.map(|(inputs, outputs)| NodeSignature {
        name: format!("n{inputs}_{outputs}"),
        inputs: ports("in", inputs),
        outputs: ports("out", outputs),
    });
    let any = DatasetTypeSignature {
        name: "any".to_owned(),
        loads: vec![PortKind::Any],
        saves: vec![PortKind::Any],
        ..DatasetTypeSignature::default()
    };
    let plugin = PluginSignature {
        name: "p".to_owned(),
        nodes: nodes.collect(),
        dataset_types: vec![any],
        ..PluginSignature::default()
    };
    Manifest { plugins: vec![plugin] }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn parity_p2_a_slice_is_what_every_filter_takes((nodes, filter) in pipelines().prop_flat_map(filters)) {
        let expected = reference(&nodes, &filter);
        match slice(&text(&nodes), &filter) {
            Ok(plan) => {
                let found: Names = plan.nodes().map(|node| node.name.to_owned()).collect();
                prop_assert_eq!(&found, &expected);
                let kept = || nodes.iter().filter(|node| expected.contains(&node.name));
                let made: Names = kept().flat_map(|node| node.outputs.clone()).collect();
                let read: Names = kept().flat_map(|node| node.inputs.clone()).filter(|name| !name.starts_with("param")).collect();
                let names: Names = plan.datasets().map(|dataset| dataset.name.to_owned()).collect();
                prop_assert_eq!(&names, &made.union(&read).cloned().collect::<Names>(), "no dataset but theirs");
                for dataset in plan.datasets() {
                    prop_assert_eq!(dataset.producer.is_some(), made.contains(dataset.name));
                    prop_assert_eq!(dataset.is_output, !read.contains(dataset.name), "{}", dataset.name);
                }
            }
            Err(problems) => {
                prop_assert!(expected.is_empty(), "{}", support::rendered(&problems));
                prop_assert_eq!(problems[0].code, "empty-slice");
            }
        }
    }
}

const FLIGHTS: &str = r#"
[[node]]
name = "source"
call = "p::n0_1"
outputs = ["raw"]
[[node]]
name = "clean.trim"
call = "p::n1_1"
inputs = ["raw"]
outputs = ["tidy"]
tags = ["daily"]
[[node]]
name = "fit"
call = "p::n2_1"
inputs = ["tidy", "params:model"]
outputs = ["model"]
"#;

fn told(filter: Filter, more: &str) -> String {
    let text = format!("{FLIGHTS}{more}[parameters]\nmodel = 1\n");
    slice(&text, &filter)
        .map(|plan| plan.nodes().map(|node| format!("{}\n", node.name)).collect())
        .unwrap_or_else(|problems| support::rendered(&problems))
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn parity_p2_every_unknown_name_is_told_at_once() {
    let filter = Filter {
        tags: words(&["dayly", "daily"]),
        from_nodes: words(&["trim"]),
        to_nodes: words(&["fti", "scource", "fit"]),
        nodes: words(&["nothing_like_it"]),
        from_inputs: words(&["params:modell", "rwa", "raw"]),
        to_outputs: words(&["params:model"]),
        namespaces: words(&["claen"]),
    };
    let expected = r#"error[unknown-filter]: `--tags`: the pipeline has no tag `dayly`
   = hint: did you mean `daily`?

error[unknown-filter]: `--from-nodes`: the pipeline has no node `trim`
   = hint: did you mean `clean.trim`?

error[unknown-filter]: `--to-nodes`: the pipeline has no nodes `fti` and `scource`
   = hint: `fti`: did you mean `fit`?
   = hint: `scource`: did you mean `source`?

error[unknown-filter]: `--nodes`: the pipeline has no node `nothing_like_it`
   = hint: it has `clean.trim`, `fit` and `source`

error[unknown-filter]: `--from-inputs`: the pipeline has no datasets `params:modell` and `rwa`
   = hint: `params:modell`: did you mean `params:model`?
   = hint: `rwa`: did you mean `raw`?

error[unknown-filter]: `--to-outputs`: the pipeline has no dataset `params:model`
   = hint: it has `model`, `raw` and `tidy`

error[unknown-filter]: `--namespaces`: the pipeline has no namespace `claen`
   = hint: did you mean `clean`?
"#;
    let found = told(filter, "");
    assert!(found == expected, "found\n{found}");
}

#[test]
fn parity_p2_an_empty_slice_says_what_each_filter_takes() {
    let filter = Filter { tags: words(&["daily"]), from_nodes: words(&["fit"]), ..Filter::default() };
    let expected = "error[empty-slice]: the filters leave no node of the pipeline
   = `--tags` alone takes 1 of 3 nodes
   = `--from-nodes` alone takes 1 of 3 nodes
   = hint: filters intersect: a node runs only when each of them takes it
";
    assert_eq!(told(filter, ""), expected);
}

/// What the slice reads and does not make must be persisted; what the nodes left out lack does not matter.
#[test]
fn parity_p2_free_inputs_of_a_slice_come_from_the_catalog() {
    let filter = Filter { from_nodes: words(&["fit"]), ..Filter::default() };
    let expected = "error[missing-input]: `tidy` is read, but no node makes it and the catalog has no entry
  --> pipeline.toml:15:11
   = `tidy` is read by `fit` at pipeline.toml:15:11
   = hint: `tidy` is made by `clean.trim`, which the filters leave out: let it run too, or keep `tidy` by a catalog entry
";
    assert_eq!(told(filter.clone(), ""), expected);
    let entry = "[catalog.tidy]\ntype = \"any\"\npath = \"tidy\"\n";
    assert_eq!(told(filter.clone(), entry), "fit\n");
    let unneeded = "[[node]]\nname = \"other\"\ncall = \"p::n2_0\"\ninputs = [\"params:none\", \"nowhere\"]\n";
    assert_eq!(told(filter, &format!("{unneeded}{entry}")), "fit\n");
    assert!(told(Filter { nodes: words(&["other"]), ..Filter::default() }, unneeded).contains("no parameter `none`"));
}
