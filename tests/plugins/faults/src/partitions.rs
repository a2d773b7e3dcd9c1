//! Nodes over datasets of many files.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Barrier};

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

/// The same, and fails after the last one.
#[node(outputs = ["partitions"])]
pub fn part_and_fail(count: i64, rows: i64) -> Partitioned<impl Iterator<Item = Result<(String, Table)>>> {
    let Partitioned(parts) = part(count, rows);
    Partitioned(parts.chain(std::iter::once_with(|| Err(Error::new("there is no more paper")))))
}

/// Adds up the rows of all partitions, loaded by so many threads.
#[node(outputs = ["rows"])]
pub fn rows_of_all(partitions: Partitions<Table>, threads: i64, ctx: &Context) -> Result<i64> {
    let rows = partitions.map(ctx, usize::try_from(threads).unwrap_or(1), |_, table| Ok(table.num_rows() as i64))?;
    Ok(rows.into_iter().sum())
}

/// Adds up the rows of all partitions by threads that wait for each other, with a partition in each one's hands; and says how many there
/// were at most at once. The number of partitions is to be a multiple of theirs.
#[node(outputs = ["rows"])]
pub fn rows_together(partitions: Partitions<Table>, threads: i64, ctx: &Context) -> Result<Json<(i64, i64)>> {
    let threads = usize::try_from(threads).unwrap_or(1);
    let (all_there, held, most) = (Barrier::new(threads), AtomicI64::new(0), AtomicI64::new(0));
    let rows = partitions.map(ctx, threads, |_, table| {
        most.fetch_max(held.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        all_there.wait();
        held.fetch_sub(1, Ordering::SeqCst);
        Ok(table.num_rows() as i64)
    })?;
    Ok(Json((rows.into_iter().sum(), most.into_inner())))
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
