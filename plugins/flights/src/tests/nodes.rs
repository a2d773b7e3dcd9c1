//! Each node on a table that fits on the screen.

use std::collections::BTreeMap;
use std::sync::Arc;

use plugin_api::testing::{NodeOutputs, node};
use plugin_api::{Error, Json, Table, Text};

use super::{dictionary, floats, hours, integers, shown, table, text};
use crate::build_features::build_features;
use crate::carrier_delays::carrier_delays;
use crate::clean_flights::clean_flights;
use crate::clean_planes::clean_planes;
use crate::clean_weather::clean_weather;
use crate::column::Codes;
use crate::delay_chart::delay_chart;
use crate::evaluate::{Metrics, evaluate};
use crate::model::Model;
use crate::split::split;
use crate::train::train;

fn output(outputs: &NodeOutputs, name: &str) -> Table {
    outputs.get(name).unwrap()
}

#[test]
fn clean_flights_keeps_what_flew() {
    let all = |value| integers([Some(value); 5]);
    let flights = table([
        ("year", all(2013)),
        ("time_hour", hours([Some(1), Some(2), Some(3), Some(4), Some(5)])),
        ("origin", dictionary([Some("EWR"); 5])),
        ("dest", dictionary([None; 5])),
        ("carrier", dictionary([Some("UA"); 5])),
        ("tailnum", dictionary([Some("N1"), None, Some("N3"), Some("N4"), Some("N5")])),
        ("month", all(1)),
        ("hour", all(1)),
        ("distance", all(1)),
        ("dep_delay", integers([Some(1), Some(2), None, Some(4), Some(5)])),
        ("arr_delay", integers([Some(1), Some(2), Some(3), None, Some(5)])),
        ("air_time", integers([Some(1), Some(2), Some(3), Some(4), None])),
    ]);
    let outputs = node::<clean_flights>().input("flights", flights).run().unwrap();
    let cleaned = output(&outputs, "flights_clean");
    assert_eq!(shown(&cleaned, "tailnum"), ["N1"]);
    assert_eq!(shown(&cleaned, "dest"), ["-"]);
    assert_eq!(cleaned.num_columns(), 10);

    let failure = node::<clean_flights>().input("flights", table([("year", all(2013))])).run().unwrap_err();
    assert_eq!(failure.message, "the table has no column `time_hour`");
}

#[test]
fn clean_weather_keeps_the_first_complete_report_an_hour() {
    let ones = || floats([Some(1.0); 5]);
    let weather = table([
        ("origin", text([Some("EWR"), Some("EWR"), Some("JFK"), Some("EWR"), Some("EWR")])),
        (
            "time_hour",
            text(
                ["06", "06", "06", "07", "06"]
                    .map(|hour| Some(["2013-01-01T06:00:00Z", "2013-01-01T07:00:00Z"][usize::from(hour == "07")])),
            ),
        ),
        ("temp", floats([None, Some(2.0), Some(3.0), Some(4.0), Some(5.0)])),
        ("wind_speed", ones()),
        ("precip", ones()),
        ("visib", ones()),
    ]);
    let outputs = node::<clean_weather>().input("weather", weather).run().unwrap();
    assert_eq!(shown(&output(&outputs, "weather_clean"), "temp"), ["2.0", "3.0", "4.0"]);
}

#[test]
fn clean_planes_renames_the_year() {
    let planes = table([
        ("tailnum", text([Some("N1"), Some("N2"), Some("N3")])),
        ("year", integers([Some(2000), None, Some(2001)])),
        ("seats", integers([Some(2), Some(2), None])),
        ("engines", integers([None, Some(1), Some(1)])),
    ]);
    let outputs = node::<clean_planes>().input("planes", planes).run().unwrap();
    let cleaned = output(&outputs, "planes_clean");
    assert_eq!(shown(&cleaned, "plane_year"), ["2000"]);
    assert_eq!(shown(&cleaned, "engines"), ["-"]);
}

fn weather() -> Table {
    table([
        ("origin", dictionary([Some("JFK"), Some("EWR"), Some("EWR")])),
        ("time_hour", hours([Some(1), Some(1), Some(2)])),
        ("temp", floats([Some(10.0), Some(20.0), Some(30.0)])),
        ("wind_speed", floats([Some(1.0); 3])),
        ("precip", floats([Some(1.0); 3])),
        ("visib", floats([Some(1.0); 3])),
    ])
}

