//! A pipeline as text, for Graphviz and for Mermaid.

use std::collections::{BTreeMap, HashMap, HashSet};

use protocol::{Graph, GraphBinding, GraphDataset, GraphNode};

use super::paint::{Paint, harmless};
use super::units::count;

/// Writes the nodes in the order of a sequential run, with what they read and make.
pub fn text(graph: &Graph, layers: bool, paint: Paint) -> String {
    let datasets: HashMap<&str, &GraphDataset> =
        graph.datasets.iter().map(|dataset| (dataset.name.as_str(), dataset)).collect();
    let sizes = format!(
        "{}, {}, {}",
        count(graph.nodes.len() as u64, "node"),
        count(graph.datasets.len() as u64, "dataset"),
        count(by_layer(graph).len() as u64, "layer")
    );
    let mut text = format!("{} ({sizes})\n", paint.strong(&harmless(&graph.name)));
    if layers {
        for (layer, nodes) in by_layer(graph) {
            text.push_str(&format!("\nlayer {layer} ({})\n", count(nodes.len() as u64, "node")));
            for node in nodes {
                text.push_str(&head("  ", node, paint));
            }
        }
        return text;
    }
    for node in &graph.nodes {
        text.push('\n');
        text.push_str(&head("", node, paint));
        for binding in &node.inputs {
            let (port, what) = match binding {
                GraphBinding::Dataset { port, dataset, .. } => (port, described(dataset, &datasets, paint)),
                GraphBinding::Parameter { port, parameter, value, .. } => {
                    let shown = format!("{} = {value}", harmless(parameter));
                    (port, paint.faint(&clip(&shown)))
                }
            };
            text.push_str(&format!("  {} {}: {what}\n", paint.margin("<-"), harmless(port)));
        }
        for output in &node.outputs {
            let what = described(&output.dataset, &datasets, paint);
            text.push_str(&format!("  {} {}: {what}\n", paint.margin("->"), harmless(&output.port)));
        }
        if !node.confirms.is_empty() {
            text.push_str(&format!("  {} confirms {}\n", paint.margin("ok"), harmless(&node.confirms.join(", "))));
        }
    }
    text
}

fn head(indent: &str, node: &GraphNode, paint: Paint) -> String {
    let tags = if node.tags.is_empty() { String::new() } else { format!("  [{}]", harmless(&node.tags.join(", "))) };
    format!("{indent}{}  {}{tags}\n", paint.strong(&harmless(&node.name)), paint.faint(&harmless(&node.call)))
}

fn described(name: &str, datasets: &HashMap<&str, &GraphDataset>, paint: Paint) -> String {
    let shown = harmless(name).into_owned();
    match datasets.get(name) {
        Some(dataset) if dataset.storage != "memory" => {
            let storage = harmless(&dataset.storage);
            let note = match &dataset.path {
                Some(path) => format!("({storage} {})", harmless(path)),
                None => format!("({storage})"),
            };
            format!("{shown} {}", paint.faint(&note))
        }
        _ => shown,
    }
}

fn clip(text: &str) -> String {
    const CHARS_MAX: usize = 80;
    if text.chars().count() <= CHARS_MAX {
        return text.to_owned();
    }
    text.chars().take(CHARS_MAX).chain(['…']).collect()
}

fn by_layer(graph: &Graph) -> BTreeMap<u32, Vec<&GraphNode>> {
    let mut layers: BTreeMap<u32, Vec<&GraphNode>> = BTreeMap::new();
    for node in &graph.nodes {
        layers.entry(node.layer).or_default().push(node);
    }
    layers
}

