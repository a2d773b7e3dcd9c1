//! What is kept from one call to the next.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::Made;
use super::buffers::Buffers;

/// The lists and small buffers of earlier calls, and whether a plugin goes on reading what it was given.
#[derive(Default)]
pub struct Spare {
    buffers: Mutex<Option<Box<Buffers>>>,
    kept: AtomicBool,
}

impl Spare {
    /// Memory for a call that is about to begin.
    pub(super) fn take(&self) -> Box<Buffers> {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default()
    }

    /// Takes the memory back of a call whose end was told.
    pub fn give(&self, Made(mut buffers): Made) {
        buffers.clear();
        // Lists of a call with very many outputs are given back to the heap. And one is enough: calls within a call are few, and
        // have more to do.
        if buffers.is_large() {
            return;
        }
        *self.buffers.lock().unwrap_or_else(PoisonError::into_inner) = Some(buffers);
    }

    /// A plugin keeps a view of an input beyond its call.
    pub(super) fn note_kept(&self) {
        self.kept.store(true, Ordering::Relaxed);
    }

    /// Whether one did since this was asked last.
    pub fn takes_kept(&self) -> bool {
        self.kept.load(Ordering::Relaxed) && self.kept.swap(false, Ordering::Relaxed)
    }
}
