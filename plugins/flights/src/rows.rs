//! Choosing rows.

use arrow_array::{BooleanArray, RecordBatch};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_select::filter::{FilterBuilder, filter_record_batch};
use plugin_api::Result;

use crate::column::{column, project};

/// The rows in which none of these columns misses its value; true for all if no value is missing.
pub fn present(batch: &RecordBatch, names: &[&str]) -> Result<Option<NullBuffer>> {
    let mut present: Option<NullBuffer> = None;
    for name in names {
        // `logical_nulls`: a dictionary may also miss a value by pointing to a missing one.
        present = NullBuffer::union(present.as_ref(), column(batch, name)?.logical_nulls().as_ref());
    }
    Ok(present)
}

/// The columns `names` of the rows in which none of `required` misses its value.
pub fn select(batch: &RecordBatch, names: &[&str], required: &[&str]) -> Result<RecordBatch> {
    let selected = project(batch, names)?;
    match present(batch, required)? {
        Some(present) => keep(&selected, present.into_inner()),
        None => Ok(selected),
    }
}

/// The rows for which `mask` is set.
pub fn keep(batch: &RecordBatch, mask: BooleanBuffer) -> Result<RecordBatch> {
    let mask = BooleanArray::new(mask, None);
    if batch.num_columns() == 0 {
        return Ok(filter_record_batch(batch, &mask)?);
    }
    // `optimize` turns the mask into a list of runs once, for all columns.
    Ok(FilterBuilder::new(&mask).optimize().build().filter_record_batch(batch)?)
}
