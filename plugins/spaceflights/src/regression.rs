//! Linear regression by ordinary least squares.

use plugin_api::prelude::*;

/// A fitted linear model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(crate = "plugin_api::serde")]
pub struct Regressor {
    /// The columns it predicts from.
    pub features: Vec<String>,
    /// What one more of each feature adds.
    pub coefficients: Vec<f64>,
    /// What is predicted where all features are 0.
    pub intercept: f64,
}

impl Regressor {
    /// Fits `target` to the columns of `features`.
    ///
    /// Solves the normal equations of the centred columns by Cholesky's decomposition: with a handful of features of like size
    /// that is as good as it gets, and a feature that follows from the others shows as a pivot that vanishes.
    pub fn fit(features: &Table, target: &[f64]) -> Result<Self> {
        let (names, columns) = columns(features)?;
        ensure!(
            target.len() == features.num_rows(),
            "{} rows of features, but {} values to fit",
            features.num_rows(),
            target.len()
        );
        ensure!(target.len() > columns.len(), "{} rows are too few for {} features", target.len(), columns.len());
        let means: Vec<f64> = columns.iter().map(|column| mean(column)).collect();
        let target_mean = mean(target);
        let product = |a: &[f64], a_mean: f64, b: &[f64], b_mean: f64| -> f64 {
            a.iter().zip(b).map(|(a, b)| (a - a_mean) * (b - b_mean)).sum()
        };
        // The lower triangle of the Gram matrix, decomposed in place, and the right side, solved in place.
        let size = columns.len();
        let mut lower = vec![vec![0.0; size]; size];
        let mut solution = vec![0.0; size];
        for row in 0..size {
            for column in 0..=row {
                let gram = product(&columns[row], means[row], &columns[column], means[column]);
                let known: f64 = (0..column).map(|k| lower[row][k] * lower[column][k]).sum();
                if row == column {
                    let pivot = gram - known;
                    ensure!(
                        pivot > gram * 1e-12,
                        "the feature `{}` is constant, or follows from the features before it",
                        names[row]
                    );
                    lower[row][row] = pivot.sqrt();
                } else {
                    lower[row][column] = (gram - known) / lower[column][column];
                }
            }
            let right = product(&columns[row], means[row], target, target_mean);
            let known: f64 = (0..row).map(|k| lower[row][k] * solution[k]).sum();
            solution[row] = (right - known) / lower[row][row];
        }
        for row in (0..size).rev() {
            let known: f64 = (row + 1..size).map(|k| lower[k][row] * solution[k]).sum();
            solution[row] = (solution[row] - known) / lower[row][row];
        }
        let intercept =
            target_mean - means.iter().zip(&solution).map(|(mean, coefficient)| mean * coefficient).sum::<f64>();
        Ok(Self { features: names, coefficients: solution, intercept })
    }

    /// What the model says of each row.
    pub fn predict(&self, features: &Table) -> Result<Vec<f64>> {
        let mut predicted = vec![self.intercept; features.num_rows()];
        for (name, coefficient) in self.features.iter().zip(&self.coefficients) {
            let column = features.numbers(name)?;
            predicted.iter_mut().zip(column).for_each(|(sum, value)| *sum += coefficient * value);
        }
        Ok(predicted)
    }
}

fn columns(features: &Table) -> Result<(Vec<String>, Vec<Vec<f64>>)> {
    let names: Vec<String> = features.schema().fields().iter().map(|field| field.name().clone()).collect();
    let mut columns = Vec::with_capacity(names.len());
    for name in &names {
        let column = features.numbers(name)?;
        ensure!(column.iter().all(|value| value.is_finite()), "the feature `{name}` misses values");
        columns.push(column);
    }
    Ok((names, columns))
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
