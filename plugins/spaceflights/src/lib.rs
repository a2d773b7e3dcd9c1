//! The pipelines of Kedro's spaceflights tutorial as dagd nodes: what a flight to the moon costs, by shuttle, company and reviews.
//!
//! One file per node: [`generate`] makes up the raw data, [`preprocess_companies`], [`preprocess_shuttles`] and
//! [`create_model_input_table`] are the tutorial's data processing, [`split_data`], [`train_model`] and [`evaluate_model`] its
//! data science. Beside them what they share: reading what people type into spreadsheets, and the regression.

#![deny(unsafe_code)] // `plugin!` exports the one symbol that needs an exception, so this cannot be `forbid`

mod create_model_input_table;
mod evaluate_model;
mod generate;
mod preprocess_companies;
mod preprocess_shuttles;
mod regression;
mod split_data;
#[cfg(test)]
mod tests;
mod train_model;
mod typed;

plugin_api::plugin! {
    nodes: [
        generate::generate,
        preprocess_companies::preprocess_companies,
        preprocess_shuttles::preprocess_shuttles,
        create_model_input_table::create_model_input_table,
        split_data::split_data,
        train_model::train_model,
        evaluate_model::evaluate_model,
    ]
}
