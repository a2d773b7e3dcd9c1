//! A hook that goes on reading what it was shown, beyond its event.

use plugin_api::prelude::*;

use crate::recording::Journal;

/// Keeps every block that a node named `make` made; at the end of each run it writes down how many there are, and how many are not what
/// `faults::big` makes.
pub struct Keeping {
    journal: Journal,
    kept: Vec<Bytes>,
}

/// Keeps blocks.
#[hook]
impl Hook for Keeping {
    fn new(options: HookOptions) -> Result<Self> {
        Ok(Keeping { journal: Journal::open(&options)?, kept: Vec::new() })
    }

    fn after_node_run(&mut self, event: &AfterNodeRun, blocks: &Blocks) -> Result<()> {
        if event.node == "make" {
            self.kept.push(blocks.get("data")?);
        }
        Ok(())
    }

    fn after_pipeline_run(&mut self, _event: &AfterPipelineRun) -> Result<()> {
        let is_whole = |block: &&Bytes| block.iter().enumerate().all(|(index, byte)| *byte == (index % 251) as u8);
        let changed = self.kept.iter().filter(|block| !is_whole(block)).count();
        self.journal.write("Keeping", "after_pipeline_run", &format!("{} kept, {changed} changed", self.kept.len()))
    }
}