fn planes(tails: [&str; 2]) -> Table {
    table([
        ("tailnum", dictionary(tails.map(Some))),
        ("plane_year", integers([Some(2003), Some(2013)])),
        ("seats", integers([Some(50), Some(150)])),
        ("engines", integers([Some(2), Some(2)])),
    ])
}

#[test]
fn build_features_joins_on_both_and_keeps_the_order() {
    let flights = || {
        table([
            ("origin", dictionary([Some("EWR"), Some("JFK"), Some("EWR"), Some("LGA"), None, Some("EWR")])),
            ("time_hour", hours([Some(2), Some(1), Some(1), Some(1), Some(1), Some(3)])),
            ("tailnum", dictionary([Some("N2"), Some("N1"), Some("N9"), Some("N1"), Some("N1"), Some("N1")])),
        ])
    };
    let joined = |planes| {
        node::<build_features>()
            .input("flights", flights())
            .input("weather", weather())
            .input("planes", planes)
            .run()
            .map_err(Error::from)
    };
    let rows = output(&joined(planes(["N1", "N2"])).unwrap(), "model_input");
    assert_eq!(shown(&rows, "tailnum"), ["N2", "N1"]);
    assert_eq!(shown(&rows, "temp"), ["30.0", "10.0"]);
    assert_eq!(shown(&rows, "seats"), ["150", "50"]);
    assert_eq!(shown(&rows, "plane_age"), ["0.0", "10.0"]);

    let error = joined(planes(["N1", "N1"])).unwrap_err();
    assert_eq!(error.to_string(), "there are two planes with the tail number `N1`");
}

#[test]
fn a_dictionary_may_hold_a_value_twice() {
    use arrow_array::{DictionaryArray, Int32Array, StringArray};
    let keys = Int32Array::from(vec![Some(0), Some(1), Some(2), Some(3), None]);
    let values = StringArray::from(vec![Some("EWR"), Some("JFK"), Some("EWR"), None]);
    let origins = Arc::new(DictionaryArray::new(keys, Arc::new(values)));
    let batch = table([("origin", origins)]).concat().unwrap();
    let codes = Codes::of(&batch, "origin").unwrap();
    assert_eq!(codes.rows, Int32Array::from(vec![Some(0), Some(1), Some(0), None, None]));
    assert_eq!((codes.code("EWR"), codes.code("JFK"), codes.code("LGA")), (Some(0), Some(1), None));
}

#[test]
fn every_table_may_be_empty() {
    let flights = table([("origin", dictionary([])), ("time_hour", hours([])), ("tailnum", dictionary([]))]);
    let joined = node::<build_features>()
        .input("flights", flights)
        .input("weather", weather())
        .input("planes", planes(["N1", "N2"]))
        .run()
        .unwrap();
    let outputs = node::<split>().block("model_input", joined.block("model_input").unwrap()).run().unwrap();
    for name in ["train", "test"] {
        assert_eq!((output(&outputs, name).num_rows(), output(&outputs, name).num_columns()), (0, 11));
    }
}

#[test]
fn split_tests_every_fifth_row() {
    let rows = table([("row", integers((0..11).map(Some)))]);
    let outputs = node::<split>().input("model_input", rows).run().unwrap();
    assert_eq!(shown(&output(&outputs, "test"), "row"), ["0", "5", "10"]);
    assert_eq!(shown(&output(&outputs, "train"), "row"), ["1", "2", "3", "4", "6", "7", "8", "9"]);
}

fn delays() -> Table {
    table([
        ("origin", dictionary(["EWR", "EWR", "JFK", "EWR", "EWR"].map(Some))),
        ("hour", integers([1, 2, 9, 3, 4].map(Some))),
        ("twice", integers([2, 4, 18, 6, 8].map(Some))),
        ("gap", integers([Some(1), None, Some(1), Some(1), Some(1)])),
        ("arr_delay", floats([12.0, 14.0, 99.0, 16.0, 18.0].map(Some))),
    ])
}

