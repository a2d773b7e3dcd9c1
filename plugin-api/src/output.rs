//! Writing an output: a port, and a writer over the host's memory that grows as needed.

use std::{io, marker::PhantomData};

use crate::{
    Error, Result,
    abi::{self, Call, format},
    array::{Array, Number},
    context::Context,
    value::{Bytes, Text},
};

/// A type that a node may return, or that a dataset type may give.
///
/// Implemented by the port types; a plugin may implement it for its own types by writing them as one of these.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an output of a node",
    label = "not an output type",
    note = "output types are: Table, Vec<RecordBatch>, Bytes, Text, Json<T>, Array<T>, f64, i64, bool, String, Chunks<iterator>, Written<T>; several as a tuple, any of it in a Result",
    note = "a serde type becomes one as `Json<T>`"
)]
pub trait Output {
    /// The kind of the port (`table`, `json`, …).
    const KIND: &'static str;
    /// Whether the value comes in chunks, which a dataset type can save as they come.
    const CHUNKS: bool = false;

    /// Writes the value as the output `port`.
    fn write(self, port: &OutputPort<'_>) -> Result<()>;

    /// Writes the value step by step, so that several outputs can take turns. What is whole takes one step.
    fn steps<'a>(self, port: OutputPort<'a>) -> Box<dyn Steps + 'a>
    where
        Self: Sized + 'a,
    {
        Box::new(OneStep { value: Some(self), port })
    }
}

/// An output that is being written, step by step.
pub trait Steps {
    /// Takes the next step; says whether there are more.
    fn step(&mut self) -> Result<bool>;
}

struct OneStep<'a, T> {
    value: Option<T>,
    port: OutputPort<'a>,
}

impl<T: Output> Steps for OneStep<'_, T> {
    fn step(&mut self) -> Result<bool> {
        self.value.take().map_or(Ok(()), |value| value.write(&self.port))?;
        Ok(false)
    }
}

/// One output of a call.
#[derive(Clone)]
pub struct OutputPort<'a> {
    context: &'a Context,
    index: u32,
    name: String,
}

impl<'a> OutputPort<'a> {
    pub(crate) fn new(context: &'a Context, index: u32, name: &str) -> Self {
        OutputPort { context, index, name: name.to_owned() }
    }

    /// Whether what is written to it is to be given chunk by chunk, to be saved as it comes: [`OutputPort::give_chunk`].
    pub fn saves_chunks(&self) -> bool {
        self.context.chunked().contains(&self.index)
    }

    /// Has what was written be saved as the next chunk, and frees the port for the one after it. When this returns, the chunk
    /// is saved and its memory free.
    pub fn give_chunk(&self) -> Result<()> {
        self.context.call().give_chunk(self.index, "").map_err(|failure| self.explain(failure))
    }

    /// Its number.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// New memory for it.
    pub fn writer(&self, capacity: usize) -> Result<OutputWriter<'a>> {
        let call = self.context.call();
        let buffer = call.allocate(self.index, capacity as u64).map_err(|failure| self.explain(failure))?;
        Ok(OutputWriter { call, index: self.index, name: self.name.clone(), buffer: Some(buffer), length: 0 })
    }

    /// Writes all of it at once.
    ///
    /// `format` is one of [`abi::format`](crate::abi::format); `metadata` a JSON object or nothing.
    pub fn write(&self, bytes: &[u8], format: &str, metadata: &str) -> Result<()> {
        let mut writer = self.writer(bytes.len())?;
        io::Write::write_all(&mut writer, bytes).map_err(|error| self.explain(error))?;
        writer.finish(format, metadata)
    }

    /// Has what was written be saved as the partition of this name, and frees the port for the next one.
    pub fn give_partition(&self, name: &str) -> Result<()> {
        let given = self.context.call().give_chunk(self.index, name);
        given.map_err(|failure| self.explain(failure).context(format!("giving the partition `{name}`")))
    }

    fn explain(&self, error: impl Into<Error>) -> Error {
        error.into().context(format!("writing the output `{}`", self.name))
    }
}

/// Memory of the host that will be one output's block; an [`io::Write`] that grows as needed.
///
/// Dropped without a `finish`, it gives the memory back. See [`Context::output_buffer`](crate::Context::output_buffer).
pub struct OutputWriter<'a> {
    call: &'a Call<'static>,
    index: u32,
    name: String,
    /// Always there but during `grow`, and after one that failed.
    buffer: Option<abi::OutputBuffer>,
    length: usize,
}

