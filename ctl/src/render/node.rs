//! The nodes that pipelines can call.

use protocol::{NodeInfo, PortInfo};

use super::paint::{Paint, Tone, harmless};
use super::table::{Cell, Table};

/// Lists nodes: what to call, what goes in and comes out, the first line of the documentation.
pub fn list(nodes: &[&NodeInfo], paint: Paint) -> String {
    let mut table = Table::new(&["node", "takes", "gives", ""]);
    for node in nodes {
        let summary = first_sentence(&node.doc);
        table.row(vec![
            Cell::new(Tone::Strong, node.call.as_str()),
            ports(&node.inputs).into(),
            ports(&node.outputs).into(),
            Cell::new(Tone::Faint, summary),
        ]);
    }
    table.text(0, paint)
}

fn ports(ports: &[PortInfo]) -> String {
    let written = ports.iter().map(|port| {
        let mark = if port.optional { "?" } else { "" };
        let kind = match (port.parameter, port.kind.as_str()) {
            (true, "json") => "params".to_owned(),
            (true, kind) => format!("params {kind}"),
            (false, kind) => kind.to_owned(),
        };
        format!("{}{mark}: {kind}", port.name)
    });
    written.collect::<Vec<_>>().join(", ")
}

/// The first sentence of a documentation, which may go over several lines; clipped, since it is one cell of a table.
fn first_sentence(doc: &str) -> String {
    const CHARS_MAX: usize = 90;
    let paragraph: Vec<&str> = doc.trim().lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    let paragraph = paragraph.join(" ");
    let sentence = paragraph.split_once(". ").map_or(paragraph.as_str(), |(first, _)| first).trim_end_matches('.');
    if sentence.chars().count() <= CHARS_MAX {
        return sentence.to_owned();
    }
    sentence.chars().take(CHARS_MAX).chain(['…']).collect()
}

/// Explains one node, and shows how a pipeline calls it.
pub fn explain(node: &NodeInfo, paint: Paint) -> String {
    let mut text = paint.strong(&harmless(&node.call));
    if !node.file.is_empty() {
        text.push_str(&paint.faint(&format!("  {}:{}", harmless(&node.file), node.line)));
    }
    text.push('\n');
    for line in node.doc.trim().lines() {
        text.push_str(format!("  {}", harmless(line)).trim_end());
        text.push('\n');
    }
    for (title, ports) in [("Inputs", &node.inputs), ("Outputs", &node.outputs)] {
        if ports.is_empty() {
            continue;
        }
        text.push_str(&format!("\n{title}:\n"));
        let mut table = Table::new(&["port", "kind", "Rust type", "", ""]);
        for port in ports {
            let remark = match (port.parameter, port.optional) {
                (true, true) => "parameter, may be left open",
                (true, false) => "parameter",
                (false, true) => "may be left open",
                (false, false) => "",
            };
            table.row(vec![
                Cell::new(Tone::Strong, port.name.as_str()),
                port.kind.as_str().into(),
                Cell::new(Tone::Faint, port.rust_type.as_str()),
                remark.into(),
                Cell::new(Tone::Faint, port.doc.trim()),
            ]);
        }
        text.push_str(&table.text(2, paint));
    }
    text.push_str(&format!("\nIn a pipeline:\n{}", example(node)));
    text
}

/// A piece of pipeline.toml that calls the node; what stands in angle brackets is the reader's to choose.
fn example(node: &NodeInfo) -> String {
    let mut text = format!("  [[node]]\n  name = \"{}\"\n  call = \"{}\"\n", node.name, node.call);
    if !node.inputs.is_empty() {
        let inputs = node.inputs.iter().filter(|port| !port.optional).map(|port| {
            let from = if port.parameter { format!("params:<{}>", port.name) } else { format!("<{}>", port.name) };
            format!("{} = \"{from}\"", port.name)
        });
        text.push_str(&format!("  inputs = {{ {} }}\n", inputs.collect::<Vec<_>>().join(", ")));
    }
    if !node.outputs.is_empty() {
        let outputs = node.outputs.iter().map(|port| format!("\"<{}>\"", port.name));
        text.push_str(&format!("  outputs = [{}]\n", outputs.collect::<Vec<_>>().join(", ")));
    }
    harmless(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(name: &str, kind: &str, rust_type: &str) -> PortInfo {
        PortInfo { name: name.into(), kind: kind.into(), rust_type: rust_type.into(), ..PortInfo::default() }
    }

    fn train() -> NodeInfo {
        NodeInfo {
            call: "flights::train".into(),
            plugin: "flights".into(),
            name: "train".into(),
            doc: "Fits arrival\ndelay. Fast.\n\nBy least squares.".into(),
            file: "src/train.rs".into(),
            line: 12,
            inputs: vec![
                port("table", "table", "Table"),
                PortInfo { parameter: true, ..port("options", "json", "Params<ModelOptions>") },
                PortInfo { optional: true, ..port("weights", "array<f64>", "Option<Array<f64>>") },
            ],
            outputs: vec![port("model", "json", "Json<Model>")],
        }
    }

    #[test]
    fn a_list_is_one_line_a_node() {
        let want = "\
node            takes                                                gives
flights::train  table: table, options: params, weights?: array<f64>  model: json  Fits arrival delay
";
        assert_eq!(list(&[&train()], Paint::new(false)), want);
    }

    #[test]
    fn a_node_is_explained_with_its_ports_and_an_example() {
        let want = "\
flights::train  src/train.rs:12
  Fits arrival
  delay. Fast.

  By least squares.

Inputs:
  port     kind        Rust type
  table    table       Table
  options  json        Params<ModelOptions>  parameter
  weights  array<f64>  Option<Array<f64>>    may be left open

Outputs:
  port   kind  Rust type
  model  json  Json<Model>

In a pipeline:
  [[node]]
  name = \"train\"
  call = \"flights::train\"
  inputs = { table = \"<table>\", options = \"params:<options>\" }
  outputs = [\"<model>\"]
";
        assert_eq!(explain(&train(), Paint::new(false)), want);
    }
}
