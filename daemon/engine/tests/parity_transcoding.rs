//! P4: one dataset in the graph, several entries in the catalog.
#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::sync::Arc;

use engine::action::{Action, Happening};
use engine::event::Event;
use engine::filter::Filter;
use engine::id::Time;
use engine::plan::{Plan, PlanOptions, TaskKind, check};
use engine::run::Run;
use support::{plan, rendered};

const PIPELINE: &str = r#"
[[node]]
name = "make"
call = "t::source"
outputs = ["data@json"]
[[node]]
name = "read_text"
call = "t::text"
inputs = ["data@text"]
outputs = ["words"]
[[node]]
name = "read_json"
call = "t::copy"
inputs = ["data@json"]
outputs = ["copy"]
[catalog]
"data@json" = { type = "json", path = "data.json" }
"data@text" = { type = "text", path = "data.json" }
"#;

fn manifest() -> engine::signature::Manifest {
    support::manifest(&format!("{}\nt::text(text: text) -> (out: json)", support::PLUGINS))
}

fn planned(text: &str, filter: Filter) -> Result<Plan, String> {
    let sources = support::sources(&[("pipeline.toml", text)]);
    check(&sources, &manifest(), &PlanOptions { filter, ..PlanOptions::default() })
        .map_err(|problems| rendered(&problems))
}

/// What a run does, one thing after the other, and what it says of datasets.
fn story(plan: Plan, asynchronous_saves: bool) -> Vec<String> {
    let plan = Arc::new(plan);
    let policy = engine::policy::RunPolicy { asynchronous_saves, ..engine::policy::RunPolicy::default() };
    let (mut run, mut actions, mut story, mut open) =
        (Run::new(plan.clone(), policy), Vec::new(), Vec::new(), Vec::new());
    let name = |dataset| plan.dataset(dataset).unwrap().name.to_owned();
    let told = |kind| match kind {
        TaskKind::Load(dataset) => format!("load {}", name(dataset)),
        TaskKind::Call(node) => format!("call {}", plan.node(node).unwrap().name),
        TaskKind::Save(dataset) => format!("save {}", name(dataset)),
        TaskKind::Confirm(dataset) => format!("confirm {}", name(dataset)),
    };
    let mut event = Event::Start;
    loop {
        run.on(event, Time(0), &mut actions);
        for action in actions.drain(..) {
            match action {
                Action::Dispatch { task, attempt } => open.push((told(plan.task(task).unwrap()), task, attempt)),
                Action::Emit(Happening::DatasetReleased { dataset }) => {
                    story.push(format!("release {}", name(dataset)))
                }
                _ => {}
            }
        }
        open.sort();
        // The save goes on for as long as anything else can be done.
        let Some(at) = open.iter().position(|(what, ..)| !what.starts_with("save")).or((!open.is_empty()).then_some(0))
        else {
            break;
        };
        let (what, task, attempt) = open.remove(at);
        story.push(what);
        event = Event::Finished { task, attempt, worker: 0 };
    }
    story
}

#[test]
fn parity_p4_another_format_is_loaded_after_the_save_and_counted_by_itself() {
    let plan = || planned(PIPELINE, Filter::default()).unwrap();
    let names: Vec<&str> = vec!["make", "read_json", "read_text"];
    assert_eq!(plan().nodes().map(|node| node.name.to_owned()).collect::<Vec<_>>(), names);
    assert_eq!(
        (plan().layer_count(), plan().node(engine::id::NodeId(2)).unwrap().layer),
        (2, 1),
        "one dataset in the graph"
    );
    let outputs = plan();
    let outputs: Vec<&str> =
        outputs.datasets().filter(|dataset| dataset.is_output).map(|dataset| dataset.name).collect();
    assert_eq!(outputs, ["words", "copy"]);
    assert_eq!(
        story(plan(), false),
        [
            "call make",
            "save data@json",
            "call read_json",
            "release data@json",
            "load data@text",
            "call read_text",
            "release data@text"
        ]
    );
    // Readers of the same name start from memory; those of another format wait for the save all the same.
    assert_eq!(
        story(plan(), true),
        [
            "call make",
            "call read_json",
            "save data@json",
            "release data@json",
            "load data@text",
            "call read_text",
            "release data@text"
        ]
    );
}

#[test]
fn parity_p4_slices_take_the_name_with_and_without_its_format() {
    let slice = |filter: Filter| -> Vec<String> {
        planned(PIPELINE, filter).unwrap().nodes().map(|node| node.name.to_owned()).collect()
    };
    let names = |name: &str| vec![name.to_owned()];
    assert_eq!(slice(Filter { from_inputs: names("data"), ..Filter::default() }), ["read_json", "read_text"]);
    assert_eq!(slice(Filter { from_inputs: names("data@text"), ..Filter::default() }), ["read_text"]);
    assert_eq!(slice(Filter { to_outputs: names("data"), ..Filter::default() }), ["make"]);
    assert_eq!(slice(Filter { to_nodes: names("read_text"), ..Filter::default() }), ["make", "read_text"]);
    assert_eq!(slice(Filter { from_nodes: names("make"), ..Filter::default() }), ["make", "read_json", "read_text"]);
    let alone = planned(PIPELINE, Filter { nodes: names("read_text"), ..Filter::default() }).unwrap();
    assert_eq!(story(alone, false), ["load data@text", "call read_text", "release data@text"]);
}

#[test]
fn parity_p4_what_is_wrong_with_formats_is_told_at_once() {
    let text = r#"
[[node]]
name = "a"
call = "t::source"
outputs = ["x@json"]
[[node]]
name = "b"
call = "t::copy"
inputs = ["x"]
outputs = ["y@json"]
[[node]]
name = "c"
call = "t::source"
outputs = ["y@text"]
[[node]]
name = "d"
call = "t::copy"
inputs = ["z@text"]
outputs = ["z@json"]
[[node]]
name = "e"
call = "t::source"
outputs = ["y"]
[[node]]
name = "f"
call = "t::source"
outputs = ["w@"]
"#;
    let expected = "\
error[mixed-transcoding]: `x` and `y` are named with a format in one place (`name@format`) and without one in another
  --> pipeline.toml:9:11
   = `x` at pipeline.toml:9:11, `x@json` elsewhere
   = `y` at pipeline.toml:23:12, `y@json` and `y@text` elsewhere
   = hint: name them with a format everywhere

error[two-producers]: dataset `y` is made twice: as `y@json` by `b` and as `y@text` by `c`
  --> pipeline.toml:14:12
   = it is first made at pipeline.toml:10:12
   = hint: make it once, and let others read it as another format

error[reads-own-output]: node `d` reads `z@text` and makes `z@json`, which are one dataset
  --> pipeline.toml:19:12
   = hint: let it make a dataset of another name

error[bad-name]: `w@` cannot name a dataset: no format follows the `@`
  --> pipeline.toml:27:12
   = hint: names are made of letters, digits, `_`, `-` and `.`
";
    let found = plan(&[("pipeline.toml", text)]).map_or_else(|problems| rendered(&problems), |_| String::new());
    assert!(found == expected, "found\n{found}");
}

#[test]
fn parity_p4_what_another_format_loads_must_be_saved() {
    let text = PIPELINE.replace("\"data@json\" = { type = \"json\", path = \"data.json\" }", "");
    let found = planned(&text, Filter::default()).unwrap_err();
    assert!(
        found.starts_with("error[unsaved-transcoding]: `data@text` is loaded from what `data@json` was saved to, but `data@json` lives in memory only"),
        "{found}"
    );
}
