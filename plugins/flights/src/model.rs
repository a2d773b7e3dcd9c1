//! A linear model of the arrival delay.

use std::collections::BTreeMap;

use arrow_array::RecordBatch;
use plugin_api::Result;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::column::present_numbers;

/// What is predicted.
pub const TARGET: &str = "arr_delay";

/// The delay is `intercept` plus the sum of each feature times its coefficient.
///
/// As JSON it is one flat object: `{"intercept": …, "distance": …, …, "rows": …}`.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// The delay where all features are zero.
    pub intercept: f64,
    /// What one unit of a feature adds, in minutes.
    pub coefficients: Vec<(String, f64)>,
    /// The rows it was fitted to.
    pub rows: u64,
}

impl Model {
    /// The predicted delay of each row.
    pub fn predict(&self, batch: &RecordBatch) -> Result<Vec<f64>> {
        let mut predicted = vec![self.intercept; batch.num_rows()];
        for (feature, coefficient) in &self.coefficients {
            let values = present_numbers(batch, feature)?;
            predicted.iter_mut().zip(values.values()).for_each(|(sum, value)| *sum += coefficient * value);
        }
        Ok(predicted)
    }
}

impl Serialize for Model {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.coefficients.len() + 2))?;
        map.serialize_entry("intercept", &self.intercept)?;
        for (feature, coefficient) in &self.coefficients {
            map.serialize_entry(feature, coefficient)?;
        }
        map.serialize_entry("rows", &self.rows)?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for Model {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Flat {
            intercept: f64,
            rows: u64,
            #[serde(flatten)]
            coefficients: BTreeMap<String, f64>,
        }
        let Flat { intercept, rows, coefficients } = Flat::deserialize(deserializer)?;
        Ok(Self { intercept, coefficients: coefficients.into_iter().collect(), rows })
    }
}
