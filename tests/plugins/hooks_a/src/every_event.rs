//! Hears every event and writes a line of each: the plugin's name, the run, the event's number and name, and what it is about.
//!
//! Without the option `file` it hears and says nothing.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;

use plugin_api::hook::{BlockInfo, FailureInfo};
use plugin_api::prelude::*;

#[derive(Deserialize)]
#[serde(crate = "plugin_api::serde", deny_unknown_fields)]
struct Options {
    file: Option<PathBuf>,
}

/// Hears every event.
pub struct EveryEvent {
    file: Option<File>,
}

impl EveryEvent {
    fn write(&mut self, run: &str, sequence: u64, event: &str, about: &str) -> Result<()> {
        if let Some(file) = &mut self.file {
            let (plugin, run) = (env!("CARGO_PKG_NAME"), if run.is_empty() { "-" } else { run });
            // One write, so that lines of two hooks never mix.
            file.write_all(format!("{plugin} {run} {sequence} {event} {about}\n").as_bytes())?;
        }
        Ok(())
    }
}

fn blocks(side: &str, blocks: &[BlockInfo]) -> String {
    blocks.iter().fold(side.to_owned(), |mut text, block| {
        let _ = write!(text, " {}:{}", block.dataset, block.bytes);
        text
    })
}

/// What a dataset says, if it is a text.
fn text_of(blocks: &Blocks, dataset: &str) -> String {
    blocks.get::<Text>(dataset).map_or_else(|_| "no text".to_owned(), |text| text.to_string())
}

fn kind(failure: &FailureInfo) -> &str {
    failure.kind.as_str().unwrap_or("?")
}

macro_rules! heard {
    ($self:ident, $event:ident, $name:literal, $($about:tt)*) => {
        $self.write(&$event.run, $event.sequence, $name, &format!($($about)*))
    };
}

/// Writes down every event.
#[hook]
impl Hook for EveryEvent {
    const SELF_REGISTERING: bool = crate::SELF_REGISTERING;

    fn new(options: HookOptions) -> Result<Self> {
        let options: Options = options.parse()?;
        let open = |path| File::options().append(true).create(true).open(path);
        Ok(EveryEvent { file: options.file.map(open).transpose()? })
    }

    fn after_generation_loaded(&mut self, event: &AfterGenerationLoaded) -> Result<()> {
        let plugins: Vec<&str> = event.plugins.iter().map(|plugin| plugin.name.as_str()).collect();
        let workers = &event.configuration["workers"]["count"];
        heard!(self, event, "after_generation_loaded", "{} {} workers {workers}", event.generation, plugins.join(","))
    }

    fn after_catalog_created(&mut self, event: &AfterCatalogCreated) -> Result<()> {
        let datasets: Vec<String> =
            event.datasets.iter().map(|dataset| format!("{}:{}", dataset.name, dataset.r#type)).collect();
        heard!(self, event, "after_catalog_created", "{} {}", datasets.join(","), event.parameters)
    }

    fn before_pipeline_run(&mut self, event: &BeforePipelineRun) -> Result<()> {
        let asked = &event.run_params["max_workers"];
        heard!(self, event, "before_pipeline_run", "{} max_workers {asked}", event.nodes.join(","))
    }

    fn after_pipeline_run(&mut self, event: &AfterPipelineRun) -> Result<()> {
        heard!(self, event, "after_pipeline_run", "{} {}", event.state, event.outputs.join(","))
    }

    fn on_pipeline_error(&mut self, event: &OnPipelineError) -> Result<()> {
        heard!(self, event, "on_pipeline_error", "{} {}", event.state, kind(&event.failure))
    }

    fn before_node_run(&mut self, event: &BeforeNodeRun, _inputs: &NodeInputs) -> Result<()> {
        heard!(self, event, "before_node_run", "{} {}", event.node, blocks("in", &event.inputs))
    }

    fn after_node_run(&mut self, event: &AfterNodeRun, _blocks: &Blocks) -> Result<()> {
        let (inputs, outputs) = (blocks("in", &event.inputs), blocks("out", &event.outputs));
        heard!(self, event, "after_node_run", "{} {inputs} {outputs}", event.node)
    }

    fn on_node_error(&mut self, event: &OnNodeError, _blocks: &Blocks) -> Result<()> {
        heard!(self, event, "on_node_error", "{} {} {}", event.node, kind(&event.failure), blocks("in", &event.inputs))
    }

    fn before_dataset_loaded(&mut self, event: &BeforeDatasetLoaded) -> Result<()> {
        heard!(self, event, "before_dataset_loaded", "{} for {}", event.dataset, event.nodes.join(","))
    }

    fn after_dataset_loaded(&mut self, event: &AfterDatasetLoaded, blocks: &Blocks) -> Result<()> {
        let data = text_of(blocks, &event.dataset);
        heard!(self, event, "after_dataset_loaded", "{} for {} {data:?}", event.dataset, event.nodes.join(","))
    }

    fn before_dataset_saved(&mut self, event: &BeforeDatasetSaved, blocks: &Blocks) -> Result<()> {
        let data = text_of(blocks, &event.dataset);
        heard!(self, event, "before_dataset_saved", "{} of {} {data:?}", event.dataset, event.node)
    }

    fn after_dataset_saved(&mut self, event: &AfterDatasetSaved, _blocks: &Blocks) -> Result<()> {
        heard!(self, event, "after_dataset_saved", "{} of {}", event.dataset, event.node)
    }

    fn on_dataset_error(&mut self, event: &OnDatasetError) -> Result<()> {
        heard!(self, event, "on_dataset_error", "{} {} {}", event.dataset, event.operation, kind(&event.failure))
    }
}
