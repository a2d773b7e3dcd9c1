//! The whole pipeline on the real data, compared with what pandas and numpy gave.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, StringArray};
use arrow_schema::DataType;
use plugin_api::abi::InputBlock;
use plugin_api::testing::{self, NodeOutputs, node};
use plugin_api::{Json, Table};
use serde_json::Value;

use super::shown;
use crate::build_features::build_features;
use crate::carrier_delays::carrier_delays;
use crate::clean_flights::clean_flights;
use crate::clean_planes::clean_planes;
use crate::clean_weather::clean_weather;
use crate::evaluate::evaluate;
use crate::split::split;
use crate::train::train;

const TEXT: [&str; 6] = ["carrier", "tailnum", "origin", "dest", "time_hour", "name"];
const FEATURES: &str =
    r#"{"features":["distance","hour","month","temp","wind_speed","precip","visib","seats","plane_age"]}"#;

/// Reads a file the simple way, which the data allows: it has no quotes. (Plugins cannot be linked into each other, so
/// the `csv` dataset type is not at hand; `make demo` goes through it.)
fn load(file: &str, columns: &[&str]) -> InputBlock {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(file);
    let mut content = std::fs::read(&path).unwrap();
    if file.ends_with(".gz") {
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(&content[..]).read_to_end(&mut unpacked).unwrap();
        content = unpacked;
    }
    let content = String::from_utf8(content).unwrap();
    let mut lines = content.lines();
    let header: Vec<&str> = lines.next().unwrap().split(',').collect();
    let mut values: Vec<Vec<Option<&str>>> = vec![Vec::new(); header.len()];
    for line in lines {
        for (column, value) in values.iter_mut().zip(line.split(',')) {
            column.push((value != "NA").then_some(value));
        }
    }
    let column = |name: &&str| -> (String, ArrayRef) {
        let at = header.iter().position(|column| column == name).unwrap();
        let text: ArrayRef = Arc::new(StringArray::from(std::mem::take(&mut values[at])));
        let to = if TEXT.contains(name) { DataType::Utf8 } else { DataType::Float64 };
        ((*name).to_owned(), arrow_cast::cast(&text, &to).unwrap())
    };
    testing::block(Table::from_columns(columns.iter().map(column)).unwrap()).unwrap()
}

fn rows(outputs: &NodeOutputs, name: &str) -> Value {
    outputs.get::<Table>(name).unwrap().num_rows().into()
}

/// Whether `found` has all that `expected` has: integers exactly, figures to a millionth.
fn compare(found: &Value, expected: &Value, at: &str) {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => {
            for (key, expected) in expected {
                compare(found.get(key).unwrap_or(&Value::Null), expected, &format!("{at}.{key}"));
            }
        }
        (_, Value::Number(number)) if number.is_f64() => {
            let (found, expected) = (found.as_f64().unwrap(), number.as_f64().unwrap());
            assert!((found - expected).abs() <= 1e-6 * expected.abs(), "{at}: {found}, expected {expected}");
        }
        _ => assert_eq!(found, expected, "{at}"),
    }
}

#[test]
fn gives_what_pandas_gave() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/expected.json");
    let expected: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let flights = load(
        "flights.csv.gz",
        &[
            "time_hour",
            "origin",
            "dest",
            "carrier",
            "tailnum",
            "month",
            "hour",
            "distance",
            "dep_delay",
            "arr_delay",
            "air_time",
        ],
    );
    let weather = load("weather.csv", &["origin", "time_hour", "temp", "wind_speed", "precip", "visib"]);
    let planes = load("planes.csv", &["tailnum", "year", "seats", "engines"]);
    let airlines = load("airlines.csv", &["carrier", "name"]);

    let flights = node::<clean_flights>().block("flights", flights).run().unwrap();
    let weather = node::<clean_weather>().block("weather", weather).run().unwrap();
    let planes = node::<clean_planes>().block("planes", planes).run().unwrap();
    let clean = flights.block("flights_clean").unwrap();
    let joined = node::<build_features>()
        .block("flights", clean.clone())
        .block("weather", weather.block("weather_clean").unwrap())
        .block("planes", planes.block("planes_clean").unwrap())
        .run()
        .unwrap();
    let parts = node::<split>().block("model_input", joined.block("model_input").unwrap()).run().unwrap();
    let counts = [
        ("flights_clean", rows(&flights, "flights_clean")),
        ("weather_clean", rows(&weather, "weather_clean")),
        ("planes_clean", rows(&planes, "planes_clean")),
        ("model_input", rows(&joined, "model_input")),
        ("train", rows(&parts, "train")),
        ("test", rows(&parts, "test")),
    ];
    for (name, count) in counts {
        assert_eq!(count, expected["rows"][name], "rows of {name}");
    }

    let models: BTreeMap<&str, NodeOutputs> = ["EWR", "JFK", "LGA"]
        .into_iter()
        .map(|origin| {
            let model = node::<train>()
                .block("table", parts.block("train").unwrap())
                .parameter("options", FEATURES)
                .parameter("origin", &format!("{origin:?}"))
                .run()
                .unwrap();
            (origin, model)
        })
        .collect();
    let model = |origin: &str| models[origin].block("model").unwrap();
    compare(&models["EWR"].get::<Json<Value>>("model").unwrap(), &expected["models"]["EWR"], "models.EWR");
    let metrics = node::<evaluate>()
        .block("ewr", model("EWR"))
        .block("jfk", model("JFK"))
        .block("lga", model("LGA"))
        .block("test", parts.block("test").unwrap())
        .run()
        .unwrap();
    compare(&metrics.get::<Json<Value>>("metrics").unwrap(), &expected["metrics"], "metrics");

    let carriers = node::<carrier_delays>().block("flights", clean).block("airlines", airlines).run().unwrap();
    let carriers = carriers.get::<Table>("carrier_delays").unwrap();
    let columns = ["carrier", "name", "flights", "mean_dep_delay", "mean_arr_delay"];
    let found: Vec<Value> = (0..carriers.num_rows())
        .map(|row| {
            let cell = |column: &&str| {
                let text = shown(&carriers, column)[row].clone();
                ((*column).to_owned(), serde_json::from_str(&text).unwrap_or(Value::String(text)))
            };
            Value::Object(columns.iter().map(cell).collect())
        })
        .collect();
    let listed = expected["carrier_delays"].as_array().unwrap();
    let (last, first) = listed.split_last().unwrap();
    first.iter().zip(&found).for_each(|(expected, found)| compare(found, expected, "carrier_delays"));
    compare(found.last().unwrap(), last, "carrier_delays, last");
}
