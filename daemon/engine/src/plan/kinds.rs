//! Whether what is made fits those who read it, and the dataset types in between.

use crate::id::{DatasetId, NodeId};
use crate::plan::draft::Draft;
use crate::plan::storage::{Storage, Storages};
use crate::plan::{InputBinding, NONE, handed_in};
use crate::problem::Problem;
use crate::signature::PortKind;

/// Checks every edge whose both ends are known.
pub(super) fn check(draft: &mut Draft<'_, '_>, storages: &Storages<'_>) {
    for node in draft.nodes.ids() {
        for port in 0..draft.inputs.get(node).len() {
            if let Some(InputBinding::Dataset(dataset)) = draft.inputs.get(node)[port] {
                check_read(draft, storages, node, port, dataset);
            }
        }
    }
    check_partitions(draft, storages);
    for (position, (dataset, persisted)) in storages.persisted.iter().enumerate() {
        let saves = storages.saves(position);
        let producer = draft.producers[*dataset];
        let Some(kind) = draft.producer_kind(*dataset) else { continue };
        let name = draft.dataset_names.name(*dataset);
        let node = draft.node_names.name(NodeId(producer.node));
        if saves.iter().any(|save| kind.fits(save)) {
            let in_files = storages.is_partitioned(position);
            if storages.is_chunked(*dataset) && !in_files && !storages.types[position].appends {
                let message = format!(
                    "`{node}` makes `{name}` chunk by chunk, but dataset type `{}` can only save it whole",
                    persisted.type_name
                );
                let site = draft.output_site(NodeId(producer.node), producer.port as usize);
                draft.problems.add("saves-whole", site, || {
                    Problem::new("saves-whole", message)
                        .hint(format!("give `{name}` a type that can append in the catalog, such as csv, parquet or ndjson"))
                        .hint("or leave it in memory, where its chunks become one block, and let another node copy it to where it belongs")
                });
            }
            continue;
        }
        let message = format!(
            "`{node}` makes `{name}` as {kind}, but dataset type `{}` saves {}",
            persisted.type_name,
            kinds(&saves)
        );
        let site = draft.output_site(NodeId(producer.node), producer.port as usize);
        draft.problems.add("kind-mismatch", site, || {
            Problem::new("kind-mismatch", message).hint(format!("give `{name}` another type in the catalog"))
        });
    }
}

/// Partitions are given one by one, each to a file: there is no block that holds them all.
fn check_partitions(draft: &mut Draft<'_, '_>, storages: &Storages<'_>) {
    for dataset in draft.producers.ids() {
        let Some(kind) = draft.producer_kind(dataset) else { continue };
        let is_partitions = matches!(kind, PortKind::Other(word) if word.starts_with("partitions<"));
        if storages.of[dataset] != Storage::Memory || !is_partitions {
            continue;
        }
        let producer = draft.producers[dataset];
        let (name, node) = (draft.dataset_names.name(dataset), draft.node_names.name(NodeId(producer.node)));
        let message = format!("`{node}` makes `{name}` as {kind}, which cannot stay in memory");
        let site = draft.output_site(NodeId(producer.node), producer.port as usize);
        let hint = format!(
            "add to the catalog:\n[{name}]\ntype = \"csv\"\npath = \"directory\"\npartitioned = {{ suffix = \".csv\" }}"
        );
        draft.problems.add("partitions-in-memory", site, || Problem::new("partitions-in-memory", message).hint(hint));
    }
}

fn check_read(draft: &mut Draft<'_, '_>, storages: &Storages<'_>, node: NodeId, port: usize, dataset: DatasetId) {
    let Some(wanted) = draft.input_kind(node, port) else { return };
    let reread = storages.rereads(dataset);
    let given = draft.producer_kind(dataset).filter(|_| !reread);
    let value_kind = match storages.of[dataset] {
        Storage::Value(position) => {
            storages.values.get(position as usize).map(|(_, value)| vec![handed_in::kind_of(value)])
        }
        _ => None,
    };
    let loads = match (draft.producers[dataset].node, storages.of[dataset]) {
        (NONE, Storage::Value(_)) => value_kind,
        (node, Storage::Persisted(position)) if node == NONE || reread => Some(storages.loads(position as usize)),
        _ => None,
    };
    let fits = match (given, &loads) {
        (Some(given), _) => given.fits(wanted),
        (None, Some(loads)) => loads.iter().any(|load| load.fits(wanted)),
        (None, None) => true,
    };
    if fits {
        return;
    }
    let (name, reader) = (draft.dataset_names.name(dataset), draft.node_names.name(node));
    let port_name =
        draft.signature(node).and_then(|signature| signature.inputs.get(port)).map_or("", |port| &port.name);
    let (found, cause) = match (given, storages.of[dataset]) {
        (Some(given), _) => {
            let producer = draft.producers[dataset];
            let maker = NodeId(producer.node);
            let place = draft.told(draft.output_site(maker, producer.port as usize));
            (given.to_string(), format!("`{}` makes it at {place}", draft.node_names.name(maker)))
        }
        (None, Storage::Persisted(position)) => {
            let type_name = storages.persisted.get(position as usize).map_or("", |(_, persisted)| &persisted.type_name);
            (kinds(&loads.unwrap_or_default()), format!("its dataset type `{type_name}` loads that"))
        }
        (None, Storage::Value(_)) => {
            (kinds(&loads.unwrap_or_default()), format!("`{name}` was handed in with the run as a value"))
        }
        (None, _) => (String::new(), String::new()),
    };
    let message = format!("input `{port_name}` of `{reader}` takes {wanted}, but `{name}` is {found}");
    let site = draft.input_site(node, port);
    draft.problems.add("kind-mismatch", site, || Problem::new("kind-mismatch", message).cause(cause));
}

fn kinds(kinds: &[PortKind]) -> String {
    match kinds {
        [] => "nothing".to_owned(),
        kinds => kinds.iter().map(PortKind::to_string).collect::<Vec<_>>().join(" or "),
    }
}
