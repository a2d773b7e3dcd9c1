//! Columns as people typed them (`90%`, `$1,325.0`, `t`) into columns to compute with.

use std::sync::Arc;

use plugin_api::arrow::array::{Array, ArrayRef, BooleanArray, Float64Array, RecordBatch};
use plugin_api::prelude::*;

/// A share written as a percentage: `90%` is 0.9.
pub fn percentage(text: &str) -> Option<f64> {
    let percent: f64 = text.trim().strip_suffix('%')?.trim_end().parse().ok()?;
    Some(percent / 100.0)
}

/// A price in dollars: `$1,325.0`.
pub fn price(text: &str) -> Option<f64> {
    text.trim().strip_prefix('$')?.replace(',', "").parse().ok()
}

/// The column `name` read with `read`; what is missing stays missing, what cannot be read is an error with its row.
pub fn numbers(table: &Table, name: &str, expected: &str, read: fn(&str) -> Option<f64>) -> Result<ArrayRef> {
    let column = table.strings(name)?;
    let mut numbers = Vec::with_capacity(column.len());
    for (row, text) in column.iter().enumerate() {
        numbers.push(match text {
            None => None,
            Some(text) => {
                let number = read(text);
                ensure!(number.is_some(), "the column `{name}` has {text:?} in row {row}, expected {expected}");
                number
            }
        });
    }
    Ok(Arc::new(Float64Array::from(numbers)))
}

/// The column `name` of `t` and `f`; whatever is not `t` is false, missing values too.
pub fn truths(table: &Table, name: &str) -> Result<ArrayRef> {
    let column = table.column(name)?;
    // A spreadsheet may have made true values of its own.
    if column.as_any().is::<BooleanArray>() {
        return Ok(column);
    }
    let truths: Vec<bool> = table.strings(name)?.iter().map(|text| text == Some("t")).collect();
    Ok(Arc::new(BooleanArray::from(truths)))
}

/// The table with some of its columns replaced by others of their names.
pub fn replace<const N: usize>(table: &Table, replaced: [(&str, ArrayRef); N]) -> Result<Table> {
    let batch = table.concat()?;
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns()).map(|(field, column)| {
        let new = replaced.iter().find(|(name, _)| name == field.name());
        (field.name(), ArrayRef::clone(new.map_or(column, |(_, new)| new)))
    });
    Ok(RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true)))?.into())
}

/// Which row has which whole number in the column `name`; rows without one are left out.
pub fn row_of_id(table: &Table, name: &str) -> Result<std::collections::HashMap<i64, u32>> {
    let mut rows = std::collections::HashMap::with_capacity(table.num_rows());
    for (row, id) in (0..).zip(ids(table, name)?) {
        let Some(id) = id else { continue };
        ensure!(rows.insert(id, row).is_none(), "the column `{name}` has {id} twice, the second time in row {row}");
    }
    Ok(rows)
}

/// The whole numbers of the column `name`, whether the file's format keeps them as integers or not.
pub fn ids(table: &Table, name: &str) -> Result<impl Iterator<Item = Option<i64>> + use<>> {
    let whole = |number: f64| (number.fract() == 0.0).then_some(number as i64);
    Ok(table.numbers(name)?.into_iter().map(whole))
}
