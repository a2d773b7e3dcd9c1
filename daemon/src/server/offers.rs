//! What a generation offers, as the API shows it.
#![forbid(unsafe_code)]

use protocol::{
    DatasetTypeInfo, GenerationInfo, NodeInfo, NodeList, OptionInfo, PluginInfo, PluginList, PortInfo, RefusedLibrary,
};

use crate::ipc::manifest::{DatasetDescription, NodeDescription, PluginDescription, PortDescription};
use crate::server::generations::Generation;

/// The plugins, the libraries that are not used, and what other generations there are.
pub fn plugins(generation: &Generation, generations: Vec<GenerationInfo>) -> PluginList {
    PluginList {
        generation: generation.number,
        start_method: generation.start_method().to_owned(),
        plugins: generation.manifest.plugins.iter().map(|described| plugin(generation, described)).collect(),
        refused: generation
            .refused
            .iter()
            .map(|library| RefusedLibrary {
                path: library.path.clone(),
                reason: library.reason.clone(),
                hint: library.hint.clone(),
            })
            .collect(),
        warnings: generation.warnings.clone(),
        generations,
    }
}

/// Every node, by name.
pub fn nodes(generation: &Generation) -> NodeList {
    let plugins = &generation.manifest.plugins;
    let mut nodes: Vec<NodeInfo> =
        plugins.iter().flat_map(|plugin| plugin.nodes.iter().map(|described| node(&plugin.name, described))).collect();
    nodes.sort_by(|a, b| a.call.cmp(&b.call));
    NodeList { nodes }
}

fn plugin(generation: &Generation, plugin: &PluginDescription) -> PluginInfo {
    let library = usize::try_from(plugin.library).ok().and_then(|index| generation.libraries.get(index));
    PluginInfo {
        name: plugin.name.clone(),
        version: plugin.version.clone(),
        path: library.map(|library| library.path.display().to_string()).unwrap_or_default(),
        sha256: library.map(|library| library.sha256().to_owned()).unwrap_or_default(),
        nodes: plugin.nodes.iter().map(|node| node.name.clone()).collect(),
        dataset_types: plugin.datasets.iter().map(dataset_type).collect(),
        hooks: plugin.hooks.iter().map(|hook| hook.name.clone()).collect(),
    }
}

fn dataset_type(dataset: &DatasetDescription) -> DatasetTypeInfo {
    DatasetTypeInfo {
        name: dataset.name.clone(),
        doc: dataset.doc.clone(),
        loads: dataset.loads.clone(),
        saves: dataset.saves.clone(),
        single_process: dataset.single_process,
        options: dataset
            .options
            .iter()
            .map(|option| OptionInfo {
                name: option.name.clone(),
                doc: option.doc.clone(),
                default: option.default.clone(),
            })
            .collect(),
    }
}

fn node(plugin: &str, node: &NodeDescription) -> NodeInfo {
    NodeInfo {
        call: format!("{plugin}::{}", node.name),
        plugin: plugin.to_owned(),
        name: node.name.clone(),
        doc: node.doc.clone(),
        file: node.file.clone(),
        line: node.line,
        inputs: node.inputs.iter().map(port).collect(),
        outputs: node.outputs.iter().map(port).collect(),
    }
}

fn port(port: &PortDescription) -> PortInfo {
    PortInfo {
        name: port.name.clone(),
        kind: port.kind.clone(),
        optional: port.optional,
        parameter: port.parameter,
        rust_type: port.rust_type.clone(),
        doc: port.doc.clone(),
    }
}
