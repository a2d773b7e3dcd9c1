//! Memory of one block, in the hands of whoever fills it.

use std::io;
use std::sync::Arc;

use super::state::Use;
use super::{PartClaim, Pool};
use crate::sys::map::Writable;

/// Memory of one block. Dropped before it was claimed, it is free again.
pub struct Part {
    pub(super) pool: Pool,
    pub(super) map: Arc<Writable>,
    pub(super) claim: PartClaim,
    pub(super) offset: usize,
    pub(super) length: usize,
    pub(super) is_claimed: bool,
}

impl Part {
    /// Where it begins.
    pub fn start(&self) -> *mut u8 {
        self.map.start().wrapping_add(self.offset)
    }

    /// How many bytes it has.
    pub fn length(&self) -> u64 {
        self.length as u64
    }

    /// Copies bytes into it; false if they do not fit. It must be writable.
    pub fn write(&self, offset: usize, bytes: &[u8]) -> bool {
        let fits = offset.checked_add(bytes.len()).is_some_and(|end| end <= self.length);
        fits && self.map.write(self.offset + offset, bytes)
    }

    /// Copies bytes out of it; nothing if there are not so many.
    pub fn read(&self, offset: usize, length: usize) -> Option<Vec<u8>> {
        let fits = offset.checked_add(length).is_some_and(|end| end <= self.length);
        fits.then(|| self.map.read(self.offset + offset, length)).flatten()
    }

    /// Lets it be written, or makes whoever writes to it fault.
    pub fn allow_writing(&self, is_allowed: bool) -> io::Result<()> {
        self.map.allow_writing(self.offset, self.length, is_allowed)
    }

    /// What the server is to be told of it.
    pub fn place(&self) -> PartClaim {
        self.claim
    }

    /// The server is told. From now on the part is its, whatever becomes of this.
    pub fn claim(&mut self) {
        if !self.is_claimed {
            self.is_claimed = true;
            self.pool.0.lock().slots[self.claim.slot as usize].state = Use::Claimed;
        }
    }

    /// The segment it lies in.
    pub fn segment(&self) -> u32 {
        self.claim.segment
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.is_claimed {
            // What writes there late faults, until it is somebody else's.
            let _ = self.allow_writing(false);
            let mut state = self.pool.0.lock();
            state.set_free(self.claim.slot);
            let is_dropped = state.drop_unused(self.claim.segment);
            drop(state);
            if is_dropped {
                self.pool.0.tell(&[self.claim.segment]);
            }
        }
    }
}

impl std::fmt::Debug for Part {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Part").field("claim", &self.claim).field("length", &self.length).finish_non_exhaustive()
    }
}