/// Writes the graph in Graphviz' language. Nodes are boxes, datasets ellipses; persisted ones have a heavy line.
pub fn dot(graph: &Graph, layers: bool) -> String {
    let quote =
        |text: &str| format!("\"{}\"", harmless(text).replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"));
    let mut text = format!("digraph {} {{\n  rankdir = LR\n  node [fontname = \"sans-serif\"]\n", quote(&graph.name));
    for dataset in &graph.datasets {
        let style = if dataset.storage == "memory" { "" } else { ", penwidth = 2" };
        let (id, label) = (quote(&format!("data:{}", dataset.name)), quote(&dataset.name));
        text.push_str(&format!("  {id} [label = {label}, shape = ellipse{style}]\n"));
    }
    for node in &graph.nodes {
        let (id, label) = (quote(&format!("node:{}", node.name)), quote(&format!("{}\n{}", node.name, node.call)));
        text.push_str(&format!("  {id} [label = {label}, shape = box]\n"));
    }
    if layers {
        for nodes in by_layer(graph).into_values() {
            let names: Vec<String> = nodes.iter().map(|node| quote(&format!("node:{}", node.name))).collect();
            text.push_str(&format!("  {{ rank = same; {} }}\n", names.join("; ")));
        }
    }
    for (from, to) in edges(graph) {
        text.push_str(&format!("  {} -> {}\n", quote(&from), quote(&to)));
    }
    text.push_str("}\n");
    text
}

/// Writes the graph in Mermaid's language.
pub fn mermaid(graph: &Graph, layers: bool) -> String {
    let quote = |text: &str| format!("\"{}\"", harmless(text).replace('"', "#quot;").replace('\n', "<br>"));
    let mut ids: HashMap<String, String> = HashMap::new();
    let mut text = "flowchart LR\n".to_owned();
    for (number, dataset) in graph.datasets.iter().enumerate() {
        ids.insert(format!("data:{}", dataset.name), format!("d{number}"));
        let label = quote(&dataset.name);
        // A cylinder is what lasts.
        let shape = if dataset.storage == "memory" { format!("([{label}])") } else { format!("[({label})]") };
        text.push_str(&format!("  d{number}{shape}\n"));
    }
    let numbers: HashMap<&str, usize> =
        graph.nodes.iter().enumerate().map(|(number, node)| (node.name.as_str(), number)).collect();
    for (layer, nodes) in by_layer(graph) {
        if layers {
            text.push_str(&format!("  subgraph layer{layer} [\"layer {layer}\"]\n"));
        }
        let indent = if layers { "    " } else { "  " };
        for node in nodes {
            let number = numbers[node.name.as_str()];
            ids.insert(format!("node:{}", node.name), format!("n{number}"));
            text.push_str(&format!("{indent}n{number}[{}]\n", quote(&node.name)));
        }
        if layers {
            text.push_str("  end\n");
        }
    }
    for (from, to) in edges(graph) {
        if let (Some(from), Some(to)) = (ids.get(&from), ids.get(&to)) {
            text.push_str(&format!("  {from} --> {to}\n"));
        }
    }
    text
}

/// From dataset to reader and from node to what it makes; a dataset read by two ports of a node counts once.
fn edges(graph: &Graph) -> Vec<(String, String)> {
    let mut edges = Vec::new();
    for node in &graph.nodes {
        let id = format!("node:{}", node.name);
        for binding in &node.inputs {
            if let GraphBinding::Dataset { dataset, .. } = binding {
                let edge = (format!("data:{dataset}"), id.clone());
                if !edges.iter().rev().take(node.inputs.len()).any(|known| known == &edge) {
                    edges.push(edge);
                }
            }
        }
        edges.extend(node.outputs.iter().map(|output| (id.clone(), format!("data:{}", output.dataset))));
    }
    // A format of a dataset that is loaded after another was saved is no output of the node that made it.
    let made: HashSet<&str> =
        graph.nodes.iter().flat_map(|node| &node.outputs).map(|output| output.dataset.as_str()).collect();
    for dataset in graph.datasets.iter().filter(|dataset| !made.contains(dataset.name.as_str())) {
        edges.extend(dataset.producer.iter().map(|node| (format!("node:{node}"), format!("data:{}", dataset.name))));
    }
    edges
}

#[cfg(test)]
mod tests {
    use protocol::GraphOutput;
    use serde_json::json;

    use super::*;

    fn graph() -> Graph {
        let dataset = |port: &str, dataset: &str| GraphBinding::Dataset {
            port: port.into(),
            kind: String::new(),
            dataset: dataset.into(),
        };
        let output =
            |port: &str, dataset: &str| GraphOutput { port: port.into(), kind: String::new(), dataset: dataset.into() };
        let data = |name: &str, storage: &str, path: Option<&str>| GraphDataset {
            name: name.into(),
            storage: storage.into(),
            path: path.map(str::to_owned),
            producer: None,
            consumers: vec![],
            is_output: false,
            description: String::new(),
            layer: String::new(),
            preview: serde_json::Value::Null,
            metadata: serde_json::Value::Null,
        };
        Graph {
            name: "flights".into(),
            nodes: vec![
                GraphNode {
                    confirms: Vec::new(),
                    name: "clean".into(),
                    call: "flights::clean".into(),
                    tags: vec!["early".into()],
                    layer: 0,
                    inputs: vec![dataset("table", "raw"), dataset("again", "raw")],
                    outputs: vec![output("table", "tidy")],
                },
                GraphNode {
                    confirms: Vec::new(),
                    name: "train \"a\"".into(),
                    call: "flights::train".into(),
                    tags: vec![],
                    layer: 1,
                    inputs: vec![
                        dataset("table", "tidy"),
                        GraphBinding::Parameter {
                            kind: String::new(),
                            port: "options".into(),
                            parameter: "params:model".into(),
                            value: json!({ "alpha": 1 }),
                        },
                    ],
                    outputs: vec![output("model", "model")],
                },
            ],
            datasets: vec![
                data("raw", "csv", Some("data/raw.csv")),
                data("tidy", "memory", None),
                data("model", "json", None),
            ],
            parameters: json!({ "model": { "alpha": 1 } }),
        }
    }

    #[test]
    fn as_text() {
        let want = "\
flights (2 nodes, 3 datasets, 2 layers)

clean  flights::clean  [early]
  <- table: raw (csv data/raw.csv)
  <- again: raw (csv data/raw.csv)
  -> table: tidy

train \"a\"  flights::train
  <- table: tidy
  <- options: params:model = {\"alpha\":1}
  -> model: model (json)
";
        assert_eq!(text(&graph(), false, Paint::new(false)), want);
    }

    #[test]
    fn as_layers() {
        let want = "\
flights (2 nodes, 3 datasets, 2 layers)

layer 0 (1 node)
  clean  flights::clean  [early]

layer 1 (1 node)
  train \"a\"  flights::train
";
        assert_eq!(text(&graph(), true, Paint::new(false)), want);
    }

    #[test]
    fn for_graphviz() {
        let want = r#"digraph "flights" {
  rankdir = LR
  node [fontname = "sans-serif"]
  "data:raw" [label = "raw", shape = ellipse, penwidth = 2]
  "data:tidy" [label = "tidy", shape = ellipse]
  "data:model" [label = "model", shape = ellipse, penwidth = 2]
  "node:clean" [label = "clean\nflights::clean", shape = box]
  "node:train \"a\"" [label = "train \"a\"\nflights::train", shape = box]
  "data:raw" -> "node:clean"
  "node:clean" -> "data:tidy"
  "data:tidy" -> "node:train \"a\""
  "node:train \"a\"" -> "data:model"
}
"#;
        assert_eq!(dot(&graph(), false), want);
        assert!(dot(&graph(), true).contains("  { rank = same; \"node:clean\" }\n"));
    }

    #[test]
    fn for_mermaid() {
        let want = "\
flowchart LR
  d0[(\"raw\")]
  d1([\"tidy\"])
  d2[(\"model\")]
  n0[\"clean\"]
  n1[\"train #quot;a#quot;\"]
  d0 --> n0
  n0 --> d1
  d1 --> n1
  n1 --> d2
";
        assert_eq!(mermaid(&graph(), false), want);
        assert!(
            mermaid(&graph(), true)
                .contains("  subgraph layer1 [\"layer 1\"]\n    n1[\"train #quot;a#quot;\"]\n  end\n")
        );
    }
}
