//! The nodes of a plan: what they call, and what their ports are bound to.

use super::{NodeCore, Plan};
use crate::id::{DatasetId, NodeId, ParameterId};
use crate::policy::NodePolicy;

/// One node of a plan.
#[derive(Clone, Copy, Debug)]
pub struct Node<'a> {
    /// Its id.
    pub id: NodeId,
    /// Its name in the pipeline.
    pub name: &'a str,
    /// The plugin node it calls.
    pub call: &'a Call,
    /// What each input port is bound to, in port order; nothing for an optional port left out.
    pub inputs: &'a [Option<InputBinding>],
    /// What each output port makes, in port order.
    pub outputs: &'a [Option<DatasetId>],
    /// Retries and time-out.
    pub policy: &'a NodePolicy,
    /// Its tags.
    pub tags: &'a [String],
    /// Its layer, from 0.
    pub layer: u32,
}

/// A plugin node that a plan calls.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Call {
    /// Position of the plugin in the manifest.
    pub plugin: u32,
    /// Position of the node in its plugin.
    pub node: u32,
    /// `plugin::node`, for people.
    pub label: String,
    /// The plugin's name.
    pub plugin_name: String,
    /// The node's name within the plugin.
    pub node_name: String,
    /// Names of the input ports.
    pub inputs: Vec<String>,
    /// Names of the output ports.
    pub outputs: Vec<String>,
    /// Kinds of the input ports: `table`, `json`, …
    pub input_kinds: Vec<String>,
    /// Kinds of the output ports.
    pub output_kinds: Vec<String>,
}

/// What an input port is bound to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InputBinding {
    /// A dataset's block.
    Dataset(DatasetId),
    /// A value known since planning: [`Plan::parameter`].
    Parameter(ParameterId),
}

/// A bound parameter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parameter {
    /// Its name as written: `params:model`, `parameters`.
    pub name: String,
    /// Its value as JSON text.
    pub json: String,
}

impl Plan {
    /// Counts the nodes.
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// Counts the layers: the nodes on the longest path.
    pub fn layer_count(&self) -> usize {
        self.layer_count as usize
    }

    /// Walks over the nodes in topological order: layer by layer, by name within one.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = Node<'_>> {
        self.nodes.iter().map(|(id, core)| self.node_view(id, core))
    }

    /// Gives a node; nothing when the id is not one of this plan's.
    pub fn node(&self, id: NodeId) -> Option<Node<'_>> {
        self.nodes.get(id).map(|core| self.node_view(id, core))
    }

    /// Gives what a node calls; nothing when the id is not one of this plan's.
    pub fn call(&self, id: NodeId) -> Option<&Call> {
        self.nodes.get(id).map(|core| &self.calls[core.call])
    }

    /// Gives the datasets that a node reads, each once, however many of its ports they are bound to.
    pub fn reads(&self, node: NodeId) -> &[DatasetId] {
        self.reads.get(node)
    }

    /// Gives what each output port of a node makes; nothing for one that is not bound.
    pub fn outputs(&self, node: NodeId) -> &[Option<DatasetId>] {
        self.outputs.get(node)
    }

    /// Gives what a node's output ports make.
    pub fn makes(&self, node: NodeId) -> impl Iterator<Item = DatasetId> {
        self.outputs.get(node).iter().copied().flatten()
    }

    /// Gives the policy of a node; the pipeline's own when the id is not one of this plan's.
    pub fn policy(&self, node: NodeId) -> &NodePolicy {
        let policy = self.nodes.get(node).and_then(|core| self.policies.get(core.policy as usize));
        policy.unwrap_or(&self.defaults)
    }

    /// Gives the policy for what belongs to no node: loads.
    pub fn default_policy(&self) -> &NodePolicy {
        &self.defaults
    }

    /// Gives a bound parameter.
    pub fn parameter(&self, id: ParameterId) -> Option<&Parameter> {
        self.parameters.get(id)
    }

    /// Gives all parameters, merged, as one JSON object.
    pub fn parameters_json(&self) -> &str {
        &self.parameters_json
    }

    /// Finds a node by its name. Linear: for people's requests, not for the hot path.
    pub fn find_node(&self, name: &str) -> Option<NodeId> {
        self.nodes.ids().find(|&id| self.node_names.get(id) == name)
    }

    fn node_view<'p>(&'p self, id: NodeId, core: &NodeCore) -> Node<'p> {
        Node {
            id,
            name: self.node_names.get(id),
            call: &self.calls[core.call],
            inputs: self.inputs.get(id),
            outputs: self.outputs.get(id),
            policy: self.policy(id),
            tags: self.tag_sets.get(core.tags as usize).map_or(&[], Vec::as_slice),
            layer: core.layer,
        }
    }
}
