//! What a reload changed, or would change; and which generations there are.

use protocol::{BrokenPipeline, GenerationChanges, GenerationInfo, PluginChange, PluginIdentity, ReloadReport};

use super::paint::{Paint, Tone, harmless};
use super::problem::problem;
use super::table::{Cell, Table};
use super::units::{date_time, size};

/// How many digits of a hash tell libraries apart on a screen; `--json` has all of them.
const HASH_DIGITS: usize = 12;

/// Tells what came of a reload.
pub fn report(report: &ReloadReport, paint: Paint) -> String {
    let mut text = changes(&report.changes, paint);
    if report.dry_run {
        for broken in &report.pipelines {
            text.push_str(&would_break(broken, paint));
        }
    }
    if !text.is_empty() {
        text.push('\n');
    }
    for one in &report.problems {
        text.push_str(&problem(one, &[], paint));
        text.push('\n');
    }
    let (new, old) = (report.generation, report.previous);
    text.push_str(&match (report.dry_run, report.problems.is_empty()) {
        (true, true) => format!(
            "generation {new} would {} generation {old}; nothing was changed\n",
            paint.tone(Tone::Good, "replace")
        ),
        (true, false) => format!("generation {new} would be {}; nothing was changed\n", paint.bad("refused")),
        (false, _) => format!(
            "generation {new} is {}; generation {old} goes with its last run\n",
            paint.tone(Tone::Good, "current")
        ),
    });
    text
}

fn changes(changes: &GenerationChanges, paint: Paint) -> String {
    if changes.is_empty() {
        return "no plugin differs\n".to_owned();
    }
    let mut text: String = changes.plugins.iter().map(|change| plugin(change, paint)).collect();
    let mut list = |sign: &str, what: &str, names: &[String]| {
        for name in names {
            text.push_str(&format!("  {sign} {what} {}\n", harmless(name)));
        }
    };
    list("+", "node", &changes.nodes_added);
    list("-", "node", &changes.nodes_removed);
    list("+", "dataset type", &changes.dataset_types_added);
    list("-", "dataset type", &changes.dataset_types_removed);
    list("+", "hook", &changes.hooks_added);
    list("-", "hook", &changes.hooks_removed);
    for node in &changes.nodes_changed {
        for line in &node.changes {
            text.push_str(&format!("  ~ node {}: {}\n", harmless(&node.call), harmless(line)));
        }
    }
    text
}

fn plugin(change: &PluginChange, paint: Paint) -> String {
    let name = paint.strong(&harmless(&change.name));
    let what = match (&change.before, &change.after) {
        (None, Some(after)) => format!("{name}: new, {}", identity(after)),
        (Some(before), None) => format!("{name}: gone, was {}", identity(before)),
        (Some(before), Some(after)) => format!("{name}: {}, was {}", identity(after), identity(before)),
        (None, None) => name,
    };
    format!("{what}\n")
}

/// A plugin's version, and enough of its hash to tell it from another build.
pub fn identity(plugin: &PluginIdentity) -> String {
    let digits: String = plugin.sha256.chars().take(HASH_DIGITS).collect();
    let hash = if digits.is_empty() { digits } else { format!(" ({digits})") };
    harmless(&format!("{}{hash}", plugin.version)).into_owned()
}

fn would_break(broken: &BrokenPipeline, paint: Paint) -> String {
    let (pipeline, run) = (harmless(&broken.pipeline), harmless(&broken.run));
    let mut text = format!("  {} pipeline {pipeline} (run {run}) would no longer plan:\n", paint.bad("!"));
    for problem in &broken.problems {
        text.push_str(&format!("      {}\n", harmless(&problem.message)));
    }
    text
}

