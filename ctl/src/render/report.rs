//! What became of a run: failures first, then its nodes, then what it read and wrote.

use protocol::{DatasetDetail, Failure, FailureKind, NodeDetail, NodeState, RunDetail, RunState, RunSummary};

use super::paint::{Paint, Tone, harmless};
use super::problem::notes;
use super::reload::identity;
use super::table::{Cell, Table};
use super::units::{count, date_time, duration, size};

/// How much of a run is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rows {
    /// Every node and dataset.
    All,
    /// The slowest so many.
    Slowest {
        /// How many.
        most: usize,
        /// How to see the others.
        others: String,
    },
}

impl Rows {
    /// What is shown when a run ends: enough for one screen.
    pub fn at_the_end(others: impl Into<String>) -> Rows {
        Rows::Slowest { most: 40, others: others.into() }
    }
}

/// Most failures told in full.
const FAILURES_MAX: usize = 40;

/// Writes the report of a run.
pub fn report(run: &RunDetail, rows: &Rows, paint: Paint) -> String {
    let mut text = failures(run, paint);
    text.push_str(&nodes(run, rows, paint));
    text.push_str(&datasets(run, rows, paint));
    text.push_str(&generation(run, rows));
    if let Some(version) = &run.summary.save_version {
        text.push_str(&format!("versioned datasets are saved as version {}\n", harmless(version)));
    }
    if let Some(before) = &run.summary.resumed_from {
        text.push_str(&format!("goes on with run {}\n", harmless(before)));
    }
    text.push_str(&verdict(&run.summary, paint));
    text
}

/// Says which plugins exactly ran, where everything is told.
fn generation(run: &RunDetail, rows: &Rows) -> String {
    if *rows != Rows::All || run.plugins.is_empty() {
        return String::new();
    }
    let plugins: Vec<String> =
        run.plugins.iter().map(|plugin| format!("{} {}", harmless(&plugin.name), identity(plugin))).collect();
    format!("generation {}: {}\n", run.summary.generation, plugins.join(", "))
}

/// Writes every failure that counts; one that a later attempt made good only where nothing else explains the run.
fn failures(run: &RunDetail, paint: Paint) -> String {
    let of_nodes = run.nodes.iter().filter_map(|node| node.failure.as_ref());
    let mut all: Vec<&Failure> = Vec::new();
    let lost = |failure: &&Failure| run.summary.state != RunState::Succeeded && failure.kind != FailureKind::Cancelled;
    for failure in
        run.summary.cause.iter().chain(run.failures.iter().filter(|one| ended_its_node(run, one))).chain(of_nodes)
    {
        if lost(&failure) && !all.contains(&failure) {
            all.push(failure);
        }
    }
    let mut text = String::new();
    for one in all.iter().take(FAILURES_MAX) {
        text.push_str(&failure(one, paint));
        text.push('\n');
    }
    if all.len() > FAILURES_MAX {
        text.push_str(&format!("… and {} more failed the like\n\n", all.len() - FAILURES_MAX));
    }
    text
}

/// Says whether no later attempt made this failure good.
fn ended_its_node(run: &RunDetail, failure: &Failure) -> bool {
    let Some(name) = &failure.node else { return true };
    match run.nodes.iter().find(|node| &node.name == name) {
        Some(node) => node.state == NodeState::Failed && failure.attempt.is_none_or(|attempt| attempt >= node.attempts),
        None => true,
    }
}

/// Writes one failure with all that is known about it.
pub fn failure(failure: &Failure, paint: Paint) -> String {
    let mut text = format!("{}: {}\n", paint.bad("error"), paint.strong(&headline(failure)));
    if let Some(place) = &failure.place {
        text.push_str(&format!(" {} {}\n", paint.margin("-->"), harmless(place)));
    }
    let lead = format!("  {} ", paint.margin("="));
    let mut origin: Vec<String> = Vec::new();
    origin.extend(failure.plugin.iter().map(|plugin| format!("plugin {}", harmless(plugin))));
    origin.extend(failure.worker.iter().map(|worker| format!("worker {worker}")));
    origin.extend(failure.attempt.iter().filter(|&&attempt| attempt > 1).map(|attempt| format!("attempt {attempt}")));
    if !origin.is_empty() {
        text.push_str(&format!("{lead}{}: {}\n", paint.strong("in"), origin.join(", ")));
    }
    notes(&mut text, &lead, &failure.causes, &failure.hints, paint);
    text
}

