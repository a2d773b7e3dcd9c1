//! Parquet files as tables.

use std::path::Path;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;
use plugin_api::Table;
use plugin_api::dataset::{ChunkSession, Dataset, DatasetRequest, LoadRequest, SaveRequest};
use plugin_api::manifest::OptionManifest;
use serde::Deserialize;
use serde_json::Value;

use crate::beside::{self, Replacement};
use crate::problem::{Problem, Result};
use crate::row_groups;
use crate::session::{TableSession, TableWriter};
use crate::source;

/// A table in a Parquet file.
#[derive(Default)]
pub struct Parquet;

impl Dataset for Parquet {
    const NAME: &'static str = "parquet";
    const DOC: &'static str = "A table in a Parquet file.";
    const LOADS: &'static [&'static str] = &["table"];
    const SAVES: &'static [&'static str] = &["table"];
    const APPENDS: bool = true;

    fn options() -> Vec<OptionManifest> {
        vec![
            OptionManifest::new("columns", "all", "the columns to load, in the file's order"),
            OptionManifest::new("compression", "\"snappy\"", "how pages are packed on save: none, snappy, zstd"),
        ]
    }

    fn load(&self, request: &LoadRequest) -> plugin_api::Result<()> {
        let (schema, batches) = load(request.path()?, &request.options()?).map_err(Problem::into_error)?;
        request.give(Table::new(schema, batches)?)
    }

    fn save(&self, request: &SaveRequest) -> plugin_api::Result<()> {
        let table: Table = request.take()?;
        save(request.path()?, &request.options()?, table.schema(), table.batches()).map_err(Problem::into_error)
    }

    fn begin(&self, request: &DatasetRequest) -> plugin_api::Result<Box<dyn ChunkSession>> {
        let options: Options = crate::options::parse("parquet", &request.options()?).map_err(Problem::into_error)?;
        TableSession::begin(request, move |schema, file| {
            let properties = properties(schema, &options);
            let writer =
                ArrowWriter::try_new(file, SchemaRef::clone(schema), Some(properties)).map_err(does_not_fit)?;
            Ok(Box::new(Appending(writer)))
        })
    }
}

/// A file that row groups are added to.
struct Appending(ArrowWriter<Replacement>);

impl Appending {
    /// A row group is held in memory until it is whole. Whole files have one of a million rows; where chunks come one by one
    /// the point is to hold little, so theirs are cut at this size.
    const GROUP_BYTES: usize = 8 << 20;
    /// After so many rows a look is taken at how much is held.
    const LOOK_ROWS: usize = 1 << 13;
}

impl TableWriter for Appending {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        for start in (0..batch.num_rows()).step_by(Self::LOOK_ROWS) {
            let rows = Self::LOOK_ROWS.min(batch.num_rows() - start);
            self.0.write(&batch.slice(start, rows)).map_err(does_not_fit)?;
            if self.0.memory_size() >= Self::GROUP_BYTES {
                self.0.flush().map_err(does_not_fit)?;
            }
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Replacement> {
        self.0.into_inner().map_err(does_not_fit)
    }
}

fn does_not_fit(error: ParquetError) -> Problem {
    Problem::new("the table does not fit into Parquet").cause(error)
}

/// Rows given out as one batch, so that most files make one.
const BATCH_ROWS: usize = 1 << 20;

/// The `options` of a Parquet dataset.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    /// The columns to load; all if absent.
    columns: Option<Vec<String>>,
    compression: Packing,
}

/// How pages are packed when saving. (Loading takes whatever the file has.)
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Packing {
    None,
    #[default]
    Snappy,
    Zstd,
}

/// Reads the file at `path`: its schema and its rows.
pub fn load(path: &Path, options: &Value) -> Result<(SchemaRef, Vec<RecordBatch>)> {
    let options: Options = crate::options::parse("parquet", options)?;
    read(path, &options).map_err(|problem| problem.while_reading(path))
}

fn read(path: &Path, options: &Options) -> Result<(SchemaRef, Vec<RecordBatch>)> {
    let broken = |error| Problem::new("it is no sound Parquet file").cause(error);
    let file = source::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(Problem::reading(path, std::io::ErrorKind::IsADirectory.into()));
    }
    let mut builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(broken)?.with_batch_size(BATCH_ROWS);
    if let Some(columns) = &options.columns {
        let schema = builder.schema();
        let find = |column: &String| {
            schema.index_of(column).map_err(|_| {
                let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
                Problem::new(format!("there is no column `{column}`"))
                    .hint(format!("the columns are {}", names.join(", ")))
            })
        };
        // By index: by name, Parquet would take the dot in `Sepal.Length` for a step into a nested column.
        let indices = columns.iter().map(find).collect::<Result<Vec<_>>>()?;
        let mask = ProjectionMask::roots(builder.parquet_schema(), indices);
        builder = builder.with_projection(mask);
    }
    let reader = builder.build().map_err(broken)?;
    let schema = arrow_array::RecordBatchReader::schema(&reader);
    let batches = reader
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(|error| Problem::new("it is no sound Parquet file").cause(error))?;
    Ok((schema, batches))
}

/// Replaces the file at `path` by a table.
pub fn save(path: &Path, options: &Value, schema: &SchemaRef, batches: &[RecordBatch]) -> Result<()> {
    let options: Options = crate::options::parse("parquet", options)?;
    let properties = properties(schema, &options);
    beside::replace(path, |out| {
        let writer = ArrowWriter::try_new(out, SchemaRef::clone(schema), Some(properties)).map_err(does_not_fit)?;
        row_groups::write(writer, batches).map_err(does_not_fit)
    })
}

/// Text repeats and numbers seldom do, so only text columns get a dictionary: trying it on the others costs more time than
/// it saves space.
fn properties(schema: &SchemaRef, options: &Options) -> WriterProperties {
    let compression = match options.compression {
        Packing::None => Compression::UNCOMPRESSED,
        Packing::Snappy => Compression::SNAPPY,
        Packing::Zstd => Compression::ZSTD(parquet::basic::ZstdLevel::default()),
    };
    let mut properties = WriterProperties::builder().set_compression(compression).set_dictionary_enabled(false);
    for field in schema.fields() {
        let is_text =
            |data_type: &DataType| matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
        let repeats = match field.data_type() {
            DataType::Dictionary(..) => true,
            other => is_text(other),
        };
        if repeats {
            let column = ColumnPath::new(vec![field.name().clone()]);
            properties = properties.set_column_dictionary_enabled(column, true);
        }
    }
    properties.build()
}
