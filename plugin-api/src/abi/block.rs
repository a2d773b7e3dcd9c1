//! Blocks as a call sees them: one to read, one to fill.

use abi_stable::{StableAbi, std_types::RString};

use super::SharedBytes;

/// The format tags of blocks.
pub mod format {
    /// An Arrow IPC stream, buffers aligned to 64 bytes.
    pub const ARROW: &str = "arrow";
    /// Bytes without further meaning.
    pub const BYTES: &str = "bytes";
    /// UTF-8 text.
    pub const TEXT: &str = "text";
    /// JSON; also every scalar.
    pub const JSON: &str = "json";
    /// Plain numbers; element type and shape stand in the metadata.
    pub const ARRAY: &str = "array";

    /// The format in which a port of this kind travels; `None` for an unknown kind and for `any`.
    pub fn of_kind(kind: &str) -> Option<&'static str> {
        match kind {
            "table" => Some(ARROW),
            "bytes" => Some(BYTES),
            "text" => Some(TEXT),
            "json" | "number" | "integer" | "boolean" | "string" => Some(JSON),
            _ if kind.starts_with("array<") => Some(ARRAY),
            _ => None,
        }
    }
}

/// One dataset to read: its bytes, what they are, and a little about them.
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct InputBlock {
    /// The payload; usually a mapping of shared memory.
    pub bytes: SharedBytes,
    /// One of [`mod@format`].
    pub format: RString,
    /// A JSON object, or nothing.
    pub metadata: RString,
}

impl InputBlock {
    /// A block from its parts.
    ///
    /// ```
    /// use plugin_api::abi::{InputBlock, format};
    /// let block = InputBlock::new(b"hello".to_vec().into(), format::TEXT, "");
    /// assert_eq!(block.format, "text");
    /// ```
    pub fn new(bytes: SharedBytes, format: &str, metadata: &str) -> Self {
        InputBlock { bytes, format: format.into(), metadata: metadata.into() }
    }
}

/// Memory of the host that a call fills and then commits: writable by the holder of this value only, until it is
/// committed, discarded or grown.
#[repr(C)]
#[derive(StableAbi, Debug)]
pub struct OutputBuffer {
    pointer: *mut u8,
    capacity: usize,
    id: u64,
}

// SAFETY: the constructor's contract says that this value is the only way to the memory, from any thread.
unsafe impl Send for OutputBuffer {}
// SAFETY: a shared reference gives only the capacity, the id and shared bytes.
unsafe impl Sync for OutputBuffer {}

impl OutputBuffer {
    /// A buffer of `capacity` bytes at `pointer`; `id` is how the host knows it again.
    ///
    /// # Safety
    /// `pointer..pointer + capacity` is initialised memory (fresh shared memory is: it is zero), valid for reads and
    /// writes by the holder of this value and by nobody else, until the host is asked to commit, discard or grow `id`
    /// or its call ends. (`pointer` may dangle if `capacity` is 0.)
    pub unsafe fn new(pointer: *mut u8, capacity: usize, id: u64) -> Self {
        OutputBuffer { pointer, capacity, id }
    }

    /// How the host knows this buffer.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// How many bytes fit.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The memory, to read.
    pub(crate) fn as_slice(&self) -> &[u8] {
        if self.capacity == 0 {
            return &[];
        }
        // SAFETY: by the contract of `new`; crate-private because the buffer must not outlive its call, which
        // `output::OutputBuffer` ensures by borrowing it.
        unsafe { std::slice::from_raw_parts(self.pointer, self.capacity) }
    }

    /// The memory, to fill.
    pub(crate) fn as_mut_slice(&mut self) -> &mut [u8] {
        if self.capacity == 0 {
            return &mut [];
        }
        // SAFETY: as `as_slice`, and `&mut self` is the only way to it.
        unsafe { std::slice::from_raw_parts_mut(self.pointer, self.capacity) }
    }
}
