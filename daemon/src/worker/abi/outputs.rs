//! A call's outputs: memory on request, blocks on commit, and the reckoning at the end.
//!
//! A buffer below 4 KiB is on the heap and travels inline; a larger one is the shared memory of the block it will be.
//! From 1 MiB on the server is asked first. Memory that was handed out stays out of use until the call is over, so a
//! plugin that writes after its commit faults (shared memory) or writes to nobody (heap), and harms no other data.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use plugin_api::abi::{Failure, OutputBuffer, failure_kind};

use super::Reserve;
use crate::block::build::{Builder, Finished};
use crate::block::layout::{Format, INLINE_BELOW};
use crate::ipc::message::{BlockClaim, BlockPlace, BlockReference, InputValue};
use crate::sys::map::Guard;

/// From this size on the server is asked before memory is taken.
const RESERVE_FROM: u64 = 1 << 20;
/// Larger metadata do not travel inline.
const INLINE_METADATA_MAX: usize = 8 * 1024;

/// What a call is expected to make.
#[derive(Clone, Debug)]
pub struct Expected {
    of: String,
    ports: Vec<String>,
    all: bool,
    /// Ports that are given chunk by chunk, and left with nothing at the end.
    in_chunks: Vec<u32>,
}

impl Expected {
    /// One output for each of these ports, by `of` (a node `a::b`, say).
    pub fn all_of(of: String, ports: Vec<String>) -> Expected {
        Expected { of, ports, all: true, in_chunks: Vec::new() }
    }

    /// Any of so many ports.
    pub fn any_of(of: String, count: usize) -> Expected {
        let ports = (0..count).map(|index| index.to_string()).collect();
        Expected { of, ports, all: false, in_chunks: Vec::new() }
    }

    /// The same, but these ports are given chunk by chunk.
    #[must_use]
    pub fn with_chunks(mut self, ports: impl IntoIterator<Item = u32>) -> Expected {
        self.in_chunks.extend(ports);
        self
    }

    /// Who makes it.
    pub fn of(&self) -> &str {
        &self.of
    }

    /// How many ports there are.
    pub fn count(&self) -> usize {
        self.ports.len()
    }

    fn name(&self, port: u32) -> Option<&str> {
        self.ports.get(port as usize).map(String::as_str)
    }

    fn failure(&self, text: std::fmt::Arguments<'_>) -> Failure {
        Failure::new(failure_kind::OUTPUT, format!("{}: {text}", self.of))
    }
}

/// What a call has made, ready to be told.
#[derive(Debug, Default)]
pub struct Claims {
    /// One for each output.
    pub claims: Vec<BlockClaim>,
    /// The files they name by index.
    pub files: Vec<OwnedFd>,
    /// To be dropped when the call is over for good.
    pub guards: Vec<Guard>,
}

/// All of a call's outputs.
pub(super) struct Outputs<'a> {
    expected: Expected,
    token: u64,
    reserve: &'a dyn Reserve,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last_id: u64,
    buffers: HashMap<u64, Buffer>,
    committed: BTreeMap<u32, Committed>,
    /// Granted to buffers that are no more.
    spare: u64,
    /// Memory that was handed out and must not be used for anything else.
    guards: Vec<Guard>,
    retired: Vec<Heap>,
}

/// A buffer that a plugin is writing to.
struct Buffer {
    port: u32,
    memory: Memory,
    granted: u64,
}

enum Memory {
    Heap(Heap),
    Shared(Builder),
}

/// A small buffer on the heap, aligned as shared memory is.
struct Heap {
    bytes: Vec<u8>,
    start: usize,
}

impl Heap {
    const SIZE: usize = INLINE_BELOW;
    const ALIGNMENT: usize = 64;

    fn new() -> Heap {
        let bytes = vec![0; Heap::SIZE + Heap::ALIGNMENT];
        let start = bytes.as_ptr().align_offset(Heap::ALIGNMENT).min(Heap::ALIGNMENT);
        Heap { bytes, start }
    }

    fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start..self.start + Heap::SIZE]
    }

    fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + Heap::SIZE]
    }
}

/// An output that nobody can change any more.
struct Committed {
    format: Format,
    bytes: CommittedBytes,
    /// As it was given; a file has it, too.
    metadata: String,
    /// How many of its bytes were granted by the server.
    charged: u64,
}

enum CommittedBytes {
    Inline { payload: Vec<u8>, metadata: String },
    File { file: OwnedFd, size: u64 },
}

/// One of many pieces of an output, taken from its port.
pub struct Chunk(Committed);

impl Chunk {
    /// How many of its bytes were granted by the server.
    pub fn charged(&self) -> u64 {
        self.0.charged
    }