impl OutputWriter<'_> {
    /// How much was written.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The name of the output.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Makes what was written the output, in one of the formats of [`abi::format`](crate::abi::format).
    pub fn finish(mut self, format: &str, metadata: &str) -> Result<()> {
        let buffer = self.buffer.take().ok_or_else(|| Error::output("an earlier attempt to grow it failed"));
        buffer
            .and_then(|buffer| self.call.commit(buffer, self.length as u64, format, metadata).map_err(Error::from))
            .map_err(|error| error.context(format!("writing the output `{}`", self.name)))
    }

    /// Makes what was written the output, as bytes. Gives the value to return for it.
    pub fn finish_bytes(self) -> Result<Written<Bytes>> {
        let written = Written::new(self.index);
        self.finish(format::BYTES, "")?;
        Ok(written)
    }

    /// Makes what was written the output, as text; an error if it is not UTF-8.
    pub fn finish_text(self) -> Result<Written<Text>> {
        std::str::from_utf8(self.written())
            .map_err(|error| Error::output(format!("the output `{}` is not UTF-8", self.name)).because(error))?;
        let written = Written::new(self.index);
        self.finish(format::TEXT, "")?;
        Ok(written)
    }

    /// Makes what was written the output, as numbers of this shape.
    pub(crate) fn finish_array<T: Number>(self, shape: &[usize]) -> Result<Written<Array<T>>> {
        let written = Written::new(self.index);
        self.finish(format::ARRAY, &Array::<T>::metadata(shape))?;
        Ok(written)
    }

    /// What was written so far.
    pub fn written(&self) -> &[u8] {
        self.buffer.as_ref().map_or(&[], |buffer| &buffer.as_slice()[..self.length])
    }

    /// Marks the first `length` bytes as written and gives them to be filled in place; what was never written is zero.
    pub fn fill(&mut self, length: usize) -> Result<&mut [u8]> {
        self.reserve(length)
            .map_err(|error| Error::from(error).context(format!("writing the output `{}`", self.name)))?;
        self.length = length;
        Ok(self.filled_mut())
    }

    pub(crate) fn filled_mut(&mut self) -> &mut [u8] {
        let length = self.length;
        self.buffer.as_mut().map_or(&mut [], |buffer| &mut buffer.as_mut_slice()[..length])
    }

    /// Makes room for `needed` bytes in all.
    fn reserve(&mut self, needed: usize) -> io::Result<()> {
        let capacity = self.buffer.as_ref().map_or(0, abi::OutputBuffer::capacity);
        if needed <= capacity {
            return Ok(());
        }
        let Some(buffer) = self.buffer.take() else {
            return Err(io::Error::other("an earlier attempt to grow it failed"));
        };
        // At least doubled, so that many small writes cost little; what is too much is given back by `commit`.
        let wanted = needed.max(capacity.saturating_mul(2)).max(1024);
        let grown = self.call.grow(buffer, wanted as u64).map_err(io::Error::other)?;
        if grown.capacity() < needed {
            self.call.discard(grown);
            return Err(io::Error::other("the host gave less memory than was asked for"));
        }
        self.buffer = Some(grown);
        Ok(())
    }
}

impl io::Write for OutputWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let end = self.length.checked_add(bytes.len()).ok_or_else(|| io::Error::other("the output is too large"))?;
        self.reserve(end)?;
        if let Some(buffer) = &mut self.buffer {
            buffer.as_mut_slice()[self.length..end].copy_from_slice(bytes);
        }
        self.length = end;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for OutputWriter<'_> {
    fn drop(&mut self) {
        if let Some(buffer) = self.buffer.take() {
            self.call.discard(buffer);
        }
    }
}

/// Evidence that an output was written in place; return it where the output's value would stand.
///
/// See [`Context::output_buffer`](crate::Context::output_buffer).
pub struct Written<T> {
    index: u32,
    kind: PhantomData<T>,
}

impl<T> Written<T> {
    pub(crate) fn new(index: u32) -> Self {
        Written { index, kind: PhantomData }
    }
}

/// What can be written in place, with the kind of port it makes.
#[doc(hidden)]
pub trait WrittenKind {
    const KIND: &'static str;
}

impl WrittenKind for Bytes {
    const KIND: &'static str = "bytes";
}
impl WrittenKind for Text {
    const KIND: &'static str = "text";
}
impl<T: Number> WrittenKind for Array<T> {
    const KIND: &'static str = T::ARRAY_KIND;
}

impl<T: WrittenKind> Output for Written<T> {
    const KIND: &'static str = T::KIND;

    fn write(self, port: &OutputPort<'_>) -> Result<()> {
        if self.index == port.index() {
            return Ok(());
        }
        Err(Error::output(format!("the output `{}` was returned as written, but another one was", port.name()))
            .with_hint("return what was written in the order of `outputs = [...]`"))
    }
}
