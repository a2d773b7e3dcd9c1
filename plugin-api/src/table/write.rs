//! From a table to a block: an Arrow IPC stream, its buffers aligned to 64 bytes, copied once, from where they are into
//! the block.

use std::io::Write;

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::{
    MetadataVersion,
    writer::{IpcWriteOptions, StreamEncoder},
};
use arrow_schema::{Schema, SchemaRef};

use super::{Table, same_schema};
use crate::{
    Error, Result,
    abi::format,
    output::{Output, OutputPort, OutputWriter},
};

const ALIGNMENT: usize = 64;

impl Output for Table {
    const KIND: &'static str = "table";

    fn write(self, port: &OutputPort<'_>) -> Result<()> {
        // All messages first: they refer to the columns' memory, so that costs little and gives the exact size.
        let mut encoder = encoder(&self.schema)?;
        let mut parts = Vec::new();
        for batch in &self.batches {
            parts.extend(encoder.encode(batch).map_err(cannot_write)?);
        }
        parts.extend(encoder.finish().map_err(cannot_write)?);
        let length = parts.iter().map(Buffer::len).sum();
        let mut writer = port.writer(length)?;
        for part in &parts {
            writer.write_all(part).map_err(Error::from)?;
        }
        writer.finish(format::ARROW, &Table::metadata(&self.schema, self.num_rows()))
    }
}

impl Output for RecordBatch {
    const KIND: &'static str = "table";

    fn write(self, port: &OutputPort<'_>) -> Result<()> {
        Table::from(self).write(port)
    }
}

/// The batches must not be none: an empty table has a schema, too, so give it as a [`Table`].
impl Output for Vec<RecordBatch> {
    const KIND: &'static str = "table";

    fn write(self, port: &OutputPort<'_>) -> Result<()> {
        match self.first() {
            Some(batch) => Table::new(batch.schema(), self)?.write(port),
            None => Err(Error::output("no batches were given, so the table's columns are unknown")
                .with_hint("return `Table::new(schema, vec![])`")),
        }
    }
}

/// Writes a table batch by batch, for [`Chunks`](crate::Chunks).
pub struct TableWriter<'a> {
    schema: SchemaRef,
    encoder: StreamEncoder,
    writer: OutputWriter<'a>,
    rows: usize,
}

impl<'a> TableWriter<'a> {
    pub(crate) fn new(schema: SchemaRef, port: &OutputPort<'a>) -> Result<Self> {
        Ok(TableWriter { encoder: encoder(&schema)?, writer: port.writer(1 << 16)?, schema, rows: 0 })
    }

    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        same_schema(&self.schema, &batch.schema())?;
        for part in self.encoder.encode(batch).map_err(cannot_write)? {
            self.writer.write_all(&part).map_err(Error::from)?;
        }
        self.rows += batch.num_rows();
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<()> {
        for part in self.encoder.finish().map_err(cannot_write)? {
            self.writer.write_all(&part).map_err(Error::from)?;
        }
        self.writer.finish(format::ARROW, &Table::metadata(&self.schema, self.rows))
    }
}

fn encoder(schema: &Schema) -> Result<StreamEncoder> {
    IpcWriteOptions::try_new(ALIGNMENT, false, MetadataVersion::V5)
        .and_then(|options| StreamEncoder::try_new_with_options(schema, options))
        .map_err(cannot_write)
}

fn cannot_write(error: impl std::fmt::Display) -> Error {
    Error::output("the table cannot be written").because(error)
}
