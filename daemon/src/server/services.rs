//! What every run and every generation of one daemon shares.
#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::block::Accounts;
use crate::server::budget::Budget;
use crate::server::clock::{Alarm, Clock};
use crate::server::usher::Usher;

/// The shared services.
pub struct Services {
    /// The time.
    pub clock: Clock,
    /// Wakes runs at their deadlines.
    pub alarm: Alarm,
    /// Bytes of blocks.
    pub budget: Arc<Budget>,
    /// Blocks that are alive.
    pub accounts: Arc<Accounts>,
    /// How many blocks may have a descriptor of their own.
    pub block_files_max: u64,
    /// Opens and closes runs.
    pub usher: Usher,
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Services").field("budget", &self.budget.usage()).finish_non_exhaustive()
    }
}
