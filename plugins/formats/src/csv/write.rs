//! Record batches to CSV text.

use std::io::Write;

use arrow_array::{Array, RecordBatch};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{DataType, Schema};

use super::options::Options;
use crate::problem::{Problem, Result};

/// Writes a table as CSV.
pub fn write(schema: &Schema, batches: &[RecordBatch], options: &Options, out: &mut dyn Write) -> Result<()> {
    header(schema, options, out)?;
    rows(schema, batches, options, out)
}

/// Writes the header line, if there is to be one.
pub fn header(schema: &Schema, options: &Options, out: &mut dyn Write) -> Result<()> {
    let mut text = Vec::new();
    if options.has_header {
        for (index, field) in schema.fields().iter().enumerate() {
            separate(&mut text, index, options);
            // A lone empty name would make a blank line, which readers skip.
            push(&mut text, field.name(), field.name().is_empty(), options);
        }
        text.push(b'\n');
    }
    Ok(out.write_all(&text)?)
}

/// Writes rows.
pub fn rows(schema: &Schema, batches: &[RecordBatch], options: &Options, out: &mut dyn Write) -> Result<()> {
    let is_lone = schema.fields().len() == 1;
    let missing = missing(is_lone, options);
    let mut text = Vec::with_capacity(1 << 16);
    let mut cell = String::new();
    let format = FormatOptions::default();
    for batch in batches {
        let columns = batch
            .columns()
            .iter()
            .zip(schema.fields())
            .map(|(column, field)| match field.data_type() {
                nested if nested.is_nested() => {
                    Err(Problem::new(format!("column `{}` of type {nested} does not fit into CSV", field.name()))
                        .hint("save it as parquet, arrow or ndjson"))
                }
                _ => ArrayFormatter::try_new(column.as_ref(), &format)
                    .map(|formatter| (formatter, column, is_text(field.data_type())))
                    .map_err(|error| {
                        Problem::new(format!("column `{}` cannot be shown as text", field.name())).cause(error)
                    }),
            })
            .collect::<Result<Vec<_>>>()?;
        for row in 0..batch.num_rows() {
            for (index, (formatter, column, is_text)) in columns.iter().enumerate() {
                separate(&mut text, index, options);
                if column.is_null(row) {
                    let missing = missing.ok_or_else(|| blank_line(schema.field(index).name()))?;
                    text.extend_from_slice(missing.as_bytes());
                    continue;
                }
                cell.clear();
                formatter
                    .value(row)
                    .write(&mut cell)
                    .map_err(|error| Problem::new(format!("row {row} cannot be shown as text")).cause(error))?;
                let is_mistakable = *is_text && options.is_missing(cell.as_bytes());
                push(&mut text, &cell, is_mistakable || (is_lone && cell.is_empty()), options);
            }
            text.push(b'\n');
            if text.len() >= 1 << 16 {
                out.write_all(&text)?;
                text.clear();
            }
        }
    }
    Ok(out.write_all(&text)?)
}

/// What to write for a missing value: the first of `null_values`, but never a blank line; none if there is but that.
fn missing(is_lone: bool, options: &Options) -> Option<&str> {
    let mut values = options.null_values.iter().map(String::as_str);
    values.find(|value| !(is_lone && value.is_empty()))
}

fn blank_line(column: &str) -> Problem {
    Problem::new(format!(
        "column `{column}` is the only one and misses a value: that makes a blank line, which readers skip"
    ))
    .hint("give `null_values` a text for it, as in `null_values = [\"NA\"]`, or save as parquet, arrow or ndjson")
}

fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => is_text(values),
        _ => false,
    }
}

fn separate(text: &mut Vec<u8>, index: usize, options: &Options) {
    if index > 0 {
        text.push(options.dialect.delimiter);
    }
}

/// Adds a field; quoted if it must be, or if it would else be taken for a missing value.
fn push(text: &mut Vec<u8>, field: &str, must_quote: bool, options: &Options) {
    let quote = options.dialect.quote;
    let is_special = |byte: u8| byte == options.dialect.delimiter || byte == quote || byte == b'\n' || byte == b'\r';
    if !must_quote && !field.bytes().any(is_special) {
        text.extend_from_slice(field.as_bytes());
        return;
    }
    text.push(quote);
    for byte in field.bytes() {
        if byte == quote {
            text.push(quote);
        }
        text.push(byte);
    }
    text.push(quote);
}
