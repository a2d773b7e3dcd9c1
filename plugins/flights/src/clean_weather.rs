//! One complete weather report an hour and airport.

use arrow_buffer::BooleanBuffer;
use plugin_api::prelude::*;
use std::collections::HashSet;

use crate::column::{Codes, moments};
use crate::rows::{keep, select};

const COLUMNS: [&str; 6] = ["origin", "time_hour", "temp", "wind_speed", "precip", "visib"];

/// Drops incomplete reports and keeps the first of each airport and hour.
#[node(outputs = ["weather_clean"])]
pub fn clean_weather(weather: Table) -> Result<Table> {
    let complete = select(&weather.concat()?, &COLUMNS, &COLUMNS)?;
    let origins = Codes::of(&complete, "origin")?;
    let hours = moments(&complete, "time_hour")?;
    let mut seen: HashSet<(i32, i64), ahash::RandomState> =
        HashSet::with_capacity_and_hasher(hours.len(), ahash::RandomState::new());
    let is_first = |row: usize| seen.insert((origins.rows.value(row), hours.value(row)));
    let cleaned = keep(&complete, BooleanBuffer::collect_bool(complete.num_rows(), is_first))?;
    info!("{} of {} weather reports kept", cleaned.num_rows(), weather.num_rows());
    Ok(cleaned.into())
}
