//! Saving chunk by chunk: what the formats share. Each chunk is written as it comes into a file that takes its place at
//! the end; only what the format itself must hold back stays in memory.

use std::io::Write as _;
use std::path::PathBuf;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use plugin_api::Table;
use plugin_api::dataset::{ChunkSession, DatasetRequest, SaveRequest};

use crate::beside::Replacement;
use crate::problem::{Problem, Result};

/// Writes one table to a file, some rows at a time.
pub trait TableWriter: Send {
    /// Writes rows; their columns are those that the writer was opened with.
    fn write(&mut self, batch: &RecordBatch) -> Result<()>;

    /// Writes what was held back and gives the file.
    fn finish(self: Box<Self>) -> Result<Replacement>;
}

/// Makes the writer once the first chunk shows the columns.
type Open = Box<dyn FnOnce(&SchemaRef, Replacement) -> Result<Box<dyn TableWriter>> + Send>;

/// Chunks of a table on their way to a file.
pub struct TableSession {
    path: PathBuf,
    state: State,
}

enum State {
    /// No chunk yet.
    Empty(Open, Box<Replacement>),
    Writing(SchemaRef, Box<dyn TableWriter>),
    /// A chunk failed; nothing follows.
    Failed,
}

impl TableSession {
    /// Begins a save to the file that a request names.
    pub fn begin(
        request: &DatasetRequest,
        open: impl FnOnce(&SchemaRef, Replacement) -> Result<Box<dyn TableWriter>> + Send + 'static,
    ) -> plugin_api::Result<Box<dyn ChunkSession>> {
        let path = request.path()?.to_owned();
        let file = Replacement::begin(&path).map_err(Problem::into_error)?;
        Ok(Box::new(TableSession { path, state: State::Empty(Box::new(open), Box::new(file)) }))
    }

    fn write(&mut self, table: &Table) -> Result<()> {
        let (schema, mut writer) = match std::mem::replace(&mut self.state, State::Failed) {
            State::Empty(open, file) => (SchemaRef::clone(table.schema()), open(table.schema(), *file)?),
            State::Writing(schema, writer) => (schema, writer),
            State::Failed => return Err(Problem::new("an earlier chunk was not saved")),
        };
        if schema.fields() != table.schema().fields() {
            let problem = Problem::new("a chunk has other columns than the first one");
            return Err(problem.hint(format!(
                "give every chunk the columns of the first: {}",
                schema.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>().join(", ")
            )));
        }
        table.batches().iter().try_for_each(|batch| writer.write(batch))?;
        self.state = State::Writing(schema, writer);
        Ok(())
    }

    fn close(self) -> Result<()> {
        match self.state {
            State::Writing(_, writer) => writer.finish()?.finish(),
            State::Empty(..) => Err(Problem::new("no chunk was given, so the table's columns are unknown")
                .hint("give at least one batch; it may have no rows")),
            State::Failed => Err(Problem::new("an earlier chunk was not saved")),
        }
    }
}

impl ChunkSession for TableSession {
    fn append(&mut self, request: &SaveRequest) -> plugin_api::Result<()> {
        let table: Table = request.take()?;
        self.write(&table).map_err(|problem| problem.while_writing(&self.path).into_error())
    }

    fn finish(self: Box<Self>, _request: &DatasetRequest) -> plugin_api::Result<()> {
        let path = self.path.clone();
        self.close().map_err(|problem| problem.while_writing(&path).into_error())
    }
}

/// Chunks of bytes on their way to a file.
pub struct ByteSession(Replacement);

impl ByteSession {
    /// Begins a save to the file that a request names.
    pub fn begin(request: &DatasetRequest) -> plugin_api::Result<Box<dyn ChunkSession>> {
        Ok(Box::new(ByteSession(Replacement::begin(request.path()?).map_err(Problem::into_error)?)))
    }
}

impl ChunkSession for ByteSession {
    fn append(&mut self, request: &SaveRequest) -> plugin_api::Result<()> {
        let block = request.block()?;
        let written = self.0.write_all(&block.bytes);
        written.map_err(|error| Problem::from(error).while_writing(self.0.path()).into_error())
    }

    fn finish(self: Box<Self>, _request: &DatasetRequest) -> plugin_api::Result<()> {
        self.0.finish().map_err(Problem::into_error)
    }
}
