//! An output given piece by piece.

use crate::{
    Error, Result,
    abi::format,
    output::{Output, OutputPort},
    value::{Bytes, Text},
};

/// An output given chunk by chunk by an iterator: only one chunk is in the node's own memory at a time.
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
    const KIND: &'static str = <<I::Item as IntoChunk>::Chunk as Chunk>::KIND;

    fn write(self, port: &OutputPort<'_>) -> Result<()> {
        let chunks = self.0.into_iter().map(IntoChunk::into_chunk);
        <I::Item as IntoChunk>::Chunk::write_all(chunks, port)
    }
}

/// One piece of a [`Chunks`] output.
pub trait Chunk: Sized {
    /// The kind of the port that such pieces make together.
    const KIND: &'static str;

    /// Writes all pieces into one block.
    fn write_all(chunks: impl Iterator<Item = Result<Self>>, port: &OutputPort<'_>) -> Result<()>;
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
    const KIND: &'static str = "bytes";

    fn write_all(chunks: impl Iterator<Item = Result<Self>>, port: &OutputPort<'_>) -> Result<()> {
        write_bytes(chunks, port, format::BYTES)
    }
}

impl Chunk for Text {
    const KIND: &'static str = "text";

    fn write_all(chunks: impl Iterator<Item = Result<Self>>, port: &OutputPort<'_>) -> Result<()> {
        write_bytes(chunks.map(|chunk| chunk.map(TextBytes)), port, format::TEXT)
    }
}

struct TextBytes(Text);

impl AsRef<[u8]> for TextBytes {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

fn write_bytes<T: AsRef<[u8]>>(
    chunks: impl Iterator<Item = Result<T>>,
    port: &OutputPort<'_>,
    format: &str,
) -> Result<()> {
    let mut writer = port.writer(1 << 16)?;
    for chunk in chunks {
        std::io::Write::write_all(&mut writer, chunk?.as_ref()).map_err(Error::from)?;
    }
    writer.finish(format, "")
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
        const KIND: &'static str = "table";

        fn write_all(mut chunks: impl Iterator<Item = Result<Self>>, port: &OutputPort<'_>) -> Result<()> {
            let first = chunks.next().ok_or_else(no_chunks)??;
            let mut writer = TableWriter::new(first.schema().clone(), port)?;
            for table in std::iter::once(Ok(first)).chain(chunks) {
                for batch in table?.batches() {
                    writer.write(batch)?;
                }
            }
            writer.finish()
        }
    }

    impl Chunk for RecordBatch {
        const KIND: &'static str = "table";

        fn write_all(chunks: impl Iterator<Item = Result<Self>>, port: &OutputPort<'_>) -> Result<()> {
            Table::write_all(chunks.map(|batch| batch.map(Table::from)), port)
        }
    }

    fn no_chunks() -> Error {
        Error::output("the iterator gave no chunk, so the table's columns are unknown")
            .with_hint("give at least one batch; it may have no rows")
    }
}
