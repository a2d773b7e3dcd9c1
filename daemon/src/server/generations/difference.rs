//! What differs between two generations: plugins by their contents, nodes by their ports, dataset types and hooks by name.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use protocol::{GenerationChanges, NodeChange, PluginChange};

use super::Library;
use super::generation::identity;
use crate::ipc::manifest::{GenerationManifest, NodeDescription, PluginDescription, PortDescription};

/// What a generation consists of, to be compared.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// What it offers.
    pub manifest: &'a GenerationManifest,
    /// Its libraries, by the positions in the manifest.
    pub libraries: &'a [Arc<Library>],
}

/// What is other `after` than it was `before`.
pub fn changes(before: Side<'_>, after: Side<'_>) -> GenerationChanges {
    let nodes =
        |side: Side<'_>| names(side.manifest, |plugin| plugin.nodes.iter().map(|node| node.name.as_str()).collect());
    let types =
        |side: Side<'_>| names(side.manifest, |plugin| plugin.datasets.iter().map(|kind| kind.name.as_str()).collect());
    let hooks =
        |side: Side<'_>| names(side.manifest, |plugin| plugin.hooks.iter().map(|hook| hook.name.as_str()).collect());
    let (nodes_added, nodes_removed) = both_ways(&nodes(before), &nodes(after));
    let (dataset_types_added, dataset_types_removed) = both_ways(&types(before), &types(after));
    let (hooks_added, hooks_removed) = both_ways(&hooks(before), &hooks(after));
    GenerationChanges {
        plugins: plugins(before, after),
        nodes_added,
        nodes_removed,
        nodes_changed: changed_nodes(before.manifest, after.manifest),
        dataset_types_added,
        dataset_types_removed,
        hooks_added,
        hooks_removed,
    }
}

fn names<'a>(manifest: &'a GenerationManifest, of: impl Fn(&'a PluginDescription) -> Vec<&'a str>) -> BTreeSet<String> {
    let all = manifest.plugins.iter().flat_map(|plugin| of(plugin).into_iter().map(move |name| (plugin, name)));
    all.map(|(plugin, name)| format!("{}::{name}", plugin.name)).collect()
}

fn both_ways(before: &BTreeSet<String>, after: &BTreeSet<String>) -> (Vec<String>, Vec<String>) {
    (after.difference(before).cloned().collect(), before.difference(after).cloned().collect())
}

fn plugins(before: Side<'_>, after: Side<'_>) -> Vec<PluginChange> {
    let by_name = |side: Side<'_>| -> BTreeMap<String, PluginDescription> {
        side.manifest.plugins.iter().map(|plugin| (plugin.name.clone(), plugin.clone())).collect()
    };
    let (old, new) = (by_name(before), by_name(after));
    let all: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let mut changes = Vec::new();
    for name in all {
        let (old, new) = (old.get(name), new.get(name));
        // Copies are shared where the bytes are the same, so another copy is another library.
        if let (Some(old), Some(new)) = (old, new)
            && let (Some(old), Some(new)) = (library(old, before), library(new, after))
            && Arc::ptr_eq(old, new)
        {
            continue;
        }
        changes.push(PluginChange {
            name: name.clone(),
            before: old.map(|plugin| identity(plugin, before.libraries, true)),
            after: new.map(|plugin| identity(plugin, after.libraries, true)),
        });
    }
    changes
}

fn library<'a>(plugin: &PluginDescription, side: Side<'a>) -> Option<&'a Arc<Library>> {
    side.libraries.get(usize::try_from(plugin.library).ok()?)
}

fn changed_nodes(before: &GenerationManifest, after: &GenerationManifest) -> Vec<NodeChange> {
    let nodes = |manifest: &GenerationManifest| -> BTreeMap<String, NodeDescription> {
        let all = manifest.plugins.iter().flat_map(|plugin| plugin.nodes.iter().map(move |node| (plugin, node)));
        all.map(|(plugin, node)| (format!("{}::{}", plugin.name, node.name), node.clone())).collect()
    };
    let old = nodes(before);
    let mut changes = Vec::new();
    for (call, node) in nodes(after) {
        let Some(was) = old.get(&call) else { continue };
        let mut lines = changed_ports("input", &was.inputs, &node.inputs);
        lines.extend(changed_ports("output", &was.outputs, &node.outputs));
        if !lines.is_empty() {
            changes.push(NodeChange { call, changes: lines });
        }
    }
    changes
}

fn changed_ports(side: &str, before: &[PortDescription], after: &[PortDescription]) -> Vec<String> {
    let mut lines = Vec::new();
    for port in after {
        match before.iter().find(|was| was.name == port.name) {
            None => lines.push(format!("{side} {}: {}, is new", port.name, described(port))),
            Some(was) if described(was) != described(port) => {
                lines.push(format!("{side} {}: {}, was {}", port.name, described(port), described(was)));
            }
            Some(_) => {}
        }
    }
    for port in before.iter().filter(|was| after.iter().all(|port| port.name != was.name)) {
        lines.push(format!("{side} {}: is gone, was {}", port.name, described(port)));
    }
    let order = |ports: &[PortDescription]| ports.iter().map(|port| port.name.clone()).collect::<Vec<_>>();
    // A pipeline may bind ports by position.
    if lines.is_empty() && order(before) != order(after) {
        lines.push(format!("{side}s in another order: {}", order(after).join(", ")));
    }
    lines
}

fn described(port: &PortDescription) -> String {
    let mut text = if port.optional { format!("optional {}", port.kind) } else { port.kind.clone() };
    if port.parameter {
        text.push_str(" (parameter)");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(name: &str, kind: &str) -> PortDescription {
        PortDescription { name: name.to_owned(), kind: kind.to_owned(), ..PortDescription::default() }
    }

    fn manifest(nodes: &[(&str, &[(&str, &str)])]) -> GenerationManifest {
        let node = |(name, inputs): &(&str, &[(&str, &str)])| NodeDescription {
            name: (*name).to_owned(),
            inputs: inputs.iter().map(|(name, kind)| port(name, kind)).collect(),
            ..NodeDescription::default()
        };
        let plugin = PluginDescription {
            name: "p".to_owned(),
            nodes: nodes.iter().map(node).collect(),
            ..PluginDescription::default()
        };
        GenerationManifest { plugins: vec![plugin], ..GenerationManifest::default() }
    }

    #[test]
    fn nodes_that_come_go_and_change_are_told() {
        let before = manifest(&[("a", &[("x", "table")]), ("gone", &[]), ("turned", &[("m", "json"), ("n", "json")])]);
        let after = manifest(&[
            ("a", &[("x", "json"), ("y", "text")]),
            ("new", &[]),
            ("turned", &[("n", "json"), ("m", "json")]),
        ]);
        let side = |manifest| Side { manifest, libraries: &[] };
        let changes = changes(side(&before), side(&after));
        assert_eq!(changes.nodes_added, ["p::new"]);
        assert_eq!(changes.nodes_removed, ["p::gone"]);
        let lines: Vec<_> =
            changes.nodes_changed.iter().map(|node| (node.call.as_str(), node.changes.join("; "))).collect();
        assert_eq!(
            lines,
            [
                ("p::a", "input x: json, was table; input y: text, is new".to_owned()),
                ("p::turned", "inputs in another order: n, m".to_owned())
            ]
        );
        assert_eq!(changes.plugins.len(), 1, "of libraries that are not there nothing is known");
    }
}
