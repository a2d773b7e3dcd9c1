//! How well the model predicts prices it has not seen.

use plugin_api::prelude::*;

use crate::regression::Regressor;

/// What is reported of a model.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(crate = "plugin_api::serde")]
pub struct Metrics {
    /// The share of the prices' variance that it explains.
    pub r2_score: f64,
    /// Mean absolute error, in dollars.
    pub mae: f64,
    /// The largest error, in dollars.
    pub max_error: f64,
}

/// Compares what the model predicts with the prices of the test set.
#[node(outputs = ["metrics"])]
pub fn evaluate_model(regressor: Json<Regressor>, x_test: Table, y_test: Array<f64>) -> Result<Json<Metrics>> {
    ensure!(!y_test.is_empty(), "there is no row to test on");
    let predicted = regressor.predict(&x_test)?;
    let errors = || y_test.iter().zip(&predicted).map(|(actual, predicted)| actual - predicted);
    let count = y_test.len() as f64;
    let mean = y_test.iter().sum::<f64>() / count;
    let total: f64 = y_test.iter().map(|actual| (actual - mean).powi(2)).sum();
    let metrics = Metrics {
        r2_score: 1.0 - errors().map(|error| error * error).sum::<f64>() / total,
        mae: errors().map(f64::abs).sum::<f64>() / count,
        max_error: errors().map(f64::abs).fold(0.0, f64::max),
    };
    info!("the model has a coefficient R² of {:.3} on test data", metrics.r2_score);
    Ok(Json(metrics))
}
