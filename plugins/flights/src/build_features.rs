//! Flights with the weather at departure and the plane's age and size.

use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, PrimitiveArray, RecordBatch, UInt32Array};
use arrow_select::take::take;
use plugin_api::prelude::*;
use std::collections::HashMap;

use crate::column::{Codes, column, moments, numbers};

/// The year the flights are of; a plane's age counts to it.
const YEAR: f64 = 2013.0;

/// Joins each flight with the weather of its airport and hour and with its plane, where both are known.
#[node(outputs = ["model_input"])]
pub fn build_features(flights: Table, weather: Table, planes: Table) -> Result<Table> {
    let (flights, weather, planes) = (flights.concat()?, weather.concat()?, planes.concat()?);
    let weather_of_flight = weather_by_flight(&flights, &weather)?;
    let plane_of_flight = planes_by_flight(&flights, &planes)?;

    let rows = flights.num_rows();
    let mut matches = Matches::with_capacity(rows);
    for (row, (weather, plane)) in weather_of_flight.zip(plane_of_flight).enumerate() {
        if let (Some(weather), Some(plane)) = (weather, plane) {
            matches.push(row as u32, weather, plane);
        }
    }
    info!("{} of {rows} flights have weather and plane", matches.flights.len());

    let (flight_rows, weather_rows, plane_rows) = matches.finish();
    let mut columns: Vec<(&str, ArrayRef)> = Vec::new();
    let schema = flights.schema();
    for (field, column) in schema.fields().iter().zip(flights.columns()) {
        columns.push((field.name(), take(column, &flight_rows, None)?));
    }
    for name in ["temp", "wind_speed", "precip", "visib"] {
        columns.push((name, take(column(&weather, name)?, &weather_rows, None)?));
    }
    for name in ["seats", "engines", "plane_year"] {
        columns.push((name, take(column(&planes, name)?, &plane_rows, None)?));
    }
    let age: PrimitiveArray<Float64Type> = numbers(&planes, "plane_year")?.unary(|year| YEAR - year);
    columns.push(("plane_age", take(&age, &plane_rows, None)?));
    Table::from_columns(columns)
}

/// The matching rows of the three tables, side by side.
struct Matches {
    flights: Vec<u32>,
    weather: Vec<u32>,
    planes: Vec<u32>,
}

impl Matches {
    fn with_capacity(rows: usize) -> Self {
        Self { flights: Vec::with_capacity(rows), weather: Vec::with_capacity(rows), planes: Vec::with_capacity(rows) }
    }

    fn push(&mut self, flight: u32, weather: u32, plane: u32) {
        self.flights.push(flight);
        self.weather.push(weather);
        self.planes.push(plane);
    }

    fn finish(self) -> (UInt32Array, UInt32Array, UInt32Array) {
        (self.flights.into(), self.weather.into(), self.planes.into())
    }
}

/// For each flight the row of its weather.
fn weather_by_flight(
    flights: &RecordBatch,
    weather: &RecordBatch,
) -> Result<impl Iterator<Item = Option<u32>> + use<>> {
    let (origins, hours) = (Codes::of(weather, "origin")?, moments(weather, "time_hour")?);
    let hasher = ahash::RandomState::new();
    let mut rows: HashMap<(i32, i64), u32, ahash::RandomState> =
        HashMap::with_capacity_and_hasher(weather.num_rows(), hasher);
    for row in 0..weather.num_rows() {
        if origins.rows.is_null(row) || hours.is_null(row) {
            continue;
        }
        let key = (origins.rows.value(row), hours.value(row));
        ensure!(
            rows.insert(key, row as u32).is_none(),
            "there are two weather reports of {} for one hour (row {row})",
            origins.values.value(key.0 as usize)
        );
    }
    // An airport has one code among the flights and another among the weather reports.
    let own = Codes::of(flights, "origin")?;
    let same: Vec<Option<i32>> = own.values.iter().map(|origin| origins.code(origin?)).collect();
    let own_hours = moments(flights, "time_hour")?;
    // Flights of one hour mostly follow each other, so the last answer for each airport is remembered.
    let mut last: Vec<Option<(i64, Option<u32>)>> = vec![None; same.len()];
    Ok((0..flights.num_rows()).map(move |row| {
        let own = own.get(row)?;
        let hour = own_hours.is_valid(row).then(|| own_hours.value(row))?;
        match last[own] {
            Some((known, found)) if known == hour => found,
            _ => {
                let found = same[own].and_then(|origin| rows.get(&(origin, hour)).copied());
                last[own] = Some((hour, found));
                found
            }
        }
    }))
}

/// For each flight the row of its plane.
fn planes_by_flight(flights: &RecordBatch, planes: &RecordBatch) -> Result<impl Iterator<Item = Option<u32>> + use<>> {
    let tails = Codes::of(planes, "tailnum")?;
    let mut rows: HashMap<&str, u32, ahash::RandomState> = HashMap::default();
    for row in 0..planes.num_rows() {
        let Some(code) = tails.get(row) else { continue };
        let tail = tails.values.value(code);
        ensure!(rows.insert(tail, row as u32).is_none(), "there are two planes with the tail number `{tail}`");
    }
    // Looked up once per different tail number, not once per flight.
    let own = Codes::of(flights, "tailnum")?;
    let same: Vec<Option<u32>> = own.values.iter().map(|tail| rows.get(tail?).copied()).collect();
    Ok((0..flights.num_rows()).map(move |row| same[own.get(row)?]))
}
