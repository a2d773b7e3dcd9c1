//! The hook: events in, files out.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use plugin_api::hook::{BlockInfo, FailureInfo};
use plugin_api::prelude::*;
use serde_json::{Value, json};

use crate::recording::{Recording, Span};

/// Runs recorded at a time. A run whose end never comes is pushed out by later ones.
const RUNS_MAX: usize = 64;
/// Memory for the recordings of all runs; what comes beyond is counted but not kept.
const BYTES_MAX: usize = 128 << 20;

/// What the configuration may say.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    /// Where the traces go; without one nothing is recorded.
    directory: PathBuf,
}

/// The hook; its doc comment is on its `impl`.
pub struct ChromeTrace {
    directory: Option<PathBuf>,
    /// The oldest first.
    recordings: VecDeque<Recording>,
}

/// Writes `trace_<run>.json` for each run into `options.directory`: a Chrome trace with one track per worker, to be opened in Perfetto.
#[hook]
impl Hook for ChromeTrace {
    const SELF_REGISTERING: bool = true;

    fn new(options: HookOptions) -> Result<Self> {
        let Options { directory } = options.parse()?;
        let directory = (!directory.as_os_str().is_empty()).then_some(directory);
        if directory.is_none() {
            debug!(
                "no `directory` is set in [hooks.settings.\"trace::ChromeTrace\"] options, so no traces are written"
            );
        }
        Ok(Self { directory, recordings: VecDeque::new() })
    }

    fn before_pipeline_run(&mut self, event: &BeforePipelineRun) -> Result<()> {
        self.recording(&event.run, &event.pipeline, event.time_us);
        Ok(())
    }

    fn after_node_run(&mut self, event: &AfterNodeRun, _blocks: &Blocks) -> Result<()> {
        let span = Span { worker: event.worker, started_us: event.started_us, finished_us: event.finished_us };
        let args = json!({
            "call": format!("{}::{}", event.plugin, event.call),
            "inputs": blocks(&event.inputs),
            "outputs": blocks(&event.outputs),
        });
        self.span(&event.run, &event.pipeline, span, "node", &event.node, args);
        Ok(())
    }

    fn on_node_error(&mut self, event: &OnNodeError, _blocks: &Blocks) -> Result<()> {
        let span = Span { worker: event.worker, started_us: event.started_us, finished_us: event.finished_us };
        let args = json!({ "call": format!("{}::{}", event.plugin, event.call), "failure": failure(&event.failure) });
        self.span(&event.run, &event.pipeline, span, "node failed", &event.node, args);
        Ok(())
    }

