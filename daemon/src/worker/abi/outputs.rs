//! A call's outputs: memory on request, blocks on commit, and the reckoning at the end.
//!
//! A buffer below 4 KiB is on the heap and travels inline; a larger one is the shared memory of the block it will be: of the worker's pool
//! if it stays within its run, a file of its own otherwise. From 1 MiB on the server is asked first. Memory that was handed out stays out of
//! use until the call is over, so a plugin that writes after its commit faults (shared memory) or writes to nobody (heap), and harms no other
//! data. Small heap buffers serve the next call, filled with zeroes.

use std::sync::{Mutex, MutexGuard, PoisonError};

use plugin_api::abi::{Failure, OutputBuffer};

use super::buffers::{Buffer, Buffers, Memory};
use super::heap::Heap;
use super::made::{Chunk, Committed, CommittedBytes, Made};
use super::{Expected, Setting};
use crate::block::build::{BuildProblem, Builder};
use crate::block::layout::{Format, INLINE_BELOW};

/// From this size on the server is asked before memory is taken.
const RESERVE_FROM: u64 = 1 << 20;
/// Larger metadata do not travel inline.
const INLINE_METADATA_MAX: usize = 8 * 1024;

/// All of a call's outputs.
pub(super) struct Outputs<'a> {
    expected: Expected<'a>,
    setting: &'a Setting<'a>,
    buffers: Mutex<Box<Buffers>>,
}

