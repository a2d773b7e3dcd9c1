//! What to learn from and what to test on.

use arrow_buffer::BooleanBuffer;
use plugin_api::prelude::*;

use crate::rows::keep;

/// One row in this many is for testing.
const TEST_EVERY: usize = 5;

/// Puts every fifth row, from the first on, into the test set and the others into the training set.
#[node(outputs = ["train", "test"])]
pub fn split(model_input: Table) -> Result<(Table, Table)> {
    let rows = model_input.concat()?;
    let is_test = BooleanBuffer::collect_bool(rows.num_rows(), |row| row % TEST_EVERY == 0);
    let train = keep(&rows, !&is_test)?;
    Ok((train.into(), keep(&rows, is_test)?.into()))
}
