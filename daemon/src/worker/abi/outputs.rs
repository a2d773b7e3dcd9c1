//! A call's outputs: memory on request, blocks on commit, and the reckoning at the end.
//!
//! A buffer below 4 KiB is on the heap and travels inline; a larger one is the shared memory of the block it will be: of the worker's pool
//! if it stays within its run, a file of its own otherwise. From 1 MiB on the server is asked first. Memory that was handed out stays out of use until the call is over, so a
//! plugin that writes after its commit faults (shared memory) or writes to nobody (heap), and harms no other data.

use std::sync::{Mutex, MutexGuard, PoisonError};

use plugin_api::abi::{Failure, OutputBuffer};

use super::heap::Heap;
use super::made::{Chunk, Committed, CommittedBytes, Made};
use super::{Expected, Setting};
use crate::block::build::{Abandoned, BuildProblem, Builder, Finished, Place};
use crate::block::layout::{Format, INLINE_BELOW};
use crate::block::pool::Part;
use crate::sys::map::Guard;

/// From this size on the server is asked before memory is taken.
const RESERVE_FROM: u64 = 1 << 20;
/// Larger metadata do not travel inline.
const INLINE_METADATA_MAX: usize = 8 * 1024;

/// All of a call's outputs.
pub(super) struct Outputs<'a> {
    expected: Expected<'a>,
    setting: Setting<'a>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last_id: u64,
    buffers: Vec<(u64, Buffer)>,
    committed: Vec<(u32, Committed)>,
    /// Granted to buffers that are no more.
    spare: u64,
    /// Memory that was handed out and must not be used for anything else.
    guards: Vec<Guard>,
    parts: Vec<Part>,
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

