//! The nodes on literal tables, and all of them on the real data.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod nodes;
mod real;

use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, Float64Array, Int16Array, StringArray, TimestampSecondArray};
use plugin_api::Table;

/// Text as text.
fn text<'a>(values: impl IntoIterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(values.into_iter().collect::<StringArray>())
}

/// Text as a dictionary.
fn dictionary<'a>(values: impl IntoIterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(values.into_iter().collect::<DictionaryArray<Int32Type>>())
}

fn floats(values: impl IntoIterator<Item = Option<f64>>) -> ArrayRef {
    Arc::new(values.into_iter().collect::<Float64Array>())
}

fn integers(values: impl IntoIterator<Item = Option<i16>>) -> ArrayRef {
    Arc::new(values.into_iter().collect::<Int16Array>())
}

/// Hours since 1970, as moments.
fn hours(values: impl IntoIterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(values.into_iter().map(|hour| hour.map(|hour| hour * 3600)).collect::<TimestampSecondArray>())
}

fn table<const N: usize>(columns: [(&str, ArrayRef); N]) -> Table {
    Table::from_columns(columns).unwrap()
}

/// A column's text, missing as `-`.
fn shown(table: &Table, column: &str) -> Vec<String> {
    let column = table.column(column).unwrap();
    let format = arrow_cast::display::FormatOptions::default().with_null("-");
    let column = arrow_cast::display::ArrayFormatter::try_new(&column, &format).unwrap();
    (0..table.num_rows()).map(|row| column.value(row).to_string()).collect()
}
