//! Drawing every node of the pipeline: one for each combination of its matrix, with all that its ports are bound to.

mod datasets;
mod naming;
mod parameters;
mod words;

use std::collections::HashMap;

pub(super) use self::parameters::parameter_path;
use crate::id::{CallId, DatasetId, ParameterId};
use crate::intern::Fixed;
use crate::matrix::{Combination, NODES_MAX, count};
use crate::plan::draft::{Draft, DraftNode, number};
use crate::plan::fan_out::{self, FAN_OUT_BYTES_MAX};
use crate::plan::names::DefaultNames;
use crate::plan::slots::Slots;
use crate::plan::{InputBinding, slots};
use crate::policy::NodePolicy;
use crate::problem::Problem;
use crate::signature::NodeSignature;
use crate::spec::{Instance, NodeSpec};

/// Draws every node of the pipeline, one for each combination of its matrix.
pub(super) fn draw_nodes(draft: &mut Draft<'_, '_>) {
    let mut caches = Caches::default();
    let mut written_out = 0;
    let names = DefaultNames::new(draft.spec, &draft.renaming);
    for (instance, &Instance { node, module }) in (0u32..).zip(&draft.spec.instances) {
        draft.fetch_names(instance);
        let spec = &draft.spec.nodes[node as usize];
        let room = NODES_MAX - draft.nodes.len();
        let Some(count) = count(spec.matrix()).filter(|&count| count <= room) else {
            draft.doubtful = true;
            draft.problems.add("too-many-nodes", Some(spec.site), || {
                Problem::new("too-many-nodes", format!("the pipeline would have more than {NODES_MAX} nodes"))
                    .hint("give the matrix of this node fewer values")
            });
            continue;
        };
        draft.doubtful |= count == 0;
        let drawing = Drawing::new(draft, &mut caches, &names, spec, (instance, module));
        let ports = drawing.port_count();
        let renamed =
            (drawing.draft.renaming.bytes_max(module) as u64).saturating_mul((ports as u64 + 1) * count as u64);
        let bytes = fan_out::bytes(spec, ports, count).saturating_add(renamed);
        if bytes <= FAN_OUT_BYTES_MAX - written_out {
            written_out += bytes;
            drawing.draw(count);
            continue;
        }
        draft.doubtful = true;
        draft.problems.add("too-large", Some(spec.site), || tell_too_large(count, bytes, written_out));
    }
}

fn tell_too_large(count: usize, bytes: u64, written_out: u64) -> Problem {
    let message = format!(
        "the names, bindings and tags of the {count} nodes of this matrix have {bytes} bytes; \
         a pipeline's matrices may write out at most {FAN_OUT_BYTES_MAX}"
    );
    let problem = Problem::new("too-large", message);
    let problem = match written_out {
        0 => problem,
        _ => problem.cause(format!("matrices before it write out {written_out} bytes")),
    };
    problem.hint("give the matrix of this node fewer values, or write shorter names")
}

/// What was looked up before. Hash maps are asked, never walked, so their order does not matter.
#[derive(Default)]
struct Caches<'s> {
    calls: HashMap<&'s str, u32, Fixed>,
    policies: HashMap<NodePolicy, u32, Fixed>,
    tags: HashMap<Vec<String>, u32, Fixed>,
    parameters: HashMap<String, Option<ParameterId>, Fixed>,
    /// Values of a matrix, by name and JSON.
    values: HashMap<(String, &'s str), ParameterId, Fixed>,
    /// Room for the bindings of the node that is being drawn, used again for the next one.
    inputs: Vec<Option<InputBinding>>,
    outputs: Vec<Option<DatasetId>>,
}

/// One written node on its way into the draft.
struct Drawing<'d, 's, 'a> {
    draft: &'d mut Draft<'s, 'a>,
    caches: &'d mut Caches<'s>,
    names: &'d DefaultNames<'s>,
    spec: &'s NodeSpec<'a>,
    instance: u32,
    module: u32,
    call: u32,
    signature: Option<&'s NodeSignature>,
    /// The port of each written binding.
    inputs: Slots,
    outputs: Slots,
    /// Whether this is the node's first combination: what is wrong with all of them is told once.
    first: bool,
}

