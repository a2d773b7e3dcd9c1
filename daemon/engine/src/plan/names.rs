//! What a node is called that has no name of its own.
//!
//! After the function it calls, and the values of its matrix. Where several such nodes call one function, each is called after
//! its outputs too (or its inputs, if it has none): names that tell the nodes apart, and stay the same when nodes are moved.

use std::collections::HashMap;

use crate::matrix::Combination;
use crate::module::Renaming;
use crate::spec::{NodeSpec, Spec};

/// How many nodes without a name call each function.
pub(super) struct DefaultNames<'s> {
    /// By what stands before the function, outside of everything.
    counts: HashMap<(String, &'s str), u32>,
    /// For each module, what stands before the names of its nodes.
    prefixes: Vec<String>,
}

impl<'s> DefaultNames<'s> {
    pub(super) fn new(spec: &'s Spec<'_>, renaming: &Renaming<'_, '_>) -> Self {
        let prefix = |module| renaming.node(module, "".into()).into_owned();
        let prefixes: Vec<String> = (0u32..).zip(&spec.modules).map(|(module, _)| prefix(module)).collect();
        let mut names = Self { counts: HashMap::new(), prefixes };
        for instance in &spec.instances {
            let node = &spec.nodes[instance.node as usize];
            if node.name.is_none() {
                let key = names.key(node, instance.module);
                *names.counts.entry(key).or_default() += 1;
            }
        }
        names
    }

    fn key<'n>(&self, node: &'n NodeSpec<'_>, module: u32) -> (String, &'n str) {
        let mut prefix = self.prefixes.get(module as usize).cloned().unwrap_or_default();
        if let Some(namespace) = node.namespace() {
            prefix.push_str(&namespace.text);
        }
        (prefix, function(node))
    }

    /// Names a node, without its namespaces.
    pub(super) fn name(&self, node: &NodeSpec<'_>, module: u32, combination: &Combination<'_, '_>) -> String {
        let mut name = function(node).to_owned();
        let (prefix, function) = self.key(node, module);
        if self.counts.get(&(prefix, function)).is_none_or(|&count| count <= 1) {
            combination.values().for_each(|value| name.extend(["_", value]));
            return name;
        }
        let side = if node.outputs.targets.is_empty() { &node.inputs } else { &node.outputs };
        for target in &side.targets {
            let filled = combination.fill(&target.text).unwrap_or_default();
            let told: String = filled.strip_prefix("params:").unwrap_or(&filled).replace(['.', '@'], "_");
            name.extend(["-", &told]);
        }
        name
    }
}

fn function<'n>(node: &'n NodeSpec<'_>) -> &'n str {
    node.call.text.rsplit("::").next().unwrap_or_default()
}
