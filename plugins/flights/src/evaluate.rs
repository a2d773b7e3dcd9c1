//! How well the models predict flights they have not seen.

use std::collections::{BTreeMap, BTreeSet};

use arrow_buffer::BooleanBuffer;
use plugin_api::prelude::*;
use serde::{Deserialize, Serialize};

use crate::column::{Codes, present_numbers, project};
use crate::model::{Model, TARGET};
use crate::rows::keep;

/// How well one model does.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// The flights it was tested on.
    pub rows: u64,
    /// The share of the delays' variance that it explains; absent if they do not vary.
    pub r2: Option<f64>,
    /// Mean absolute error, in minutes.
    pub mae: Option<f64>,
    /// Root of the mean squared error, in minutes.
    pub rmse: Option<f64>,
}

/// Compares each airport's model with the delays of its flights in the test set.
#[node(outputs = ["metrics"])]
pub fn evaluate(
    ewr: Json<Model>,
    jfk: Json<Model>,
    lga: Json<Model>,
    test: LazyTable,
) -> Result<Json<BTreeMap<String, Metrics>>> {
    let models = [("EWR", &*ewr), ("JFK", &*jfk), ("LGA", &*lga)];
    let features = models.iter().flat_map(|(_, model)| &model.coefficients).map(|(feature, _)| feature.as_str());
    let columns: BTreeSet<&str> = features.chain([TARGET, "origin"]).collect();
    let test = test.select(columns)?.concat()?;
    let origins = Codes::of(&test, "origin")?;
    let mut metrics = BTreeMap::new();
    for (origin, model) in models {
        let code = origins.code(origin).map(|code| code as usize);
        let is_here = |row: usize| code.is_some() && origins.get(row) == code;
        let mut names: Vec<&str> = model.coefficients.iter().map(|(feature, _)| feature.as_str()).collect();
        names.push(TARGET);
        let rows = keep(&project(&test, &names)?, BooleanBuffer::collect_bool(test.num_rows(), is_here))?;
        let predicted = model.predict(&rows).with_context(|| format!("predicting the delays of {origin}"))?;
        let actual = present_numbers(&rows, TARGET)?;
        metrics.insert(origin.to_owned(), compare(actual.values(), &predicted));
    }
    Ok(Json(metrics))
}

fn compare(actual: &[f64], predicted: &[f64]) -> Metrics {
    let count = actual.len() as f64;
    let mean = actual.iter().sum::<f64>() / count;
    let total: f64 = actual.iter().map(|value| (value - mean).powi(2)).sum();
    let errors = || actual.iter().zip(predicted).map(|(actual, predicted)| actual - predicted);
    let squared: f64 = errors().map(|error| error * error).sum();
    let absolute: f64 = errors().map(f64::abs).sum();
    let finite = |value: f64| value.is_finite().then_some(value);
    Metrics {
        rows: actual.len() as u64,
        r2: finite(1.0 - squared / total),
        mae: finite(absolute / count),
        rmse: finite((squared / count).sqrt()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_by_definition() {
        let metrics = compare(&[1.0, 2.0, 3.0], &[1.0, 2.0, 5.0]);
        assert_eq!(
            metrics,
            Metrics { rows: 3, r2: Some(-1.0), mae: Some(2.0 / 3.0), rmse: Some((4.0_f64 / 3.0).sqrt()) }
        );
        assert_eq!(compare(&[2.0], &[2.0]), Metrics { rows: 1, r2: None, mae: Some(0.0), rmse: Some(0.0) });
        assert_eq!(compare(&[], &[]), Metrics { rows: 0, r2: None, mae: None, rmse: None });
    }
}
