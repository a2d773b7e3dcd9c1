//! Shuttles, companies and reviews in one table.

use plugin_api::arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, UInt32Array};
use plugin_api::arrow::select::{filter::filter_record_batch, take::take};
use plugin_api::prelude::*;

use crate::typed::{ids, row_of_id};

/// Joins each shuttle with its reviews and its company, and leaves out rows that miss any value.
#[node(outputs = ["model_input_table"])]
pub fn create_model_input_table(shuttles: Table, companies: Table, reviews: Table) -> Result<Table> {
    let reviews_of = row_of_id(&reviews, "shuttle_id")?;
    let company_of = row_of_id(&companies, "id")?;
    let [mut shuttle_rows, mut review_rows, mut company_rows] = [const { Vec::<u32>::new() }; 3];
    for ((row, shuttle), company) in (0..).zip(ids(&shuttles, "id")?).zip(ids(&shuttles, "company_id")?) {
        let review = shuttle.and_then(|id| reviews_of.get(&id));
        let company = company.and_then(|id| company_of.get(&id));
        if let (Some(review), Some(company)) = (review, company) {
            shuttle_rows.push(row);
            review_rows.push(*review);
            company_rows.push(*company);
        }
    }
    info!("{} of {} shuttles have a company and reviews", shuttle_rows.len(), shuttles.num_rows());

    let mut columns: Vec<(String, ArrayRef)> = Vec::new();
    for (table, rows) in [(shuttles, shuttle_rows), (reviews, review_rows), (companies, company_rows)] {
        let (batch, rows) = (table.concat()?, UInt32Array::from(rows));
        for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
            // The key of a later table says what the shuttle's own columns say already.
            if columns.iter().all(|(name, _)| name != field.name()) && field.name() != "shuttle_id" {
                columns.push((field.name().clone(), take(column, &rows, None)?));
            }
        }
    }
    let joined =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))?;
    let whole = (0..joined.num_rows()).map(|row| joined.columns().iter().all(|column| column.is_valid(row)));
    let whole = BooleanArray::from(whole.collect::<Vec<_>>());
    Ok(filter_record_batch(&joined, &whole)?.into())
}
