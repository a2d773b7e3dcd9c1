//! The draft, found good, becomes the plan: nodes get their topological ids.

use std::collections::BTreeMap;

use crate::graph;
use crate::id::{CallId, DatasetId, Id, IdVec, Lists, Names, NodeId};
use crate::plan::draft::{Draft, distinct_reads, number};
use crate::plan::storage::{Storage, Storages};
use crate::plan::{DatasetCore, InputBinding, NONE, NodeCore, Plan, confirms::confirm_tasks};

pub(super) fn freeze(
    draft: Draft<'_, '_>,
    consumers: Lists<DatasetId, NodeId>,
    mut storages: Storages<'_>,
    layers: &[u32],
) -> Plan {
    let order = graph::order(layers, |one, other| draft.node_names.name(one).cmp(draft.node_names.name(other)));
    let mut new_id = vec![NodeId(NONE); order.len()];
    for (position, &node) in order.iter().enumerate() {
        new_id[node.index()] = NodeId::from_index(position);
    }

    // What is read again has a second id, of the block that a load makes: its readers read that one.
    let made = draft.producers.iter().filter(|(_, producer)| producer.node != NONE);
    let mut origins = draft.origins;
    let mut again: BTreeMap<DatasetId, DatasetId> = BTreeMap::new();
    for (dataset, _) in made.filter(|&(dataset, _)| storages.rereads(dataset) && !consumers.get(dataset).is_empty()) {
        let loaded = DatasetId::from_index(draft.producers.len() + again.len());
        again.insert(dataset, loaded);
        origins.insert(loaded, dataset);
    }
    let loaded = |dataset: DatasetId| again.get(&dataset).copied().unwrap_or(dataset);
    let read = |binding: Option<InputBinding>| match binding {
        Some(InputBinding::Dataset(dataset)) => Some(InputBinding::Dataset(loaded(dataset))),
        other => other,
    };

    let mut node_names = Names::with_capacity(order.len(), draft.node_names.byte_count());
    let mut nodes = Vec::with_capacity(order.len());
    let mut inputs = Lists::with_capacity(order.len(), draft.inputs.item_count());
    let mut outputs = Lists::with_capacity(order.len(), draft.outputs.item_count());
    let mut reads = Lists::with_capacity(order.len(), draft.inputs.item_count());
    let mut confirms = Lists::with_capacity(order.len(), draft.confirms.item_count());
    let (mut bindings, mut confirmed) = (Vec::new(), Vec::new());
    for &node in &order {
        node_names.push(draft.node_names.name(node));
        let core = draft.nodes[node];
        nodes.push(NodeCore {
            call: CallId(core.call),
            policy: core.policy,
            tags: core.tags,
            layer: layers[node.index()],
        });
        bindings.clear();
        bindings.extend(draft.inputs.get(node).iter().map(|&binding| read(binding)));
        confirmed.clear();
        confirmed.extend(draft.confirms.get(node).iter().map(|&dataset| loaded(dataset)));
        reads.push(distinct_reads(&bindings, &confirmed));
        inputs.push(bindings.iter().copied());
        confirms.push(confirmed.iter().copied());
        outputs.push(draft.outputs.get(node).iter().copied());
    }

    let count = consumers.len() + again.len();
    let mut readers = Lists::with_capacity(count, consumers.item_count());
    let mut datasets = Vec::with_capacity(count);
    let mut sorted: Vec<NodeId> = Vec::new();
    let mut add_readers_of = |dataset: Option<DatasetId>| {
        sorted.clear();
        let list = dataset.map_or(&[][..], |dataset| consumers.get(dataset));
        sorted.extend(list.iter().map(|node| new_id[node.index()]));
        sorted.sort_unstable();
        readers.push(sorted.iter().copied());
    };
    let persisted = |storage: Storage| match storage {
        Storage::Persisted(position) => position,
        Storage::Memory | Storage::Value(_) | Storage::Broken => NONE,
    };
    // What the call that makes it saves as it comes has no task of its own.
    let mut tasks: Vec<DatasetId> = Vec::with_capacity(storages.persisted.len() + again.len());
    let mut task_of = |dataset: DatasetId, has_one: bool| {
        tasks.extend(has_one.then_some(dataset));
        if has_one { number(tasks.len() - 1) } else { NONE }
    };
    for (dataset, producer) in draft.producers.iter() {
        let position = persisted(storages.of[dataset]);
        add_readers_of((!again.contains_key(&dataset)).then_some(dataset));
        datasets.push(DatasetCore {
            producer: new_id.get(producer.node as usize).map_or(NONE, |node| node.0),
            persisted: position,
            task: task_of(dataset, position != NONE && !storages.is_chunked(dataset)),
            origin: origins.get(&dataset).map_or(NONE, |origin| origin.0),
        });
    }
    let mut dataset_names = draft.dataset_names.into_names();
    for (&saved, &loaded) in &again {
        let name = dataset_names.get(saved).to_owned();
        dataset_names.push(&name);
        add_readers_of(Some(saved));
        let position = persisted(storages.of[saved]);
        if let Some((_, storage)) = storages.persisted.get(position as usize).cloned() {
            storages.persisted.push((loaded, storage));
        }
        datasets.push(DatasetCore {
            producer: NONE,
            persisted: number(storages.persisted.len() - 1),
            task: task_of(loaded, true),
            origin: saved.0,
        });
    }
    let confirm_tasks = confirm_tasks(&confirms);
    let again = Lists::from_pairs(count, origins.iter().map(|(&loaded, &saved)| (saved, loaded)));

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
        confirms,
        confirm_tasks,
        dataset_names,
        datasets: IdVec::new(datasets),
        consumers: readers,
        again,
        persisted: storages.persisted,
        values: storages.values,
        notes: storages.notes,
        load_versions: draft.spec.load_versions.to_vec(),
        tasks,
        warnings: Vec::new(),
    }
}
