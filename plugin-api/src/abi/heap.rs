//! Output buffers in plain memory, for hosts that share nothing.

use std::{
    alloc::{Layout, alloc_zeroed, dealloc},
    collections::HashMap,
    ptr::NonNull,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{Failure, OutputBuffer, SharedBytes, failure_kind};

/// A table of growable buffers on the heap: the safe way to hand out [`OutputBuffer`]s without shared memory. They
/// are zero at first and aligned to 64 bytes, like blocks.
///
/// Used by [`testing`](crate::testing).
///
/// ```
/// let buffers = plugin_api::abi::HeapBuffers::default();
/// let buffer = buffers.allocate(0, 100).unwrap();
/// let (port, bytes) = buffers.take(buffer.id(), 5).unwrap();
/// assert_eq!((port, bytes.len()), (0, 5));
/// ```
#[derive(Default)]
pub struct HeapBuffers {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next_id: u64,
    buffers: HashMap<u64, (u32, Memory)>,
}

impl HeapBuffers {
    /// A buffer for an output port.
    pub fn allocate(&self, port: u32, capacity: u64) -> Result<OutputBuffer, Failure> {
        let memory = Memory::zeroed(capacity)?;
        let mut state = self.lock();
        let id = state.next_id;
        state.next_id += 1;
        let buffer = memory.hand_out(id);
        state.buffers.insert(id, (port, memory));
        Ok(buffer)
    }

    /// The same buffer with more room.
    pub fn grow(&self, buffer: OutputBuffer, capacity: u64) -> Result<OutputBuffer, Failure> {
        let larger = Memory::zeroed(capacity)?;
        let mut state = self.lock();
        let (_, memory) = state.buffers.get_mut(&buffer.id()).ok_or_else(|| unknown(buffer.id()))?;
        let mut grown = larger.hand_out(buffer.id());
        let written = (*memory).as_ref();
        let kept = written.len().min(grown.capacity());
        grown.as_mut_slice()[..kept].copy_from_slice(&written[..kept]);
        *memory = larger;
        Ok(grown)
    }

    /// Takes a filled buffer out: its port and its first `length` bytes.
    pub fn take(&self, id: u64, length: u64) -> Result<(u32, SharedBytes), Failure> {
        let (port, memory) = self.lock().buffers.remove(&id).ok_or_else(|| unknown(id))?;
        let capacity = memory.layout.size();
        let bytes = SharedBytes::from_owner(Arc::new(memory));
        usize::try_from(length).ok().and_then(|length| bytes.slice(0..length)).map(|bytes| (port, bytes)).ok_or_else(
            || Failure::new(failure_kind::OUTPUT, format!("{length} bytes committed of a buffer of {capacity}")),
        )
    }

    /// Forgets a buffer.
    pub fn discard(&self, id: u64) {
        self.lock().buffers.remove(&id);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Zeroed memory, aligned like a block.
struct Memory {
    pointer: NonNull<u8>,
    layout: Layout,
}

// SAFETY: it owns its bytes; they are written through the one `OutputBuffer` handed out, which ends when the memory is
// taken (`commit` consumes it), and only read after that.
unsafe impl Send for Memory {}
// SAFETY: see `Send`.
unsafe impl Sync for Memory {}

impl Memory {
    fn zeroed(capacity: u64) -> Result<Self, Failure> {
        let no_room = || Failure::new(failure_kind::OUTPUT, format!("no memory for an output of {capacity} bytes"));
        let size = usize::try_from(capacity).map_err(|_| no_room())?.max(1);
        let layout = Layout::from_size_align(size, 64).map_err(|_| no_room())?;
        // SAFETY: the size is not zero.
        let pointer = unsafe { alloc_zeroed(layout) };
        Ok(Memory { pointer: NonNull::new(pointer).ok_or_else(no_room)?, layout })
    }

    fn hand_out(&self, id: u64) -> OutputBuffer {
        // SAFETY: `layout.size()` initialised bytes that stay where they are; each memory is handed out once, and is not
        // touched through `self` until the buffer came back.
        unsafe { OutputBuffer::new(self.pointer.as_ptr(), self.layout.size(), id) }
    }
}

impl AsRef<[u8]> for Memory {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `layout.size()` initialised bytes owned by `self`, which nobody writes any more (see `Send`).
        unsafe { std::slice::from_raw_parts(self.pointer.as_ptr(), self.layout.size()) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: allocated in `zeroed` with this layout, and freed once.
        unsafe { dealloc(self.pointer.as_ptr(), self.layout) };
    }
}

fn unknown(id: u64) -> Failure {
    Failure::new(failure_kind::OUTPUT, format!("output buffer {id} is unknown or was committed before"))
}
