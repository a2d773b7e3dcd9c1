//! Holds back what must not come before a run is opened: a cancellation, and the end.
//!
//! A run can be found by its id before it is on disk and the usher has opened it, or been asked to. Were the engine told of a
//! cancellation at once, the run would be closed before it was opened, and its end written before its row. And whoever opens a run
//! still says that it runs when a short one is over already.
#![forbid(unsafe_code)]

use std::sync::{Mutex, PoisonError};

/// Shut at first.
#[derive(Debug, Default)]
pub(super) struct Gate(Mutex<Way>);

#[derive(Debug)]
enum Way {
    Shut(Kept),
    Open,
}

/// What came while it was shut.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Kept {
    /// The reason of the first cancellation.
    pub(super) cancellation: Option<String>,
    /// The run has ended.
    pub(super) end: bool,
}

impl Default for Way {
    fn default() -> Way {
        Way::Shut(Kept::default())
    }
}

impl Gate {
    /// Gives a cancellation back if the run may be told of it now, and keeps it if not.
    pub(super) fn pass(&self, reason: String) -> Option<String> {
        match &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Way::Open => Some(reason),
            Way::Shut(kept) => {
                kept.cancellation.get_or_insert(reason);
                None
            }
        }
    }

    /// Says whether the run, which has ended, may be closed now; if not, whoever opens the gate does it.
    pub(super) fn pass_end(&self) -> bool {
        match &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Way::Open => true,
            Way::Shut(kept) => {
                kept.end = true;
                false
            }
        }
    }

    /// Lets all pass from now on; gives back what was kept.
    pub(super) fn open(&self) -> Kept {
        match std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), Way::Open) {
            Way::Shut(kept) => kept,
            Way::Open => Kept::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Gate, Kept};

    #[test]
    fn a_cancellation_that_comes_early_is_kept_and_told_once() {
        let gate = Gate::default();
        assert_eq!(gate.pass("first".to_owned()), None);
        assert_eq!(gate.pass("second".to_owned()), None);
        assert_eq!(gate.open(), Kept { cancellation: Some("first".to_owned()), end: false });
        assert_eq!(gate.open(), Kept::default());
        assert_eq!(gate.pass("later".to_owned()).as_deref(), Some("later"));
    }

    #[test]
    fn an_end_that_comes_early_is_kept_and_told_once() {
        let gate = Gate::default();
        assert!(!gate.pass_end());
        assert!(gate.open().end);
        assert_eq!(gate.open(), Kept::default());
        assert!(gate.pass_end());
    }
}
