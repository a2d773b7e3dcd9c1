//! Addresses that must not be used again soon.

use std::collections::VecDeque;

use crate::sys::map::Guard;

/// Addresses of blocks that were written lately, kept out of use: a plugin that goes on writing to one, in whatever task,
/// faults instead of changing what is mapped there next. Costs address space and nothing else.
#[derive(Default)]
pub(super) struct Quarantine(VecDeque<Guard>);

impl Quarantine {
    /// A process may have 65,530 mappings; these are few.
    const GUARDS_MAX: usize = 64;

    pub(super) fn take(&mut self, guards: impl Iterator<Item = Guard>) {
        self.0.extend(guards);
        let surplus = self.0.len().saturating_sub(Quarantine::GUARDS_MAX);
        self.0.drain(..surplus);
    }
}
