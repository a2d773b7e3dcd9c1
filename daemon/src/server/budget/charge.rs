//! The bytes of one live block.

use std::sync::Arc;

use super::Budget;
use super::words::in_words;

/// Bytes of one live block; dropping it gives them back.
#[derive(Debug)]
pub struct Charge {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Charge {
    /// One of so many bytes, which the budget counts already, as it does the block.
    pub(super) fn counted(budget: &Arc<Budget>, bytes: u64) -> Charge {
        Charge { budget: Arc::clone(budget), bytes }
    }

    /// Takes more bytes for the same block, or says why not.
    pub fn grow(&mut self, bytes: u64) -> Result<(), String> {
        let budget = &self.budget;
        for is_last_try in [false, true] {
            let mut state = budget.lock();
            let wanted = state.used.saturating_add(bytes);
            if wanted <= budget.limit {
                state.used = wanted;
                self.bytes += bytes;
                return Ok(());
            }
            let used = state.used;
            drop(state);
            if is_last_try {
                return Err(format!(
                    "{} more are needed beside the {} that are there; {} of the budget of {} for all datasets are in use ([blocks] memory_budget_bytes)",
                    in_words(bytes),
                    in_words(self.bytes),
                    in_words(used),
                    in_words(budget.limit)
                ));
            }
            budget.reclaim(wanted - budget.limit);
        }
        Ok(())
    }

    /// How many bytes it is.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Gives some of the bytes back.
    pub fn shrink(&mut self, bytes: u64) {
        let back = bytes.min(self.bytes);
        self.bytes -= back;
        self.budget.give_back(back, 0);
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes, 1);
    }
}
