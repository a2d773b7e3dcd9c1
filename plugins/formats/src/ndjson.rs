//! Newline-delimited JSON files as tables: one object a line.

use std::io::{Cursor, Write};
use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_json::reader::{ReaderBuilder, infer_json_schema};
use arrow_json::writer::{LineDelimited, WriterBuilder};
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use plugin_api::Table;
use plugin_api::dataset::{ChunkSession, Dataset, DatasetRequest, LoadRequest, SaveRequest};
use plugin_api::manifest::OptionManifest;
use serde::Deserialize;
use serde_json::Value;

use crate::beside::{self, Replacement};
use crate::csv::Kind;
use crate::problem::{Problem, Result};
use crate::session::{TableSession, TableWriter};
use crate::source;

/// A table in a file of one JSON object a line; packed if the path ends in .gz or .zst.
#[derive(Default)]
pub struct Ndjson;

impl Dataset for Ndjson {
    const NAME: &'static str = "ndjson";
    const DOC: &'static str = "A table in a file of one JSON object a line; packed if the path ends in .gz or .zst.";
    const LOADS: &'static [&'static str] = &["table"];
    const SAVES: &'static [&'static str] = &["table"];
    const APPENDS: bool = true;

    fn options() -> Vec<OptionManifest> {
        vec![
            OptionManifest::new("types", "{}", &format!("column types, the others are guessed: {}", Kind::names())),
            OptionManifest::new("infer_rows", "all", "how many rows to guess columns and types from"),
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

    fn begin(&self, request: &DatasetRequest) -> plugin_api::Result<Box<dyn ChunkSession>> {
        let _: Options = crate::options::parse("ndjson", &request.options()?).map_err(Problem::into_error)?;
        TableSession::begin(request, |_, file| Ok(Box::new(Appending(file))))
    }
}

/// A file that lines are added to.
struct Appending(Replacement);

impl TableWriter for Appending {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        write(std::slice::from_ref(batch), &mut self.0)
    }

    fn finish(self: Box<Self>) -> Result<Replacement> {
        Ok(self.0)
    }
}

const BATCH_ROWS: usize = 1 << 20;

/// The `options` of an NDJSON dataset.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    /// Declared column types, by the names CSV has for them; the others are guessed.
    types: std::collections::BTreeMap<String, String>,
    /// How many rows to guess from. All unless it is said: a guess from a few is refused by a later row that differs.
    infer_rows: Option<usize>,
}

/// Reads the file at `path`: its schema and its rows.
pub fn load(path: &Path, options: &Value) -> Result<(SchemaRef, Vec<RecordBatch>)> {
    let options: Options = crate::options::parse("ndjson", options)?;
    let content = source::read(path)?;
    table(&content, &options).map_err(|problem| problem.while_reading(path))
}

fn table(content: &[u8], options: &Options) -> Result<(SchemaRef, Vec<RecordBatch>)> {
    let (guessed, _) =
        infer_json_schema(Cursor::new(content), options.infer_rows).map_err(|error| broken(content, None, error))?;
    let schema = Arc::new(declared(&guessed, options)?);
    check_whole(content, &schema, options)?;
    let batches = rows(content, &schema, BATCH_ROWS)?.collect::<std::result::Result<Vec<_>, _>>();
    Ok((Arc::clone(&schema), batches.map_err(|error| broken(content, Some(&schema), error))?))
}

type Rows<'a> = arrow_json::Reader<Cursor<&'a [u8]>>;

/// Reads the rows. A key that is no column is an error: it would else be lost without a word.
fn rows<'a>(content: &'a [u8], schema: &SchemaRef, batch_rows: usize) -> Result<Rows<'a>> {
    ReaderBuilder::new(Arc::clone(schema))
        .with_batch_size(batch_rows)
        .with_strict_mode(true)
        .build(Cursor::new(content))
        .map_err(|error| Problem::new("its columns have types that JSON cannot give").cause(error))
}

/// The lines that are not blank, with their numbers.
fn lines(content: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let lines = content.split(|&byte| byte == b'\n').enumerate().map(|(index, line)| (index + 1, line));
    lines.filter(|(_, line)| !line.trim_ascii().is_empty())
}

