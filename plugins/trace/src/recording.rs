//! What happened in one run, as lines of the Chrome trace format.
//!
//! The format: "Trace Event Format", https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU: `X` is a span,
//! `i` a moment, `M` a name for a track; times are in microseconds, here from the run's start on.

use std::collections::BTreeSet;
use std::io::{self, Write};

use serde_json::{Value, json};

/// The track of the run itself; workers follow.
const RUN_TRACK: u64 = 0;

/// When something happened, and where.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// The worker that did it.
    pub worker: u32,
    /// When it began, in microseconds since 1970.
    pub started_us: u64,
    /// When it was over.
    pub finished_us: u64,
}

/// The trace of one run.
#[derive(Debug)]
pub struct Recording {
    run: String,
    pipeline: String,
    started_us: u64,
    /// How and when it ended.
    end: Option<(String, u64)>,
    /// The events as JSON, a line each.
    lines: Vec<u8>,
    workers: BTreeSet<u32>,
    dropped: u64,
}

impl Recording {
    /// Begins a recording.
    pub fn new(run: &str, pipeline: &str, started_us: u64) -> Self {
        Self {
            run: run.to_owned(),
            pipeline: pipeline.to_owned(),
            started_us,
            end: None,
            lines: Vec::new(),
            workers: BTreeSet::new(),
            dropped: 0,
        }
    }

    /// The run's id.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// How much memory it takes.
    pub fn bytes(&self) -> usize {
        self.lines.capacity()
    }

    /// Notes how and when the run ended.
    pub fn end(&mut self, state: &str, time_us: u64) {
        self.end = Some((state.to_owned(), time_us));
    }

    /// Records something that took time; without room only that it happened.
    pub fn span(&mut self, span: Span, category: &str, name: &str, args: &Value, has_room: bool) {
        self.workers.insert(span.worker);
        let event = json!({
            "ph": "X", "cat": category, "name": name, "pid": 1, "tid": track(span.worker),
            "ts": self.since_start(span.started_us), "dur": span.finished_us.saturating_sub(span.started_us), "args": args,
        });
        self.push(&event, has_room);
    }

    /// Records a moment of the whole run.
    pub fn note(&mut self, time_us: u64, name: &str, args: &Value, has_room: bool) {
        let ts = self.since_start(time_us);
        let event = json!({ "ph": "i", "s": "p", "cat": "run", "name": name, "pid": 1, "tid": RUN_TRACK, "ts": ts, "args": args });
        self.push(&event, has_room);
    }

    /// Writes the trace as a JSON document.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(b"{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n")?;
        out.write_all(&self.lines)?;
        let process = format!("{} {}", self.pipeline, self.run);
        writeln!(out, "{},", json!({ "ph": "M", "name": "process_name", "pid": 1, "args": { "name": process } }))?;
        for &worker in &self.workers {
            let (tid, name) = (track(worker), format!("worker {worker}"));
            writeln!(
                out,
                "{},",
                json!({ "ph": "M", "name": "thread_name", "pid": 1, "tid": tid, "args": { "name": name } })
            )?;
            writeln!(
                out,
                "{},",
                json!({ "ph": "M", "name": "thread_sort_index", "pid": 1, "tid": tid, "args": { "sort_index": tid } })
            )?;
        }
        let (state, ended_us) =
            self.end.as_ref().map_or(("unfinished", self.started_us), |(state, at)| (state.as_str(), *at));
        let run = json!({
            "ph": "X", "cat": "run", "name": format!("{}: {state}", self.pipeline), "pid": 1, "tid": RUN_TRACK,
            "ts": 0, "dur": ended_us.saturating_sub(self.started_us),
            "args": { "run": self.run, "state": state, "started_us": self.started_us, "events_dropped": self.dropped },
        });
        writeln!(
            out,
            "{},",
            json!({ "ph": "M", "name": "thread_name", "pid": 1, "tid": RUN_TRACK, "args": { "name": "run" } })
        )?;
        writeln!(out, "{run}\n]}}")
    }

    fn push(&mut self, event: &Value, has_room: bool) {
        if has_room {
            // Writing to memory cannot fail.
            let _ = writeln!(self.lines, "{event},");
        } else {
            self.dropped += 1;
        }
    }

    /// Signed, since a clock that was set back must not make a huge number.
    fn since_start(&self, time_us: u64) -> i64 {
        time_us.wrapping_sub(self.started_us) as i64
    }
}

fn track(worker: u32) -> u64 {
    u64::from(worker) + RUN_TRACK + 1
}
