//! Flights that happened, with the columns that matter.

use plugin_api::prelude::*;

use crate::rows::select;

const COLUMNS: [&str; 10] =
    ["time_hour", "origin", "dest", "carrier", "tailnum", "month", "hour", "distance", "dep_delay", "arr_delay"];

/// Keeps the flights that left, arrived and have a tail number.
#[node(outputs = ["flights_clean"])]
pub fn clean_flights(flights: Table) -> Result<Table> {
    let cleaned = select(&flights.concat()?, &COLUMNS, &["dep_delay", "arr_delay", "air_time", "tailnum"])?;
    info!("{} of {} flights kept", cleaned.num_rows(), flights.num_rows());
    Ok(cleaned.into())
}