/// What failed, and how, in one line.
pub fn headline(failure: &Failure) -> String {
    let what = match (&failure.node, &failure.dataset) {
        (Some(node), Some(dataset)) => format!("node {node} failed on dataset {dataset}: "),
        (Some(node), None) => format!("node {node} failed: "),
        (None, Some(dataset)) => format!("dataset {dataset} failed: "),
        (None, None) => String::new(),
    };
    harmless(&format!("{what}{}", reason(failure))).into_owned()
}

/// How it failed. The kind is named unless the message is sure to say it: a signal or an exit is always named there.
pub fn reason(failure: &Failure) -> String {
    use FailureKind::{Error, Exit, Protocol, Signal, Unknown};
    let kind = failure.kind.as_str();
    let plain = matches!(failure.kind, Error | Protocol | Signal | Exit | Unknown);
    let message = harmless(&failure.message);
    if plain || message.to_lowercase().contains(kind) { message.into_owned() } else { format!("{kind}: {message}") }
}

fn nodes(run: &RunDetail, rows: &Rows, paint: Paint) -> String {
    if run.nodes.is_empty() {
        return String::new();
    }
    let begin = run.summary.started_us.unwrap_or(run.summary.submitted_us);
    let longest = run.nodes.iter().filter_map(NodeDetail::duration_us).max();
    let shown = slowest(&run.nodes, rows, |node| node.duration_us());
    let mut table = Table::new(&["node", "call", ">worker", ">start", ">time", ">save", "state", ""]);
    for node in &shown {
        let time = |us: Option<i64>| us.map(duration).unwrap_or_default();
        let is_slowest = run.nodes.len() > 1 && node.duration_us().is_some() && node.duration_us() == longest;
        let remark = match (&node.skipped_because, is_slowest) {
            (Some(because), _) => because.clone(),
            (None, true) if node.attempts > 1 => format!("slowest, attempt {}", node.attempts),
            (None, true) => "slowest".to_owned(),
            (None, false) if node.attempts > 1 => format!("attempt {}", node.attempts),
            (None, false) => String::new(),
        };
        table.row(vec![
            Cell::new(Tone::Strong, node.name.as_str()),
            Cell::new(Tone::Faint, node.call.as_str()),
            node.worker.map(|worker| worker.to_string()).unwrap_or_default().into(),
            time(node.started_us.map(|started| started.saturating_sub(begin))).into(),
            Cell::new(if is_slowest { Tone::Notable } else { Tone::Plain }, time(node.duration_us())),
            time(save_us(run, &node.name)).into(),
            Cell::new(node_tone(node.state), node.state.as_str()),
            Cell::new(if is_slowest { Tone::Notable } else { Tone::Faint }, remark),
        ]);
    }
    table.text(0, paint) + &left_out(run.nodes.len() - shown.len(), "node", rows) + "\n"
}

/// How long a node's outputs took to be saved, all together.
fn save_us(run: &RunDetail, node: &str) -> Option<i64> {
    let made = run.datasets.iter().filter(|dataset| dataset.producer.as_deref() == Some(node));
    made.filter_map(|dataset| dataset.save_us).reduce(i64::saturating_add)
}

fn datasets(run: &RunDetail, rows: &Rows, paint: Paint) -> String {
    let persisted: Vec<DatasetDetail> =
        run.datasets.iter().filter(|dataset| dataset.storage != "memory").cloned().collect();
    if persisted.is_empty() {
        return String::new();
    }
    let shown = slowest(&persisted, rows, |dataset| dataset.load_us.max(dataset.save_us));
    let mut table = Table::new(&["dataset", "type", ">size", ">rows", ">load", ">save", "path"]);
    for dataset in &shown {
        let time = |us: Option<i64>| us.map(duration).unwrap_or_default();
        let rows = dataset.metadata.get("rows").and_then(serde_json::Value::as_u64);
        table.row(vec![
            Cell::new(Tone::Strong, dataset.name.as_str()),
            Cell::new(Tone::Faint, dataset.storage.as_str()),
            dataset.bytes.map(size).unwrap_or_default().into(),
            rows.map(|rows| rows.to_string()).unwrap_or_default().into(),
            time(dataset.load_us).into(),
            time(dataset.save_us).into(),
            dataset.path.clone().unwrap_or_default().into(),
        ]);
    }
    table.text(0, paint) + &left_out(persisted.len() - shown.len(), "dataset", rows) + "\n"
}

