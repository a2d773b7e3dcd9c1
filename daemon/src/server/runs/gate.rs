//! Holds a cancellation back until the run is on disk and the usher has been asked to open it.
//!
//! A run can be found by its id before that. Were the engine told at once, the run would be closed before it was opened, and
//! its end written before its row.
#![forbid(unsafe_code)]

use std::sync::{Mutex, PoisonError};

/// Shut at first.
#[derive(Debug, Default)]
pub(super) struct Gate(Mutex<Way>);

#[derive(Debug)]
enum Way {
    /// With the reason of the first cancellation that came.
    Shut(Option<String>),
    Open,
}

impl Default for Way {
    fn default() -> Way {
        Way::Shut(None)
    }
}

impl Gate {
    /// Gives a cancellation back if the run may be told of it now, and keeps it if not.
    pub(super) fn pass(&self, reason: String) -> Option<String> {
        match &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Way::Open => Some(reason),
            Way::Shut(kept) => {
                kept.get_or_insert(reason);
                None
            }
        }
    }

    /// Lets cancellations pass from now on; gives back the one that was kept.
    pub(super) fn open(&self) -> Option<String> {
        match std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), Way::Open) {
            Way::Shut(kept) => kept,
            Way::Open => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Gate;

    #[test]
    fn a_cancellation_that_comes_early_is_kept_and_told_once() {
        let gate = Gate::default();
        assert_eq!(gate.pass("first".to_owned()), None);
        assert_eq!(gate.pass("second".to_owned()), None);
        assert_eq!(gate.open().as_deref(), Some("first"));
        assert_eq!(gate.open(), None);
        assert_eq!(gate.pass("later".to_owned()).as_deref(), Some("later"));
    }
}
