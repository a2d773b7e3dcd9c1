//! Learning what a flight costs.

use plugin_api::prelude::*;

use crate::regression::Regressor;

/// Fits the price to the features.
#[node(outputs = ["regressor"])]
pub fn train_model(x_train: Table, y_train: Array<f64>) -> Result<Json<Regressor>> {
    Ok(Json(Regressor::fit(&x_train, &y_train)?))
}