    /// How large it is as a block.
    pub fn size(&self) -> u64 {
        match &self.0.bytes {
            CommittedBytes::Inline { payload, .. } => payload.len() as u64,
            CommittedBytes::File { size, .. } => *size,
        }
    }

    /// What the server is told of it, and the file that the claim names, if it names one.
    pub fn claim(&self, port: u32) -> (BlockClaim, Option<&OwnedFd>) {
        let format = self.0.format.to_string();
        match &self.0.bytes {
            CommittedBytes::Inline { payload, metadata } => {
                let place = BlockPlace::Inline(payload.clone());
                (BlockClaim { port, format, metadata: metadata.clone(), place }, None)
            }
            CommittedBytes::File { file, size } => {
                let place = BlockPlace::Memfd { descriptor: 0, size: *size };
                (BlockClaim { port, format, metadata: String::new(), place }, Some(file))
            }
        }
    }

    /// The chunk as the input of another call, and the file that it names, if it names one.
    pub fn into_input(self) -> (InputValue, Vec<OwnedFd>) {
        let format = self.0.format.to_string();
        let (metadata, place, files) = match self.0.bytes {
            CommittedBytes::Inline { payload, metadata } => (metadata, BlockPlace::Inline(payload), Vec::new()),
            CommittedBytes::File { file, size } => {
                (self.0.metadata, BlockPlace::Memfd { descriptor: 0, size }, vec![file])
            }
        };
        (InputValue::Block(BlockReference { id: 0, format, metadata, place }), files)
    }
}

