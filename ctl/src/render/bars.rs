//! Bars on a terminal: one for each running node, one for the whole run.

use std::collections::HashMap;
use std::io::Write;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use protocol::{EventKind, NodeState, RunDetail, RunEvent, RunSummary};

use super::paint::{Paint, harmless};
use super::progress::Tally;

/// The bars of one run.
pub struct Bars {
    all: MultiProgress,
    whole: ProgressBar,
    nodes: HashMap<String, ProgressBar>,
    tally: Tally,
    paint: Paint,
}

/// Most nodes that get a bar; a terminal has only so many lines.
const NODES_MAX: usize = 12;

impl Bars {
    /// Puts up the bar of the whole run, on standard error.
    pub fn new(summary: &RunSummary, paint: Paint) -> Bars {
        let all = MultiProgress::new();
        let whole = all.add(ProgressBar::new(summary.counts.total));
        whole.set_style(style(WHOLE));
        whole.set_message(harmless(&summary.pipeline).into_owned());
        Bars { all, whole, nodes: HashMap::new(), tally: Tally::new(summary), paint }
    }

    /// Shows an event.
    pub fn event(&mut self, event: &RunEvent) {
        match &event.kind {
            EventKind::NodeStarted { node, worker, attempt } => self.node_started(node, *worker, *attempt),
            EventKind::NodeProgress { node, done, total } => self.node_progress(node, *done, *total),
            EventKind::NodeFinished { node, .. }
            | EventKind::NodeFailed { node, .. }
            | EventKind::NodeSkipped { node, .. } => self.node_ended(node),
            _ => {}
        }
        let line = self.tally.line(event, self.paint);
        // A finished node moves the bar; what else happens deserves words.
        let worth_words = !matches!(event.kind, EventKind::NodeFinished { .. } | EventKind::RunStarted { .. });
        if let Some(line) = line.filter(|_| worth_words) {
            self.say(&line);
        }
        self.update();
    }

    /// Takes over the run's own account.
    pub fn resynchronise(&mut self, detail: &RunDetail) {
        self.tally.resynchronise(detail);
        for (_, bar) in self.nodes.drain() {
            bar.finish_and_clear();
        }
        for node in detail.nodes.iter().filter(|node| node.state == NodeState::Running) {
            self.node_started(&node.name, node.worker.unwrap_or_default(), node.attempts);
        }
        self.update();
    }

    /// Says something above the bars.
    pub fn say(&mut self, text: &str) {
        // A terminal that is gone is no reason to stop.
        let _ = self.all.println(text);
    }

    /// Goes back over the `^C` that the terminal has written. The cursor rests at the right edge of the last bar, so those
    /// letters are on a line of their own, and without this the bars would be drawn one line too low from now on.
    pub fn forget_echo(&mut self) {
        if !self.all.is_hidden() {
            let _ = std::io::stderr().write_all(b"\r\x1b[2K\x1b[1A");
        }
    }

    /// Lets time pass.
    pub fn tick(&mut self) {
        self.whole.tick();
        for bar in self.nodes.values() {
            bar.tick();
        }
    }

    /// Takes the bars away.
    pub fn close(&mut self) {
        for (_, bar) in self.nodes.drain() {
            bar.finish_and_clear();
        }
        self.whole.finish_and_clear();
    }

    fn update(&mut self) {
        let (_, total) = self.tally.counts();
        self.whole.set_length(total);
        self.whole.set_position(self.tally.over());
    }

    fn node_started(&mut self, node: &str, worker: u32, attempt: u32) {
        if self.nodes.len() >= NODES_MAX || self.nodes.contains_key(node) {
            return;
        }
        let bar = self.all.insert_before(&self.whole, ProgressBar::no_length());
        bar.set_style(style(NODE));
        let again = if attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
        bar.set_message(format!("{} {}", harmless(node), self.paint.faint(&format!("(worker {worker}{again})"))));
        self.nodes.insert(node.to_owned(), bar);
    }

    fn node_progress(&mut self, node: &str, done: u64, total: u64) {
        let Some(bar) = self.nodes.get(node) else { return };
        if total > 0 && bar.length().is_none() {
            bar.set_style(style(NODE_MEASURED));
        }
        if total > 0 {
            bar.set_length(total);
        }
        bar.set_position(done);
    }

    fn node_ended(&mut self, node: &str) {
        if let Some(bar) = self.nodes.remove(node) {
            bar.finish_and_clear();
            self.all.remove(&bar);
        }
    }
}

const WHOLE: &str = "{bar:30.green/dim} {pos} of {len} nodes  {elapsed}  {msg}";
const NODE: &str = "  {spinner:.green} {msg}  {elapsed}";
const NODE_MEASURED: &str = "  {spinner:.green} {msg}  {bar:20.green/dim} {percent}%  {elapsed}";
#[cfg(test)]
const TEMPLATES: [&str; 3] = [WHOLE, NODE, NODE_MEASURED];

/// The templates are literals, each tried by a test; should one be wrong all the same, the plain bar will do.
fn style(template: &str) -> ProgressStyle {
    let plain = ProgressStyle::default_bar();
    match ProgressStyle::with_template(template) {
        Ok(style) => style.progress_chars("━━─").tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ "),
        Err(_) => plain,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use indicatif::ProgressDrawTarget;

    use super::*;
    use crate::render::report::tests::{event, summary};

    #[test]
    fn running_nodes_have_a_bar_and_ended_ones_move_the_whole() {
        let mut bars = Bars::new(&summary(), Paint::new(false));
        bars.all.set_draw_target(ProgressDrawTarget::hidden());
        bars.event(&event(EventKind::NodeStarted { node: "clean".into(), attempt: 2, worker: 0 }));
        bars.event(&event(EventKind::NodeProgress { node: "clean".into(), done: 1, total: 4 }));
        bars.event(&event(EventKind::NodeProgress { node: "unheard of".into(), done: 1, total: 0 }));
        bars.tick();
        let bar = bars.nodes.get("clean").unwrap().clone();
        assert_eq!((bar.position(), bar.length()), (1, Some(4)));
        assert_eq!(bar.message(), "clean (worker 0, attempt 2)");
        bars.event(&event(EventKind::NodeSkipped { node: "late".into(), because: "clean failed".into() }));
        bars.event(&event(EventKind::NodeFinished {
            node: "clean".into(),
            attempt: 1,
            worker: 0,
            duration_us: 5,
            completed: 1,
            total: 2,
        }));
        assert!(bars.nodes.is_empty() && bar.is_finished());
        assert_eq!((bars.whole.position(), bars.whole.length()), (2, Some(3)));
        bars.close();
    }

    #[test]
    fn a_run_of_very_many_nodes_does_not_fill_the_screen() {
        let mut bars = Bars::new(&summary(), Paint::new(false));
        bars.all.set_draw_target(ProgressDrawTarget::hidden());
        for number in 0..100 {
            bars.event(&event(EventKind::NodeStarted { node: format!("n{number}"), attempt: 1, worker: number }));
        }
        assert_eq!(bars.nodes.len(), NODES_MAX);
        bars.close();
    }

    #[test]
    fn the_templates_are_sound() {
        for template in TEMPLATES {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
