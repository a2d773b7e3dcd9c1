//! A hook that minds one node among many.

use std::path::PathBuf;
use std::time::Duration;

use plugin_api::prelude::*;

use crate::recording::Journal;

/// What it does at that node.
#[derive(Clone, Copy, Deserialize)]
#[serde(crate = "plugin_api::serde", rename_all = "lowercase")]
enum Does {
    /// Fails.
    Refuse,
    /// Takes its process with it.
    Crash,
    /// Never answers.
    Hang,
    /// Waits until the file `until` is there.
    Wait,
    /// Prints a line, and logs one.
    Talk,
}

#[derive(Deserialize)]
#[serde(crate = "plugin_api::serde", deny_unknown_fields)]
struct Options {
    file: Option<PathBuf>,
    /// `before_node_run` or `after_node_run`.
    event: String,
    node: String,
    does: Does,
    until: Option<PathBuf>,
}

/// Writes down the events of nodes, and does something odd at one of them.
pub struct Picky {
    journal: Journal,
    event: String,
    node: String,
    does: Does,
    until: PathBuf,
}

impl Picky {
    fn hear(&mut self, event: &str, node: &str) -> Result<()> {
        self.journal.write("Picky", event, node)?;
        if (event, node) != (self.event.as_str(), self.node.as_str()) {
            return Ok(());
        }
        match self.does {
            Does::Refuse => bail!("{node} is not to its taste"),
            Does::Crash => std::process::abort(),
            Does::Hang => loop {
                std::thread::sleep(Duration::from_millis(50));
            },
            Does::Wait => {
                while !self.until.exists() {
                    std::thread::sleep(Duration::from_millis(2));
                }
                Ok(())
            }
            Does::Talk => {
                println!("it is at {node}");
                info!("it has seen {node}");
                Ok(())
            }
        }
    }
}

/// Minds one node among many.
#[hook]
impl Hook for Picky {
    fn new(options: HookOptions) -> Result<Self> {
        let Options { file, event, node, does, until } = options.parse()?;
        Ok(Picky { journal: Journal::at(file)?, event, node, does, until: until.unwrap_or_default() })
    }

    fn before_node_run(&mut self, event: &BeforeNodeRun, _inputs: &NodeInputs) -> Result<()> {
        self.hear("before_node_run", &event.node)
    }

    fn after_node_run(&mut self, event: &AfterNodeRun, _blocks: &Blocks) -> Result<()> {
        self.hear("after_node_run", &event.node)
    }

    fn on_node_error(&mut self, event: &OnNodeError, _blocks: &Blocks) -> Result<()> {
        self.hear("on_node_error", &event.node)
    }

    fn on_pipeline_error(&mut self, event: &OnPipelineError) -> Result<()> {
        self.hear("on_pipeline_error", &event.state)
    }

    fn after_pipeline_run(&mut self, event: &AfterPipelineRun) -> Result<()> {
        self.hear("after_pipeline_run", &event.state)
    }
}
