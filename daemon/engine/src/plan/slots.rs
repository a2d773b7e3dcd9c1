//! Which plugin node a written node calls, and which of its ports each binding means.

use std::collections::HashMap;

use crate::document::Word;
use crate::id::Id;
use crate::intern::Fixed;
use crate::plan::draft::Draft;
use crate::plan::{Call, NONE, calls};
use crate::problem::{Problem, did_you_mean, list};
use crate::signature::Port;
use crate::spec::{NodeSpec, Ports};

/// Gives the number of the call, or [`NONE`] after telling what is wrong with it. Each good call is looked up once.
pub(super) fn resolve_call<'s>(
    draft: &mut Draft<'s, '_>,
    known: &mut HashMap<&'s str, u32, Fixed>,
    call: &'s Word<'_>,
) -> u32 {
    if let Some(&call) = known.get(&*call.text) {
        return call;
    }
    match calls::find_node(draft.manifest, &call.text) {
        Ok((plugin, node, signature)) => {
            let names = |ports: &[Port]| ports.iter().map(|port| port.name.clone()).collect();
            let kinds = |ports: &[Port]| ports.iter().map(|port| port.kind.to_string()).collect();
            let plugin_name = draft.manifest.plugins[plugin as usize].name.clone();
            let id = draft.calls.push(Call {
                plugin,
                node,
                label: format!("{plugin_name}::{}", signature.name),
                plugin_name,
                node_name: signature.name.clone(),
                inputs: names(&signature.inputs),
                outputs: names(&signature.outputs),
                input_kinds: kinds(&signature.inputs),
                output_kinds: kinds(&signature.outputs),
            });
            known.insert(&call.text, id.index() as u32);
            id.index() as u32
        }
        Err(problem) => {
            draft.problems.add(problem.code, Some(call.site), || problem);
            NONE
        }
    }
}

/// The port of each written binding.
pub(super) struct Slots {
    /// Where the ports are named: nothing for a name that no port has.
    named: Option<Vec<Option<usize>>>,
    /// Where they are counted: so many of the bindings have one.
    counted: usize,
}

impl Slots {
    fn counted(counted: usize) -> Self {
        Self { named: None, counted }
    }

    /// Gives the port of a binding; nothing where it has none.
    pub(super) fn get(&self, binding: usize) -> Option<usize> {
        match &self.named {
            Some(named) => named.get(binding).copied().flatten(),
            None => Some(binding).filter(|&binding| binding < self.counted),
        }
    }

    /// Says whether some binding has this port.
    fn contains(&self, port: usize) -> bool {
        match &self.named {
            Some(named) => named.contains(&Some(port)),
            None => port < self.counted,
        }
    }

    /// Counts the bindings that have no port.
    fn missing_count(&self, bindings: usize) -> usize {
        (0..bindings).filter(|&binding| self.get(binding).is_none()).count()
    }
}

/// Finds the port of each binding. Without a signature ports are counted as they were written.
pub(super) fn slots(
    draft: &mut Draft<'_, '_>,
    spec: &NodeSpec<'_>,
    ports: &Ports<'_>,
    signature: Option<&[Port]>,
    side: &str,
) -> Slots {
    let Some(signature) = signature else { return Slots::counted(ports.targets.len()) };
    let call = &spec.call.text;
    let names = || signature.iter().map(|port| &*port.name);
    if ports.names.is_none() && ports.targets.len() > signature.len() {
        draft.doubtful = true;
        draft.problems.add("wrong-port", Some(ports.site), || {
            let (given, takes) = (ports.targets.len(), signature.len());
            let plural = if takes == 1 { "" } else { "s" };
            let problem =
                Problem::new("wrong-port", format!("`{call}` has {takes} {side}{plural}, but {given} are bound"));
            match takes {
                0 => problem,
                1 => problem.hint(format!("it is {}", list(names()))),
                _ => problem.hint(format!("they are {}, in this order", list(names()))),
            }
        });
    }
    let mut slots = Slots::counted(ports.targets.len().min(signature.len()));
    slots.named = ports.names.as_ref().map(|names| Vec::with_capacity(names.len()));
    for port in ports.names.iter().flatten() {
        let slot = names().position(|name| name == port.text);
        if slot.is_none() {
            draft.doubtful = true;
            draft.problems.add("wrong-port", Some(port.site), || {
                let problem = Problem::new("wrong-port", format!("`{call}` has no {side} `{}`", port.text));
                let hint = did_you_mean(&port.text, names());
                problem.hint(hint.unwrap_or_else(|| match signature.len() {
                    0 => format!("it has no {side}s"),
                    1 => format!("its one {side} is {}", list(names())),
                    _ => format!("its {side}s are {}", list(names())),
                }))
            });
        }
        slots.named.get_or_insert_default().push(slot);
    }
    let missing: Vec<&Port> = (signature.iter().enumerate())
        .filter(|(position, port)| !port.optional && !slots.contains(*position))
        .map(|(_, port)| port)
        .collect();
    // Where as many names are wrong as are missing, these are those, misspelt: told above.
    let misspelt = slots.missing_count(ports.targets.len());
    if missing.len() > misspelt {
        draft.problems.add("missing-port", Some(ports.site), || {
            let told = list(missing.iter().map(|port| &*port.name));
            let (plural, are) = if missing.len() == 1 { ("", "is") } else { ("s", "are") };
            let kinds: Vec<String> =
                missing.iter().map(|port| format!("{} = \"…\"  # {}", port.name, port.kind)).collect();
            Problem::new("missing-port", format!("{side}{plural} {told} of `{call}` {are} bound to nothing"))
                .hint(format!("bind every {side}:\n{}", kinds.join("\n")))
        });
    }
    slots
}
