//! The blocks of a run: held while somebody has still to read them, then let go, or left for those who fetch outputs.
#![forbid(unsafe_code)]

use std::sync::{Arc, PoisonError};

use engine::id::{DatasetId, Id as _};

use super::{Held, HeldBlock, Keep, Run};
use crate::block::Block;
use crate::block::layout::Format;
use crate::server::outputs::{Kept, Left, Output, Place};
use crate::server::pool::Errand;
use crate::server::runs::gauge;
use crate::server::uploads::Upload;

impl Run {
    /// The block of a dataset, while it lives.
    pub fn block(&self, dataset: DatasetId) -> Option<Block> {
        self.cell(dataset)?.held.as_ref().map(|held| held.block.clone())
    }

    /// Takes a block into the run's care.
    pub fn hold(&self, dataset: DatasetId, block: Block, keep: Keep) {
        let replaced = self.hold_since(dataset, block, keep, self.unix_us_now(), &mut self.gauge.lock());
        drop(replaced);
    }

    /// The same, at a moment that is known: reading the clock is much of the cost of a small block. Gives what was in its place, which
    /// is to be dropped without locks.
    #[must_use]
    pub(super) fn hold_since(
        &self,
        dataset: DatasetId,
        block: Block,
        keep: Keep,
        since_us: i64,
        gauge: &mut gauge::State,
    ) -> Option<Held> {
        if self.has_uploads {
            self.forget_upload(dataset);
        }
        let mut cell = self.cell(dataset)?;
        cell.bytes = Some(block.payload_length());
        if !block.metadata().is_empty() || cell.more.as_ref().is_some_and(|more| !more.facts.metadata_json.is_empty()) {
            if self.plan.confirmer(dataset).is_some() {
                cell.more().last_partition = last_partition(block.metadata());
            }
            cell.more().facts.metadata_json = self.redactor.redact(block.metadata()).into_owned();
        }
        gauge.add(block.payload_length());
        if let Keep::Small = keep {
            gauge.add_small(&block);
        }
        let replaced = cell.held.replace(Held { block, keep, since_us });
        let_go(replaced.as_ref(), gauge);
        replaced
    }

