//! Which airline is how late.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, Float64Array, Int64Array, StringArray};
use plugin_api::prelude::*;
use std::collections::HashMap;

use crate::column::{Codes, present_numbers};

/// What is known of one carrier.
struct Carrier<'a> {
    code: &'a str,
    flights: i64,
    departure: f64,
    arrival: f64,
}

/// Counts each carrier's flights and averages their delays; the latest to arrive comes first.
#[node(outputs = ["carrier_delays"])]
pub fn carrier_delays(flights: LazyTable, airlines: Table) -> Result<Table> {
    let flights = flights.select(["carrier", "dep_delay", "arr_delay"])?.concat()?;
    let codes = Codes::of(&flights, "carrier")?;
    let (departures, arrivals) = (present_numbers(&flights, "dep_delay")?, present_numbers(&flights, "arr_delay")?);
    // Sums of whole minutes are exact in a float, in whatever order.
    let mut sums = vec![(0_i64, 0.0, 0.0); codes.values.len()];
    for row in 0..flights.num_rows() {
        let Some(code) = codes.get(row) else { continue };
        let (count, departure, arrival) = &mut sums[code];
        *count += 1;
        *departure += departures.value(row);
        *arrival += arrivals.value(row);
    }
    let mut carriers: Vec<Carrier<'_>> = codes
        .values
        .iter()
        .zip(sums)
        .filter_map(|(code, (flights, departure, arrival))| {
            let (code, count) = (code?, flights as f64);
            (flights > 0).then_some(Carrier { code, flights, departure: departure / count, arrival: arrival / count })
        })
        .collect();
    carriers.sort_by(|a, b| b.arrival.total_cmp(&a.arrival).then(a.code.cmp(b.code)));

    let airlines = airlines.concat()?;
    let (airline_codes, airline_names) = (Codes::of(&airlines, "carrier")?, Codes::of(&airlines, "name")?);
    let names: HashMap<&str, &str, ahash::RandomState> = (0..airlines.num_rows())
        .filter_map(|row| {
            Some((
                airline_codes.values.value(airline_codes.get(row)?),
                airline_names.values.value(airline_names.get(row)?),
            ))
        })
        .collect();
    let name = |carrier: &Carrier<'_>| names.get(carrier.code).copied();
    let columns: [(&str, ArrayRef); 5] = [
        ("carrier", Arc::new(StringArray::from_iter_values(carriers.iter().map(|carrier| carrier.code)))),
        ("name", Arc::new(carriers.iter().map(name).collect::<StringArray>())),
        ("flights", Arc::new(Int64Array::from_iter_values(carriers.iter().map(|carrier| carrier.flights)))),
        ("mean_dep_delay", Arc::new(Float64Array::from_iter_values(carriers.iter().map(|carrier| carrier.departure)))),
        ("mean_arr_delay", Arc::new(Float64Array::from_iter_values(carriers.iter().map(|carrier| carrier.arrival)))),
    ];
    Table::from_columns(columns)
}
