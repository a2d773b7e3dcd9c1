//! Order, layers, and a cycle that can be shown.

use crate::id::{Id, NodeId};

/// Gives each node its layer: 0 without predecessors, else one more than the highest of them.
///
/// `each_successor(node, visit)` visits a node's successors, as often as there are edges to them. Linear in nodes and edges.
///
/// # Errors
/// Cycles, each listing its nodes in the direction of the edges, from the lowest; at least one, and no node in two of them.
pub fn layers(
    nodes: usize,
    each_successor: impl Fn(NodeId, &mut dyn FnMut(NodeId)),
) -> Result<Vec<u32>, Vec<Vec<NodeId>>> {
    let ids = || (0..nodes).map(NodeId::from_index);
    let mut blocked_by = vec![0u32; nodes];
    for node in ids() {
        each_successor(node, &mut |successor| blocked_by[successor.index()] += 1);
    }
    let mut layers = vec![0u32; nodes];
    let mut ready: Vec<NodeId> = ids().filter(|node| blocked_by[node.index()] == 0).collect();
    let mut done = 0;
    while done < ready.len() {
        let node = ready[done];
        done += 1;
        let below = layers[node.index()] + 1;
        each_successor(node, &mut |successor| {
            let index = successor.index();
            layers[index] = layers[index].max(below);
            blocked_by[index] -= 1;
            if blocked_by[index] == 0 {
                ready.push(successor);
            }
        });
    }
    if done == nodes { Ok(layers) } else { Err(cycles(&blocked_by, each_successor)) }
}

/// Finds cycles among the nodes that are still blocked. Each of these has a blocked predecessor, so walking from one to its
/// lowest blocked predecessor never ends, and what is walked in circles is a cycle.
fn cycles(blocked_by: &[u32], each_successor: impl Fn(NodeId, &mut dyn FnMut(NodeId))) -> Vec<Vec<NodeId>> {
    const UNSEEN: u32 = u32::MAX;
    let blocked = |node: NodeId| blocked_by[node.index()] > 0;
    let ids = || (0..blocked_by.len()).map(NodeId::from_index).filter(|&node| blocked(node));
    let mut predecessor: Vec<Option<NodeId>> = vec![None; blocked_by.len()];
    for node in ids() {
        each_successor(node, &mut |successor| {
            predecessor[successor.index()].get_or_insert(node);
        });
    }
    let mut walk_of = vec![UNSEEN; blocked_by.len()];
    let mut found = Vec::new();
    for start in ids() {
        let mut node = start;
        while walk_of[node.index()] == UNSEEN {
            walk_of[node.index()] = start.0;
            match predecessor[node.index()] {
                Some(before) => node = before,
                None => break,
            }
        }
        if walk_of[node.index()] != start.0 || predecessor[node.index()].is_none() {
            continue; // This walk ran into an earlier one.
        }
        let mut cycle = vec![node];
        let mut before = predecessor[node.index()];
        while let Some(member) = before.filter(|&member| member != node) {
            cycle.push(member);
            before = predecessor[member.index()];
        }
        cycle.reverse();
        let lowest = cycle.iter().enumerate().min_by_key(|(_, member)| **member).map_or(0, |(position, _)| position);
        cycle.rotate_left(lowest);
        found.push(cycle);
    }
    found
}

/// Orders nodes layer by layer, and within a layer by `compare`.
pub fn order(layers: &[u32], mut compare: impl FnMut(NodeId, NodeId) -> std::cmp::Ordering) -> Vec<NodeId> {
    let mut order: Vec<NodeId> = (0..layers.len()).map(NodeId::from_index).collect();
    order.sort_by(|&one, &other| layers[one.index()].cmp(&layers[other.index()]).then_with(|| compare(one, other)));
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn layers_of(nodes: usize, edges: &[(u32, u32)]) -> Result<Vec<u32>, Vec<Vec<NodeId>>> {
        layers(nodes, |node, visit| {
            edges.iter().filter(|(from, _)| *from == node.0).for_each(|(_, to)| visit(NodeId(*to)));
        })
    }

    #[test]
    fn layers_of_a_diamond() {
        assert_eq!(layers_of(5, &[(0, 1), (0, 2), (1, 3), (2, 3), (1, 3)]), Ok(vec![0, 1, 1, 2, 0]));
    }

    #[test]
    fn cycles_start_at_their_lowest_node_and_follow_the_edges() {
        // 4 → 2 → 3 → 4 and 5 ↔ 6; 0 leads in, 7 hangs on.
        let edges = [(0, 2), (4, 2), (2, 3), (3, 4), (3, 7), (5, 6), (6, 5)];
        let ids = |ids: &[u32]| ids.iter().map(|id| NodeId(*id)).collect::<Vec<_>>();
        assert_eq!(layers_of(8, &edges), Err(vec![ids(&[2, 3, 4]), ids(&[5, 6])]));
    }

    proptest! {
        #[test]
        fn layers_or_true_cycles(edges in prop::collection::vec((0u32..8, 0u32..8), 0..20)) {
            let has = |from: NodeId, to: NodeId| edges.contains(&(from.0, to.0));
            match layers_of(8, &edges) {
                Ok(layers) => for (from, to) in &edges {
                    prop_assert!(layers[*from as usize] < layers[*to as usize]);
                },
                Err(cycles) => {
                    prop_assert!(!cycles.is_empty());
                    for cycle in cycles {
                        let next = cycle.iter().cycle().skip(1);
                        prop_assert!(cycle.iter().zip(next).all(|(from, to)| has(*from, *to)), "{:?}", cycle);
                        prop_assert_eq!(cycle.iter().min(), cycle.first());
                    }
                }
            }
        }
    }
}
