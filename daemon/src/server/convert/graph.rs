//! A plan as a graph of names.

use engine::id::DatasetId;
use engine::plan::{InputBinding, Plan};
use protocol::{Graph, GraphBinding, GraphDataset, GraphNode, GraphOutput, Validation};

use super::names::{dataset_name, json_or_text, node_name, path_of, storage_name};

/// A pipeline as a graph.
pub fn graph(plan: &Plan) -> Graph {
    let port = |ports: &[String], position: usize| ports.get(position).cloned().unwrap_or_default();
    let nodes = plan.nodes().map(|node| GraphNode {
        name: node.name.to_owned(),
        call: node.call.label.clone(),
        tags: node.tags.to_vec(),
        layer: node.layer,
        inputs: node
            .inputs
            .iter()
            .enumerate()
            .filter_map(|(position, binding)| match (*binding)? {
                InputBinding::Dataset(dataset) => Some(GraphBinding::Dataset {
                    port: port(&node.call.inputs, position),
                    kind: port(&node.call.input_kinds, position),
                    dataset: dataset_name(plan, dataset),
                }),
                InputBinding::Parameter(parameter) => {
                    let parameter = plan.parameter(parameter)?;
                    Some(GraphBinding::Parameter {
                        port: port(&node.call.inputs, position),
                        kind: port(&node.call.input_kinds, position),
                        parameter: parameter.name.clone(),
                        value: json_or_text(&parameter.json),
                    })
                }
            })
            .collect(),
        outputs: node
            .outputs
            .iter()
            .enumerate()
            .filter_map(|(position, dataset)| {
                let dataset = dataset_name(plan, (*dataset)?);
                let kind = port(&node.call.output_kinds, position);
                Some(GraphOutput { port: port(&node.call.outputs, position), kind, dataset })
            })
            .collect(),
        confirms: plan.confirms(node.id).iter().map(|&dataset| dataset_name(plan, dataset)).collect(),
    });
    let datasets = plan.named_datasets().map(|dataset| {
        let notes = plan.notes(dataset.id).cloned().unwrap_or_default();
        GraphDataset {
            name: dataset.name.to_owned(),
            storage: storage_name(dataset.storage),
            path: path_of(dataset.storage),
            // Of a format that is loaded after another was saved, whoever made that.
            producer: plan.maker(dataset.id).map(|node| node_name(plan, node)),
            consumers: readers(plan, dataset.id),
            is_output: dataset.is_output,
            description: notes.description,
            layer: notes.layer,
            preview: json_or_text(&notes.preview_json),
            metadata: json_or_text(&notes.metadata_json),
        }
    });
    Graph {
        name: plan.name().to_owned(),
        nodes: nodes.collect(),
        datasets: datasets.collect(),
        parameters: json_or_text(plan.parameters_json()),
    }
}

/// The nodes that read what a name stands for: the block that was made, or the one that was loaded again.
fn readers(plan: &Plan, dataset: DatasetId) -> Vec<String> {
    let again = plan.again(dataset).iter().filter(|&&again| dataset_name(plan, again) == dataset_name(plan, dataset));
    let blocks = std::iter::once(&dataset).chain(again);
    blocks.flat_map(|&block| plan.consumers(block)).map(|node| node_name(plan, *node)).collect()
}

/// The answer to a check that found nothing.
pub fn validation(plan: &Plan, generation: u64) -> Validation {
    Validation {
        pipeline: plan.name().to_owned(),
        nodes: plan.node_count() as u64,
        datasets: plan.named_datasets().count() as u64,
        generation,
        warnings: plan.warnings().to_vec(),
    }
}
