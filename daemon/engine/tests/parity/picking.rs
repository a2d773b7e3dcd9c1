//! Which nodes are run again, and which outputs are missing: against Kedro's algorithms written down naively, and
//! against all subsets of small graphs.

use std::collections::BTreeSet;

use engine::id::{DatasetId, NodeId};
use engine::missing::{Why, nodes_to_run, questions};
use engine::plan::Plan;
use engine::resume::resume;
use proptest::prelude::*;

use super::sim::pipeline::drafts;

type Nodes = BTreeSet<NodeId>;

/// As many nodes as all subsets of can be looked at.
const NODES_MAX: usize = 8;

fn all(plan: &Plan) -> Nodes {
    plan.nodes().map(|node| node.id).collect()
}

fn picked(plan: &Plan, mask: u32) -> Nodes {
    plan.nodes().map(|node| node.id).filter(|node| mask >> node.0 & 1 == 1).collect()
}

fn is_persisted(plan: &Plan, dataset: DatasetId) -> bool {
    plan.is_persisted(dataset)
}

/// Makers of what a node reads that lives in memory only.
fn memory_makers(plan: &Plan, node: NodeId) -> Nodes {
    let gone = plan.reads(node).iter().filter(|&&dataset| !is_persisted(plan, dataset));
    gone.filter_map(|&dataset| plan.producer(dataset)).collect()
}

fn readers(plan: &Plan, node: NodeId) -> Nodes {
    all(plan).into_iter().filter(|&other| makers(plan, other).contains(&node)).collect()
}

fn makers(plan: &Plan, node: NodeId) -> Nodes {
    plan.reads(node).iter().filter_map(|&dataset| plan.maker(dataset)).collect()
}

/// Every set of nodes that fits, cut with each other: the smallest one, where fitting sets stay fitting when cut.
fn smallest(plan: &Plan, fits: impl Fn(&Nodes) -> bool) -> Nodes {
    let sets = (0..1u32 << plan.node_count()).map(|mask| picked(plan, mask)).filter(fits);
    sets.reduce(|one, other| one.intersection(&other).copied().collect()).unwrap()
}

/// Kedro's way: back from the unfinished nodes that read something made outside of them, through makers of what is in
/// memory only; then forwards from all of these. Once each.
fn kedro(plan: &Plan, unfinished: &Nodes) -> Nodes {
    let has_outer_input = |node: &NodeId| {
        plan.reads(*node).iter().any(|&dataset| plan.maker(dataset).is_none_or(|maker| !unfinished.contains(&maker)))
    };
    let mut queue: Vec<NodeId> = unfinished.iter().copied().filter(has_outer_input).collect();
    let mut visited: Nodes = queue.iter().copied().collect();
    let mut chosen = unfinished.clone();
    while let Some(node) = queue.pop() {
        chosen.insert(node);
        queue.extend(memory_makers(plan, node).into_iter().filter(|&maker| visited.insert(maker)));
    }
    let mut forwards: Vec<NodeId> = chosen.iter().copied().collect();
    while let Some(node) = forwards.pop() {
        forwards.extend(readers(plan, node).into_iter().filter(|&reader| chosen.insert(reader)));
    }
    chosen
}

/// Whether everything that these nodes read would be there.
fn can_run(plan: &Plan, nodes: &Nodes) -> bool {
    nodes.iter().all(|&node| memory_makers(plan, node).is_subset(nodes))
}

