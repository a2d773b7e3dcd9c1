//! Plans one pipeline of many nodes, again and again: from its text to a frozen plan.
//!
//! `planning SHAPE NODES REPETITIONS` writes a JSON object: `us`, a list with the time of each repetition, and
//! `bytes`, how far the process's memory grew at most during the first one, the text itself not counted. The kernel counts
//! whole pages that were touched, so that is what a daemon would really take. One of a hundred nodes is planned before: a daemon
//! has planned others, and the program's own pages, about a megabyte, are no node's.
#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::fs;
use std::time::Instant;

use engine::plan::{PlanOptions, check};
use engine::signature::{Manifest, NodeSignature, PluginSignature, Port, PortKind};
use engine::source::{HandedIn, Source, Sources};

/// A layer of the layered shape.
const WIDTH: usize = 100;

fn main() -> Result<(), String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [shape, nodes, repetitions] = arguments.as_slice() else {
        return Err("usage: planning independent|chain|layered|matrix NODES REPETITIONS".to_owned());
    };
    let number = |text: &str| text.parse::<usize>().map_err(|error| format!("{text}: {error}"));
    let (nodes, repetitions) = (number(nodes)?, number(repetitions)?);
    let sources = |nodes: usize| {
        let pipeline = Source::new("pipeline.toml", text(shape, nodes)?);
        let inputs = [("start".to_owned(), HandedIn::Value("1".to_owned()))].into();
        Ok::<_, String>(Sources { pipeline, inputs, ..Sources::default() })
    };
    let manifest = manifest();
    let plan = |sources: &Sources| {
        check(sources, &manifest, &PlanOptions::default()).map_err(|problems| format!("{problems:?}"))
    };
    plan(&sources(100)?)?;
    let sources = sources(nodes)?;

    // The highest mark is set back to what is in memory now.
    fs::write("/proc/self/clear_refs", "5").map_err(|error| format!("cannot set back the peak of memory: {error}"))?;
    let before = memory("VmRSS:")?;
    let mut times: Vec<u64> = Vec::with_capacity(repetitions);
    let mut bytes = 0;
    for repetition in 0..repetitions {
        let start = Instant::now();
        let plan = plan(&sources)?;
        times.push(u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX));
        if repetition == 0 {
            bytes = memory("VmHWM:")?.saturating_sub(before);
        }
        if plan.node_count() != nodes {
            return Err(format!("{} nodes were planned, not {nodes}", plan.node_count()));
        }
    }
    println!("{}", serde_json::json!({ "us": times, "bytes": bytes }));
    Ok(())
}

/// Bytes, of `/proc/self/status`.
fn memory(key: &str) -> Result<u64, String> {
    let status = fs::read_to_string("/proc/self/status").map_err(|error| error.to_string())?;
    let line = status.lines().find_map(|line| line.strip_prefix(key)).ok_or_else(|| format!("there is no {key}"))?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().map_err(|error| format!("{key} {error}"))?;
    Ok(kilobytes << 10)
}

/// Two nodes, of one input and of two, that give one output.
fn manifest() -> Manifest {
    let port = |name: String| Port {
        name,
        kind: PortKind::Integer,
        optional: false,
        parameter: false,
        schema: None,
        chunks: false,
    };
    let node = |name: &str, inputs: usize| NodeSignature {
        name: name.to_owned(),
        inputs: (0..inputs).map(|number| port(format!("in{number}"))).collect(),
        outputs: vec![port("out".to_owned())],
    };
    let plugin = PluginSignature {
        name: "p".to_owned(),
        nodes: vec![node("one", 1), node("two", 2)],
        ..PluginSignature::default()
    };
    Manifest { plugins: vec![plugin] }
}

/// Writes a pipeline out, every node with a name of its own.
fn text(shape: &str, nodes: usize) -> Result<String, String> {
    let mut text = String::with_capacity(100 * nodes);
    if shape == "matrix" {
        let values = |count: usize| (0..count).map(|value| value.to_string()).collect::<Vec<_>>().join(",");
        let (rows, columns) = (nodes.div_ceil(1_000), nodes.min(1_000));
        let matrix = format!("{{ a = [{}], b = [{}] }}", values(rows), values(columns));
        text = format!(
            "[[node]]\nname = \"n{{a}}_{{b}}\"\ncall = \"p::one\"\nmatrix = {matrix}\ninputs = [\"start\"]\noutputs = [\"d{{a}}_{{b}}\"]\n"
        );
        return Ok(text);
    }
    let mut random = 1_u64;
    let mut of_layer = |layer: usize| {
        // A linear congruential generator: the same pipeline every time.
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        layer * WIDTH + (random >> 33) as usize % WIDTH
    };
    for node in 0..nodes {
        let inputs = match (shape, node) {
            ("independent", _) | ("chain", 0) => "\"start\"".to_owned(),
            ("chain", _) => format!("\"d{}\"", node - 1),
            ("layered", _) if node < WIDTH => "\"start\", \"start\"".to_owned(),
            ("layered", _) => {
                let layer = node / WIDTH - 1;
                format!("\"d{}\", \"d{}\"", of_layer(layer), of_layer(layer))
            }
            _ => return Err(format!("there is no shape `{shape}`")),
        };
        let call = if shape == "layered" { "two" } else { "one" };
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "[[node]]\nname = \"n{node}\"\ncall = \"p::{call}\"\ninputs = [{inputs}]\noutputs = [\"d{node}\"]\n\n"
        );
    }
    Ok(text)
}
