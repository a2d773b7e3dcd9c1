//! The steps of planning, in their order.

use crate::graph;
use crate::id::{DatasetId, Lists, NodeId};
use crate::parse;
use crate::plan::draft::Draft;
use crate::plan::{
    InputBinding, Plan, PlanOptions, confirms, drawing, freeze, keeping, kinds, modules, slice, storage, transcoding,
    unread,
};
use crate::problem::{Problem, Problems};
use crate::signature::Manifest;
use crate::source::{Site, Sources};
use crate::spec::Spec;

/// Parses and plans: a frozen plan, or every problem of both steps together, in the order of the files.
///
/// # Errors
/// Every problem found.
pub fn check(sources: &Sources, manifest: &Manifest, options: &PlanOptions) -> Result<Plan, Vec<Problem>> {
    let (spec, mut problems) = parse::parse(sources);
    let planned = plan_with(&spec, manifest, options, &mut problems);
    match planned {
        Some(plan) if problems.is_empty() => Ok(plan),
        _ => Err(problems.finish(&spec.texts)),
    }
}

/// Checks a spec against the plugins and gives a frozen plan.
///
/// # Errors
/// Every problem found, in the order of the files.
pub fn plan(spec: &Spec<'_>, manifest: &Manifest, options: &PlanOptions) -> Result<Plan, Vec<Problem>> {
    let mut problems = Problems::default();
    match plan_with(spec, manifest, options, &mut problems) {
        Some(plan) => Ok(plan),
        None => Err(problems.finish(&spec.texts)),
    }
}

/// Plans, adding to the problems of earlier steps. Gives a plan only when this step adds none.
pub(super) fn plan_with(
    spec: &Spec<'_>,
    manifest: &Manifest,
    options: &PlanOptions,
    problems: &mut Problems,
) -> Option<Plan> {
    let mut found = Problems::default();
    let mut draft = Draft::new(spec, manifest, &mut found);
    if spec.instances.is_empty() && !spec.unread.nodes {
        // The pipeline is the first text: the problem is told at its start.
        draft.problems.add("empty-pipeline", Some(Site::default()), || {
            Problem::new("empty-pipeline", format!("pipeline `{}` has no nodes", spec.name))
                .hint("add a node:\n[[node]]\ncall = \"plugin::node\"\ninputs = [\"dataset\"]\noutputs = [\"result\"]")
        });
    }
    draft.later = (!options.filter.is_empty()).then(Vec::new);
    drawing::draw_nodes(&mut draft);
    modules::check(&mut draft);
    transcoding::link(&mut draft);
    let mut consumers = consumers(&draft);
    let mut layers = layers(&mut draft, &consumers);
    if !options.filter.is_empty() {
        // A cycle is one of the whole pipeline, and then the slice of it does not matter.
        slice::apply(&mut draft, &consumers, &options.filter);
        consumers = self::consumers(&draft);
        layers = layers.and_then(|_| self::layers(&mut draft, &consumers));
    }
    let storages = storage::resolve(&mut draft, &consumers, options);
    transcoding::check_saved(&mut draft, &storages);
    kinds::check(&mut draft, &storages);
    confirms::check(&mut draft, &storages);
    keeping::check_schemas(&mut draft, &storages);
    let plan = match layers {
        Some(layers) if draft.problems.is_empty() => {
            let warnings = unread::warnings(&draft);
            Some(Plan { warnings, ..freeze::freeze(draft, consumers, storages, &layers) })
        }
        _ => None,
    };
    problems.extend(found);
    plan
}

/// Lists the readers of every dataset.
fn consumers(draft: &Draft<'_, '_>) -> Lists<DatasetId, NodeId> {
    Lists::from_pairs(draft.dataset_names.len(), draft.reads())
}

/// Gives each node its layer; cycles become problems.
fn layers(draft: &mut Draft<'_, '_>, consumers: &Lists<DatasetId, NodeId>) -> Option<Vec<u32>> {
    let outputs = &draft.outputs;
    let again = draft.loaded_again();
    let cycles = graph::layers(draft.nodes.len(), |node, visit| {
        for &dataset in outputs.get(node).iter().flatten() {
            // A second producer is a problem already, and so is a node that reads what it makes.
            if draft.producers[dataset].node == node.0 {
                let read = std::iter::once(&dataset).chain(again.get(dataset));
                let readers = read.flat_map(|&dataset| consumers.get(dataset));
                readers.filter(|&&reader| reader != node).for_each(|&reader| visit(reader));
            }
        }
    });
    let cycles = match cycles {
        Ok(layers) => return Some(layers),
        Err(cycles) => cycles,
    };
    for cycle in cycles {
        let problem = tell_cycle(draft, &cycle);
        let site = cycle.first().and_then(|&node| draft.spec.node(draft.nodes[node].spec));
        draft.problems.add("cycle", site.map(|node| node.site), || problem);
    }
    None
}

/// Shows `a -> b -> a`, and for each step what is made and where it is read. Of a long cycle only the ends are shown.
fn tell_cycle(draft: &Draft<'_, '_>, cycle: &[NodeId]) -> Problem {
    const SHOWN: usize = 10;
    let name = |node: &NodeId| draft.node_names.name(*node);
    let mut shown: Vec<&str> = cycle.iter().take(SHOWN).map(name).collect();
    let hidden = cycle.len() - shown.len();
    let more = format!("({hidden} more)");
    if hidden > 0 {
        shown.push(&more);
    }
    shown.extend(cycle.first().map(name));
    let mut problem = Problem::new("cycle", format!("the nodes wait for each other: {}", shown.join(" -> ")));
    let readers = cycle.iter().cycle().skip(1);
    for (maker, reader) in cycle.iter().zip(readers).take(SHOWN) {
        let port = draft.inputs.get(*reader).iter().position(|binding| match binding {
            Some(InputBinding::Dataset(dataset)) => draft.maker(*dataset) == maker.0,
            _ => false,
        });
        let Some((port, Some(InputBinding::Dataset(dataset)))) =
            port.map(|port| (port, draft.inputs.get(*reader)[port]))
        else {
            if let Some(&dataset) = draft.confirms.get(*reader).iter().find(|&&dataset| draft.maker(dataset) == maker.0)
            {
                let dataset = draft.dataset_names.name(dataset);
                problem =
                    problem.cause(format!("`{}` makes `{dataset}`, which `{}` confirms", name(maker), name(reader)));
            }
            continue;
        };
        let dataset = draft.dataset_names.name(dataset);
        let place = draft.told(draft.input_site(*reader, port));
        problem =
            problem.cause(format!("`{}` makes `{dataset}`, which `{}` reads at {place}", name(maker), name(reader)));
    }
    problem.hint("let one of them read something made earlier, or write to a dataset of another name")
}
