//! Figures, each beside the floor it is compared with, and their table.
#![forbid(unsafe_code)]

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

/// One measured thing.
struct Figure {
    name: String,
    n: u64,
    /// The median of the samples.
    value: f64,
    worst: f64,
    samples: usize,
    unit: &'static str,
    /// Name and value of the floor.
    floor: Option<(&'static str, f64)>,
    /// In floors, or where there is none in the figure's own unit.
    goal: Option<Goal>,
    note: String,
}

/// What a ratio should reach.
#[derive(Clone, Copy)]
pub enum Goal {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
}

impl Goal {
    fn is_met(self, ratio: f64) -> bool {
        match self {
            Goal::AtMost(most) => ratio <= most,
            Goal::AtLeast(least) => ratio >= least,
        }
    }

    fn number(self) -> f64 {
        match self {
            Goal::AtMost(number) | Goal::AtLeast(number) => number,
        }
    }
}

/// Everything measured, in order, with the state of the machine.
pub struct Table {
    figures: Vec<Figure>,
    processors: usize,
    load_before: String,
    /// The figures of an earlier run, by name and n.
    base: Vec<(String, u64, f64)>,
}

impl Table {
    /// An empty table that shows changes against the figures in `base`; notes how busy the machine is.
    pub fn new(base: Option<&Path>) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { figures: Vec::new(), processors, load_before: load(), base: base.map(read_base).unwrap_or_default() }
    }

    /// Adds times; `n` says of how many.
    pub fn add_times(&mut self, name: &str, n: u64, samples: &[Duration], note: impl Into<String>) {
        self.add(name, n, samples.iter().map(|time| time.as_secs_f64() * 1e6).collect(), "µs", note);
    }

    /// Adds the median of the samples.
    pub fn add(&mut self, name: &str, n: u64, mut samples: Vec<f64>, unit: &'static str, note: impl Into<String>) {
        samples.sort_by(f64::total_cmp);
        let (value, worst) = (samples[samples.len() / 2], samples[samples.len() - 1]);
        println!("{name} ({n}): {}", show(value, unit));
        let (name, note, samples) = (name.to_owned(), note.into(), samples.len());
        self.figures.push(Figure { name, n, value, worst, samples, unit, floor: None, goal: None, note });
    }

    /// Compares the figure that was added last with a floor.
    pub fn against(&mut self, floor: &'static str, goal: Goal) {
        let value = self.value(floor);
        if let Some(figure) = self.figures.last_mut() {
            (figure.floor, figure.goal) = (Some((floor, value)), Some(goal));
        }
    }

    /// Says what the figure that was added last should be by itself.
    pub fn goal(&mut self, goal: Goal) {
        if let Some(figure) = self.figures.last_mut() {
            figure.goal = Some(goal);
        }
    }

    /// The median of a figure that was added before.
    pub fn value(&self, name: &str) -> f64 {
        self.figures.iter().find(|figure| figure.name == name).map_or(0.0, |figure| figure.value)
    }

    /// The median of one of several figures of that name.
    pub fn value_of(&self, name: &str, n: u64) -> f64 {
        self.figures.iter().find(|figure| figure.name == name && figure.n == n).map_or(0.0, |figure| figure.value)
    }

    /// Writes all of it as JSON.
    pub fn write(&self, file: &Path) -> io::Result<()> {
        let figures: Vec<Value> = self
            .figures
            .iter()
            .map(|figure| {
                json!({
                    "name": figure.name,
                    "n": figure.n,
                    "value": figure.value,
                    "worst": figure.worst,
                    "samples": figure.samples,
                    "unit": figure.unit,
                    "floor": figure.floor.map(|(name, _)| name),
                    "ratio": figure.ratio(),
                    "goal": figure.goal.map(Goal::number),
                    "met": figure.is_met(),
                    "note": figure.note,
                })
            })
            .collect();
        fs::write(file, format!("{:#}\n", Value::from(figures)))
    }
}

impl Figure {
    fn ratio(&self) -> Option<f64> {
        self.floor.map(|(_, floor)| self.value / floor)
    }

    fn is_met(&self) -> Option<bool> {
        Some(self.goal?.is_met(self.ratio().unwrap_or(self.value)))
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{} processors, load before {}\n", self.processors, self.load_before)?;
        writeln!(f, "| what | n | median | worst | of | ratio | goal | | before | |")?;
        writeln!(f, "| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- | ---: | --- |")?;
        for figure in &self.figures {
            let (median, worst) = (show(figure.value, figure.unit), show(figure.worst, figure.unit));
            let floor = figure.floor.map_or("", |(name, _)| name);
            let ratio = figure.ratio().map_or(String::new(), |ratio| format!("{ratio:.3} {floor}"));
            let goal = match figure.goal {
                Some(Goal::AtMost(most)) => format!("≤ {most:.3}"),
                Some(Goal::AtLeast(least)) => format!("≥ {least:.2}"),
                None => String::new(),
            };
            let met = figure.is_met().map_or("", |met| if met { "met" } else { "NOT met" });
            let before = self.base.iter().find(|(name, n, _)| *name == figure.name && *n == figure.n);
            let change =
                before.map_or(String::new(), |(.., value)| format!("{:+.0} %", (figure.value / value - 1.0) * 100.0));
            let Figure { name, n, samples, note, .. } = figure;
            writeln!(
                f,
                "| {name} | {n} | {median} | {worst} | {samples} | {ratio} | {goal} | {met} | {change} | {note} |"
            )?;
        }
        Ok(())
    }
}

/// A value with three digits that mean something.
fn show(value: f64, unit: &str) -> String {
    match unit {
        "µs" if value >= 1e6 => format!("{:.2} s", value / 1e6),
        "µs" if value >= 1e3 => format!("{:.2} ms", value / 1e3),
        _ => format!("{value:.2} {unit}"),
    }
}

fn read_base(file: &Path) -> Vec<(String, u64, f64)> {
    let text = fs::read_to_string(file).unwrap_or_else(|problem| panic!("cannot read {}: {problem}", file.display()));
    let figures: Vec<Value> =
        serde_json::from_str(&text).unwrap_or_else(|problem| panic!("{}: {problem}", file.display()));
    let read =
        |figure: &Value| Some((figure["name"].as_str()?.to_owned(), figure["n"].as_u64()?, figure["value"].as_f64()?));
    figures.iter().filter_map(read).collect()
}

fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}
