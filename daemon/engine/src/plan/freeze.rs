//! The draft, found good, becomes the plan: nodes get their topological ids.

use crate::graph;
use crate::id::{CallId, DatasetId, Id, IdVec, Lists, Names, NodeId};
use crate::plan::draft::{Draft, distinct_reads};
use crate::plan::storage::{Storage, Storages};
use crate::plan::{DatasetCore, NONE, NodeCore, Plan};

pub(super) fn freeze(
    draft: Draft<'_, '_>,
    consumers: Lists<DatasetId, NodeId>,
    storages: Storages<'_>,
    layers: &[u32],
) -> Plan {
    let order = graph::order(layers, |one, other| draft.node_names.name(one).cmp(draft.node_names.name(other)));
    let mut new_id = vec![NodeId(NONE); order.len()];
    for (position, &node) in order.iter().enumerate() {
        new_id[node.index()] = NodeId::from_index(position);
    }

    let mut node_names = Names::new();
    let mut nodes = Vec::with_capacity(order.len());
    let mut inputs = Lists::with_capacity(order.len(), draft.inputs.item_count());
    let mut outputs = Lists::with_capacity(order.len(), draft.outputs.item_count());
    let mut reads = Lists::with_capacity(order.len(), draft.inputs.item_count());
    for &node in &order {
        node_names.push(draft.node_names.name(node));
        let core = draft.nodes[node];
        nodes.push(NodeCore {
            call: CallId(core.call),
            policy: core.policy,
            tags: core.tags,
            layer: layers[node.index()],
        });
        inputs.push(draft.inputs.get(node).iter().copied());
        outputs.push(draft.outputs.get(node).iter().copied());
        reads.push(distinct_reads(draft.inputs.get(node)));
    }

    let mut readers = Lists::with_capacity(consumers.len(), consumers.item_count());
    let mut datasets = Vec::with_capacity(consumers.len());
    for (dataset, producer) in draft.producers.iter() {
        let mut list: Vec<NodeId> = consumers.get(dataset).iter().map(|node| new_id[node.index()]).collect();
        list.sort_unstable();
        readers.push(list);
        datasets.push(DatasetCore {
            producer: new_id.get(producer.node as usize).map_or(NONE, |node| node.0),
            persisted: match storages.of[dataset] {
                Storage::Persisted(position) => position,
                Storage::Memory | Storage::Broken => NONE,
            },
        });
    }

    Plan {
        name: draft.spec.name.clone(),
        calls: draft.calls,
        policies: draft.policies,
        tag_sets: draft.tag_sets,
        defaults: draft.spec.defaults.resolve(draft.spec.defaults),
        on_failure: draft.spec.defaults.on_failure,
        parameters: draft.parameters,
        parameters_json: serde_json::Value::Object(draft.spec.parameters.clone()).to_string(),
        layer_count: layers.iter().max().map_or(0, |deepest| deepest + 1),
        node_names,
        nodes: IdVec::new(nodes),
        inputs,
        outputs,
        reads,
        dataset_names: draft.dataset_names.into_names(),
        datasets: IdVec::new(datasets),
        consumers: readers,
        persisted: storages.persisted,
    }
}
