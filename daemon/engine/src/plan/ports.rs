//! Binding the ports of every node: datasets, parameters, fan-out.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::Value as Json;

use crate::document::Word;
use crate::id::{CallId, DatasetId, NodeId, ParameterId};
use crate::intern::Fixed;
use crate::interpolate::{look_up, missing_parameter};
use crate::matrix::{Combination, FillError, NODES_MAX, count};
use crate::module::Use;
use crate::plan::draft::{Draft, DraftNode, Producer, number};
use crate::plan::fan_out::{self, FAN_OUT_BYTES_MAX};
use crate::plan::names::DefaultNames;
use crate::plan::slots::Slots;
use crate::plan::transcoding::split;
use crate::plan::{InputBinding, NONE, Parameter, slots, types};
use crate::policy::NodePolicy;
use crate::problem::{Problem, did_you_mean, list};
use crate::signature::{NodeSignature, Port, PortKind};
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

    /// Gives what the node confirms, each dataset once.
    fn confirms(&mut self, combination: &Combination<'s, 'a>) -> Vec<DatasetId> {
        let mut confirms = Vec::new();
        for word in self.spec.confirms() {
            let Some(filled) = self.fill(word, combination) else { continue };
            if !self.check_name(&filled, "a dataset", word.site) {
                continue;
            }
            let name = self.draft.renaming.dataset(self.module, filled, Use { read: true, made: false });
            let dataset = self.draft.dataset(&name);
            if !confirms.contains(&dataset) {
                confirms.push(dataset);
            }
        }
        confirms
    }

    fn inputs(&mut self, combination: &Combination<'s, 'a>) -> Vec<Option<InputBinding>> {
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

    fn outputs(&mut self, combination: &Combination<'s, 'a>) -> Vec<Option<DatasetId>> {
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

    /// Gives the node's name; nothing when it cannot be told.
    fn name_of(&mut self, combination: &Combination<'_, '_>) -> Option<Cow<'s, str>> {
        let spec = self.spec;
        let inner = match &spec.name {
            Some(name) => self.fill(name, combination)?,
            None => Cow::Owned(self.names.name(spec, self.module, combination)),
        };
        let inner = match spec.namespace() {
            Some(namespace) => Cow::Owned(format!("{}.{inner}", namespace.text)),
            None => inner,
        };
        Some(self.draft.renaming.node(self.module, inner))
    }

    /// Says whether the node is one that another of the files that are run has too, and adds its tags to that one.
    fn is_merged(&mut self, name: Option<&str>, combination: &Combination<'s, 'a>, policy: u32, tags: u32) -> bool {
        let spec = self.draft.spec;
        if spec.modules.last().is_none_or(|module| module.root == 0) {
            return false; // One file is run, so there is no other.
        }
        let Some(known) = name.and_then(|name| self.draft.node_names.find(name)) else { return false };
        let root = |instance| spec.module_of(instance).map(|module| module.root);
        let other = self.draft.nodes[known];
        if root(other.spec) == root(self.instance) || (other.call, other.policy) != (self.call, policy) {
            return false;
        }
        let (inputs, outputs) = (self.inputs(combination), self.outputs(combination));
        let confirms = self.confirms(combination);
        if self.draft.inputs.get(known) != inputs
            || self.draft.outputs.get(known) != outputs
            || self.draft.confirms.get(known) != confirms
        {
            return false;
        }
        if other.tags != tags {
            let sets = &self.draft.tag_sets;
            let mut both = sets[other.tags as usize].clone();
            both.extend(sets[tags as usize].iter().filter(|tag| !sets[other.tags as usize].contains(tag)).cloned());
            self.draft.nodes[known].tags = self.tag_set(both);
        }
        true
    }

    /// Names the node; a name that is taken is a problem.
    fn name(&mut self, name: Option<Cow<'_, str>>) -> NodeId {
        let site = self.spec.name.as_ref().map_or(self.spec.site, |name| name.site);
        let name = name.unwrap_or(Cow::Borrowed("?"));
        if name != "?" {
            // A bad name is kept all the same, so that later problems can call the node something.
            self.check_name(&name, "a node", site);
        }
        let (id, new) = self.draft.node_names.intern(&name);
        if new {
            return id;
        }
        if name != "?"
            && let Some(first) = self.draft.spec.node(self.draft.nodes[id].spec)
        {
            let place = self.draft.told(Some(first.name.as_ref().map_or(first.site, |name| name.site)));
            let same = self.draft.nodes[id].spec == self.instance;
            let twice = !same && std::ptr::eq(first, self.spec);
            let (named, axes) = (self.spec.name.is_some(), self.spec.matrix());
            self.draft.problems.add("duplicate-node", Some(site), || {
                let problem = Problem::new("duplicate-node", format!("two nodes are named `{name}`"));
                match (same, axes.first()) {
                    _ if twice => problem
                        .cause("its file is included twice")
                        .hint("give each include a namespace of its own"),
                    (true, Some(axis)) => problem
                        .cause("both come from this node's matrix")
                        .hint(format!("put `{{{}}}` into its name", axis.name.text)),
                    _ if named => {
                        problem.cause(format!("the first is at {place}")).hint("give one of them another name")
                    }
                    _ => problem
                        .cause(format!("the first is at {place}"))
                        .cause("a node without a name is called after the function it calls, and after its outputs where others are too")
                        .hint("give one of them a name"),
                }
            });
        }
        // Ids and nodes stay side by side: the twin gets a name that nobody can have written.
        let twin = format!("{name}\0{}", self.draft.node_names.len());
        self.draft.node_names.intern(&twin).0
    }

    fn tags(&mut self, combination: &Combination<'_, '_>) -> u32 {
        let spec = self.spec;
        let of_file = self.draft.spec.modules.get(self.module as usize).map_or(&[][..], |module| &module.tags);
        if spec.tags().is_empty() && of_file.is_empty() {
            return 0;
        }
        let mut tags: Vec<String> =
            spec.tags().iter().filter_map(|tag| self.fill(tag, combination)).map(Cow::into_owned).collect();
        for tag in of_file {
            if !tags.iter().any(|known| *known == tag.text) {
                tags.push(tag.text.to_string());
            }
        }
        self.tag_set(tags)
    }

    fn tag_set(&mut self, tags: Vec<String>) -> u32 {
        if let Some(&known) = self.caches.tags.get(&tags) {
            return known;
        }
        self.draft.tag_sets.push(tags.clone());
        let new = number(self.draft.tag_sets.len() - 1);
        self.caches.tags.insert(tags, new);
        new
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
        let name = self.draft.renaming.dataset(self.module, filled, Use { read: true, made: false });
        Some(InputBinding::Dataset(self.draft.dataset(&name)))
    }

    /// Finds a parameter: a value of the matrix first, then the pipeline's parameters.
    fn parameter(&mut self, path: &str, target: &Word<'_>, combination: &Combination<'s, 'a>) -> Option<ParameterId> {
        if let Some(value) = combination.value(path) {
            let name = format!("params:{path}");
            let key = (name.clone(), &*value.json);
            let parameters = &mut self.draft.parameters;
            let new = || parameters.push(Parameter { name, json: value.json.clone() });
            return Some(*self.caches.values.entry(key).or_insert_with(new));
        }
        let path = match path {
            "" => Cow::Borrowed(""),
            path => self.draft.renaming.parameter(self.module, Cow::Borrowed(path)),
        };
        let path = &*path;
        if let Some(&Some(known)) = self.caches.parameters.get(path) {
            return Some(known);
        }
        let name = if path.is_empty() { "parameters".to_owned() } else { format!("params:{path}") };
        let all = &self.draft.spec.parameters;
        let json = match path {
            "" => Some(Json::Object(all.clone()).to_string()),
            path => look_up(all, path).map(Json::to_string),
        };
        let found = json.map(|json| self.draft.parameters.push(Parameter { name, json }));
        if found.is_none() && !self.draft.spec.unread.parameters {
            let axes = combination_axes(self.spec);
            self.draft.tell_if_run("missing-parameter", Some(target.site), || {
                let problem = missing_parameter(all, path);
                match did_you_mean(path, axes) {
                    Some(hint) => Problem { hints: vec![hint], ..problem },
                    None => problem,
                }
            });
        }
        self.caches.parameters.insert(path.to_owned(), found);
        found
    }

    /// Refuses a parameter at a port that cannot take it.
    fn check_parameter(&mut self, parameter: ParameterId, port: &Port, target: &Word<'_>) {
        let call = &self.spec.call.text;
        let Parameter { name, json } = &self.draft.parameters[parameter];
        if !port.parameter && !port.kind.is_json() {
            let message = format!(
                "input `{}` of `{call}` takes a dataset ({}), but `{name}` is a parameter",
                port.name, port.kind
            );
            self.draft.problems.add("parameter-port", Some(target.site), || Problem::new("parameter-port", message));
            return;
        }
        let fits = match &port.kind {
            PortKind::Number => json.parse::<f64>().is_ok(),
            PortKind::Integer => json.parse::<i64>().is_ok(),
            PortKind::Boolean => matches!(json.as_str(), "true" | "false"),
            PortKind::String => json.starts_with('"'),
            _ => true,
        };
        if fits && let Some(schema) = &port.schema {
            return types::check(self.draft, schema, parameter, (&port.name, call), target);
        }
        if !fits {
            let shown: String = json.chars().take(60).collect();
            let message =
                format!("input `{}` of `{call}` takes {}, but `{name}` is {shown}", port.name, article(&port.kind));
            self.draft.tell_if_run("parameter-type", Some(target.site), || Problem::new("parameter-type", message));
        }
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
        let name = self.draft.renaming.dataset(self.module, filled, Use { read: false, made: true });
        Some(self.draft.dataset(&name))
    }

    /// Notes who makes a dataset; a second producer is a problem, and so is a node that reads what it makes.
    fn produce(&mut self, node: NodeId, port: usize, dataset: DatasetId, target: &Word<'_>, is_read: bool) {
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

    /// Puts the matrix's values into a text; what is wrong with it is told once a node.
    fn fill<'t>(&mut self, word: &'t Word<'a>, combination: &Combination<'_, '_>) -> Option<Cow<'t, str>> {
        let error = match combination.fill(&word.text) {
            Ok(filled) => return Some(filled),
            Err(error) => error,
        };
        self.draft.doubtful = true;
        if self.first {
            let axes = || combination_axes(self.spec);
            self.draft.problems.add("unknown-placeholder", Some(word.site), || match error {
                FillError::Unbalanced => {
                    Problem::new("unknown-placeholder", format!("a brace in `{}` has no partner", word.text))
                }
                FillError::Unknown(name) => {
                    let problem =
                        Problem::new("unknown-placeholder", format!("`{{{name}}}` is no value of this node's matrix"));
                    match (did_you_mean(name, axes()), self.spec.matrix().is_empty()) {
                        (Some(hint), _) => problem.hint(hint),
                        (None, true) => {
                            problem.hint(format!("this node has no matrix; add `matrix = {{ {name} = [\"…\"] }}`"))
                        }
                        (None, false) => problem.hint(format!("its matrix has {}", list(axes()))),
                    }
                }
            });
        }
        None
    }

    /// Refuses a name that holds more than letters, digits, `_`, `-` and `.`; of a dataset also one format behind an `@`.
    fn check_name(&mut self, name: &str, what: &str, site: crate::source::Site) -> bool {
        let (base, format) = if what == "a dataset" { split(name) } else { (name, None) };
        let plain = |character: &char| character.is_alphanumeric() || matches!(character, '_' | '-' | '.');
        let bad = base.chars().chain(format.unwrap_or_default().chars()).find(|character| !plain(character));
        if bad.is_none() && base.split('.').all(|part| !part.is_empty()) && format != Some("") {
            return true;
        }
        self.draft.problems.add("bad-name", Some(site), || {
            let problem = match bad {
                None if name.is_empty() => Problem::new("bad-name", format!("the name of {what} is empty")),
                None if format == Some("") => {
                    Problem::new("bad-name", format!("`{name}` cannot name {what}: no format follows the `@`"))
                }
                None => Problem::new(
                    "bad-name",
                    format!("`{name}` cannot name {what}: a dot stands between a namespace and a name"),
                ),
                Some(bad) => Problem::new("bad-name", format!("`{name}` cannot name {what}: it holds {bad:?}")),
            };
            match (bad, name.strip_prefix("param:").or_else(|| name.strip_prefix("parameters:"))) {
                (_, Some(rest)) => problem.hint(format!("did you mean `params:{rest}`?")),
                (Some('@'), _) if what == "a dataset" => problem.hint("a name has one `@` at most: `name@format`"),
                _ => problem.hint("names are made of letters, digits, `_`, `-` and `.`"),
            }
        });
        false
    }
}

/// Gives the path of `params:a.b`, and the empty path for `parameters`, which is all of them.
pub(super) fn parameter_path(name: &str) -> Option<&str> {
    match name {
        "parameters" => Some(""),
        _ => name.strip_prefix("params:").filter(|path| !path.is_empty()),
    }
}

fn combination_axes<'s>(spec: &'s NodeSpec<'_>) -> impl Iterator<Item = &'s str> {
    spec.matrix().iter().map(|axis| &*axis.name.text)
}

/// A twin's name ends in what nobody wrote.
fn printable(name: &str) -> &str {
    name.split('\0').next().unwrap_or(name)
}

fn article(kind: &PortKind) -> String {
    let vowel = kind.to_string().starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {kind}", if vowel { "an" } else { "a" })
}