impl<'d, 's, 'a> Drawing<'d, 's, 'a> {
    fn new(
        draft: &'d mut Draft<'s, 'a>,
        caches: &'d mut Caches<'s>,
        names: &'d DefaultNames<'s>,
        spec: &'s NodeSpec<'a>,
        (instance, module): (u32, u32),
    ) -> Self {
        let call = slots::resolve_call(draft, &mut caches.calls, &spec.call);
        let found = draft.calls.get(CallId(call)).map(|call| (call.plugin as usize, call.node as usize));
        let signature = found.and_then(|(plugin, node)| draft.manifest.plugins.get(plugin)?.nodes.get(node));
        let inputs = slots::slots(draft, spec, &spec.inputs, signature.map(|signature| &*signature.inputs), "input");
        let outputs =
            slots::slots(draft, spec, &spec.outputs, signature.map(|signature| &*signature.outputs), "output");
        Self { draft, caches, names, spec, instance, module, call, signature, inputs, outputs, first: true }
    }

    /// Counts the ports of each of its nodes, bound or not.
    fn port_count(&self) -> usize {
        let written = [&self.spec.inputs, &self.spec.outputs].map(|ports| ports.targets.len());
        let declared = self.signature.map(|signature| [signature.inputs.len(), signature.outputs.len()]);
        declared.unwrap_or(written).into_iter().sum()
    }

    fn draw(mut self, count: usize) {
        if self.spec.inputs.targets.is_empty() && self.spec.outputs.targets.is_empty() {
            self.draft.problems.add("no-ports", Some(self.spec.site), || {
                Problem::new(
                    "no-ports",
                    format!("a node that calls `{}` has neither inputs nor outputs", self.spec.call.text),
                )
                .hint("bind at least one port to a dataset")
            });
        }
        let of_file = self.draft.spec.modules.get(self.module as usize).map(|module| module.policy);
        let policy = self.spec.policy().or(of_file.unwrap_or_default()).resolve(self.draft.spec.defaults);
        let policy = *self.caches.policies.entry(policy).or_insert_with(|| {
            self.draft.policies.push(policy);
            number(self.draft.policies.len() - 1)
        });
        for combination in 0..count {
            self.first = combination == 0;
            self.draw_one(Combination::new(self.spec.matrix(), combination), policy);
        }
    }

    fn draw_one(&mut self, combination: Combination<'s, 'a>, policy: u32) {
        let spec = self.spec;
        let name = self.name_of(&combination);
        let tags = self.tags(&combination);
        if self.is_merged(name.as_deref(), &combination, policy, tags) {
            return;
        }
        let id = self.name(name);
        self.draft.nodes.push(DraftNode { spec: self.instance, call: self.call, policy, tags });

        let inputs = self.inputs(&combination);
        let outputs = self.outputs(&combination);
        for (position, target) in spec.outputs.targets.iter().enumerate() {
            let port = self.outputs.get(position);
            if let Some((port, dataset)) = port.and_then(|port| Some((port, outputs[port]?))) {
                let is_read = inputs.contains(&Some(InputBinding::Dataset(dataset)));
                self.produce(id, port, dataset, target, is_read);
            }
        }
        let confirms = self.confirms(&combination);
        self.draft.inputs.push(inputs.iter().copied());
        self.draft.outputs.push(outputs.iter().copied());
        self.draft.confirms.push(confirms);
        (self.caches.inputs, self.caches.outputs) = (inputs, outputs);
    }
}

/// The names of the values of a node's matrix.
fn axis_names<'s>(spec: &'s NodeSpec<'_>) -> impl Iterator<Item = &'s str> {
    spec.matrix().iter().map(|axis| &*axis.name.text)
}
