//! What to learn from and what to test on.

use std::sync::Arc;

use plugin_api::arrow::array::{ArrayRef, BooleanArray, Float64Array};
use plugin_api::prelude::*;

/// `params:model_options` of the tutorial.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(crate = "plugin_api::serde", deny_unknown_fields)]
#[schemars(crate = "plugin_api::schemars")]
pub struct ModelOptions {
    /// The share of rows to test on.
    pub test_size: f64,
    /// Which of the many splits; the same number gives the same split.
    pub random_state: u64,
    /// The columns to predict the price from.
    pub features: Vec<String>,
}

/// Parts the features and the prices into rows to learn from and rows to test on.
#[node(outputs = ["x_train", "x_test", "y_train", "y_test"])]
pub fn split_data(
    model_input_table: Table,
    model_options: Params<ModelOptions>,
) -> Result<(Table, Table, Array<f64>, Array<f64>)> {
    let ModelOptions { test_size, random_state, features } = &*model_options;
    ensure!((0.0..1.0).contains(test_size), "test_size is {test_size}, expected a share from 0 to below 1");
    let rows = model_input_table.num_rows();
    let mut order: Vec<usize> = (0..rows).collect();
    fastrand::Rng::with_seed(*random_state).shuffle(&mut order);
    let (test, train) = order.split_at((rows as f64 * test_size).ceil() as usize);

    let mut columns = Vec::with_capacity(features.len());
    for name in features {
        columns.push((name.as_str(), numbers(&model_input_table, name)?));
    }
    let prices = model_input_table.numbers("price")?;
    Ok((pick(&columns, train)?, pick(&columns, test)?, pick_numbers(&prices, train)?, pick_numbers(&prices, test)?))
}

/// A column as numbers, truth values as 0 and 1.
fn numbers(table: &Table, name: &str) -> Result<Vec<f64>> {
    match table.column(name)?.as_any().downcast_ref::<BooleanArray>() {
        Some(truths) => {
            Ok(truths.iter().map(|truth| truth.map_or(f64::NAN, |truth| f64::from(u8::from(truth)))).collect())
        }
        None => table.numbers(name),
    }
}

fn pick(columns: &[(&str, Vec<f64>)], rows: &[usize]) -> Result<Table> {
    Table::from_columns(columns.iter().map(|(name, column)| {
        let picked: Float64Array = rows.iter().map(|row| Some(column[*row])).collect();
        (*name, Arc::new(picked) as ArrayRef)
    }))
}

fn pick_numbers(column: &[f64], rows: &[usize]) -> Result<Array<f64>> {
    Array::new(rows.iter().map(|row| column[*row]).collect(), &[rows.len()])
}
