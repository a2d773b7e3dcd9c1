//! The nodes one after the other, as the pipelines bind them, and what they say of data that is not as it should be.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;

use plugin_api::arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray};
use plugin_api::prelude::*;
use plugin_api::testing;

use crate::create_model_input_table::create_model_input_table;
use crate::evaluate_model::{Metrics, evaluate_model};
use crate::generate::generate;
use crate::preprocess_companies::preprocess_companies;
use crate::preprocess_shuttles::preprocess_shuttles;
use crate::regression::Regressor;
use crate::split_data::split_data;
use crate::train_model::train_model;

fn texts(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn integers(values: &[i64]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

fn floats(values: &[Option<f64>]) -> ArrayRef {
    Arc::new(Float64Array::from(values.to_vec()))
}

fn table<const N: usize>(columns: [(&str, ArrayRef); N]) -> Table {
    Table::from_columns(columns).unwrap()
}

#[test]
fn companies_are_read_as_typed() {
    let companies = table([
        ("id", integers(&[1, 2, 3])),
        ("company_rating", texts(&[Some("90%"), None, Some(" 7.5 %")])),
        ("iata_approved", texts(&[Some("t"), Some("f"), None])),
    ]);
    let outputs = testing::node::<preprocess_companies>().input("companies", companies).run().unwrap();
    let ready: Table = outputs.get("preprocessed_companies").unwrap();
    let ratings = ready.typed::<Float64Array>("company_rating").unwrap();
    assert_eq!(ratings.iter().collect::<Vec<_>>(), [Some(0.9), None, Some(0.075)]);
    let approved = ready.typed::<BooleanArray>("iata_approved").unwrap();
    assert_eq!(approved.iter().collect::<Vec<_>>(), [Some(true), Some(false), Some(false)]);
}

#[test]
fn a_price_that_is_none_is_named_with_its_row() {
    let shuttles = table([
        ("d_check_complete", texts(&[Some("t"), Some("f")])),
        ("moon_clearance_complete", texts(&[Some("f"), Some("f")])),
        ("price", texts(&[Some("$1,325.0"), Some("free")])),
    ]);
    let failure = testing::node::<preprocess_shuttles>().input("shuttles", shuttles).run().unwrap_err();
    let message = failure.to_string();
    assert!(message.contains("`price` has \"free\" in row 1, expected a price such as $1,325.0"), "{message}");
}

#[test]
fn the_join_leaves_out_what_is_not_whole() {
    let shuttles = table([
        ("id", integers(&[1, 2, 3, 4])),
        ("company_id", integers(&[7, 7, 9, 8])),
        ("price", floats(&[Some(10.0), Some(20.0), Some(30.0), Some(40.0)])),
    ]);
    // Ids as a spreadsheet gives them.
    let reviews = table([
        ("shuttle_id", floats(&[Some(4.0), Some(2.0), Some(1.0), Some(3.0)])),
        ("review_scores_rating", floats(&[Some(97.0), None, Some(91.0), Some(50.0)])),
    ]);
    let companies = table([("id", integers(&[7, 8])), ("company_rating", floats(&[Some(1.0), Some(0.5)]))]);
    let node = testing::node::<create_model_input_table>().input("shuttles", shuttles);
    let outputs = node.input("companies", companies).input("reviews", reviews).run().unwrap();
    let joined: Table = outputs.get("model_input_table").unwrap();
    // Shuttle 2 has no rating, shuttle 3 no company.
    assert_eq!(joined.numbers("id").unwrap(), [1.0, 4.0]);
    assert_eq!(joined.numbers("review_scores_rating").unwrap(), [91.0, 97.0]);
    assert_eq!(joined.numbers("company_rating").unwrap(), [1.0, 0.5]);
}

#[test]
fn the_fit_finds_what_the_target_is_made_of() {
    let a = [1.0, 2.0, 3.0, 4.0, 6.0].map(Some);
    let b = [0.0, 1.0, 0.0, 1.0, 1.0].map(Some);
    let target: Vec<f64> = a.iter().zip(&b).map(|(a, b)| 5.0 + 2.0 * a.unwrap() - 3.0 * b.unwrap()).collect();
    let features = table([("a", floats(&a)), ("b", floats(&b))]);
    let fitted = Regressor::fit(&features, &target).unwrap();
    assert!((fitted.intercept - 5.0).abs() < 1e-9, "{fitted:?}");
    assert!((fitted.coefficients[0] - 2.0).abs() < 1e-9 && (fitted.coefficients[1] + 3.0).abs() < 1e-9, "{fitted:?}");

    let twice = table([("a", floats(&a)), ("again", floats(&a))]);
    let refusal = Regressor::fit(&twice, &target).unwrap_err().to_string();
    assert!(refusal.contains("`again`"), "{refusal}");
}

#[test]
fn the_whole_tutorial() {
    let generated =
        testing::node::<generate>().parameter("generation", r#"{ "shuttles": 600, "seed": 1 }"#).run().unwrap();
    let companies: Table = generated.get("companies").unwrap();
    assert_eq!(companies.num_rows(), 200);
    let shuttles: Bytes = generated.get("shuttles").unwrap();
    assert!(shuttles.starts_with(b"PK"), "a workbook is a zip archive");
    let again = testing::node::<generate>().parameter("generation", r#"{ "shuttles": 600, "seed": 1 }"#).run().unwrap();
    assert_eq!(again.get::<Table>("companies").unwrap(), companies, "the seed decides");

    // The pipeline reads the workbook with the dataset type `excel`; what it holds is tested there and end to end.
    let prices: Vec<f64> = (0..200).map(|n| 1000.0 + 37.0 * f64::from(n % 17) + 11.0 * f64::from(n % 5)).collect();
    let engines: Vec<Option<f64>> = (0..200).map(|n| Some(f64::from(n % 17))).collect();
    let approved: BooleanArray = (0..200).map(|n| Some(n % 5 == 0)).collect();
    let model_input = table([
        ("engines", floats(&engines)),
        ("iata_approved", Arc::new(approved)),
        ("price", floats(&prices.iter().copied().map(Some).collect::<Vec<_>>())),
    ]);
    let options = r#"{ "test_size": 0.2, "random_state": 3, "features": ["engines", "iata_approved"] }"#;
    let split = testing::node::<split_data>().input("model_input_table", model_input);
    let split = split.parameter("model_options", options).run().unwrap();
    let [x_train, x_test]: [Table; 2] = ["x_train", "x_test"].map(|name| split.get(name).unwrap());
    let [y_train, y_test]: [Array<f64>; 2] = ["y_train", "y_test"].map(|name| split.get(name).unwrap());
    assert_eq!([x_train.num_rows(), y_train.len(), x_test.num_rows(), y_test.len()], [160, 160, 40, 40]);

    let trained = testing::node::<train_model>().input("x_train", x_train).input("y_train", y_train).run().unwrap();
    let regressor: Json<Regressor> = trained.get("regressor").unwrap();
    assert!((regressor.coefficients[0] - 37.0).abs() < 1.0, "{regressor:?}");
    let evaluated = testing::node::<evaluate_model>().input("regressor", regressor).input("x_test", x_test);
    let evaluated = evaluated.input("y_test", y_test).run().unwrap();
    let Json(metrics) = evaluated.get::<Json<Metrics>>("metrics").unwrap();
    assert!(metrics.r2_score > 0.9 && metrics.max_error >= metrics.mae, "{metrics:?}");
}
