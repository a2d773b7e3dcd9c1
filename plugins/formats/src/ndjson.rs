//! Newline-delimited JSON files as tables: one object a line.

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_json::reader::{ReaderBuilder, infer_json_schema};
use arrow_json::writer::{LineDelimited, WriterBuilder};
use arrow_schema::{Field, Schema, SchemaRef};
use plugin_api::Table;
use plugin_api::dataset::{Dataset, LoadRequest, SaveRequest};
use plugin_api::manifest::OptionManifest;
use serde::Deserialize;
use serde_json::Value;

use crate::beside;
use crate::csv::Kind;
use crate::problem::{Problem, Result};
use crate::source;

/// A table in a file of one JSON object a line; packed if the path ends in .gz or .zst.
#[derive(Default)]
pub struct Ndjson;

impl Dataset for Ndjson {
    const NAME: &'static str = "ndjson";
    const DOC: &'static str = "A table in a file of one JSON object a line; packed if the path ends in .gz or .zst.";
    const LOADS: &'static [&'static str] = &["table"];
    const SAVES: &'static [&'static str] = &["table"];

    fn options() -> Vec<OptionManifest> {
        vec![
            OptionManifest::new("types", "{}", &format!("column types, the others are guessed: {}", Kind::names())),
            OptionManifest::new("infer_rows", "1000", "how many rows to guess types from"),
        ]
    }

    fn load(&self, request: &LoadRequest) -> plugin_api::Result<()> {
        let (schema, batches) = load(request.path()?, &request.options()?).map_err(Problem::into_error)?;
        request.give(Table::new(schema, batches)?)
    }

    fn save(&self, request: &SaveRequest) -> plugin_api::Result<()> {
        let table: Table = request.take()?;
        save(request.path()?, &request.options()?, table.batches()).map_err(Problem::into_error)
    }
}

const BATCH_ROWS: usize = 1 << 20;

/// The `options` of an NDJSON dataset.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    /// Declared column types, by the names CSV has for them; the others are guessed.
    types: std::collections::BTreeMap<String, String>,
    infer_rows: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { types: std::collections::BTreeMap::new(), infer_rows: 1000 }
    }
}

/// Reads the file at `path`: its schema and its rows.
pub fn load(path: &Path, options: &Value) -> Result<(SchemaRef, Vec<RecordBatch>)> {
    let options: Options = crate::options::parse("ndjson", options)?;
    let content = source::read(path)?;
    table(&content, &options).map_err(|problem| problem.while_reading(path))
}

fn table(content: &[u8], options: &Options) -> Result<(SchemaRef, Vec<RecordBatch>)> {
    let (guessed, _) =
        infer_json_schema(Cursor::new(content), Some(options.infer_rows)).map_err(|error| broken(content, error))?;
    let schema = Arc::new(declared(&guessed, options)?);
    let mut reader = ReaderBuilder::new(Arc::clone(&schema))
        .with_batch_size(BATCH_ROWS)
        .build(Cursor::new(content))
        .map_err(|error| Problem::new("its columns have types that JSON cannot give").cause(error))?;
    let batches =
        reader.by_ref().collect::<std::result::Result<Vec<_>, _>>().map_err(|error| broken(content, error))?;
    Ok((schema, batches))
}

/// The guessed schema with the declared types put in; declared columns that the guess has not seen come last.
fn declared(guessed: &Schema, options: &Options) -> Result<Schema> {
    let mut fields: Vec<Field> = guessed.fields().iter().map(|field| field.as_ref().clone()).collect();
    for (column, name) in &options.types {
        let kind = Kind::named(name).ok_or_else(|| {
            Problem::new(format!("ndjson options: column `{column}` has the unknown type `{name}`"))
                .hint(format!("the types are {}", Kind::names()))
        })?;
        // Arrow's JSON reader makes no dictionaries.
        let kind = if kind == Kind::Dictionary { Kind::Text } else { kind };
        let field = Field::new(column, kind.data_type(), true);
        match fields.iter_mut().find(|field| field.name() == column) {
            Some(known) => *known = field,
            None => fields.push(field),
        }
    }
    Ok(Schema::new(fields))
}

/// Finds the line that is no JSON object, which Arrow's reader does not tell.
fn broken(content: &[u8], error: arrow_schema::ArrowError) -> Problem {
    for (index, line) in content.split(|&byte| byte == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        match serde_json::from_slice::<Value>(line) {
            Ok(Value::Object(_)) => {}
            Ok(_) => return Problem::new(format!("line {} is no JSON object", index + 1)),
            Err(cause) => return Problem::new(format!("line {} is not JSON", index + 1)).cause(cause),
        }
    }
    Problem::new("a value is not of its column's type")
        .cause(error)
        .hint("declare the column's type in `types`, or guess from more rows with `infer_rows`")
}

/// Replaces the file at `path` by a table.
pub fn save(path: &Path, options: &Value, batches: &[RecordBatch]) -> Result<()> {
    let _: Options = crate::options::parse("ndjson", options)?;
    beside::replace(path, |out| {
        let failed = |error| Problem::new("the table does not fit into JSON").cause(error);
        // Missing values are written, so that a column which begins with them keeps its place.
        let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(out);
        for batch in batches {
            writer.write(batch).map_err(failed)?;
        }
        writer.finish().map_err(failed)
    })
}
