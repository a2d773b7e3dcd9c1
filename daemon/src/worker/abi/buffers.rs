//! The memory of one call: buffers that were handed out, what was committed of them, and what stays out of use until the call is over.

use plugin_api::abi::OutputBuffer;

use super::heap::Heap;
use super::made::{Committed, CommittedBytes};
use crate::block::build::{Builder, Finished, Left, Place};
use crate::block::pool::Part;
use crate::sys::map::Guard;

/// All of it. It goes from one call to the next, so that a short one need not ask the heap for every list.
#[derive(Default)]
pub(super) struct Buffers {
    /// Goes on from call to call, as long as this does: who quotes the number of an earlier call's buffer shall not hit another.
    last_id: u64,
    open: Vec<(u64, Buffer)>,
    pub(super) committed: Vec<(u32, Committed)>,
    /// Granted to buffers that are no more.
    pub(super) granted: u64,
    /// Memory that was handed out and must not be used for anything else.
    pub(super) guards: Vec<Guard>,
    parts: Vec<Part>,
    retired: Vec<Heap>,
    /// Of earlier calls, to be handed out again.
    heaps: Vec<Heap>,
}

/// A buffer that a plugin is writing to.
pub(super) struct Buffer {
    pub(super) port: u32,
    pub(super) memory: Memory,
    pub(super) granted: u64,
}

pub(super) enum Memory {
    Heap(Heap),
    Shared(Builder),
}

impl Buffers {
    /// More small buffers than these are given back.
    const HEAPS_MAX: usize = 8;
    /// As many buffers of the past as are kept out of use where there may be any number: a late writer is quick or never. Longer lists are
    /// not kept for the next call.
    const KEPT_MAX: usize = 64;

    /// A small buffer on the heap, of so many bytes.
    pub(super) fn heap(&mut self, capacity: usize) -> Heap {
        let mut heap = self.heaps.pop().unwrap_or_else(Heap::new);
        heap.length = 0;
        heap.extend(capacity);
        heap
    }

    /// Gives a buffer to the plugin.
    pub(super) fn hand_out(&mut self, buffer: Buffer) -> OutputBuffer {
        self.last_id += 1;
        self.hand_out_again(self.last_id, buffer)
    }

    /// Gives a buffer to the plugin that it had before, by the same number.
    pub(super) fn hand_out_again(&mut self, id: u64, mut buffer: Buffer) -> OutputBuffer {
        let handed_out = hand_out(&mut buffer, id);
        self.open.push((id, buffer));
        handed_out
    }

    /// Takes a buffer that was handed out.
    pub(super) fn take(&mut self, id: u64) -> Option<Buffer> {
        let place = self.open.iter().position(|(other, _)| *other == id)?;
        Some(self.open.swap_remove(place).1)
    }

    /// The call is over: nobody may write there any more.
    pub(super) fn end(&mut self) {
        let unfinished = self.open.drain(..).filter_map(|(_, buffer)| match buffer.memory {
            Memory::Heap(heap) => Some(heap),
            Memory::Shared(_) => None,
        });
        let room = Buffers::HEAPS_MAX.saturating_sub(self.heaps.len());
        self.heaps.extend(self.retired.drain(..).chain(unfinished).take(room));
    }

    /// Forgets all that the call has made.
    pub(super) fn clear(&mut self) {
        self.end();
        self.committed.clear();
        self.guards.clear();
        self.parts.clear();
        self.granted = 0;
    }

    /// Whether its lists have room for more than most calls need.
    pub(super) fn is_large(&self) -> bool {
        let of_buffers = self.open.capacity().max(self.committed.capacity()).max(self.retired.capacity());
        of_buffers.max(self.guards.capacity()).max(self.parts.capacity()) > Buffers::KEPT_MAX
    }

    /// Lets go of the oldest of what is kept out of use.
    pub(super) fn forget_old(&mut self) {
        self.guards.drain(..self.guards.len().saturating_sub(Buffers::KEPT_MAX));
        self.retired.drain(..self.retired.len().saturating_sub(Buffers::KEPT_MAX));
    }

    pub(super) fn commit(&mut self, port: u32, committed: Committed) {
        let place = self.committed.partition_point(|(other, _)| *other < port);
        self.committed.insert(place, (port, committed));
    }

    pub(super) fn is_committed(&self, port: u32) -> bool {
        self.committed.iter().any(|(other, _)| *other == port)
    }

    /// What a finished block is to its port; what it has left behind is kept out of use.
    pub(super) fn finished(&mut self, finished: Finished) -> CommittedBytes {
        self.keep(finished.left);
        match finished.place {
            Place::File { file, size } => CommittedBytes::File { file, size },
            Place::Part { part, size } => CommittedBytes::Part { part, size },
        }
    }

    /// Keeps a small buffer out of use until the call is over.
    pub(super) fn keep_out_of_use(&mut self, heap: Heap) {
        self.retired.push(heap);
    }

    /// Keeps the addresses of a buffer out of use until the call is over; its memory goes, unless it is little.
    pub(super) fn retire(&mut self, buffer: Buffer) {
        self.granted = self.granted.saturating_add(buffer.granted);
        match buffer.memory {
            Memory::Heap(heap) => self.retired.push(heap),
            Memory::Shared(builder) => self.keep(builder.abandon()),
        }
    }

    fn keep(&mut self, left: Left) {
        self.guards.extend(left.guards);
        self.parts.extend(left.parts);
    }
}

impl Buffer {
    pub(super) fn capacity(&self) -> u64 {
        match &self.memory {
            Memory::Heap(heap) => heap.length as u64,
            Memory::Shared(builder) => builder.capacity(),
        }
    }

    /// The first bytes; all there are if there are fewer.
    pub(super) fn copy(&self, length: usize) -> Vec<u8> {
        match &self.memory {
            Memory::Heap(heap) => heap.as_slice().get(..length).unwrap_or_default().to_vec(),
            Memory::Shared(builder) => builder.read(length),
        }
    }
}

/// The memory of a buffer, for the plugin.
fn hand_out(buffer: &mut Buffer, id: u64) -> OutputBuffer {
    let (pointer, capacity) = match &mut buffer.memory {
        Memory::Heap(heap) => (heap.as_mut_slice().as_mut_ptr(), heap.length),
        // A mapping of that size exists, so it fits into usize.
        Memory::Shared(builder) => (builder.payload(), usize::try_from(builder.capacity()).unwrap_or(0)),
    };
    // SAFETY: the memory is initialised (zeroes at first) and `capacity` bytes long. This side touches it again only
    // when asked to commit, discard or grow `id`, and moves it only then; it is used for something else, or dropped, when the call
    // has ended. Growing replaces the buffer that was given out before, which the caller has given back.
    unsafe { OutputBuffer::new(pointer, capacity, id) }
}
