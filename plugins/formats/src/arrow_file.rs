//! Arrow IPC files as tables. (Also reads IPC streams, which other tools like to give the same suffix.)

use std::io::{BufReader, Read, Seek};
use std::path::Path;

use arrow_array::RecordBatch;
use arrow_ipc::reader::{FileReader, StreamReader};
use arrow_ipc::writer::FileWriter;
use arrow_schema::{ArrowError, SchemaRef};
use plugin_api::Table;
use plugin_api::dataset::{ChunkSession, Dataset, DatasetRequest, LoadRequest, SaveRequest};
use serde_json::Value;

use crate::beside::{self, Replacement};
use crate::options::NoOptions;
use crate::problem::{Problem, Result};
use crate::session::{TableSession, TableWriter};
use crate::source;

/// A table in an Arrow IPC file; loads IPC streams too.
#[derive(Default)]
pub struct ArrowFile;

impl Dataset for ArrowFile {
    const NAME: &'static str = "arrow";
    const DOC: &'static str = "A table in an Arrow IPC file; loads IPC streams too.";
    const LOADS: &'static [&'static str] = &["table"];
    const SAVES: &'static [&'static str] = &["table"];
    const APPENDS: bool = true;

    fn load(&self, request: &LoadRequest) -> plugin_api::Result<()> {
        let (schema, batches) = load(request.path()?, &request.options()?).map_err(Problem::into_error)?;
        request.give(Table::new(schema, batches)?)
    }

    fn save(&self, request: &SaveRequest) -> plugin_api::Result<()> {
        let table: Table = request.take()?;
        save(request.path()?, &request.options()?, table.schema(), table.batches()).map_err(Problem::into_error)
    }

    fn begin(&self, request: &DatasetRequest) -> plugin_api::Result<Box<dyn ChunkSession>> {
        let NoOptions {} = request.options()?;
        TableSession::begin(request, |schema, file| {
            Ok(Box::new(Appending(FileWriter::try_new(file, schema).map_err(does_not_fit)?)))
        })
    }
}

/// A file that batches are added to.
struct Appending(FileWriter<Replacement>);

impl TableWriter for Appending {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.0.write(batch).map_err(|error| {
            let problem = does_not_fit(error);
            match has_dictionary(&batch.schema()) {
                true => problem.hint(
                    "a column has one dictionary for the whole file: give every chunk the same, or save as parquet",
                ),
                false => problem,
            }
        })
    }

    fn finish(self: Box<Self>) -> Result<Replacement> {
        self.0.into_inner().map_err(does_not_fit)
    }
}

fn does_not_fit(error: ArrowError) -> Problem {
    Problem::new("the table does not fit into an Arrow IPC file").cause(error)
}

/// Reads the file at `path`: its schema and its rows.
pub fn load(path: &Path, options: &Value) -> Result<(SchemaRef, Vec<RecordBatch>)> {
    let NoOptions {} = crate::options::parse("arrow", options)?;
    let mut file = source::open(path)?;
    let mut magic = Vec::new();
    let read = |file: &mut std::fs::File, magic: &mut Vec<u8>| {
        file.take(6).read_to_end(magic)?;
        file.rewind()
    };
    read(&mut file, &mut magic).map_err(|error| Problem::reading(path, error))?;
    let file = BufReader::new(file);
    let table = if magic == b"ARROW1" { from_file(file) } else { from_stream(file) };
    table.map_err(|error| Problem::new("it is no sound Arrow IPC file").cause(error).while_reading(path))
}

fn from_file(file: impl Read + Seek) -> std::result::Result<(SchemaRef, Vec<RecordBatch>), ArrowError> {
    let reader = FileReader::try_new(file, None)?;
    Ok((reader.schema(), reader.collect::<std::result::Result<_, _>>()?))
}

fn from_stream(file: impl Read) -> std::result::Result<(SchemaRef, Vec<RecordBatch>), ArrowError> {
    let reader = StreamReader::try_new(file, None)?;
    Ok((reader.schema(), reader.collect::<std::result::Result<_, _>>()?))
}

/// Replaces the file at `path` by a table.
pub fn save(path: &Path, options: &Value, schema: &SchemaRef, batches: &[RecordBatch]) -> Result<()> {
    let NoOptions {} = crate::options::parse("arrow", options)?;
    // The file format allows one dictionary a column for the whole file, so batches that have each their own become one.
    let united;
    let batches = if batches.len() > 1 && has_dictionary(schema) {
        united = arrow_select::concat::concat_batches(schema, batches).map_err(|error| {
            Problem::new("the table's batches do not fit together").cause(error).while_writing(path)
        })?;
        std::slice::from_ref(&united)
    } else {
        batches
    };
    beside::replace(path, |out| {
        let mut writer = FileWriter::try_new(out, schema).map_err(does_not_fit)?;
        for batch in batches {
            writer.write(batch).map_err(does_not_fit)?;
        }
        writer.finish().map_err(does_not_fit)
    })
}

fn has_dictionary(schema: &SchemaRef) -> bool {
    let mut fields = schema.fields().iter();
    fields.any(|field| {
        field.data_type().is_nested() || matches!(field.data_type(), arrow_schema::DataType::Dictionary(..))
    })
}