    fn after_dataset_loaded(&mut self, event: &AfterDatasetLoaded, _blocks: &Blocks) -> Result<()> {
        let span = Span { worker: event.worker, started_us: event.started_us, finished_us: event.finished_us };
        let args = json!({ "type": event.r#type, "path": event.path, "readers": event.nodes });
        self.span(&event.run, &event.pipeline, span, "load", &format!("load {}", event.dataset), args);
        Ok(())
    }

    fn after_dataset_saved(&mut self, event: &AfterDatasetSaved, _blocks: &Blocks) -> Result<()> {
        let span = Span { worker: event.worker, started_us: event.started_us, finished_us: event.finished_us };
        let args = json!({ "type": event.r#type, "path": event.path, "writer": event.node });
        self.span(&event.run, &event.pipeline, span, "save", &format!("save {}", event.dataset), args);
        Ok(())
    }

    fn on_dataset_error(&mut self, event: &OnDatasetError) -> Result<()> {
        let args = json!({ "type": event.r#type, "path": event.path, "failure": failure(&event.failure) });
        let name = format!("{} {} failed", event.operation, event.dataset);
        let span = Span { worker: event.worker, started_us: event.time_us, finished_us: event.time_us };
        self.span(&event.run, &event.pipeline, span, "dataset failed", &name, args);
        Ok(())
    }

    fn on_pipeline_error(&mut self, event: &OnPipelineError) -> Result<()> {
        let state = if event.state.is_empty() { "failed" } else { &event.state };
        let has_room = self.has_room();
        if let Some(recording) = self.recording(&event.run, &event.pipeline, event.time_us) {
            recording.note(event.time_us, &format!("the run's end: {state}"), &failure(&event.failure), has_room);
            recording.end(state, event.time_us);
        }
        self.finish(&event.run)
    }

    fn after_pipeline_run(&mut self, event: &AfterPipelineRun) -> Result<()> {
        if let Some(recording) =
            self.recording(&event.run, &event.pipeline, event.time_us.saturating_sub(event.duration_us))
        {
            recording.end(&event.state, event.time_us);
        }
        self.finish(&event.run)
    }
}

impl ChromeTrace {
    /// The recording of a run, begun if there is none; `None` if nothing is to be recorded.
    fn recording(&mut self, run: &str, pipeline: &str, time_us: u64) -> Option<&mut Recording> {
        self.directory.as_ref()?;
        let known = self.recordings.iter().position(|recording| recording.run() == run);
        let index = known.unwrap_or_else(|| {
            if self.recordings.len() == RUNS_MAX {
                self.recordings.pop_front();
            }
            self.recordings.push_back(Recording::new(run, pipeline, time_us));
            self.recordings.len() - 1
        });
        self.recordings.get_mut(index)
    }

    fn span(&mut self, run: &str, pipeline: &str, span: Span, category: &str, name: &str, args: Value) {
        let has_room = self.has_room();
        if let Some(recording) = self.recording(run, pipeline, span.started_us) {
            recording.span(span, category, name, &args, has_room);
        }
    }

    /// Whether another event may be kept.
    fn has_room(&self) -> bool {
        self.recordings.iter().map(Recording::bytes).sum::<usize>() < BYTES_MAX
    }

    /// Writes the trace of a run that is over and forgets it.
    fn finish(&mut self, run: &str) -> Result<()> {
        let written = self.write(run);
        self.recordings.retain(|recording| recording.run() != run);
        written
    }

    fn write(&self, run: &str) -> Result<()> {
        let recording = self.recordings.iter().find(|recording| recording.run() == run);
        let (Some(directory), Some(recording)) = (&self.directory, recording) else { return Ok(()) };
        let path = directory.join(format!("trace_{}.json", file_name(run)));
        replace(&path, recording)
            .with_context(|| format!("cannot write the trace `{}`", path.display()))
            .hint("let the daemon write into `directory` of [hooks.settings.\"trace::ChromeTrace\"] options, or set its `on_error = \"ignore\"`")
    }
}

/// Writes beside the file and renames, so that nobody opens half a trace. Not brought to the disk at once, unlike a dataset:
/// a trace that a loss of power takes can be recorded again.
fn replace(path: &Path, recording: &Recording) -> std::io::Result<()> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    let beside = path.with_extension(format!("{}.part", std::process::id()));
    let written = File::create(&beside).and_then(|file| {
        let mut file = BufWriter::new(file);
        recording.write(&mut file)?;
        file.flush()
    });
    let replaced = written.and_then(|()| std::fs::rename(&beside, path));
    if replaced.is_err() {
        // The failure above is what matters; one more while tidying up would only hide it.
        let _ = std::fs::remove_file(&beside);
    }
    replaced
}

/// A run's id as a part of a file name: nothing that would lead elsewhere.
fn file_name(run: &str) -> String {
    let safe =
        |letter: char| if letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.') { letter } else { '_' };
    run.chars().map(safe).take(128).collect()
}

fn blocks(blocks: &[BlockInfo]) -> Value {
    blocks
        .iter()
        .map(|block| {
            let rows = block.metadata.get("rows").map(|rows| format!(", {rows} rows")).unwrap_or_default();
            (block.dataset.clone(), Value::from(format!("{} bytes{rows}", block.bytes)))
        })
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn failure(failure: &FailureInfo) -> Value {
    json!({ "kind": failure.kind, "message": failure.message, "place": failure.place, "causes": failure.causes })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use plugin_api::testing::{self, HookTest};

    use super::*;

    fn hook(directory: &Path) -> HookTest {
        testing::hook::<ChromeTrace>(&json!({ "directory": directory }).to_string()).unwrap()
    }

    fn send(hook: &mut HookTest, event: &str, run: &str, time_us: u64, rest: Value) {
        let mut whole = json!({ "event": event, "run": run, "pipeline": "flights", "time_us": time_us });
        whole.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        hook.send(&whole.to_string()).unwrap();
    }

    fn trace(directory: &Path, run: &str) -> Vec<Value> {
        let text = std::fs::read(directory.join(format!("trace_{run}.json"))).unwrap();
        let trace: Value = serde_json::from_slice(&text).unwrap();
        trace["traceEvents"].as_array().unwrap().clone()
    }

    fn find<'a>(events: &'a [Value], name: &str) -> &'a Value {
        events
            .iter()
            .find(|event| event["name"] == name || event["args"]["name"] == name)
            .unwrap_or_else(|| panic!("{name} in {events:?}"))
    }

    #[test]
    fn records_calls_loads_and_saves_by_worker() {
        let directory = tempfile::tempdir().unwrap();
        let below = directory.path().join("made/on/demand");
        let mut hook = hook(&below);
        assert!(hook.manifest().self_registering);
        send(&mut hook, "before_pipeline_run", "r1", 1000, json!({ "nodes": ["clean"] }));
        send(
            &mut hook,
            "after_dataset_loaded",
            "r1",
            1500,
            json!({ "dataset": "flights", "type": "csv", "worker": 1, "started_us": 1100, "finished_us": 1400 }),
        );
        let outputs =
            json!([{ "port": "clean", "dataset": "clean", "format": "arrow", "bytes": 64, "metadata": { "rows": 3 } }]);
        send(
            &mut hook,
            "after_node_run",
            "r1",
            2100,
            json!({ "node": "clean", "plugin": "flights", "call": "clean_flights", "worker": 0, "started_us": 1500, "finished_us": 2000, "outputs": outputs }),
        );
        send(
            &mut hook,
            "after_dataset_saved",
            "r1",
            2500,
            json!({ "dataset": "clean", "type": "json", "worker": 0, "node": "clean", "started_us": 2000, "finished_us": 2400 }),
        );
        assert!(!below.exists());
        send(&mut hook, "after_pipeline_run", "r1", 3000, json!({ "state": "succeeded", "duration_us": 2000 }));

        let events = trace(&below, "r1");
        let call = find(&events, "clean");
        assert_eq!(
            (&call["ph"], &call["ts"], &call["dur"], &call["tid"]),
            (&json!("X"), &json!(500), &json!(500), &json!(1))
        );
        assert_eq!(call["args"]["outputs"]["clean"], "64 bytes, 3 rows");
        assert_eq!(find(&events, "load flights")["tid"], 2);
        assert_eq!(find(&events, "save clean")["dur"], 400);
        assert_eq!((&find(&events, "worker 1")["ph"], &find(&events, "worker 1")["tid"]), (&json!("M"), &json!(2)));
        assert_eq!(find(&events, "flights: succeeded")["dur"], 2000);
        assert_eq!(std::fs::read_dir(&below).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_run_has_its_trace() {
        let directory = tempfile::tempdir().unwrap();
        let mut hook = hook(directory.path());
        send(&mut hook, "before_pipeline_run", "r2", 1000, json!({}));
        send(
            &mut hook,
            "on_node_error",
            "r2",
            1300,
            json!({ "node": "train", "worker": 0, "started_us": 1100, "finished_us": 1200, "failure": { "kind": "panic", "message": "index out of bounds" } }),
        );
        send(
            &mut hook,
            "on_dataset_error",
            "r2",
            1310,
            json!({ "dataset": "metrics", "operation": "save", "worker": 1, "failure": { "message": "the disk is full" } }),
        );
        let end = json!({ "state": "failed", "failure": { "message": "train failed" } });
        send(&mut hook, "on_pipeline_error", "r2", 1400, end);
        let events = trace(directory.path(), "r2");
        assert_eq!(find(&events, "train")["args"]["failure"]["message"], "index out of bounds");
        assert_eq!(find(&events, "save metrics failed")["tid"], 2);
        assert_eq!(find(&events, "flights: failed")["dur"], 400);
        assert_eq!(find(&events, "the run's end: failed")["args"]["message"], "train failed");
    }

    #[test]
    fn a_cancelled_run_is_not_called_failed() {
        let directory = tempfile::tempdir().unwrap();
        let mut hook = hook(directory.path());
        for (run, end, expected) in [
            ("r1", json!({ "state": "cancelled", "failure": null }), "flights: cancelled"),
            ("r2", json!({ "state": "interrupted", "failure": { "message": "stopped" } }), "flights: interrupted"),
            // From a daemon that does not tell.
            ("r3", json!({}), "flights: failed"),
        ] {
            send(&mut hook, "before_pipeline_run", run, 1000, json!({}));
            send(&mut hook, "on_pipeline_error", run, 1500, end);
            assert_eq!(find(&trace(directory.path(), run), expected)["dur"], 500);
        }
    }

    #[test]
    fn runs_do_not_mix_and_none_is_kept_for_ever() {
        let directory = tempfile::tempdir().unwrap();
        let options = HookOptions::default();
        let mut hook =
            ChromeTrace { directory: Some(directory.path().to_owned()), ..ChromeTrace::new(options).unwrap() };
        for run in 0..RUNS_MAX + 10 {
            let (run, pipeline) = (format!("r{run}"), "flights".to_owned());
            hook.before_pipeline_run(&BeforePipelineRun { run, pipeline, ..BeforePipelineRun::default() }).unwrap();
        }
        assert_eq!(hook.recordings.len(), RUNS_MAX);
        assert_eq!(hook.recordings[0].run(), "r10");
        hook.after_pipeline_run(&AfterPipelineRun { run: "r20".to_owned(), ..AfterPipelineRun::default() }).unwrap();
        assert_eq!(hook.recordings.len(), RUNS_MAX - 1);
        hook.on_pipeline_error(&OnPipelineError { run: "r21".to_owned(), ..OnPipelineError::default() }).unwrap();
        assert_eq!(hook.recordings.len(), RUNS_MAX - 2);
        assert!(directory.path().join("trace_r20.json").exists());
    }

    #[test]
    fn without_room_events_are_counted() {
        let mut recording = Recording::new("r", "p", 0);
        recording.span(Span { worker: 0, started_us: 0, finished_us: 1 }, "node", "n", &Value::Null, false);
        let mut text = Vec::new();
        recording.write(&mut text).unwrap();
        assert!(String::from_utf8(text).unwrap().contains("\"events_dropped\":1"));
    }

    #[test]
    fn writes_nothing_without_a_directory_and_nowhere_else() {
        let mut hook = testing::hook::<ChromeTrace>("{}").unwrap();
        send(&mut hook, "before_pipeline_run", "r", 0, json!({}));
        send(&mut hook, "after_pipeline_run", "r", 1, json!({}));
        assert_eq!(file_name("../../etc/x y"), ".._.._etc_x_y");
        let failure = testing::hook::<ChromeTrace>(r#"{"directory":"/proc/nowhere"}"#)
            .unwrap()
            .send(r#"{"event":"after_pipeline_run","run":"r"}"#)
            .unwrap_err();
        assert!(failure.to_string().contains("/proc/nowhere/trace_r.json"), "{failure}");
        assert!(testing::hook::<ChromeTrace>(r#"{"directroy":"x"}"#).is_err());
    }
}
