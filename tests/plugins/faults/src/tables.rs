//! Nodes that handle tables: the least that shows what a table survives.

use plugin_api::prelude::*;

/// The number of rows.
#[node(outputs = ["rows"])]
pub fn rows(table: Table) -> i64 {
    table.num_rows() as i64
}

/// The table as it came.
#[node(outputs = ["table"])]
pub fn pass(table: Table) -> Table {
    table
}