/// Refuses fractions in columns of whole numbers, which Arrow's reader would cut off: it takes 1.9 for the integer 1.
///
/// A guess from all rows has seen that there are none; so only declared columns need a look, or a guess from a few rows.
fn check_whole(content: &[u8], schema: &Schema, options: &Options) -> Result<()> {
    let needs_look = |field: &&FieldRef| {
        let is_declared = options.types.contains_key(field.name());
        (is_declared && is_whole(field.data_type())) || (!is_declared && options.infer_rows.is_some())
    };
    let fields: Vec<&FieldRef> = schema.fields().iter().filter(needs_look).collect();
    if fields.is_empty() {
        return Ok(());
    }
    for (number, line) in lines(content) {
        // What is no object at all, Arrow's reader refuses.
        let Ok(Value::Object(row)) = serde_json::from_slice::<Value>(line) else { continue };
        for field in &fields {
            let Some(fraction) = row.get(field.name()).and_then(|value| fraction(value, field.data_type())) else {
                continue;
            };
            let column = field.name();
            let declared = options.types.get(column);
            let kind = declared.map_or("int64", String::as_str);
            let problem = Problem::new(format!("line {number}, column `{column}`: {fraction} is no {kind}"));
            return Err(problem.hint(match declared {
                Some(_) => format!("correct the line, or declare `{column}` as float64 in `types`"),
                None => {
                    "the type was guessed from the first `infer_rows` rows: leave that out to guess from all".to_owned()
                }
            }));
        }
    }
    Ok(())
}

/// Whether a number of this type has no fraction.
fn is_whole(data_type: &DataType) -> bool {
    data_type.is_integer() || data_type.is_temporal()
}

/// The first number in `value` that a column of whole numbers does not hold. 2.0 is whole, as some programs write it so.
fn fraction<'a>(value: &'a Value, data_type: &DataType) -> Option<&'a serde_json::Number> {
    /// Beyond this a float is no 64-bit integer.
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    match (value, data_type) {
        (Value::Number(number), whole) if is_whole(whole) => {
            let is_held = number.is_i64()
                || (number.is_u64() && *whole == DataType::UInt64)
                || number.as_f64().is_some_and(|float| number.is_f64() && float.fract() == 0.0 && float.abs() < LIMIT);
            (!is_held).then_some(number)
        }
        (Value::Array(values), DataType::List(item)) => {
            values.iter().find_map(|value| fraction(value, item.data_type()))
        }
        (Value::Object(object), DataType::Struct(fields)) => {
            fields.iter().find_map(|field| fraction(object.get(field.name())?, field.data_type()))
        }
        _ => None,
    }
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

/// Finds the line that is wrong, which Arrow's reader does not tell: it is no JSON object, or does not fit the schema.
fn broken(content: &[u8], schema: Option<&SchemaRef>, error: arrow_schema::ArrowError) -> Problem {
    for (number, line) in lines(content) {
        match serde_json::from_slice::<Value>(line) {
            Ok(Value::Object(_)) => {}
            Ok(_) => return Problem::new(format!("line {number} is no JSON object")),
            Err(cause) => return Problem::new(format!("line {number} is not JSON")).cause(cause),
        }
    }
    // Row by row, the reader stops at the line in question.
    let rows = schema.and_then(|schema| rows(content, schema, 1).ok());
    let found =
        rows.and_then(|rows| lines(content).zip(rows).find_map(|((number, _), row)| Some((number, row.err()?))));
    let problem = match found {
        Some((number, error)) => Problem::new(format!("line {number} does not fit the columns")).cause(error),
        None => Problem::new("a value is not of its column's type").cause(error),
    };
    problem.hint(
        "correct the line or declare the column's type in `types`; with `infer_rows`, only so many rows were looked at",
    )
}

/// Replaces the file at `path` by a table.
pub fn save(path: &Path, options: &Value, batches: &[RecordBatch]) -> Result<()> {
    let _: Options = crate::options::parse("ndjson", options)?;
    beside::replace(path, |out| write(batches, out))
}

fn write(batches: &[RecordBatch], out: &mut (dyn Write + Send)) -> Result<()> {
    let failed = |error| Problem::new("the table does not fit into JSON").cause(error);
    // Missing values are written, so that a column which begins with them keeps its place.
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(out);
    for batch in batches {
        writer.write(batch).map_err(failed)?;
    }
    writer.finish().map_err(failed)
}
