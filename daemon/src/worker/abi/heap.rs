//! Small output buffers: on the heap, used again from call to call.

use crate::block::layout::INLINE_BELOW;

/// A small buffer on the heap, aligned as shared memory is.
pub(super) struct Heap {
    bytes: Vec<u8>,
    start: usize,
    /// How much of it was handed out; zero when it was.
    pub(super) length: usize,
}

impl Heap {
    pub(super) const SIZE: usize = INLINE_BELOW;
    const ALIGNMENT: usize = 64;
    /// No less is handed out.
    const LEAST: usize = 256;

    pub(super) fn new() -> Heap {
        let bytes = vec![0; Heap::SIZE + Heap::ALIGNMENT];
        let start = bytes.as_ptr().align_offset(Heap::ALIGNMENT).min(Heap::ALIGNMENT);
        Heap { bytes, start, length: 0 }
    }

    /// Makes room for `capacity` bytes; what is new is zero, whatever it held for an earlier call.
    pub(super) fn extend(&mut self, capacity: usize) {
        let length = capacity.max(Heap::LEAST).next_multiple_of(Heap::ALIGNMENT).min(Heap::SIZE);
        if length > self.length {
            self.bytes[self.start + self.length..self.start + length].fill(0);
            self.length = length;
        }
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start..self.start + self.length]
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + self.length]
    }
}
