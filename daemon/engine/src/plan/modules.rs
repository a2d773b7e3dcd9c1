//! Whether includes map what there is: inputs that nothing inside makes, outputs that something inside makes, parameters that
//! something inside reads.

use std::collections::BTreeSet;

use crate::matrix;
use crate::module::{Mapping, Module, Renaming, Use};
use crate::plan::draft::Draft;
use crate::plan::drawing::parameter_path;
use crate::problem::{Problem, did_you_mean, list};
use crate::spec::NodeSpec;

/// What an include's key maps.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Inputs,
    Outputs,
    Parameters,
}

/// Checks every include. What could not be read may be what is meant, so then nothing is said.
pub(super) fn check(draft: &mut Draft<'_, '_>) {
    if draft.doubtful {
        return;
    }
    let spec = draft.spec;
    for (number, module) in spec.modules.iter().enumerate().filter(|(_, module)| module.parent.is_some()) {
        let sides = [
            (Side::Inputs, &module.mappings.inputs),
            (Side::Outputs, &module.mappings.outputs),
            (Side::Parameters, &module.mappings.parameters),
        ];
        let mapped = sides.into_iter().flat_map(|(side, mappings)| mappings.iter().map(move |mapping| (side, mapping)));
        let uses = draft.renaming.uses(number).to_vec();
        for ((side, mapping), seen) in mapped.zip(uses) {
            let good = match side {
                Side::Inputs => seen.read && !seen.made,
                Side::Outputs => seen.made,
                Side::Parameters => seen.read || mapping.interpolated,
            };
            if !good {
                let problem = tell(draft, number, module, side, mapping, seen);
                draft.problems.add("bad-mapping", Some(mapping.from.site), || problem);
            }
        }
    }
}

fn tell(
    draft: &Draft<'_, '_>,
    number: usize,
    module: &Module<'_>,
    side: Side,
    mapping: &Mapping<'_>,
    seen: Use,
) -> Problem {
    let (name, file) = (&mapping.from.text, module.file);
    if side == Side::Inputs && seen.made {
        return Problem::new("bad-mapping", format!("`{name}` is no input of {file}: a node in it makes that dataset"))
            .hint("name it in `outputs` of the include");
    }
    if side == Side::Outputs && seen.read {
        return Problem::new(
            "bad-mapping",
            format!("`{name}` is no output of {file}: its nodes read that dataset and none makes it"),
        )
        .hint("name it in `inputs` of the include");
    }
    let (reads, makes, parameters) = names(draft, number);
    let (known, problem) = match side {
        Side::Inputs => {
            let free: BTreeSet<String> = reads.difference(&makes).cloned().collect();
            (free, format!("no node of {file} reads a dataset `{name}`"))
        }
        Side::Outputs => (makes, format!("no node of {file} makes a dataset `{name}`")),
        Side::Parameters => (parameters, format!("no node of {file} reads a parameter `{name}`")),
    };
    let problem = Problem::new("bad-mapping", problem);
    let what = match side {
        Side::Inputs => "its inputs are",
        Side::Outputs => "it makes",
        Side::Parameters => "its parameters are",
    };
    let known = || known.iter().map(String::as_str);
    problem.hint(did_you_mean(name, known()).unwrap_or_else(|| format!("{what} {}", list(known().take(20)))))
}

/// Gives what the nodes of a module, and of those inside of it, read, make and take as parameters, as it calls them. Only for
/// messages: all nodes are looked at again, and names that a matrix fills in are left out.
fn names(draft: &Draft<'_, '_>, number: usize) -> (BTreeSet<String>, BTreeSet<String>, BTreeSet<String>) {
    let spec = draft.spec;
    // As it is called inside of the module: as if the module were a file that is run.
    let mut modules = spec.modules.clone();
    modules[number].parent = None;
    let mut renaming = Renaming::new(&modules);
    let inside = |mut module: u32| loop {
        if module as usize == number {
            return true;
        }
        match spec.modules.get(module as usize).and_then(|module| module.parent) {
            Some(parent) => module = parent,
            None => return false,
        }
    };
    let (mut reads, mut makes, mut parameters) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for instance in spec.instances.iter().filter(|instance| inside(instance.module)) {
        let node @ NodeSpec { inputs, outputs, .. } = &spec.nodes[instance.node as usize];
        let plain = |text: &&str| matrix::placeholders(text).next().is_none();
        for text in inputs.targets.iter().map(|target| &*target.text).filter(plain) {
            match parameter_path(text) {
                Some("") => {}
                Some(path) => drop(parameters.insert(renaming.parameter(instance.module, path.into()).into_owned())),
                None => drop(reads.insert(base(&renaming.dataset(instance.module, text.into(), Use::default())))),
            }
        }
        for text in node.confirms().iter().map(|name| &*name.text).filter(plain) {
            reads.insert(base(&renaming.dataset(instance.module, text.into(), Use::default())));
        }
        for text in outputs.targets.iter().map(|target| &*target.text).filter(plain) {
            makes.insert(base(&renaming.dataset(instance.module, text.into(), Use::default())));
        }
    }
    (reads, makes, parameters)
}

fn base(name: &str) -> String {
    name.split('@').next().unwrap_or(name).to_owned()
}
