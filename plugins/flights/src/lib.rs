//! dagd's demonstration: what delayed the flights that left New York in 2013, and by how much.
//!
//! One file per node, in the order of the pipeline: [`clean_flights`], [`clean_weather`], [`clean_planes`], [`build_features`],
//! [`split`], [`train`], [`evaluate`], [`carrier_delays`], [`delay_chart`]. Beside them what they share: columns by name
//! and choosing rows, the model, and the least-squares solver, which knows nothing of flights.
//!
//! The nodes take their columns in whatever type the catalog gives them (text or dictionary, any number type, moments as
//! timestamps or text); narrow types and dictionaries are faster.

#![deny(unsafe_code)] // `plugin!` exports the one symbol that needs an exception, so this cannot be `forbid`

mod build_features;
mod carrier_delays;
mod clean_flights;
mod clean_planes;
mod clean_weather;
mod column;
mod delay_chart;
mod evaluate;
mod least_squares;
mod model;
mod rows;
mod split;
mod train;

#[cfg(test)]
mod tests;

use plugin_api::plugin;

plugin! {
    nodes: [
        clean_flights::clean_flights,
        clean_weather::clean_weather,
        clean_planes::clean_planes,
        build_features::build_features,
        split::split,
        train::train,
        evaluate::evaluate,
        carrier_delays::carrier_delays,
        delay_chart::delay_chart,
    ],
}