impl<'a> Outputs<'a> {
    pub(super) fn new(expected: Expected<'a>, setting: &'a Setting<'a>) -> Outputs<'a> {
        Outputs { expected, setting, buffers: Mutex::new(setting.spare.take()) }
    }

    pub(super) fn allocate(&self, port: u32, capacity: u64) -> Result<OutputBuffer, Failure> {
        let name = self.expected.name(port).ok_or_else(|| {
            let ports = self.expected.names().collect::<Vec<_>>().join(", ");
            let count = self.expected.count();
            self.expected
                .failure(format_args!("it filled output port number {port}, expected one of {count} ports ({ports})"))
        })?;
        let mut buffers = self.buffers();
        if buffers.is_committed(port) {
            return Err(self.twice(name));
        }
        let (memory, granted) = self.memory(&mut buffers, port, name, capacity)?;
        Ok(buffers.hand_out(Buffer { port, memory, granted }))
    }

    pub(super) fn grow(&self, id: u64, capacity: u64) -> Result<OutputBuffer, Failure> {
        let mut buffers = self.buffers();
        let Buffer { port, memory, granted } = buffers.take(id).ok_or_else(|| self.unknown(id))?;
        let name = self.expected.name(port).unwrap_or_default().to_owned();
        let buffer = match memory {
            // Room enough already.
            Memory::Heap(mut heap) if capacity < INLINE_BELOW as u64 => {
                heap.extend(usize::try_from(capacity).unwrap_or(Heap::SIZE));
                Buffer { port, memory: Memory::Heap(heap), granted }
            }
            Memory::Heap(heap) => {
                let granted = self.grant(&mut buffers, &name, granted, capacity)?;
                let builder =
                    self.builder(port, capacity).map_err(|problem| self.no_memory(&name, capacity, &problem))?;
                builder.write(0, heap.as_slice());
                buffers.keep_out_of_use(heap);
                Buffer { port, memory: Memory::Shared(builder), granted }
            }
            Memory::Shared(mut builder) => {
                let granted = self.grant(&mut buffers, &name, granted, capacity)?;
                builder.grow(capacity).map_err(|problem| self.no_memory(&name, capacity, &problem))?;
                Buffer { port, memory: Memory::Shared(builder), granted }
            }
        };
        Ok(buffers.hand_out_again(id, buffer))
    }

    pub(super) fn discard(&self, id: u64) {
        let mut buffers = self.buffers();
        if let Some(buffer) = buffers.take(id) {
            buffers.retire(buffer);
        }
    }

    pub(super) fn commit(&self, id: u64, length: u64, format: &str, metadata: &str) -> Result<(), Failure> {
        let mut buffers = self.buffers();
        let buffer = buffers.take(id).ok_or_else(|| self.unknown(id))?;
        let port = buffer.port;
        let name = self.expected.name(port).unwrap_or_default();
        if buffers.is_committed(port) {
            buffers.retire(buffer);
            return Err(self.twice(name));
        }
        let format: Format = match format.parse() {
            Ok(format) => format,
            Err(problem) => {
                buffers.retire(buffer);
                return Err(self.expected.failure(format_args!("output port `{name}`: {problem}")));
            }
        };
        let capacity = buffer.capacity();
        let charged = buffer.granted.min(length);
        let Some(length_here) = usize::try_from(length).ok().filter(|_| length <= capacity) else {
            buffers.retire(buffer);
            return Err(self.expected.failure(format_args!(
                "output port `{name}`: {length} bytes were committed of a buffer of {capacity}"
            )));
        };
        let bytes = if length_here < INLINE_BELOW && metadata.len() <= INLINE_METADATA_MAX {
            let payload = buffer.copy(length_here);
            buffers.retire(buffer);
            CommittedBytes::Inline(payload)
        } else {
            let builder = match buffer.memory {
                Memory::Shared(builder) => builder,
                // Little data under much metadata.
                Memory::Heap(heap) => {
                    let builder =
                        self.builder(port, capacity).map_err(|problem| self.no_memory(name, capacity, &problem))?;
                    builder.write(0, heap.as_slice());
                    buffers.keep_out_of_use(heap);
                    builder
                }
            };
            buffers.granted = buffers.granted.saturating_add(buffer.granted.saturating_sub(length));
            let finished = builder
                .finish(length, format, metadata)
                .map_err(|problem| self.expected.failure(format_args!("output port `{name}`: {problem}")))?;
            buffers.finished(finished)
        };
        buffers.commit(port, Committed { format, bytes, metadata: metadata.to_owned(), charged });
        Ok(())
    }

    /// Fills a port with bytes of this program.
    pub(super) fn put(&self, port: u32, bytes: &[u8], format: Format, metadata: &str) -> Result<(), Failure> {
        let mut buffers = self.buffers();
        let name = self.expected.name(port).unwrap_or("?");
        let (kept, charged) = if bytes.len() < INLINE_BELOW {
            (CommittedBytes::Inline(bytes.to_vec()), 0)
        } else {
            let length = bytes.len() as u64;
            let granted = self.grant(&mut buffers, name, 0, length)?;
            let builder = self.builder(port, length).map_err(|problem| self.no_memory(name, length, &problem))?;
            builder.write(0, bytes);
            let finished = builder
                .finish(length, format, metadata)
                .map_err(|problem| self.expected.failure(format_args!("output port `{name}`: {problem}")))?;
            (buffers.finished(finished), granted)
        };
        buffers.commit(port, Committed { format, bytes: kept, metadata: metadata.to_owned(), charged });
        Ok(())
    }

    /// Takes what was committed to a port that is given in chunks; the port is free for the next one.
    pub(super) fn take(&self, port: u32) -> Result<Chunk, Failure> {
        let name = self.expected.name(port).unwrap_or("?");
        if !self.expected.in_chunks().contains(&port) {
            let text = format_args!("output port `{name}` was given in chunks, and is to be given whole");
            return Err(self.expected.failure(text));
        }
        let mut buffers = self.buffers();
        let place = buffers.committed.iter().position(|(other, _)| *other == port).ok_or_else(|| {
            self.expected.failure(format_args!("a chunk of output port `{name}` was given before it was committed"))
        })?;
        let (_, chunk) = buffers.committed.remove(place);
        buffers.forget_old();
        Chunk::of(chunk)
    }

    /// Notes that memory which the server granted for a chunk is free again.
    pub(super) fn give_back(&self, bytes: u64) {
        let mut buffers = self.buffers();
        buffers.granted = buffers.granted.saturating_add(bytes);
    }

    /// The reckoning: every output that was expected must be there.
    pub(super) fn finish(self) -> Result<Made, Failure> {
        let mut buffers = self.buffers.into_inner().unwrap_or_else(PoisonError::into_inner);
        buffers.end();
        // Each port is committed at most once, so as many as there are ports are all.
        let in_chunks = self.expected.in_chunks();
        if let Some(port) = in_chunks.iter().find(|port| buffers.committed.iter().any(|(other, _)| other == *port)) {
            let name = self.expected.name(*port).unwrap_or("?");
            let text = format_args!("output port `{name}` was given whole, and is to be given in chunks");
            return Err(self.expected.failure(text));
        }
        if self.expected.wants_all() && buffers.committed.len() + in_chunks.len() < self.expected.count() {
            let committed =
                |port: u32| in_chunks.contains(&port) || buffers.committed.iter().any(|(other, _)| *other == port);
            let missing: Vec<_> = (0..)
                .zip(self.expected.names())
                .filter(|(port, _)| !committed(*port))
                .map(|(_, name)| format!("`{name}`"))
                .collect();
            let (expected, got) = (self.expected.count(), buffers.committed.len());
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
        Ok(Made(buffers))
    }

    /// Memory for so many bytes, and what was granted for it.
    fn memory(&self, buffers: &mut Buffers, port: u32, name: &str, capacity: u64) -> Result<(Memory, u64), Failure> {
        if capacity < INLINE_BELOW as u64 {
            return Ok((Memory::Heap(buffers.heap(usize::try_from(capacity).unwrap_or(Heap::SIZE))), 0));
        }
        let granted = self.grant(buffers, name, 0, capacity)?;
        let builder = self.builder(port, capacity).map_err(|problem| self.no_memory(name, capacity, &problem))?;
        Ok((Memory::Shared(builder), granted))
    }

    /// Shared memory: of the pool, but for what is given in chunks, is within another call, or leaves its run.
    fn builder(&self, port: u32, capacity: u64) -> Result<Builder, BuildProblem> {
        let &Setting { pool, lasting, is_inner, .. } = self.setting;
        let is_pooled = !lasting.contains(port) && !is_inner && !self.expected.in_chunks().contains(&port);
        Builder::in_pool(pool.filter(|_| is_pooled).cloned(), capacity)
    }

    /// Asks for what is missing to `capacity`, unless it is little; the answer is what is granted then.
    fn grant(&self, buffers: &mut Buffers, name: &str, granted: u64, capacity: u64) -> Result<u64, Failure> {
        if capacity < RESERVE_FROM || capacity <= granted {
            return Ok(granted);
        }
        let missing = capacity - granted;
        let from_spare = missing.min(buffers.granted);
        buffers.granted -= from_spare;
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

    fn buffers(&self) -> MutexGuard<'_, Box<Buffers>> {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
