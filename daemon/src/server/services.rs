//! What every run and every generation of one daemon shares.
#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::block::Accounts;
use crate::server::budget::Budget;
use crate::server::clock::{Alarm, Clock};
use crate::server::outputs::Outputs;
use crate::server::residents::Residents;
use crate::server::spare::SpareMemory;
use crate::server::store::Store;
use crate::server::uploads::Uploads;
use crate::server::usher::Usher;

/// The shared services.
pub struct Services {
    /// The time.
    pub clock: Clock,
    /// Wakes runs at their deadlines.
    pub alarm: Arc<Alarm>,
    /// Bytes of blocks.
    pub budget: Arc<Budget>,
    /// Memory that workers keep for blocks to come.
    pub spare: Arc<SpareMemory>,
    /// Blocks that are alive.
    pub accounts: Arc<Accounts>,
    /// Datasets that stay beyond the runs that read them.
    pub residents: Arc<Residents>,
    /// Bytes that clients sent for runs to come.
    pub uploads: Arc<Uploads>,
    /// What runs that are over have left behind.
    pub outputs: Arc<Outputs>,
    /// How many blocks may have a descriptor of their own.
    pub block_files_max: u64,
    /// Where runs are kept.
    pub store: Arc<Store>,
    /// Opens and closes runs.
    pub usher: Usher,
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Services").field("budget", &self.budget.usage()).finish_non_exhaustive()
    }
}
