//! The host of a call in plain memory.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use crate::abi::{CallHost, Failure, HeapBuffers, InputBlock, OutputBuffer};

/// A [`CallHost`] that keeps everything on the heap.
///
/// ```
/// use plugin_api::{abi::Call, testing::MemoryHost};
/// let host = MemoryHost::new(r#"{"run":"r1"}"#);
/// Call::new(&host).progress(1, 2);
/// assert_eq!(host.progress(), (1, 2));
/// ```
#[derive(Default)]
pub struct MemoryHost {
    argument: String,
    inputs: Vec<Option<InputBlock>>,
    buffers: HeapBuffers,
    outputs: Mutex<BTreeMap<u32, InputBlock>>,
    chunks: Mutex<Vec<(u32, InputBlock)>>,
    partitions: BTreeMap<(String, String), InputBlock>,
    done: AtomicU64,
    total: AtomicU64,
    cancelled: AtomicBool,
}

impl MemoryHost {
    /// A host whose call has this argument.
    pub fn new(argument: impl Into<String>) -> Self {
        MemoryHost { argument: argument.into(), ..MemoryHost::default() }
    }

    /// The same with these inputs, by port.
    #[must_use]
    pub fn with_inputs(mut self, inputs: Vec<Option<InputBlock>>) -> Self {
        self.inputs = inputs;
        self
    }

    /// The same with these partitions to load, by dataset and name.
    #[must_use]
    pub fn with_partitions(mut self, partitions: BTreeMap<(String, String), InputBlock>) -> Self {
        self.partitions = partitions;
        self
    }

    /// Tells the call to stop.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// How far the call said it has come.
    pub fn progress(&self) -> (u64, u64) {
        (self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed))
    }

    /// Takes what was committed to a port.
    pub fn take_output(&self, port: u32) -> Option<InputBlock> {
        self.outputs().remove(&port)
    }

    /// Takes all that was committed, by port.
    pub fn take_outputs(&self) -> BTreeMap<u32, InputBlock> {
        std::mem::take(&mut *self.outputs())
    }

    /// Takes the chunks that were given to be saved as they come, with their ports, in their order.
    pub fn take_chunks(&self) -> Vec<(u32, InputBlock)> {
        std::mem::take(&mut *self.chunks.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn outputs(&self) -> MutexGuard<'_, BTreeMap<u32, InputBlock>> {
        self.outputs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CallHost for MemoryHost {
    fn argument(&self) -> &str {
        &self.argument
    }

    fn input(&self, port: u32) -> Result<Option<InputBlock>, Failure> {
        Ok(self.inputs.get(port as usize).cloned().flatten())
    }

    fn allocate(&self, port: u32, capacity: u64) -> Result<OutputBuffer, Failure> {
        self.buffers.allocate(port, capacity)
    }

    fn grow(&self, buffer: OutputBuffer, capacity: u64) -> Result<OutputBuffer, Failure> {
        self.buffers.grow(buffer, capacity)
    }

    fn discard(&self, id: u64) {
        self.buffers.discard(id);
    }

    fn commit(&self, id: u64, length: u64, format: &str, metadata: &str) -> Result<(), Failure> {
        let (port, bytes) = self.buffers.take(id, length)?;
        self.outputs().insert(port, InputBlock::new(bytes, format, metadata));
        Ok(())
    }

    fn progress(&self, done: u64, total: u64) {
        self.done.store(done, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    fn load_partition(&self, dataset: &str, name: &str) -> Result<InputBlock, Failure> {
        self.partitions.get(&(dataset.to_owned(), name.to_owned())).cloned().ok_or_else(|| {
            Failure::new(crate::abi::failure_kind::INPUT, format!("`{dataset}` has no partition `{name}`"))
        })
    }

    fn give_chunk(&self, port: u32, _name: &str) -> Result<(), Failure> {
        let chunk = self.take_output(port).ok_or_else(|| {
            Failure::new(
                crate::abi::failure_kind::OUTPUT,
                format!("a chunk of port {port} was given before it was committed"),
            )
        })?;
        self.chunks.lock().unwrap_or_else(PoisonError::into_inner).push((port, chunk));
        Ok(())
    }
}
