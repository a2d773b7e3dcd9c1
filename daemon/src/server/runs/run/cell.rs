//! What a run knows of a dataset.
#![forbid(unsafe_code)]

use engine::id::DatasetId;

use crate::block::Block;
use crate::server::budget::Charge;
use crate::server::convert::DatasetFacts;
use crate::server::residents::Lease;

/// What is known of a dataset, and its block while it lives. Little for most: a run may have a million of them.
#[derive(Default)]
pub(super) struct Cell {
    pub(super) held: Option<Held>,
    /// Size of its block, once it was there.
    pub(super) bytes: Option<u64>,
    pub(super) more: Option<Box<More>>,
}

/// What is known of some datasets.
#[derive(Default)]
pub(super) struct More {
    /// But for the size.
    pub(super) facts: DatasetFacts,
    /// The processes that loaded or saved it and are to be told of its release: driver and process.
    pub(super) keepers: Vec<(u32, u32)>,
    /// Of an incremental dataset the last partition that the run found.
    pub(super) last_partition: Option<String>,
}

pub(super) struct Held {
    pub(super) block: Block,
    pub(super) keep: Keep,
    pub(super) since_us: i64,
}

/// On whose account a block is in memory.
#[derive(Debug)]
pub enum Keep {
    /// The run's own: it goes when the run lets go of it.
    Charge(Charge),
    /// Everybody's: the run is one of its readers.
    Lease(Lease),
    /// The run's own, and small: charged together with its others (`settle`).
    Small,
}

/// A block that a run holds.
#[derive(Debug, Clone)]
pub struct HeldBlock {
    /// Its dataset.
    pub dataset: DatasetId,
    /// The block.
    pub block: Block,
    /// How many of the run's tasks are still to read it.
    pub readers: u64,
    /// Since when.
    pub since_us: i64,
}

impl Cell {
    /// What is told of it.
    pub(super) fn facts(&self) -> DatasetFacts {
        let facts = self.more.as_ref().map(|more| more.facts.clone());
        DatasetFacts { bytes: self.bytes, ..facts.unwrap_or_default() }
    }

    /// The rest of it, to be changed.
    pub(super) fn more(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }
}
