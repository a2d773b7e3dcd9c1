//! Which nodes a run that did not succeed must run again, and which of them come first.
//!
//! Kedro's rule: the nodes that did not finish; backwards from them whoever makes what they read, as far as it lives in
//! memory only and so is gone; and forwards from all of these whatever reads what they make, as it would be made anew.
//! Whether a dataset is persisted goes by its type; that the data is there is not checked.
//!
//! Kedro goes back once and then forwards once. Where the way forward reaches a node that had finished and reads
//! something else in memory, its advice cannot be followed: that dataset comes from nowhere. Here both ways are gone until
//! nothing new is found, which is the same wherever Kedro's advice works (`tests/picking.rs`). And where a node is still to
//! confirm an incremental dataset, whoever reads that runs again: there may be new partitions, which must not be confirmed unseen.

use crate::id::{Id, NodeId};
use crate::plan::Plan;

/// What is left to do of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume {
    /// The nodes to run, in the plan's order.
    pub nodes: Vec<NodeId>,
    /// Those of them that need none of the others, by name: from them and on, the rest follows.
    pub from: Vec<NodeId>,
    /// How many nodes finished.
    pub finished: usize,
    /// How many nodes did not finish.
    pub unfinished: usize,
}

/// Says what is left to do; nothing where every node finished. Linear in nodes and edges.
pub fn resume(plan: &Plan, finished: impl Fn(NodeId) -> bool) -> Option<Resume> {
    let mut is_chosen = vec![false; plan.node_count()];
    let mut found: Vec<NodeId> = plan.nodes().map(|node| node.id).filter(|&node| !finished(node)).collect();
    let unfinished = found.len();
    if unfinished == 0 {
        return None;
    }
    found.iter().for_each(|node| is_chosen[node.index()] = true);
    while let Some(node) = found.pop() {
        let gone = plan.reads(node).iter().filter(|&&dataset| !plan.is_persisted(dataset));
        let makers = gone.filter_map(|&dataset| plan.producer(dataset));
        // What it confirms is what this run will find, so whoever reads that must see the same.
        let processors = plan.confirms(node).iter().flat_map(|&dataset| plan.consumers(dataset).iter().copied());
        for next in makers.chain(plan.readers(node)).chain(processors) {
            if !std::mem::replace(&mut is_chosen[next.index()], true) {
                found.push(next);
            }
        }
    }
    let nodes: Vec<NodeId> = plan.nodes().map(|node| node.id).filter(|node| is_chosen[node.index()]).collect();
    let waits = |node: NodeId| {
        let mut makers = plan.reads(node).iter().filter_map(|&dataset| plan.maker(dataset));
        makers.any(|maker| is_chosen[maker.index()])
    };
    let mut from: Vec<NodeId> = nodes.iter().copied().filter(|&node| !waits(node)).collect();
    from.sort_by_key(|&node| plan.node(node).map(|node| node.name));
    Some(Resume { nodes, from, finished: plan.node_count() - unfinished, unfinished })
}
