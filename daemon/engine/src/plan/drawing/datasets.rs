//! The datasets that a drawn node reads, makes and confirms.

use std::borrow::Cow;

use super::Drawing;
use super::parameters::parameter_path;
use crate::document::Word;
use crate::id::{DatasetId, NodeId};
use crate::interpolate::look_up;
use crate::matrix::Combination;
use crate::module::Use;
use crate::plan::draft::{Producer, number};
use crate::plan::{InputBinding, NONE};
use crate::problem::Problem;
use crate::signature::Port;

/// How a node uses what it reads or confirms.
const READ: Use = Use { read: true, made: false };
/// How it uses what it makes.
const MADE: Use = Use { read: false, made: true };

impl<'s, 'a> Drawing<'_, 's, 'a> {
    pub(super) fn inputs(&mut self, combination: &Combination<'s, 'a>) -> Vec<Option<InputBinding>> {
        let spec = self.spec;
        let count = self.signature.map_or(spec.inputs.targets.len(), |signature| signature.inputs.len());
        let mut inputs = std::mem::take(&mut self.caches.inputs);
        inputs.clear();
        inputs.resize(count, None);
        for (position, target) in spec.inputs.targets.iter().enumerate() {
            let Some(port) = self.inputs.get(position) else { continue };
            inputs[port] = self.input(target, port, combination);
        }
        inputs
    }

    pub(super) fn outputs(&mut self, combination: &Combination<'s, 'a>) -> Vec<Option<DatasetId>> {
        let spec = self.spec;
        let count = self.signature.map_or(spec.outputs.targets.len(), |signature| signature.outputs.len());
        let mut outputs = std::mem::take(&mut self.caches.outputs);
        outputs.clear();
        outputs.resize(count, None);
        for (position, target) in spec.outputs.targets.iter().enumerate() {
            let Some(port) = self.outputs.get(position) else { continue };
            outputs[port] = self.output(target, combination);
        }
        outputs
    }

    /// Gives what the node confirms, each dataset once.
    pub(super) fn confirms(&mut self, combination: &Combination<'s, 'a>) -> Vec<DatasetId> {
        let mut confirms = Vec::new();
        for word in self.spec.confirms() {
            let Some(filled) = self.fill(word, combination) else { continue };
            if !self.check_name(&filled, "a dataset", word.site) {
                continue;
            }
            let dataset = self.dataset(filled, READ);
            if !confirms.contains(&dataset) {
                confirms.push(dataset);
            }
        }
        confirms
    }

    /// Binds one input.
    fn input(&mut self, target: &'s Word<'a>, port: usize, combination: &Combination<'s, 'a>) -> Option<InputBinding> {
        let signature: Option<&'s Port> = self.signature.and_then(|signature| signature.inputs.get(port));
        let filled = self.fill(target, combination)?;
        if let Some(path) = parameter_path(&filled) {
            let parameter = self.parameter(path, target, combination)?;
            if let Some(port) = signature {
                self.check_parameter(parameter, port, target);
            }
            return Some(InputBinding::Parameter(parameter));
        }
        if !self.check_name(&filled, "a dataset", target.site) {
            self.draft.doubtful = true;
            return None;
        }
        if let Some(port) = signature.filter(|port| port.parameter) {
            let call = &self.spec.call.text;
            let path = self.draft.renaming.parameter(self.module, Cow::Borrowed(&filled));
            let exists = look_up(&self.draft.spec.parameters, &path).is_some();
            self.draft.problems.add("parameter-port", Some(target.site), || {
                let message =
                    format!("input `{}` of `{call}` takes parameters, but `{filled}` is a dataset", port.name);
                let hint = if exists {
                    format!("did you mean `params:{filled}`?")
                } else {
                    "write `params:NAME` to bind a parameter".to_owned()
                };
                Problem::new("parameter-port", message).hint(hint)
            });
        }
        Some(InputBinding::Dataset(self.dataset(filled, READ)))
    }

    /// Names one output.
    fn output(&mut self, target: &'s Word<'a>, combination: &Combination<'s, 'a>) -> Option<DatasetId> {
        let filled = self.fill(target, combination)?;
        if parameter_path(&filled).is_some() {
            self.draft.problems.add("parameter-port", Some(target.site), || {
                Problem::new(
                    "parameter-port",
                    format!("`{filled}` is a parameter: nodes read parameters, they make datasets"),
                )
            });
            return None;
        }
        if !self.check_name(&filled, "a dataset", target.site) {
            self.draft.doubtful = true;
            return None;
        }
        Some(self.dataset(filled, MADE))
    }

    /// Notes who makes a dataset; a second producer is a problem, and so is a node that reads what it makes.
    pub(super) fn produce(&mut self, node: NodeId, port: usize, dataset: DatasetId, target: &Word<'_>, is_read: bool) {
        if is_read {
            let (name, node) = (self.draft.dataset_names.name(dataset), self.draft.node_names.name(node));
            let message = format!("node `{}` reads and makes `{name}`", printable(node));
            self.draft.problems.add("reads-own-output", Some(target.site), || {
                Problem::new("reads-own-output", message).hint("let it make a dataset of another name")
            });
        }
        let producer = self.draft.producers[dataset];
        if producer.node == NONE {
            self.draft.producers[dataset] = Producer { node: node.0, port: number(port) };
            return;
        }
        let (name, first) = (self.draft.dataset_names.name(dataset), NodeId(producer.node));
        let (first_name, second_name) = (self.draft.node_names.name(first), self.draft.node_names.name(node));
        let message = format!(
            "dataset `{name}` is made twice: by `{}` and by `{}`",
            printable(first_name),
            printable(second_name)
        );
        // The node being drawn is not in the lists of ports yet; its own bindings know where it stands.
        let same_node = first == node || self.draft.nodes[first].spec == self.instance;
        let place = match same_node {
            true => self
                .draft
                .told(Some(self.spec.outputs.targets.iter().map(|target| target.site).min().unwrap_or(self.spec.site))),
            false => self.draft.told(self.draft.output_site(first, producer.port as usize)),
        };
        let axis = self.spec.matrix().first().filter(|_| same_node && first != node);
        self.draft.problems.add("two-producers", Some(target.site), || {
            let problem = Problem::new("two-producers", message).cause(format!("it is first made at {place}"));
            match axis {
                Some(axis) => problem.hint(format!("put `{{{}}}` into the dataset's name", axis.name.text)),
                None => problem.hint("let one of them make a dataset of another name"),
            }
        });
    }

    /// The dataset that a text names here, where modules may rename it.
    fn dataset(&mut self, filled: Cow<'_, str>, usage: Use) -> DatasetId {
        let name = self.draft.renaming.dataset(self.module, filled, usage);
        self.draft.dataset(&name)
    }
}

/// A twin's name ends in what nobody wrote.
fn printable(name: &str) -> &str {
    name.split('\0').next().unwrap_or(name)
}
