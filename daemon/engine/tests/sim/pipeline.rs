//! Random pipelines, as text: so that what the laws run on has passed through parsing and planning too.

use std::fmt::Write as _;
use std::sync::Arc;

use engine::plan::{Plan, PlanOptions, check};
use engine::signature::{DatasetTypeSignature, Manifest, NodeSignature, PluginSignature, Port, PortKind};
use engine::source::{Source, Sources};
use proptest::prelude::*;

/// One node to be.
#[derive(Clone, Debug)]
pub struct NodeDraft {
    /// Each picks a dataset made earlier, or an input of the pipeline.
    pub inputs: Vec<u8>,
    /// For each output, where it goes.
    pub outputs: Vec<Kept>,
    pub retries: Option<u8>,
    pub times_out: bool,
    /// Whether it makes its outputs chunk by chunk, so that what is kept is saved by the call itself.
    pub generates: bool,
    /// How many incremental datasets it confirms that nobody else reads.
    pub confirms: u8,
    /// `stop` (false) or `continue` (true).
    pub on_failure: Option<bool>,
}

/// Where an output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    InMemory,
    Saved,
    /// Saved, and loaded again by those who read it.
    Reread,
}

impl Kept {
    /// The first letter of such a dataset's name.
    fn letter(self) -> char {
        match self {
            Self::InMemory => 'd',
            Self::Saved => 's',
            Self::Reread => 'r',
        }
    }
}

/// A pipeline to be.
#[derive(Clone, Debug)]
pub struct Draft {
    pub nodes: Vec<NodeDraft>,
    /// Datasets that exist before the run.
    pub given: u8,
    pub default_retries: u8,
}

const PORTS_MAX: usize = 4;

/// Gives pipelines of up to `nodes` nodes.
pub fn drafts(nodes: usize) -> impl Strategy<Value = Draft> {
    let node = (
        prop::collection::vec(any::<u8>(), 0..PORTS_MAX),
        prop::collection::vec(
            prop_oneof![6 => Just(Kept::InMemory), 3 => Just(Kept::Saved), 2 => Just(Kept::Reread)],
            0..PORTS_MAX,
        ),
        prop::option::weighted(0.3, 0u8..3),
        prop::bool::weighted(0.3),
        prop::option::weighted(0.2, any::<bool>()),
        prop::bool::weighted(0.2),
        prop_oneof![4 => Just(0u8), 1 => 1u8..3],
    )
        .prop_map(|(inputs, outputs, retries, times_out, on_failure, generates, confirms)| NodeDraft {
            inputs,
            outputs,
            retries,
            times_out,
            generates,
            confirms,
            on_failure,
        });
    (prop::collection::vec(node, 1..nodes), 1u8..4, 0u8..2).prop_map(|(nodes, given, default_retries)| Draft {
        nodes,
        given,
        default_retries,
    })
}

impl Draft {
    /// Writes the pipeline. `d3_1` is the second output of the fourth node; those that are saved are called `s…`, and
    /// `r…` those that are read again.
    pub fn text(&self) -> (String, String) {
        let mut pipeline = format!("retries = {}\nretry_backoff_seconds = 1\n", self.default_retries);
        let mut catalog = String::from("[\"s{name}\"]\ntype = \"any\"\npath = \"s{name}\"\n");
        catalog.push_str("[\"r{name}\"]\ntype = \"any\"\npath = \"r{name}\"\nreread = true\n");
        catalog.push_str("[\"given{name}\"]\ntype = \"any\"\npath = \"given{name}\"\n");
        catalog.push_str("[\"c{name}\"]\ntype = \"any\"\npath = \"c{name}\"\nincremental = true\n");
        let mut known: Vec<String> = (0..self.given).map(|number| format!("given{number}")).collect();
        for (number, node) in self.nodes.iter().enumerate() {
            let mut inputs: Vec<&str> = Vec::new();
            for pick in &node.inputs {
                inputs.push(&known[usize::from(*pick) % known.len()]);
            }
            let mut outputs: Vec<String> = (node.outputs.iter().enumerate())
                .map(|(port, kept)| format!("{}{number}_{port}", kept.letter()))
                .collect();
            if inputs.is_empty() && outputs.is_empty() {
                outputs.push(format!("d{number}_0"));
            }
            let letter = if node.generates { 'g' } else { 'n' };
            let call = format!("p::{letter}{}_{}", inputs.len(), outputs.len());
            write!(pipeline, "[[node]]\nname = \"n{number}\"\ncall = \"{call}\"\n").expect("a string");
            write!(pipeline, "inputs = {inputs:?}\noutputs = {outputs:?}\n").expect("a string");
            let confirms: Vec<String> = (0..node.confirms).map(|count| format!("c{number}_{count}")).collect();
            writeln!(pipeline, "confirms = {confirms:?}").expect("a string");
            if let Some(retries) = node.retries {
                writeln!(pipeline, "retries = {retries}").expect("a string");
            }
            if node.times_out {
                pipeline.push_str("timeout_seconds = 5\n");
            }
            if let Some(goes_on) = node.on_failure {
                let word = if goes_on { "continue" } else { "stop" };
                writeln!(pipeline, "on_failure = \"{word}\"").expect("a string");
            }
            known.append(&mut outputs);
        }
        (pipeline, catalog)
    }

    /// Plans it.
    pub fn plan(&self) -> Arc<Plan> {
        let (pipeline, catalog) = self.text();
        let sources = Sources {
            pipeline: Source::new("pipeline.toml", pipeline),
            catalogs: vec![Source::new("catalog.toml", catalog)],
            ..Sources::default()
        };
        match check(&sources, &manifest(), &PlanOptions::default()) {
            Ok(plan) => Arc::new(plan),
            Err(problems) => panic!("{}\n{}", problems[0], sources.pipeline.text),
        }
    }
}

/// A plugin with a node for each number of inputs and outputs, which take and give anything, whole (`n`) or in chunks (`g`).
pub fn manifest() -> Manifest {
    let port = |side: &str, number: usize| Port {
        name: format!("{side}{number}"),
        kind: PortKind::Any,
        optional: false,
        parameter: false,
        schema: None,
        chunks: side == "chunk",
    };
    let sizes = (0..=PORTS_MAX).flat_map(|inputs| (0..=PORTS_MAX).map(move |outputs| (inputs, outputs)));
    let nodes = sizes.flat_map(|size| [("n", "out", size), ("g", "chunk", size)]);
    let nodes = nodes.map(|(letter, out, (inputs, outputs))| NodeSignature {
        name: format!("{letter}{inputs}_{outputs}"),
        inputs: (0..inputs).map(|number| port("in", number)).collect(),
        outputs: (0..outputs).map(|number| port(out, number)).collect(),
    });
    let any = DatasetTypeSignature {
        name: "any".to_owned(),
        loads: vec![PortKind::Any],
        saves: vec![PortKind::Any],
        single_process: false,
        releases: false,
        appends: true,
    };
    let plugin = PluginSignature {
        name: "p".to_owned(),
        version: "1".to_owned(),
        nodes: nodes.collect(),
        dataset_types: vec![any],
    };
    Manifest { plugins: vec![plugin] }
}