/// The slowest, in the order they came; what has no time is left out first, failures are told above the table.
fn slowest<'a, T>(all: &'a [T], rows: &Rows, time: impl Fn(&T) -> Option<i64>) -> Vec<&'a T> {
    let most = match rows {
        Rows::Slowest { most, .. } if all.len() > *most => *most,
        _ => return all.iter().collect(),
    };
    let mut by_time: Vec<usize> = (0..all.len()).collect();
    by_time.sort_by_key(|&index| std::cmp::Reverse(time(&all[index])));
    by_time.truncate(most);
    by_time.sort_unstable();
    by_time.into_iter().map(|index| &all[index]).collect()
}

fn left_out(number: usize, noun: &str, rows: &Rows) -> String {
    match rows {
        Rows::Slowest { others, .. } if number > 0 => {
            format!("… and {}, none slower: {others}\n", count(number as u64, noun))
        }
        _ => String::new(),
    }
}

/// Writes the one sentence that says how the run went.
pub fn verdict(run: &RunSummary, paint: Paint) -> String {
    let counts = &run.counts;
    let parts = [
        (counts.succeeded, "succeeded"),
        (counts.failed, "failed"),
        (counts.skipped, "skipped"),
        (counts.cancelled, "cancelled"),
        (counts.running, "running"),
        (counts.waiting, "waiting"),
    ];
    let parts: Vec<String> =
        parts.iter().filter(|(number, _)| *number > 0).map(|(number, word)| format!("{number} {word}")).collect();
    let state = paint.tone(run_tone(run.state), run.state.as_str());
    let when = match run.duration_us() {
        Some(took) => format!(" in {}", duration(took)),
        None => format!(" since {}", date_time(run.started_us.unwrap_or(run.submitted_us))),
    };
    let parts = if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) };
    let (id, pipeline) = (harmless(&run.id), harmless(&run.pipeline));
    format!("run {} of {pipeline} {state}{when}: {}{parts}\n", paint.strong(&id), count(counts.total, "node"))
}

/// Where a run is that did not succeed, and so how its rest can be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// The service keeps it.
    InService,
    /// The daemon that ran it is gone.
    Forgotten,
}

/// Writes how to run what a run did not finish; nothing if that is nothing.
pub fn left(run: &RunDetail, place: Left, paint: Paint) -> String {
    const NAMES_MAX: usize = 50;
    let Some(resume) = run.resume.as_ref().filter(|_| run.summary.state.is_final()) else { return String::new() };
    let id = harmless(&run.summary.id);
    let help = paint.tone(Tone::Good, "help");
    let nodes = count(resume.unfinished, "node");
    let verb = if resume.unfinished == 1 { "has" } else { "have" };
    if resume.finished == 0 {
        return match place {
            Left::InService => format!("{help}: no node finished; `ctl resume {id}` repeats the run\n"),
            Left::Forgotten => format!("{help}: no node finished; repeat the command\n"),
        };
    }
    let mut from = resume.from_nodes.iter().take(NAMES_MAX).map(String::as_str).collect::<Vec<_>>().join(",");
    if resume.from_nodes.len() > NAMES_MAX {
        from.push_str(",…");
    }
    let from = if from.is_empty() { String::new() } else { format!("--from-nodes \"{}\"", harmless(&from)) };
    match place {
        Left::InService if from.is_empty() => {
            format!("{help}: {nodes} {verb} not finished; `ctl resume {id}` runs the rest\n")
        }
        Left::InService => format!(
            "{help}: {nodes} {verb} not finished; `ctl resume {id}` runs the rest ({}), as does the same command with {from}\n",
            count(resume.nodes, "node")
        ),
        Left::Forgotten => {
            format!("{help}: {nodes} {verb} not finished; repeat the command with {from} to run the rest\n")
        }
    }
}

/// The tone of a run's state.
pub fn run_tone(state: RunState) -> Tone {
    match state {
        RunState::Queued => Tone::Faint,
        RunState::Running => Tone::Plain,
        RunState::Succeeded => Tone::Good,
        RunState::Failed => Tone::Bad,
        RunState::Cancelled | RunState::Interrupted => Tone::Notable,
    }
}

fn node_tone(state: NodeState) -> Tone {
    match state {
        NodeState::Waiting | NodeState::Skipped => Tone::Faint,
        NodeState::Running => Tone::Plain,
        NodeState::Succeeded => Tone::Good,
        NodeState::Failed => Tone::Bad,
        NodeState::Retrying | NodeState::Cancelled => Tone::Notable,
    }
}

#[cfg(test)]
pub mod tests;
