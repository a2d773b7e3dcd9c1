//! From what the zygote says a generation offers to what the engine plans with and what the API shows.
//!
//! Positions are kept: plugin, node and dataset type `i` here are number `i` in the zygote and in every worker.
#![forbid(unsafe_code)]

use engine::signature as to;

use crate::ipc::manifest as from;

/// The part of a manifest that planning needs.
pub fn manifest(manifest: &from::GenerationManifest) -> to::Manifest {
    to::Manifest { plugins: manifest.plugins.iter().map(plugin).collect() }
}

fn plugin(plugin: &from::PluginDescription) -> to::PluginSignature {
    to::PluginSignature {
        name: plugin.name.clone(),
        version: plugin.version.clone(),
        nodes: plugin.nodes.iter().map(node).collect(),
        dataset_types: plugin.datasets.iter().map(dataset_type).collect(),
    }
}

fn node(node: &from::NodeDescription) -> to::NodeSignature {
    to::NodeSignature {
        name: node.name.clone(),
        inputs: node.inputs.iter().map(port).collect(),
        outputs: node.outputs.iter().map(port).collect(),
    }
}

fn port(port: &from::PortDescription) -> to::Port {
    to::Port {
        name: port.name.clone(),
        kind: to::PortKind::parse(&port.kind),
        optional: port.optional,
        parameter: port.parameter,
        // What is no JSON says nothing: then the parameter is checked when the node runs.
        schema: serde_json::from_str(&port.schema).ok(),
        chunks: port.chunks,
    }
}

fn dataset_type(dataset: &from::DatasetDescription) -> to::DatasetTypeSignature {
    to::DatasetTypeSignature {
        name: dataset.name.clone(),
        loads: dataset.loads.iter().map(|kind| to::PortKind::parse(kind)).collect(),
        saves: dataset.saves.iter().map(|kind| to::PortKind::parse(kind)).collect(),
        single_process: dataset.single_process,
        releases: dataset.releases,
        appends: dataset.appends,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_and_kinds_are_kept() {
        let described = from::GenerationManifest {
            plugins: vec![from::PluginDescription {
                name: "p".to_owned(),
                nodes: ["b", "a"]
                    .map(|name| from::NodeDescription {
                        name: name.to_owned(),
                        inputs: vec![from::PortDescription { kind: "table".to_owned(), ..Default::default() }],
                        ..Default::default()
                    })
                    .into(),
                ..Default::default()
            }],
            ..Default::default()
        };
        let signature = manifest(&described);
        let names: Vec<_> = signature.plugins[0].nodes.iter().map(|node| node.name.as_str()).collect();
        assert_eq!(names, ["b", "a"]);
        assert_eq!(signature.plugins[0].nodes[0].inputs[0].kind, to::PortKind::Table);
    }
}
