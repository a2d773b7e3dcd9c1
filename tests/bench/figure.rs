//! Figures and their table.
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
    median: Duration,
    samples: usize,
    least: Duration,
    note: String,
}

/// Everything measured, in order, with the state of the machine.
pub struct Table {
    figures: Vec<Figure>,
    processors: usize,
    load_before: String,
}

impl Table {
    /// An empty table; notes how busy the machine is.
    pub fn new() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { figures: Vec::new(), processors, load_before: load() }
    }

    /// Adds the median of the samples, the first dropped.
    pub fn add(&mut self, name: &str, mut samples: Vec<Duration>, note: impl Into<String>) {
        if samples.len() > 1 {
            samples.remove(0);
        }
        samples.sort_unstable();
        let (median, least) = (samples[samples.len() / 2], samples[0]);
        println!("{name}: {}", show(median));
        self.figures.push(Figure { name: name.to_owned(), median, samples: samples.len(), least, note: note.into() });
    }

    /// The median of a figure that was added before.
    pub fn median(&self, name: &str) -> Duration {
        self.figures.iter().find(|figure| figure.name == name).map_or(Duration::ZERO, |figure| figure.median)
    }

    /// Writes all of it as JSON.
    pub fn write(&self, file: &Path) -> io::Result<()> {
        let figures: Vec<Value> = self
            .figures
            .iter()
            .map(|figure| {
                json!({
                    "name": figure.name,
                    "median_us": figure.median.as_secs_f64() * 1e6,
                    "least_us": figure.least.as_secs_f64() * 1e6,
                    "samples": figure.samples,
                    "note": figure.note,
                })
            })
            .collect();
        let all = json!({ "processors": self.processors, "load_before": self.load_before, "figures": figures });
        fs::write(file, format!("{all:#}\n"))
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{} processors, load before {}\n", self.processors, self.load_before)?;
        writeln!(f, "| what | median | least | of | |\n| --- | ---: | ---: | ---: | --- |")?;
        for figure in &self.figures {
            let (median, least) = (show(figure.median), show(figure.least));
            writeln!(f, "| {} | {median} | {least} | {} | {} |", figure.name, figure.samples, figure.note)?;
        }
        Ok(())
    }
}

/// A duration with three digits that mean something.
fn show(duration: Duration) -> String {
    match duration.as_secs_f64() {
        seconds if seconds >= 1.0 => format!("{seconds:.2} s"),
        seconds if seconds >= 0.001 => format!("{:.2} ms", seconds * 1e3),
        seconds => format!("{:.2} µs", seconds * 1e6),
    }
}

fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}
