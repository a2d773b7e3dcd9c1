//! Which nodes must run where only missing outputs are to be made.
//!
//! Kedro's rule, from the last node to the first: a node runs if it makes nothing, or something it makes is persisted and
//! not there, or a node that runs reads something it makes that lives in memory only. Only existence counts: nobody
//! compares code, parameters or what was read.

use crate::id::{DatasetId, Id, NodeId};
use crate::plan::Plan;

/// Why a node runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It makes nothing that could be there.
    MakesNothing,
    /// This dataset that it makes is persisted, and not there.
    IsMissing(DatasetId),
    /// This dataset that it makes is in memory only, and this node reads it.
    IsRead(DatasetId, NodeId),
}

/// Gives the datasets of which it matters whether they exist: persisted, and made by a node.
pub fn questions(plan: &Plan) -> impl Iterator<Item = DatasetId> + '_ {
    let asked = plan.datasets().filter(|dataset| dataset.storage.is_some() && dataset.producer.is_some());
    asked.map(|dataset| dataset.id)
}

/// Gives for each node why it must run; nothing for one that need not. Linear in nodes and edges.
pub fn nodes_to_run(plan: &Plan, exists: impl Fn(DatasetId) -> bool) -> Vec<Option<Why>> {
    let mut why: Vec<Option<Why>> = vec![None; plan.node_count()];
    // Ids follow the topological order, so whoever reads what a node makes was decided before it.
    for node in (0..plan.node_count()).rev().map(NodeId::from_index) {
        why[node.index()] = reason(plan, node, &exists, &why);
    }
    why
}

fn reason(plan: &Plan, node: NodeId, exists: &impl Fn(DatasetId) -> bool, why: &[Option<Why>]) -> Option<Why> {
    let mut made = plan.makes(node).peekable();
    if made.peek().is_none() {
        return Some(Why::MakesNothing);
    }
    let mut is_read = None;
    for dataset in made {
        if plan.is_persisted(dataset) {
            if !exists(dataset) {
                return Some(Why::IsMissing(dataset));
            }
            continue;
        }
        let reader = plan.consumers(dataset).iter().find(|reader| why[reader.index()].is_some());
        is_read = is_read.or(reader.map(|&reader| Why::IsRead(dataset, reader)));
    }
    is_read
}
