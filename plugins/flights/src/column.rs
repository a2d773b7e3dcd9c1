//! Columns by name, in the one type a node works with, whatever the dataset's file made of them.

use std::collections::HashMap;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, TimestampSecondType};
use arrow_array::{Array, ArrayRef, Float64Array, Int32Array, RecordBatch, StringArray};
use arrow_schema::{DataType, TimeUnit};
use plugin_api::prelude::*;

/// The column `name` as it is.
pub fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef> {
    batch.column_by_name(name).with_context(|| format!("the table has no column `{name}`")).with_hint_of(batch)
}

/// A table of these columns.
pub fn project(batch: &RecordBatch, names: &[&str]) -> Result<RecordBatch> {
    let schema = batch.schema();
    let mut indices = Vec::with_capacity(names.len());
    for name in names {
        column(batch, name)?;
        indices.push(schema.index_of(name)?);
    }
    Ok(batch.project(&indices)?)
}

/// A column of numbers as 64-bit floats.
pub fn numbers(batch: &RecordBatch, name: &str) -> Result<Float64Array> {
    let column = cast(batch, name, &DataType::Float64, "numbers")?;
    Ok(column.as_primitive::<arrow_array::types::Float64Type>().clone())
}

/// The same, where no value may be missing.
pub fn present_numbers(batch: &RecordBatch, name: &str) -> Result<Float64Array> {
    let numbers = numbers(batch, name)?;
    ensure!(
        numbers.null_count() == 0,
        "the column `{name}` misses {} of its {} values",
        numbers.null_count(),
        numbers.len()
    );
    Ok(numbers)
}

/// A column of moments, in seconds since 1970.
pub fn moments(batch: &RecordBatch, name: &str) -> Result<arrow_array::PrimitiveArray<TimestampSecondType>> {
    let zone = match column(batch, name)?.data_type() {
        DataType::Timestamp(_, zone) => zone.clone(),
        _ => None,
    };
    let column = cast(batch, name, &DataType::Timestamp(TimeUnit::Second, zone), "moments")?;
    Ok(column.as_primitive::<TimestampSecondType>().clone())
}

/// A column of text in which each different value has a code.
pub struct Codes {
    /// The code of each row; null where the text is missing. Rows of equal text have equal codes.
    pub rows: Int32Array,
    /// The text of each code; one that no row has may repeat another's.
    pub values: StringArray,
}

impl Codes {
    /// Takes the column `name`; without a copy if it is a dictionary already.
    pub fn of(batch: &RecordBatch, name: &str) -> Result<Self> {
        let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        let column = cast(batch, name, &dictionary, "text")?;
        let column = column.as_dictionary::<Int32Type>();
        let values = column.values().as_string::<i32>();
        Ok(Self { rows: distinct(column.keys(), values), values: values.clone() })
    }

    /// The code of a text, if any row could have it.
    pub fn code(&self, text: &str) -> Option<i32> {
        self.values.iter().position(|value| value == Some(text)).and_then(|code| i32::try_from(code).ok())
    }

    /// The code of a row, as an index.
    pub fn get(&self, row: usize) -> Option<usize> {
        self.rows.is_valid(row).then(|| self.rows.value(row) as usize)
    }
}

/// The keys, with those of a repeated value led to its first copy: a dictionary may hold a value twice, as those do that
/// Arrow has put together out of several batches'.
fn distinct(keys: &Int32Array, values: &StringArray) -> Int32Array {
    let mut first: HashMap<&str, i32, ahash::RandomState> = HashMap::default();
    let codes: Vec<Option<i32>> =
        (0..).zip(values).map(|(code, text)| Some(*first.entry(text?).or_insert(code))).collect();
    if (0..).zip(&codes).all(|(code, known)| *known == Some(code)) {
        return keys.clone();
    }
    keys.iter().map(|key| codes[key? as usize]).collect()
}

fn cast(batch: &RecordBatch, name: &str, to: &DataType, expected: &str) -> Result<ArrayRef> {
    let column = column(batch, name)?;
    if column.data_type() == to {
        return Ok(ArrayRef::clone(column));
    }
    let strict = arrow_cast::CastOptions { safe: false, ..arrow_cast::CastOptions::default() };
    arrow_cast::cast_with_options(column, to, &strict)
        .with_context(|| format!("the column `{name}` is of type {}, expected {expected}", column.data_type()))
}

/// Adds what the table does have.
trait WithColumns {
    fn with_hint_of(self, batch: &RecordBatch) -> Self;
}

impl<T> WithColumns for Result<T> {
    fn with_hint_of(self, batch: &RecordBatch) -> Self {
        self.map_err(|error| {
            let schema = batch.schema();
            let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
            error.with_hint(format!("its columns are {}", names.join(", ")))
        })
    }
}