/// The first layer of a set of nodes, by name.
fn first_layer(plan: &Plan, nodes: &Nodes) -> Vec<String> {
    let first = nodes.iter().filter(|&&node| makers(plan, node).is_disjoint(nodes));
    let mut names: Vec<String> = first.map(|&node| plan.node(node).unwrap().name.to_owned()).collect();
    names.sort();
    names
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn parity_r11_resumes_as_kedro_wherever_that_can_run(draft in drafts(NODES_MAX), finished in any::<u32>()) {
        let plan = draft.plan();
        let finished = picked(&plan, finished);
        let unfinished: Nodes = all(&plan).difference(&finished).copied().collect();
        let Some(found) = resume(&plan, |node| finished.contains(&node)) else {
            prop_assert!(unfinished.is_empty());
            return Ok(());
        };
        let nodes: Nodes = found.nodes.iter().copied().collect();
        prop_assert_eq!((found.finished, found.unfinished), (finished.len(), unfinished.len()));

        let wanted = kedro(&plan, &unfinished);
        prop_assert!(wanted.is_subset(&nodes), "Kedro would run more");
        if can_run(&plan, &wanted) {
            prop_assert_eq!(&nodes, &wanted);
        }
        let closed = |set: &Nodes| {
            unfinished.is_subset(set) && can_run(&plan, set) && set.iter().all(|&node| readers(&plan, node).is_subset(set))
        };
        prop_assert_eq!(&nodes, &smallest(&plan, closed));

        let from: Vec<String> = found.from.iter().map(|&node| plan.node(node).unwrap().name.to_owned()).collect();
        prop_assert_eq!(from, first_layer(&plan, &nodes));
        // What is advised is exactly what runs: from these nodes and on.
        let mut reached: Nodes = found.from.iter().copied().collect();
        let mut ahead = found.from.clone();
        while let Some(node) = ahead.pop() {
            ahead.extend(readers(&plan, node).into_iter().filter(|&reader| reached.insert(reader)));
        }
        prop_assert_eq!(reached, nodes);
    }

    #[test]
    fn parity_r12_the_fewest_nodes_that_make_what_is_missing(draft in drafts(NODES_MAX), there in any::<u64>()) {
        let plan = draft.plan();
        let exists = |dataset: DatasetId| there >> (dataset.0 % 64) & 1 == 1;
        let why = nodes_to_run(&plan, exists);
        let chosen: Nodes = all(&plan).into_iter().filter(|node| why[node.0 as usize].is_some()).collect();

        let is_missing = |dataset: DatasetId| is_persisted(&plan, dataset) && !exists(dataset);
        let must = |node: NodeId| plan.makes(node).next().is_none() || plan.makes(node).any(is_missing);
        let feeds = |node: NodeId, set: &Nodes| {
            let mut gone = plan.makes(node).filter(|&dataset| !is_persisted(&plan, dataset) || is_missing(dataset));
            gone.any(|dataset| plan.consumers(dataset).iter().any(|reader| set.contains(reader)))
        };
        let fits = |set: &Nodes| all(&plan).into_iter().all(|node| set.contains(&node) || !(must(node) || feeds(node, set)));
        prop_assert_eq!(&chosen, &smallest(&plan, fits));

        // Nothing else is asked for.
        let asked: BTreeSet<DatasetId> = questions(&plan).collect();
        for node in all(&plan) {
            match why[node.0 as usize] {
                Some(Why::MakesNothing) => prop_assert!(plan.makes(node).next().is_none()),
                Some(Why::IsMissing(dataset)) => prop_assert!(asked.contains(&dataset) && is_missing(dataset)),
                Some(Why::IsRead(dataset, reader)) => {
                    prop_assert!(plan.reads(reader).contains(&dataset) && chosen.contains(&reader));
                }
                None => {}
            }
        }
        // What is left out is not missed: the rest is a plan.
        prop_assert!(plan.restricted(|node| chosen.contains(&node)).is_ok());
    }

    /// R27: both go by the kind of dataset; only the filter asks whether something exists.
    #[test]
    fn parity_r27_a_part_of_a_plan_is_a_plan(draft in drafts(NODES_MAX), keep in any::<u32>()) {
        let plan = draft.plan();
        let kept = picked(&plan, keep);
        let part = match plan.restricted(|node| kept.contains(&node)) {
            Ok(part) => part,
            Err(missing) => {
                prop_assert!(!can_run(&plan, &kept));
                let gone = |dataset: &DatasetId| {
                    let read = plan.consumers(*dataset).iter().any(|reader| kept.contains(reader));
                    let made = plan.producer(*dataset).is_some_and(|maker| kept.contains(&maker));
                    read && !made && !is_persisted(&plan, *dataset)
                };
                prop_assert!(!missing.is_empty() && missing.iter().all(gone));
                return Ok(());
            }
        };
        prop_assert!(can_run(&plan, &kept));
        let name = |plan: &Plan, dataset: DatasetId| plan.dataset(dataset).unwrap().name.to_owned();
        let told = |plan: &Plan, node: NodeId| {
            let view = plan.node(node).unwrap();
            let reads: Vec<String> = plan.reads(node).iter().map(|&dataset| name(plan, dataset)).collect();
            let makes: Vec<String> = plan.makes(node).map(|dataset| name(plan, dataset)).collect();
            (view.name.to_owned(), view.call.label.clone(), reads, makes)
        };
        let before: BTreeSet<_> = kept.iter().map(|&node| told(&plan, node)).collect();
        let after: BTreeSet<_> = part.nodes().map(|node| told(&part, node.id)).collect();
        prop_assert_eq!(before, after);
        let order: Vec<(u32, &str)> = part.nodes().map(|node| (node.layer, node.name)).collect();
        prop_assert!(order.is_sorted(), "not layer by layer: {order:?}");
        for dataset in part.datasets() {
            prop_assert!(dataset.consumers.is_sorted());
            prop_assert!(dataset.consumers.iter().all(|&reader| part.reads(reader).contains(&dataset.id)));
            prop_assert!(dataset.producer.is_none_or(|maker| part.makes(maker).any(|made| made == dataset.id)));
            let origin = plan.find_dataset(dataset.name).unwrap();
            prop_assert_eq!(dataset.storage, plan.dataset(origin).unwrap().storage);
            let task = part.task_of(dataset.id).and_then(|task| part.task(task));
            prop_assert_eq!(task.is_some(), dataset.storage.is_some() && !part.is_chunked(dataset.id));
        }
    }
}

/// The advice of Kedro that cannot be followed: `y` has finished, reads `x` made anew, and `z`, which nobody makes.
#[test]
fn parity_r11_a_finished_reader_of_two_is_resumed_with_both_makers() {
    let pipeline = r#"
        [[node]]
        name = "makes_x"
        call = "t::source"
        outputs = ["x"]
        [[node]]
        name = "makes_z"
        call = "t::source"
        outputs = ["z"]
        [[node]]
        name = "y"
        call = "t::join"
        inputs = ["x", "z"]
        outputs = ["y"]
        [[node]]
        name = "fails"
        call = "t::copy"
        inputs = ["x"]
        outputs = ["w"]
    "#;
    let plan = super::support::plan(&[("pipeline.toml", pipeline)]).unwrap();
    let found = resume(&plan, |node| plan.node(node).unwrap().name != "fails").unwrap();
    let from: Vec<&str> = found.from.iter().map(|&node| plan.node(node).unwrap().name).collect();
    assert_eq!(from, ["makes_x", "makes_z"]);
    assert_eq!((found.nodes.len(), found.finished, found.unfinished), (4, 3, 1));
}
