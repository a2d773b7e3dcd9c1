//! Planes whose age and size are known.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{Field, Schema};
use plugin_api::prelude::*;

use crate::rows::select;

/// Keeps the planes with a year and a number of seats; the year becomes `plane_year`.
#[node(outputs = ["planes_clean"])]
pub fn clean_planes(planes: Table) -> Result<Table> {
    let cleaned = select(&planes.concat()?, &["tailnum", "year", "seats", "engines"], &["year", "seats"])?;
    let renamed = |field: &Arc<Field>| match field.name().as_str() {
        "year" => Arc::new(field.as_ref().clone().with_name("plane_year")),
        _ => Arc::clone(field),
    };
    let schema = Schema::new(cleaned.schema().fields().iter().map(renamed).collect::<Vec<_>>());
    info!("{} of {} planes kept", cleaned.num_rows(), planes.num_rows());
    Ok(RecordBatch::try_new(Arc::new(schema), cleaned.columns().to_vec())?.into())
}
