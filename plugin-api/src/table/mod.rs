//! Tables: Arrow record batches over the mapped block.

mod column;
mod lazy;
mod read;
mod write;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{Schema, SchemaRef};

pub(crate) use self::write::TableWriter;
pub use self::{column::Strings, lazy::LazyTable};
use crate::{Error, Result};

/// A table: a schema and record batches. As an input its columns lie in the block itself, without a copy, and keep
/// the mapping alive for as long as any of them does. Cheap to clone.
///
/// ```
/// use std::sync::Arc;
/// use plugin_api::arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
/// use plugin_api::prelude::*;
///
/// /// Distance over time.
/// #[node(outputs = ["speeds"])]
/// fn speeds(flights: Table) -> Result<Table> {
///     let hours = flights.numbers("hours")?;
///     let miles = flights.numbers("miles")?;
///     let speeds: Float64Array = hours.iter().zip(&miles).map(|(h, m)| Some(m / h)).collect();
///     Table::from_columns([("speed", Arc::new(speeds) as ArrayRef)])
/// }
/// # let flights = Table::from_columns([
/// #     ("hours", Arc::new(Float64Array::from(vec![2.0])) as ArrayRef),
/// #     ("miles", Arc::new(Int64Array::from(vec![1000])) as ArrayRef),
/// # ]).unwrap();
/// # let outputs = plugin_api::testing::node::<speeds>().input("flights", flights).run().unwrap();
/// # assert_eq!(outputs.get::<Table>("speeds").unwrap().numbers("speed").unwrap(), [500.0]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
}

impl Table {
    /// A table of batches that all have this schema.
    pub fn new(schema: SchemaRef, batches: Vec<RecordBatch>) -> Result<Self> {
        for batch in &batches {
            same_schema(&schema, &batch.schema())?;
        }
        Ok(Table { schema, batches })
    }

    /// A table of one batch with these columns; all of one length.
    #[track_caller]
    pub fn from_columns<N: AsRef<str>>(columns: impl IntoIterator<Item = (N, ArrayRef)>) -> Result<Self> {
        Ok(RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))?
            .into())
    }

    /// The columns' names and types.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The batches, in order.
    pub fn batches(&self) -> &[RecordBatch] {
        &self.batches
    }

    /// The batches themselves.
    pub fn into_batches(self) -> Vec<RecordBatch> {
        self.batches
    }

    /// The number of rows.
    pub fn num_rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// The number of columns.
    pub fn num_columns(&self) -> usize {
        self.schema.fields().len()
    }

    /// All rows as one batch: the only one as it is, several copied together.
    #[track_caller]
    pub fn concat(&self) -> Result<RecordBatch> {
        match self.batches.as_slice() {
            [batch] => Ok(batch.clone()),
            batches => Ok(arrow_select::concat::concat_batches(&self.schema, batches)?),
        }
    }

    /// What the block's metadata says of it: `{"rows":n,"columns":[["name","type"],…]}`.
    pub(crate) fn metadata(schema: &Schema, rows: usize) -> String {
        let columns: Vec<[String; 2]> =
            schema.fields().iter().map(|field| [field.name().clone(), field.data_type().to_string()]).collect();
        serde_json::json!({ "rows": rows, "columns": columns }).to_string()
    }
}

impl From<RecordBatch> for Table {
    fn from(batch: RecordBatch) -> Self {
        Table { schema: batch.schema(), batches: vec![batch] }
    }
}

/// Says which column differs first.
pub(crate) fn same_schema(expected: &Schema, found: &Schema) -> Result<()> {
    let (wanted, given) = (expected.fields(), found.fields());
    for (want, give) in wanted.iter().zip(given) {
        if want.name() != give.name() || want.data_type() != give.data_type() {
            return Err(Error::output(format!(
                "the batches of a table differ: expected the column `{}` of type {}, found `{}` of type {}",
                want.name(),
                want.data_type(),
                give.name(),
                give.data_type()
            )));
        }
    }
    if wanted.len() != given.len() {
        let message =
            format!("the batches of a table differ: one has {} columns, another {}", wanted.len(), given.len());
        return Err(Error::output(message));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
