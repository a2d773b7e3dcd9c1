//! A model of one airport's delays.

use arrow_array::RecordBatch;
use arrow_buffer::BooleanBuffer;
use plugin_api::prelude::*;

use crate::column::{Codes, present_numbers, project};
use crate::least_squares::{Dependent, LeastSquares};
use crate::model::{Model, TARGET};
use crate::rows::keep;

/// Where a flight left from.
const ORIGIN: &str = "origin";

/// What to learn from.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelOptions {
    /// The columns that explain the delay.
    pub features: Vec<String>,
}

/// Fits the arrival delay of one origin airport by ordinary least squares.
#[node(outputs = ["model"])]
pub fn train(table: LazyTable, options: Params<ModelOptions>, origin: Params<String>) -> Result<Json<Model>> {
    let features = &options.features;
    ensure!(
        !features.iter().any(|feature| feature == TARGET),
        "`{TARGET}` cannot explain itself: remove it from the features"
    );
    let mut problem = LeastSquares::new(features.len() + 1);
    let mut count = 0;
    // A part at a time: what is copied out of the table stays in the cache, and is never a table of its own.
    let needed = features.iter().map(String::as_str).filter(|feature| *feature != ORIGIN).chain([TARGET, ORIGIN]);
    for part in parts(&table.select(needed)?.concat()?, &origin, features)? {
        let part = part?;
        let numbers = |name| present_numbers(&part, name);
        let columns = features.iter().map(|feature| numbers(feature)).collect::<Result<Vec<_>>>()?;
        let target = numbers(TARGET)?;
        let ones = vec![1.0; part.num_rows()];
        let mut slices: Vec<&[f64]> = vec![&ones];
        slices.extend(columns.iter().map(|column| &column.values()[..]));
        slices.push(target.values());
        problem.add(&slices);
        count += part.num_rows();
    }
    ensure!(count > features.len(), "{count} flights from {} are too few for {} features", *origin, features.len());

    let solution = problem.solve().map_err(|Dependent(column)| match column.checked_sub(1) {
        Some(feature) => Error::new(format!(
            "the feature `{}` follows from the ones before it, so it has no coefficient of its own",
            features[feature]
        ))
        .with_hint("leave it out of the features"),
        None => Error::new("the features hold values that are no finite numbers"),
    })?;
    info!(
        "{}: {count} flights, {:.1} minutes unexplained (root mean square)",
        *origin,
        (solution.residual / count as f64).sqrt()
    );
    let coefficients = features.iter().cloned().zip(solution.coefficients[1..].iter().copied()).collect();
    Ok(Json(Model { intercept: solution.coefficients[0], coefficients, rows: count as u64 }))
}

/// Rows of the table that are looked at at once.
const PART_ROWS: usize = 8192;

/// The features and the target of one airport's flights, part by part.
fn parts(
    batch: &RecordBatch,
    origin: &str,
    features: &[String],
) -> Result<impl Iterator<Item = Result<RecordBatch>> + use<>> {
    let mut names: Vec<&str> = features.iter().map(String::as_str).collect();
    names.push(TARGET);
    let origins = Codes::of(batch, ORIGIN)?;
    let code = origins.code(origin).map(|code| code as usize);
    let wanted = project(batch, &names)?;
    Ok((0..batch.num_rows()).step_by(PART_ROWS).map(move |start| {
        let rows = PART_ROWS.min(wanted.num_rows() - start);
        let is_here = |row: usize| code.is_some() && origins.get(start + row) == code;
        keep(&wanted.slice(start, rows), BooleanBuffer::collect_bool(rows, is_here))
    }))
}
