//! Hooks that write down what they hear, a line an event: their own name, the event's, and what it is about.
//!
//! Without the option `file` they hear and say nothing.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;

use plugin_api::prelude::*;

#[derive(Deserialize)]
#[serde(crate = "plugin_api::serde", deny_unknown_fields)]
struct Options {
    file: Option<PathBuf>,
}

/// The file to write to, and the number of events so far: the state that a hook keeps.
pub struct Journal {
    file: Option<File>,
    heard: u64,
}

impl Journal {
    /// One as the options say.
    pub fn open(options: &HookOptions) -> Result<Self> {
        let options: Options = options.parse()?;
        Journal::at(options.file)
    }

    /// One in this file, if any.
    pub fn at(file: Option<PathBuf>) -> Result<Self> {
        let open = |path| File::options().append(true).create(true).open(path);
        Ok(Self { file: file.map(open).transpose()?, heard: 0 })
    }

    /// Writes a line.
    pub fn write(&mut self, hook: &str, event: &str, about: &str) -> Result<()> {
        self.heard += 1;
        if let Some(file) = &mut self.file {
            // One write, so that lines of two hooks never mix.
            file.write_all(format!("{hook} {} {event} {about}\n", self.heard).as_bytes())?;
        }
        Ok(())
    }
}

/// Hears every event of a run.
pub struct Recorder(Journal);

/// Writes down every event of a run.
#[hook]
impl Hook for Recorder {
    fn new(options: HookOptions) -> Result<Self> {
        Ok(Recorder(Journal::open(&options)?))
    }

    fn after_catalog_created(&mut self, event: &AfterCatalogCreated) -> Result<()> {
        let names: Vec<&str> = event.datasets.iter().map(|dataset| dataset.name.as_str()).collect();
        self.0.write("Recorder", "after_catalog_created", &names.join(","))
    }

    fn before_pipeline_run(&mut self, event: &BeforePipelineRun) -> Result<()> {
        self.0.write("Recorder", "before_pipeline_run", &event.pipeline)
    }

    fn after_pipeline_run(&mut self, event: &AfterPipelineRun) -> Result<()> {
        self.0.write("Recorder", "after_pipeline_run", &event.state)
    }

    fn on_pipeline_error(&mut self, event: &OnPipelineError) -> Result<()> {
        self.0.write("Recorder", "on_pipeline_error", &event.pipeline)
    }

    fn before_node_run(&mut self, event: &BeforeNodeRun, _inputs: &NodeInputs) -> Result<()> {
        self.0.write("Recorder", "before_node_run", &event.node)
    }

    fn after_node_run(&mut self, event: &AfterNodeRun, _blocks: &Blocks) -> Result<()> {
        self.0.write("Recorder", "after_node_run", &event.node)
    }

    fn on_node_error(&mut self, event: &OnNodeError, _blocks: &Blocks) -> Result<()> {
        self.0.write("Recorder", "on_node_error", &event.node)
    }

    fn before_dataset_loaded(&mut self, event: &BeforeDatasetLoaded) -> Result<()> {
        self.0.write("Recorder", "before_dataset_loaded", &event.dataset)
    }

    fn after_dataset_loaded(&mut self, event: &AfterDatasetLoaded, _blocks: &Blocks) -> Result<()> {
        self.0.write("Recorder", "after_dataset_loaded", &event.dataset)
    }

    fn before_dataset_saved(&mut self, event: &BeforeDatasetSaved, _blocks: &Blocks) -> Result<()> {
        self.0.write("Recorder", "before_dataset_saved", &event.dataset)
    }

    fn after_dataset_saved(&mut self, event: &AfterDatasetSaved, _blocks: &Blocks) -> Result<()> {
        self.0.write("Recorder", "after_dataset_saved", &event.dataset)
    }

    fn on_dataset_error(&mut self, event: &OnDatasetError) -> Result<()> {
        self.0.write("Recorder", "on_dataset_error", &event.dataset)
    }
}

/// Hears the ends of nodes, before or after [`Recorder`], as the configuration says.
pub struct Eager(Journal);

/// Writes down the ends of nodes.
#[hook]
impl Hook for Eager {
    fn new(options: HookOptions) -> Result<Self> {
        Ok(Eager(Journal::open(&options)?))
    }

    fn after_node_run(&mut self, event: &AfterNodeRun, _blocks: &Blocks) -> Result<()> {
        self.0.write("Eager", "after_node_run", &event.node)
    }
}

/// Registers itself.
pub struct Uninvited(Journal);

/// Is there without having been asked for.
#[hook]
impl Hook for Uninvited {
    const SELF_REGISTERING: bool = true;

    fn new(options: HookOptions) -> Result<Self> {
        Ok(Uninvited(Journal::open(&options)?))
    }

    fn after_node_run(&mut self, event: &AfterNodeRun, _blocks: &Blocks) -> Result<()> {
        self.0.write("Uninvited", "after_node_run", &event.node)
    }
}

/// Hears of runs and of nothing that happens in them.
pub struct Distant(Journal);

/// Writes down the beginnings and ends of runs.
#[hook]
impl Hook for Distant {
    fn new(options: HookOptions) -> Result<Self> {
        Ok(Distant(Journal::open(&options)?))
    }

    fn before_pipeline_run(&mut self, event: &BeforePipelineRun) -> Result<()> {
        self.0.write("Distant", "before_pipeline_run", &event.pipeline)
    }

    fn after_pipeline_run(&mut self, event: &AfterPipelineRun) -> Result<()> {
        self.0.write("Distant", "after_pipeline_run", &event.state)
    }
}
