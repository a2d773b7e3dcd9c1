//! An output given piece by piece.

use crate::{
    Error, Result,
    abi::format,
    output::{Output, OutputPort, OutputWriter, Steps},
    value::{Bytes, Text},
};

/// An output given chunk by chunk by an iterator: only one chunk is in the node's own memory at a time.
///
/// Bound to a dataset that the catalog keeps, each chunk is saved as it comes and its memory is free before the iterator is
/// asked for the next, so the whole may be larger than memory. The file takes its place when the node has ended well; a
/// failure on the way leaves the old one. Bound to memory, the chunks become one block. Several such outputs of a node take
/// turns, a chunk each.
///
/// Items are tables, record batches, bytes or text, or results of them; an error among them fails the node.
///
/// ```
/// use plugin_api::prelude::*;
///
/// /// The first numbers, a line each.
/// #[node(outputs = ["lines"])]
/// fn lines(count: i64) -> Chunks<impl Iterator<Item = Text>> {
///     Chunks((0..count).map(|number| Text::from(format!("{number}\n"))))
/// }
/// # let outputs = plugin_api::testing::node::<lines>().input("count", 2_i64).run().unwrap();
/// # assert_eq!(&*outputs.get::<Text>("lines").unwrap(), "0\n1\n");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Chunks<I>(pub I);

impl<I> Output for Chunks<I>
where
    I: IntoIterator,
    I::Item: IntoChunk,
{
    const KIND: &'static str = <<I::Item as IntoChunk>::Chunk as Output>::KIND;
    const CHUNKS: bool = true;

    fn write(self, port: &OutputPort<'_>) -> Result<()> {
        let mut writing = Writing::new(self.0, port.clone());
        while writing.step()? {}
        Ok(())
    }

    fn steps<'a>(self, port: OutputPort<'a>) -> Box<dyn Steps + 'a>
    where
        Self: 'a,
    {
        Box::new(Writing::new(self.0, port))
    }
}

/// Chunks on their way: each saved as it comes, or all gathered in one block.
struct Writing<'a, I: Iterator<Item: IntoChunk>> {
    chunks: I,
    port: OutputPort<'a>,
    gathered: Option<Gathered<'a, I>>,
}

type Gathered<'a, I> = <<<I as Iterator>::Item as IntoChunk>::Chunk as Chunk>::Gathered<'a>;

impl<'a, I: Iterator<Item: IntoChunk>> Writing<'a, I> {
    fn new(chunks: impl IntoIterator<IntoIter = I>, port: OutputPort<'a>) -> Self {
        let gathered = (!port.saves_chunks()).then(Gathered::<I>::default);
        Writing { chunks: chunks.into_iter(), port, gathered }
    }
}

impl<I: Iterator<Item: IntoChunk>> Steps for Writing<'_, I> {
    fn step(&mut self) -> Result<bool> {
        match (self.chunks.next(), &mut self.gathered) {
            (Some(chunk), Some(gathered)) => chunk.into_chunk()?.gather(gathered, &self.port)?,
            (Some(chunk), None) => {
                chunk.into_chunk()?.write(&self.port)?;
                self.port.give_chunk()?;
            }
            (None, gathered) => {
                if let Some(gathered) = gathered.take() {
                    <I::Item as IntoChunk>::Chunk::finish(gathered, &self.port)?;
                }
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// One piece of a [`Chunks`] output.
pub trait Chunk: Output {
    /// What chunks that stay in memory gather in.
    type Gathered<'a>: Default;

    /// Adds the chunk to those before it.
    fn gather<'a>(self, gathered: &mut Self::Gathered<'a>, port: &OutputPort<'a>) -> Result<()>;

    /// Makes what was gathered the output.
    fn finish<'a>(gathered: Self::Gathered<'a>, port: &OutputPort<'a>) -> Result<()>;
}

/// A [`Chunk`] or a result of one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a chunk of an output",
    label = "not a chunk type",
    note = "chunks are: Table, RecordBatch, Bytes, Text, or results of them"
)]
pub trait IntoChunk {
    /// The chunk.
    type Chunk: Chunk;

    /// The chunk, or why there is none.
    fn into_chunk(self) -> Result<Self::Chunk>;
}

impl<T: Chunk> IntoChunk for T {
    type Chunk = T;

    fn into_chunk(self) -> Result<T> {
        Ok(self)
    }
}

impl<T: Chunk, E: Into<Error>> IntoChunk for std::result::Result<T, E> {
    type Chunk = T;

    fn into_chunk(self) -> Result<T> {
        self.map_err(Into::into)
    }
}

impl Chunk for Bytes {
    type Gathered<'a> = Option<OutputWriter<'a>>;

    fn gather<'a>(self, gathered: &mut Self::Gathered<'a>, port: &OutputPort<'a>) -> Result<()> {
        gather_bytes(&self, gathered, port)
    }

    fn finish<'a>(gathered: Self::Gathered<'a>, port: &OutputPort<'a>) -> Result<()> {
        finish_bytes(gathered, port, format::BYTES)
    }
}

impl Chunk for Text {
    type Gathered<'a> = Option<OutputWriter<'a>>;

    fn gather<'a>(self, gathered: &mut Self::Gathered<'a>, port: &OutputPort<'a>) -> Result<()> {
        gather_bytes(self.as_bytes(), gathered, port)
    }

    fn finish<'a>(gathered: Self::Gathered<'a>, port: &OutputPort<'a>) -> Result<()> {
        finish_bytes(gathered, port, format::TEXT)
    }
}

fn gather_bytes<'a>(bytes: &[u8], gathered: &mut Option<OutputWriter<'a>>, port: &OutputPort<'a>) -> Result<()> {
    let writer = match gathered {
        Some(writer) => writer,
        none => none.insert(port.writer(1 << 16)?),
    };
    std::io::Write::write_all(writer, bytes).map_err(Error::from)
}

fn finish_bytes<'a>(gathered: Option<OutputWriter<'a>>, port: &OutputPort<'a>, format: &str) -> Result<()> {
    gathered.map_or_else(|| port.writer(0), Ok)?.finish(format, "")
}

#[cfg(feature = "arrow")]
mod tables {
    use arrow_array::RecordBatch;

    use super::Chunk;
    use crate::{
        Error, Result,
        output::OutputPort,
        table::{Table, TableWriter},
    };

    impl Chunk for Table {
        /// Nothing until the first chunk, which knows the columns.
        type Gathered<'a> = Option<TableWriter<'a>>;

        fn gather<'a>(self, gathered: &mut Self::Gathered<'a>, port: &OutputPort<'a>) -> Result<()> {
            let writer = match gathered {
                Some(writer) => writer,
                none => none.insert(TableWriter::new(self.schema().clone(), port)?),
            };
            self.batches().iter().try_for_each(|batch| writer.write(batch))
        }

        fn finish<'a>(gathered: Self::Gathered<'a>, _port: &OutputPort<'a>) -> Result<()> {
            gathered.ok_or_else(no_chunks)?.finish()
        }
    }

    impl Chunk for RecordBatch {
        type Gathered<'a> = Option<TableWriter<'a>>;

        fn gather<'a>(self, gathered: &mut Self::Gathered<'a>, port: &OutputPort<'a>) -> Result<()> {
            Table::from(self).gather(gathered, port)
        }

        fn finish<'a>(gathered: Self::Gathered<'a>, port: &OutputPort<'a>) -> Result<()> {
            Table::finish(gathered, port)
        }
    }

    fn no_chunks() -> Error {
        Error::output("the iterator gave no chunk, so the table's columns are unknown")
            .with_hint("give at least one batch; it may have no rows")
    }
}
