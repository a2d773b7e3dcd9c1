//! Nodes over datasets of many files.

use std::sync::Arc;

use plugin_api::arrow::array::{ArrayRef, Int64Array, StringArray};
use plugin_api::prelude::*;

/// Gives so many partitions, `p00000` on, each of so many rows of a kilobyte.
#[node(outputs = ["partitions"])]
pub fn part(count: i64, rows: i64) -> Partitioned<impl Iterator<Item = Result<(String, Table)>>> {
    let text = "x".repeat(1016);
    Partitioned((0..count).map(move |partition| {
        let numbers = Int64Array::from_iter_values((0..rows).map(|row| partition * rows + row));
        let texts = StringArray::from_iter_values((0..rows).map(|_| &*text));
        let table = Table::from_columns([("number", Arc::new(numbers) as ArrayRef), ("text", Arc::new(texts))])?;
        Ok((format!("p{partition:05}"), table))
    }))
}

/// Adds up the rows of all partitions, loaded by so many threads.
#[node(outputs = ["rows"])]
pub fn rows_of_all(partitions: Partitions<Table>, threads: i64, ctx: &Context) -> Result<i64> {
    let rows = partitions.map(ctx, usize::try_from(threads).unwrap_or(1), |_, table| Ok(table.num_rows() as i64))?;
    Ok(rows.into_iter().sum())
}

/// The names of all partitions, with the first number of each: one after the other.
#[node(outputs = ["summary"])]
pub fn summary(partitions: Partitions<Table>, ctx: &Context) -> Result<Json<Vec<(String, i64)>>> {
    let each = partitions.iter(ctx).map(|partition| {
        let (name, table) = partition?;
        Ok((name.to_owned(), table.typed::<Int64Array>("number")?.value(0)))
    });
    Ok(Json(each.collect::<Result<_>>()?))
}