impl<'a> Outputs<'a> {
    pub(super) fn new(expected: Expected<'a>, setting: Setting<'a>) -> Outputs<'a> {
        Outputs { expected, setting, state: Mutex::default() }
    }

    pub(super) fn allocate(&self, port: u32, capacity: u64) -> Result<OutputBuffer, Failure> {
        let name = self.expected.name(port).ok_or_else(|| {
            let ports = self.expected.names().collect::<Vec<_>>().join(", ");
            let count = self.expected.count();
            self.expected
                .failure(format_args!("it filled output port number {port}, expected one of {count} ports ({ports})"))
        })?;
        let mut state = self.state();
        if state.is_committed(port) {
            return Err(self.twice(name));
        }
        let (memory, granted) = self.memory(&mut state, port, name, capacity)?;
        state.last_id += 1;
        let id = state.last_id;
        let mut buffer = Buffer { port, memory, granted };
        let handed_out = hand_out(&mut buffer, id);
        state.buffers.push((id, buffer));
        Ok(handed_out)
    }

    pub(super) fn grow(&self, id: u64, capacity: u64) -> Result<OutputBuffer, Failure> {
        let mut state = self.state();
        let Buffer { port, memory, granted } = state.take(id).ok_or_else(|| self.unknown(id))?;
        let name = self.expected.name(port).unwrap_or_default().to_owned();
        let mut buffer = match memory {
            // Room enough already.
            Memory::Heap(mut heap) if capacity < INLINE_BELOW as u64 => {
                heap.extend(usize::try_from(capacity).unwrap_or(Heap::SIZE));
                Buffer { port, memory: Memory::Heap(heap), granted }
            }
            Memory::Heap(heap) => {
                let granted = self.grant(&mut state, &name, granted, capacity)?;
                let builder =
                    self.builder(port, capacity).map_err(|problem| self.no_memory(&name, capacity, &problem))?;
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
        state.buffers.push((id, buffer));
        Ok(handed_out)
    }

    pub(super) fn discard(&self, id: u64) {
        let mut state = self.state();
        if let Some(buffer) = state.take(id) {
            state.retire(buffer);
        }
    }

    pub(super) fn commit(&self, id: u64, length: u64, format: &str, metadata: &str) -> Result<(), Failure> {
        let mut state = self.state();
        let buffer = state.take(id).ok_or_else(|| self.unknown(id))?;
        let port = buffer.port;
        let name = self.expected.name(port).unwrap_or_default();
        if state.is_committed(port) {
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
            CommittedBytes::Inline(payload)
        } else {
            let builder = match buffer.memory {
                Memory::Shared(builder) => builder,
                // Little data under much metadata.
                Memory::Heap(heap) => {
                    let builder =
                        self.builder(port, capacity).map_err(|problem| self.no_memory(name, capacity, &problem))?;
                    builder.write(0, heap.as_slice());
                    state.retired.push(heap);
                    builder
                }
            };
            state.spare = state.spare.saturating_add(buffer.granted.saturating_sub(length));
            let finished = builder
                .finish(length, format, metadata)
                .map_err(|problem| self.expected.failure(format_args!("output port `{name}`: {problem}")))?;
            state.finished(finished)
        };
        state.commit(port, Committed { format, bytes, metadata: metadata.to_owned(), charged });
        Ok(())
    }

    /// Fills a port with bytes of this program.
    pub(super) fn put(&self, port: u32, bytes: &[u8], format: Format, metadata: &str) -> Result<(), Failure> {
        let mut state = self.state();
        let name = self.expected.name(port).unwrap_or("?");
        let (kept, charged) = if bytes.len() < INLINE_BELOW {
            (CommittedBytes::Inline(bytes.to_vec()), 0)
        } else {
            let length = bytes.len() as u64;
            let granted = self.grant(&mut state, name, 0, length)?;
            let builder = self.builder(port, length).map_err(|problem| self.no_memory(name, length, &problem))?;
            builder.write(0, bytes);
            let finished = builder
                .finish(length, format, metadata)
                .map_err(|problem| self.expected.failure(format_args!("output port `{name}`: {problem}")))?;
            (state.finished(finished), granted)
        };
        state.commit(port, Committed { format, bytes: kept, metadata: metadata.to_owned(), charged });
        Ok(())
    }

    /// Takes what was committed to a port that is given in chunks; the port is free for the next one.
    pub(super) fn take(&self, port: u32) -> Result<Chunk, Failure> {
        let name = self.expected.name(port).unwrap_or("?");
        if !self.expected.in_chunks().contains(&port) {
            let text = format_args!("output port `{name}` was given in chunks, and is to be given whole");
            return Err(self.expected.failure(text));
        }
        let mut state = self.state();
        let place = state.committed.iter().position(|(other, _)| *other == port).ok_or_else(|| {
            self.expected.failure(format_args!("a chunk of output port `{name}` was given before it was committed"))
        })?;
        let (_, chunk) = state.committed.remove(place);
        state.forget_old();
        Chunk::of(chunk)
    }

    /// Notes that memory which the server granted for a chunk is free again.
    pub(super) fn give_back(&self, bytes: u64) {
        let mut state = self.state();
        state.spare = state.spare.saturating_add(bytes);
    }

    /// The reckoning: every output that was expected must be there.
    pub(super) fn finish(self) -> Result<Made, Failure> {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        // The call is over: nobody may write there any more.
        let unfinished = state.buffers.into_iter().filter_map(|(_, buffer)| match buffer.memory {
            Memory::Heap(heap) => Some(heap),
            Memory::Shared(_) => None,
        });
        self.setting.spare.give(state.retired.into_iter().chain(unfinished));
        // Each port is committed at most once, so as many as there are ports are all.
        let in_chunks = self.expected.in_chunks();
        if let Some(port) = in_chunks.iter().find(|port| state.committed.iter().any(|(other, _)| other == *port)) {
            let name = self.expected.name(*port).unwrap_or("?");
            let text = format_args!("output port `{name}` was given whole, and is to be given in chunks");
            return Err(self.expected.failure(text));
        }
        if self.expected.wants_all() && state.committed.len() + in_chunks.len() < self.expected.count() {
            let committed =
                |port: u32| in_chunks.contains(&port) || state.committed.iter().any(|(other, _)| *other == port);
            let missing: Vec<_> = (0..)
                .zip(self.expected.names())
                .filter(|(port, _)| !committed(*port))
                .map(|(_, name)| format!("`{name}`"))
                .collect();
            let (expected, got) = (self.expected.count(), state.committed.len());
            return Err(self
                .expected
                .failure(format_args!(
                    "it ended without filling output {}; expected {expected} outputs, got {got}",
                    missing.join(", ")
                ))
                .with_hint(
                    "every output port must be filled, by a value that is returned or by a buffer that is committed",
                ));
        }
        Ok(Made { committed: state.committed, guards: state.guards })
    }

    /// Memory for so many bytes, and what was granted for it.
    fn memory(&self, state: &mut State, port: u32, name: &str, capacity: u64) -> Result<(Memory, u64), Failure> {
        if capacity < INLINE_BELOW as u64 {
            let mut heap = self.setting.spare.take();
            heap.length = 0;
            heap.extend(usize::try_from(capacity).unwrap_or(Heap::SIZE));
            return Ok((Memory::Heap(heap), 0));
        }
        let granted = self.grant(state, name, 0, capacity)?;
        let builder = self.builder(port, capacity).map_err(|problem| self.no_memory(name, capacity, &problem))?;
        Ok((Memory::Shared(builder), granted))
    }

    /// Shared memory: of the pool, but for what is given in chunks, is within another call, or leaves its run.
    fn builder(&self, port: u32, capacity: u64) -> Result<Builder, BuildProblem> {
        let Setting { pool, lasting, is_inner, .. } = self.setting;
        let is_pooled = !lasting.contains(port) && !is_inner && !self.expected.in_chunks().contains(&port);
        Builder::in_pool(pool.filter(|_| is_pooled).cloned(), capacity)
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
            self.setting.reserve.reserve(self.setting.token, missing - from_spare).map_err(|reason| {
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
    fn take(&mut self, id: u64) -> Option<Buffer> {
        let place = self.buffers.iter().position(|(other, _)| *other == id)?;
        Some(self.buffers.swap_remove(place).1)
    }

    /// As many buffers of the past as are kept out of use where there may be any number: a late writer is quick or never.
    const KEPT_MAX: usize = 64;

    /// Lets go of the oldest of what is kept out of use.
    fn forget_old(&mut self) {
        self.guards.drain(..self.guards.len().saturating_sub(State::KEPT_MAX));
        self.retired.drain(..self.retired.len().saturating_sub(State::KEPT_MAX));
    }

    fn commit(&mut self, port: u32, committed: Committed) {
        let place = self.committed.partition_point(|(other, _)| *other < port);
        self.committed.insert(place, (port, committed));
    }

    fn is_committed(&self, port: u32) -> bool {
        self.committed.iter().any(|(other, _)| *other == port)
    }

    /// What a finished block is to its port; what it has left behind is kept out of use.
    fn finished(&mut self, finished: Finished) -> CommittedBytes {
        self.parts.extend(finished.left);
        match finished.place {
            Place::File { file, size, guard } => {
                self.guards.push(guard);
                CommittedBytes::File { file, size }
            }
            Place::Part { part, size } => CommittedBytes::Part { part, size },
        }
    }

    /// Keeps the addresses of a buffer out of use until the call is over; its memory goes, unless it is little.
    fn retire(&mut self, buffer: Buffer) {
        self.spare = self.spare.saturating_add(buffer.granted);
        match buffer.memory {
            Memory::Heap(heap) => self.retired.push(heap),
            Memory::Shared(builder) => {
                let Abandoned { guard, left } = builder.abandon();
                self.guards.extend(guard);
                self.parts.extend(left);
            }
        }
    }
}

impl Buffer {
    fn capacity(&self) -> u64 {
        match &self.memory {
            Memory::Heap(heap) => heap.length as u64,
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
        Memory::Heap(heap) => (heap.as_mut_slice().as_mut_ptr(), heap.length),
        // A mapping of that size exists, so it fits into usize.
        Memory::Shared(builder) => (builder.payload(), usize::try_from(builder.capacity()).unwrap_or(0)),
    };
    // SAFETY: the memory is initialised (zeroes at first) and `capacity` bytes long. This side touches it again only
    // when asked to commit, discard or grow `id`, and moves or reuses it only then; when the call ends, everything is
    // dropped. Growing replaces the buffer that was given out before, which the caller has given back.
    unsafe { OutputBuffer::new(pointer, capacity, id) }
}