    /// The bytes that came with the run for a dataset, until it is loaded.
    pub fn upload(&self, dataset: DatasetId) -> Option<Arc<Upload>> {
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner).get(&dataset).cloned()
    }

    fn forget_upload(&self, dataset: DatasetId) {
        let forgotten = self.uploads.lock().unwrap_or_else(PoisonError::into_inner).remove(&dataset);
        drop(forgotten);
    }

    /// Makes blocks of the values that came with the run: to be called once, before it starts.
    pub fn hold_values(&self) -> std::io::Result<()> {
        for (dataset, value) in self.plan.values() {
            let format = if value.is_text { Format::Text } else { Format::Json };
            let block = Block::of_payload(&self.services.accounts, format, "", value.text.clone().into_bytes())?;
            let charge = self.services.budget.charge(block.size());
            self.hold(dataset, block, Keep::Charge(charge));
        }
        Ok(())
    }

    /// Takes note of a dataset that was saved chunk by chunk and never was whole.
    pub fn note_chunks(&self, dataset: DatasetId, chunks: u64, bytes: u64) {
        if let Some(mut cell) = self.cell(dataset) {
            cell.bytes = Some(bytes);
            cell.more().facts.metadata_json = format!("{{\"chunks\":{chunks}}}");
        }
    }

    /// Of an incremental dataset the last partition that the run found.
    pub fn last_partition(&self, dataset: DatasetId) -> Option<String> {
        self.cell(dataset)?.more.as_ref()?.last_partition.clone()
    }

    /// Lets go of a dataset's block; its memory is free when its last reader has closed it.
    pub fn release(self: &Arc<Run>, dataset: DatasetId) {
        let Some(mut cell) = self.cell(dataset) else { return };
        let held = cell.held.take();
        let keepers = cell.more.as_mut().map(|more| std::mem::take(&mut more.keepers)).unwrap_or_default();
        drop(cell);
        let_go(held.as_ref(), &mut self.gauge.lock());
        drop(held);
        for (driver, pid) in keepers {
            self.generation.pool.send(driver, Errand { run: Arc::clone(self), dataset, pid });
        }
    }

    /// Takes a dataset's block out, to be dropped later; says whether that was all there is to do, as nobody is to be told of its
    /// release.
    pub(super) fn take_held(&self, dataset: DatasetId, released: &mut Vec<Held>, gauge: &mut gauge::State) -> bool {
        let Some(mut cell) = self.cell(dataset) else { return false };
        let held = cell.held.take();
        let is_all = cell.more.as_ref().is_none_or(|more| more.keepers.is_empty());
        drop(cell);
        let_go(held.as_ref(), gauge);
        released.extend(held);
        is_all
    }

    /// Remembers that a process loads or saves a dataset whose type wants to be told of its release.
    pub fn note_keeper(&self, dataset: DatasetId, driver: u32, pid: u32) {
        if let Some(mut cell) = self.cell(dataset)
            && !cell.more().keepers.contains(&(driver, pid))
        {
            cell.more().keepers.push((driver, pid));
        }
    }

    /// The blocks that are its own; those of everybody are listed once, elsewhere.
    pub fn held_blocks(&self) -> Vec<HeldBlock> {
        let mut held: Vec<HeldBlock> = (0..self.datasets.len())
            .map(DatasetId::from_index)
            .filter_map(|dataset| {
                let cell = self.cell(dataset)?;
                let Held { block, since_us, .. } =
                    cell.held.as_ref().filter(|held| !matches!(held.keep, Keep::Lease(_)))?;
                Some(HeldBlock { dataset, block: block.clone(), readers: 0, since_us: *since_us })
            })
            .collect();
        // Not under the cells' locks: steps take those under the run's own.
        let state = self.lock();
        for block in &mut held {
            block.readers = u64::from(state.engine.pending_readers(block.dataset));
        }
        held
    }

    /// An output as it stands while the run goes on.
    pub fn output_so_far(&self, id: DatasetId) -> Option<Output> {
        let dataset = self.plan.dataset(id).filter(|dataset| dataset.is_output)?;
        let place = self.block(id).map(|block| Place::Memory(Arc::new(Kept::of_run(block))));
        Some(Output { storage: dataset.storage.cloned().map(Arc::new), place, is_wanted: false })
    }

    /// Whether an output's block stays in memory for those who fetch it: it is saved nowhere, or was asked for.
    pub fn leaves(&self, output: DatasetId) -> bool {
        let is_saved = self.plan.dataset(output).is_some_and(|dataset| dataset.storage.is_some());
        !is_saved || self.wanted_outputs.contains(&output)
    }

    /// Hands what it has made, and nobody in it read, to those who may fetch it.
    pub fn leave_outputs(&self) {
        let outputs = self.plan.datasets().filter(|dataset| dataset.is_output);
        // Before the cells' locks, as everywhere.
        let mut gauge = self.gauge.lock();
        let left = outputs.filter_map(|dataset| {
            let mut cell = self.cell(dataset.id)?;
            let (block, kept) = match cell.held.take() {
                Some(Held { block, keep: Keep::Charge(charge), .. }) => (Some((block, charge)), None),
                Some(Held { block, keep: Keep::Small, .. }) => {
                    gauge.remove_small(&block);
                    let charge = self.services.budget.charge(block.size());
                    (Some((block, charge)), None)
                }
                other => (None, other),
            };
            cell.held = kept;
            Some(Left {
                name: dataset.name.to_owned(),
                storage: dataset.storage.cloned().map(Arc::new),
                block,
                is_saved: cell.more.as_ref().is_some_and(|more| more.facts.save_us.is_some()),
                is_wanted: self.wanted_outputs.contains(&dataset.id),
            })
        });
        let left = left.collect();
        drop(gauge);
        self.services.outputs.keep(&self.id, left);
    }

    /// Lets go of every block.
    pub fn release_all(self: &Arc<Run>) {
        self.gauge.lock().stop();
        (0..self.datasets.len()).map(DatasetId::from_index).for_each(|dataset| self.release(dataset));
        let uploads = std::mem::take(&mut *self.uploads.lock().unwrap_or_else(PoisonError::into_inner));
        drop(uploads);
        let charge = self.lock().small_charge.take();
        drop(charge);
    }

    /// How many of its blocks the daemon's accounts do not count.
    pub fn uncounted_blocks(&self) -> u64 {
        self.gauge.lock().uncounted()
    }

    /// How many blocks of the whole daemon have a descriptor of their own.
    pub fn open_block_files(&self) -> u64 {
        self.services.accounts.usage().files
    }
}

/// Counts a block out that is about to go.
fn let_go(held: Option<&Held>, gauge: &mut gauge::State) {
    if let Some(held) = held {
        gauge.remove(held.block.payload_length());
        if let Keep::Small = held.keep {
            gauge.remove_small(&held.block);
        }
    }
}

/// What a list of partitions says of the last one of them.
fn last_partition(metadata: &str) -> Option<String> {
    let metadata: serde_json::Value = serde_json::from_str(metadata).ok()?;
    metadata.get("last")?.as_str().map(str::to_owned)
}