#[test]
fn train_fits_the_airport_it_is_given() {
    let fit = |origin: &str, features: &str| {
        node::<train>()
            .input("table", delays())
            .parameter("options", &format!("{{\"features\":{features}}}"))
            .parameter("origin", &format!("\"{origin}\""))
            .run()
            .map_err(Error::from)
    };
    let Json(model) = fit("EWR", "[\"hour\"]").unwrap().get::<Json<Model>>("model").unwrap();
    assert!((model.intercept - 10.0).abs() < 1e-9 && (model.coefficients[0].1 - 2.0).abs() < 1e-9, "{model:?}");
    assert_eq!(model.rows, 4);

    let check = |origin: &str, features: &str, expected: &str| {
        let error = fit(origin, features).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    };
    check("LGA", "[\"hour\"]", "0 flights from LGA are too few");
    check("EWR", "[\"hour\", \"twice\"]", "the feature `twice` follows from the ones before it");
    check("EWR", "[\"gap\"]", "the column `gap` misses 1 of its 4 values");
    check("EWR", "[\"arr_delay\"]", "`arr_delay` cannot explain itself");
    check("EWR", "[\"minute\"]", "no column `minute`");
    check("EWR", "[\"origin\"]", "the column `origin` is of type");
}

#[test]
fn a_model_is_one_flat_object() {
    let model = Model { intercept: 1.5, coefficients: vec![("b".to_owned(), 2.0), ("a".to_owned(), 3.0)], rows: 7 };
    let text = serde_json::to_string(&model).unwrap();
    assert_eq!(text, r#"{"intercept":1.5,"b":2.0,"a":3.0,"rows":7}"#);
    let read: Model = serde_json::from_str(&text).unwrap();
    assert_eq!((read.intercept, read.rows, read.coefficients.len()), (1.5, 7, 2));
}

#[test]
fn evaluate_tests_each_model_on_its_airport() {
    let model = |slope| Json(Model { intercept: 10.0, coefficients: vec![("hour".to_owned(), slope)], rows: 1 });
    let outputs = node::<evaluate>()
        .input("ewr", model(2.0))
        .input("jfk", model(1.0))
        .input("lga", model(1.0))
        .input("test", delays())
        .run()
        .unwrap();
    let Json(metrics) = outputs.get::<Json<BTreeMap<String, Metrics>>>("metrics").unwrap();
    assert_eq!(metrics["EWR"], Metrics { rows: 4, r2: Some(1.0), mae: Some(0.0), rmse: Some(0.0) });
    assert_eq!(metrics["JFK"], Metrics { rows: 1, r2: None, mae: Some(80.0), rmse: Some(80.0) });
    assert_eq!(metrics["LGA"], Metrics { rows: 0, r2: None, mae: None, rmse: None });
}

#[test]
fn carrier_delays_puts_the_latest_first() {
    let flights = table([
        ("carrier", dictionary(["UA", "AA", "UA", "ZZ"].map(Some))),
        ("dep_delay", integers([1, 2, 4, 0].map(Some))),
        ("arr_delay", integers([-10, 8, 0, -5].map(Some))),
    ]);
    let airlines = table([
        ("carrier", text([Some("UA"), Some("AA")])),
        ("name", text([Some("United Air Lines Inc."), Some("American Airlines Inc.")])),
    ]);
    let outputs = node::<carrier_delays>().input("flights", flights).input("airlines", airlines).run().unwrap();
    let delays = output(&outputs, "carrier_delays");
    assert_eq!(shown(&delays, "carrier"), ["AA", "UA", "ZZ"]);
    assert_eq!(shown(&delays, "name"), ["American Airlines Inc.", "United Air Lines Inc.", "-"]);
    assert_eq!(shown(&delays, "flights"), ["1", "2", "1"]);
    assert_eq!(shown(&delays, "mean_dep_delay"), ["2.0", "2.5", "0.0"]);
    assert_eq!(shown(&delays, "mean_arr_delay"), ["8.0", "-5.0", "-5.0"]);

    let chart = node::<delay_chart>().block("carrier_delays", outputs.block("carrier_delays").unwrap()).run().unwrap();
    let chart = chart.get::<Text>("delay_chart").unwrap();
    assert!(chart.contains("United Air Lines Inc.") && chart.contains(">ZZ<"));
}