/// Lists generations; nothing if there is just the one in use.
pub fn generations(all: &[GenerationInfo], paint: Paint) -> String {
    if all.len() < 2 {
        return String::new();
    }
    let mut table =
        Table::new(&[">generation", "state", "since", ">runs", ">processes", ">memory", ">libraries", "plugins"]);
    for info in all {
        let tone = match info.state {
            protocol::GenerationState::Current => Tone::Good,
            protocol::GenerationState::Draining => Tone::Plain,
            protocol::GenerationState::Kept => Tone::Faint,
            protocol::GenerationState::Refused => Tone::Bad,
        };
        let number = |value: u64| if value == 0 { String::new() } else { value.to_string() };
        let bytes = |value: u64| if value == 0 { String::new() } else { size(value) };
        let plugins: Vec<String> =
            info.plugins.iter().map(|plugin| format!("{} {}", plugin.name, identity(plugin))).collect();
        table.row(vec![
            info.number.to_string().into(),
            Cell::new(tone, info.state.as_str()),
            date_time(info.loaded_us).into(),
            number(info.runs).into(),
            number(info.processes).into(),
            bytes(info.memory_bytes).into(),
            bytes(info.library_bytes).into(),
            Cell::new(Tone::Faint, plugins.join(", ")),
        ]);
    }
    let mut text = format!("\n{}", table.text(0, paint));
    for info in all.iter().filter(|info| !info.problems.is_empty()) {
        text.push_str(&format!("\ngeneration {} was refused:\n", info.number));
        for one in &info.problems {
            text.push_str(&problem(one, &[], paint));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use protocol::{GenerationState, NodeChange, Problem};

    use super::*;

    fn identity_of(version: &str, sha256: &str) -> PluginIdentity {
        PluginIdentity { name: "flights".into(), version: version.into(), sha256: sha256.into() }
    }

    fn refused() -> Problem {
        Problem {
            code: "refused-library".into(),
            message: "/p/libflights.so: it was killed by SIGSEGV".into(),
            place: None,
            causes: Vec::new(),
            hints: vec!["look at it".into()],
        }
    }

    fn sample() -> ReloadReport {
        let change = PluginChange {
            name: "flights".into(),
            before: Some(identity_of("1.0.0", "aaaaaaaaaaaaaaaa")),
            after: Some(identity_of("1.1.0", "bbbbbbbbbbbbbbbb")),
        };
        let changes = GenerationChanges {
            plugins: vec![change],
            nodes_added: vec!["flights::fit".into()],
            nodes_removed: vec!["flights::train".into()],
            nodes_changed: vec![NodeChange {
                call: "flights::clean".into(),
                changes: vec!["input table: table, was json".into()],
            }],
            ..GenerationChanges::default()
        };
        ReloadReport { generation: 4, previous: 3, changes, ..ReloadReport::default() }
    }

    #[test]
    fn a_reload_says_what_differs() {
        let want = "\
flights: 1.1.0 (bbbbbbbbbbbb), was 1.0.0 (aaaaaaaaaaaa)
  + node flights::fit
  - node flights::train
  ~ node flights::clean: input table: table, was json

generation 4 is current; generation 3 goes with its last run
";
        assert_eq!(report(&sample(), Paint::new(false)), want);
    }

    #[test]
    fn a_dry_run_says_what_would_break_and_why_it_would_be_refused() {
        let broken =
            BrokenPipeline { pipeline: "nightly".into(), run: "r1".into(), refuses: true, problems: vec![refused()] };
        let dry = ReloadReport {
            dry_run: true,
            pipelines: vec![broken],
            problems: vec![refused()],
            changes: GenerationChanges::default(),
            ..sample()
        };
        let want = "\
no plugin differs
  ! pipeline nightly (run r1) would no longer plan:
      /p/libflights.so: it was killed by SIGSEGV

error[refused-library]: /p/libflights.so: it was killed by SIGSEGV
  = help: look at it

generation 4 would be refused; nothing was changed
";
        assert_eq!(report(&dry, Paint::new(false)), want);
    }

    #[test]
    fn generations_are_listed_when_there_are_several() {
        let current = GenerationInfo { number: 2, processes: 3, memory_bytes: 1 << 20, ..GenerationInfo::default() };
        assert_eq!(generations(std::slice::from_ref(&current), Paint::new(false)), "");
        let refused = GenerationInfo {
            number: 3,
            state: GenerationState::Refused,
            problems: vec![refused()],
            ..GenerationInfo::default()
        };
        let text = generations(&[refused, current], Paint::new(false));
        assert!(text.contains("         3  refused") && text.contains("generation 3 was refused:\n"), "{text}");
        assert!(text.contains("         2  current"), "{text}");
    }
}
