//! Which resident datasets there are, and which are on their way.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use super::{Key, Resident};
use crate::server::pool::Job;

/// The table; behind one lock.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// By what they are.
    pub(super) slots: BTreeMap<Key, Slot>,
    /// Those that go with their last reader; for lists.
    pub(super) leaving: Vec<Weak<Resident>>,
}

/// One place of the table.
#[derive(Debug)]
pub(super) enum Slot {
    /// A job loads it; these wait for that.
    Loading(Vec<Job>),
    /// In memory.
    There(Arc<Resident>),
}

impl Table {
    /// Takes one out, to be dropped when the lock has been let go. Whoever reads it keeps it until then.
    pub(super) fn take(&mut self, key: &Key) -> Option<Arc<Resident>> {
        let Some(Slot::There(_)) = self.slots.get(key) else { return None };
        let Some(Slot::There(resident)) = self.slots.remove(key) else { return None };
        self.leaving.retain(|other| other.strong_count() > 0);
        if resident.readers() > 0 {
            self.leaving.push(Arc::downgrade(&resident));
        }
        Some(resident)
    }
}