impl<'a> Outputs<'a> {
    pub(super) fn new(expected: Expected, token: u64, reserve: &'a dyn Reserve) -> Outputs<'a> {
        Outputs { expected, token, reserve, state: Mutex::default() }
    }

    pub(super) fn allocate(&self, port: u32, capacity: u64) -> Result<OutputBuffer, Failure> {
        let name = self.expected.name(port).ok_or_else(|| {
            let ports = self.expected.ports.join(", ");
            let count = self.expected.count();
            self.expected
                .failure(format_args!("it filled output port number {port}, expected one of {count} ports ({ports})"))
        })?;
        let mut state = self.state();
        if state.committed.contains_key(&port) {
            return Err(self.twice(name));
        }
        let (memory, granted) = self.memory(&mut state, name, capacity)?;
        state.last_id += 1;
        let id = state.last_id;
        let mut buffer = Buffer { port, memory, granted };
        let handed_out = hand_out(&mut buffer, id);
        state.buffers.insert(id, buffer);
        Ok(handed_out)
    }

    pub(super) fn grow(&self, id: u64, capacity: u64) -> Result<OutputBuffer, Failure> {
        let mut state = self.state();
        let Buffer { port, memory, granted } = state.buffers.remove(&id).ok_or_else(|| self.unknown(id))?;
        let name = self.expected.name(port).unwrap_or_default().to_owned();
        let mut buffer = match memory {
            // Room enough already.
            Memory::Heap(heap) if capacity < INLINE_BELOW as u64 => {
                Buffer { port, memory: Memory::Heap(heap), granted }
            }
            Memory::Heap(heap) => {
                let granted = self.grant(&mut state, &name, granted, capacity)?;
                let builder = Builder::new(capacity).map_err(|problem| self.no_memory(&name, capacity, &problem))?;
                builder.write(0, heap.as_slice());
                state.retired.push(heap);
                Buffer { port, memory: Memory::Shared(builder), granted }
            }
            Memory::Shared(mut builder) => {
                let granted = self.grant(&mut state, &name, granted, capacity)?;
                builder.grow(capacity).map_err(|problem| self.no_memory(&name, capacity, &problem))?;
                Buffer { port, memory: Memory::Shared(builder), granted }
            }
        };
        let handed_out = hand_out(&mut buffer, id);
        state.buffers.insert(id, buffer);
        Ok(handed_out)
    }

    pub(super) fn discard(&self, id: u64) {
        let mut state = self.state();
        if let Some(buffer) = state.buffers.remove(&id) {
            state.retire(buffer);
        }
    }

    pub(super) fn commit(&self, id: u64, length: u64, format: &str, metadata: &str) -> Result<(), Failure> {
        let mut state = self.state();
        let buffer = state.buffers.remove(&id).ok_or_else(|| self.unknown(id))?;
        let port = buffer.port;
        let name = self.expected.name(port).unwrap_or_default();
        if state.committed.contains_key(&port) {
            state.retire(buffer);
            return Err(self.twice(name));
        }
        let format: Format = match format.parse() {
            Ok(format) => format,
            Err(problem) => {
                state.retire(buffer);
                return Err(self.expected.failure(format_args!("output port `{name}`: {problem}")));
            }
        };
        let capacity = buffer.capacity();
        let charged = buffer.granted.min(length);
        let Some(length_here) = usize::try_from(length).ok().filter(|_| length <= capacity) else {
            state.retire(buffer);
            return Err(self.expected.failure(format_args!(
                "output port `{name}`: {length} bytes were committed of a buffer of {capacity}"
            )));
        };
        let bytes = if length_here < INLINE_BELOW && metadata.len() <= INLINE_METADATA_MAX {
            let payload = buffer.copy(length_here);
            state.retire(buffer);
            CommittedBytes::Inline { payload, metadata: metadata.to_owned() }
        } else {
            let builder = match buffer.memory {
                Memory::Shared(builder) => builder,
                // Little data under much metadata.
                Memory::Heap(heap) => {
                    let builder = Builder::new(capacity).map_err(|problem| self.no_memory(name, capacity, &problem))?;
                    builder.write(0, heap.as_slice());
                    state.retired.push(heap);
                    builder
                }
            };
            state.spare = state.spare.saturating_add(buffer.granted.saturating_sub(length));
            let Finished { file, size, guard } = builder
                .finish(length, format, metadata)
                .map_err(|problem| self.expected.failure(format_args!("output port `{name}`: {problem}")))?;
            state.guards.push(guard);
            CommittedBytes::File { file, size }
        };
        state.committed.insert(port, Committed { format, bytes, metadata: metadata.to_owned(), charged });
        Ok(())
    }

    /// Fills a port with bytes of this program.
    pub(super) fn put(&self, port: u32, bytes: &[u8], format: Format, metadata: &str) -> Result<(), Failure> {
        let mut state = self.state();
        let name = self.expected.name(port).unwrap_or("?");
        let metadata = metadata.to_owned();
        let (kept, charged) = if bytes.len() < INLINE_BELOW {
            (CommittedBytes::Inline { payload: bytes.to_vec(), metadata: metadata.clone() }, 0)
        } else {
            let length = bytes.len() as u64;
            let granted = self.grant(&mut state, name, 0, length)?;
            let builder = Builder::new(length).map_err(|problem| self.no_memory(name, length, &problem))?;
            builder.write(0, bytes);
            let Finished { file, size, guard } = builder
                .finish(length, format, &metadata)
                .map_err(|problem| self.expected.failure(format_args!("output port `{name}`: {problem}")))?;
            state.guards.push(guard);
            (CommittedBytes::File { file, size }, granted)
        };
        state.committed.insert(port, Committed { format, bytes: kept, metadata, charged });
        Ok(())
    }

    /// Takes what was committed to a port that is given in chunks; the port is free for the next one.
    pub(super) fn take(&self, port: u32) -> Result<Chunk, Failure> {
        let name = self.expected.name(port).unwrap_or("?");
        if !self.expected.in_chunks.contains(&port) {
            let text = format_args!("output port `{name}` was given in chunks, and is to be given whole");
            return Err(self.expected.failure(text));
        }
        let mut state = self.state();
        let chunk = state.committed.remove(&port).ok_or_else(|| {
            self.expected.failure(format_args!("a chunk of output port `{name}` was given before it was committed"))
        })?;
        state.forget_old();
        Ok(Chunk(chunk))
    }

    /// Notes that memory which the server granted for a chunk is free again.
    pub(super) fn give_back(&self, bytes: u64) {
        let mut state = self.state();
        state.spare = state.spare.saturating_add(bytes);
    }

    /// The reckoning: every output that was expected must be there.
    pub(super) fn finish(self) -> Result<Claims, Failure> {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        if self.expected.all {
            let missing: Vec<_> = (0..)
                .zip(&self.expected.ports)
                .filter(|(port, _)| !state.committed.contains_key(port) && !self.expected.in_chunks.contains(port))
                .map(|(_, name)| format!("`{name}`"))
                .collect();
            if !missing.is_empty() {
                let (expected, got) = (self.expected.count(), state.committed.len());
                return Err(self
                    .expected
                    .failure(format_args!(
                        "it ended without filling output {}; expected {expected} outputs, got {got}",
                        missing.join(", ")
                    ))
                    .with_hint("every output port must be filled, by a value that is returned or by a buffer that is committed"));
            }
        }
        if let Some(port) = self.expected.in_chunks.iter().find(|port| state.committed.contains_key(port)) {
            let name = self.expected.name(*port).unwrap_or("?");
            let text = format_args!("output port `{name}` was given whole, and is to be given in chunks");
            return Err(self.expected.failure(text));
        }
        let mut made = Claims { guards: state.guards, ..Claims::default() };
        for (port, Committed { format, bytes, .. }) in state.committed {
            let (metadata, place) = match bytes {
                CommittedBytes::Inline { payload, metadata } => (metadata, BlockPlace::Inline(payload)),
                CommittedBytes::File { file, size } => {
                    made.files.push(file);
                    // There are fewer files than ports, and ports are counted in u32.
                    (String::new(), BlockPlace::Memfd { descriptor: made.files.len() as u32 - 1, size })
                }
            };
            made.claims.push(BlockClaim { port, format: format.to_string(), metadata, place });
        }
        Ok(made)
    }

    /// Memory for so many bytes, and what was granted for it.
    fn memory(&self, state: &mut State, name: &str, capacity: u64) -> Result<(Memory, u64), Failure> {
        if capacity < INLINE_BELOW as u64 {
            return Ok((Memory::Heap(Heap::new()), 0));
        }
        let granted = self.grant(state, name, 0, capacity)?;
        let builder = Builder::new(capacity).map_err(|problem| self.no_memory(name, capacity, &problem))?;
        Ok((Memory::Shared(builder), granted))
    }

    /// Asks for what is missing to `capacity`, unless it is little; the answer is what is granted then.
    fn grant(&self, state: &mut State, name: &str, granted: u64, capacity: u64) -> Result<u64, Failure> {
        if capacity < RESERVE_FROM || capacity <= granted {
            return Ok(granted);
        }
        let missing = capacity - granted;
        let from_spare = missing.min(state.spare);
        state.spare -= from_spare;
        if missing > from_spare {
            self.reserve.reserve(self.token, missing - from_spare).map_err(|reason| {
                self.expected
                    .failure(format_args!("output port `{name}` needs {capacity} bytes of shared memory: {reason}"))
                    .with_hint(
                        "make the output smaller, or raise blocks.memory_budget_bytes in the daemon's configuration",
                    )
            })?;
        }
        Ok(capacity)
    }

    fn no_memory(&self, name: &str, capacity: u64, problem: &dyn std::fmt::Display) -> Failure {
        self.expected
            .failure(format_args!("output port `{name}` needs {capacity} bytes: {problem}"))
            .with_hint("the machine has too little memory left, or this process too many files open")
    }

    fn twice(&self, name: &str) -> Failure {
        self.expected.failure(format_args!("output port `{name}` was filled twice, expected once"))
    }

    fn unknown(&self, id: u64) -> Failure {
        self.expected.failure(format_args!(
            "there is no output buffer number {id}: it was committed or discarded before, or never allocated"
        ))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// As many buffers of the past as are kept out of use where there may be any number: a late writer is quick or never.
    const KEPT_MAX: usize = 64;

    /// Lets go of the oldest of what is kept out of use.
    fn forget_old(&mut self) {
        self.guards.drain(..self.guards.len().saturating_sub(State::KEPT_MAX));
        self.retired.drain(..self.retired.len().saturating_sub(State::KEPT_MAX));
    }

    /// Keeps the addresses of a buffer out of use until the call is over; its memory goes, unless it is little.
    fn retire(&mut self, buffer: Buffer) {
        self.spare = self.spare.saturating_add(buffer.granted);
        match buffer.memory {
            Memory::Heap(heap) => self.retired.push(heap),
            Memory::Shared(builder) => self.guards.extend(builder.abandon()),
        }
    }
}

impl Buffer {
    fn capacity(&self) -> u64 {
        match &self.memory {
            Memory::Heap(_) => Heap::SIZE as u64,
            Memory::Shared(builder) => builder.capacity(),
        }
    }

    /// The first bytes; all there are if there are fewer.
    fn copy(&self, length: usize) -> Vec<u8> {
        match &self.memory {
            Memory::Heap(heap) => heap.as_slice().get(..length).unwrap_or_default().to_vec(),
            Memory::Shared(builder) => builder.read(length),
        }
    }
}

/// The memory of a buffer, for the plugin.
fn hand_out(buffer: &mut Buffer, id: u64) -> OutputBuffer {
    let (pointer, capacity) = match &mut buffer.memory {
        Memory::Heap(heap) => (heap.as_mut_slice().as_mut_ptr(), Heap::SIZE),
        // A mapping of that size exists, so it fits into usize.
        Memory::Shared(builder) => (builder.payload(), usize::try_from(builder.capacity()).unwrap_or(0)),
    };
    // SAFETY: the memory is initialised (zeroes at first) and `capacity` bytes long. This side touches it again only
    // when asked to commit, discard or grow `id`, and moves or reuses it only then; when the call ends, everything is
    // dropped. Growing replaces the buffer that was given out before, which the caller has given back.
    unsafe { OutputBuffer::new(pointer, capacity, id) }
}
