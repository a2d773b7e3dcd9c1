//! Companies as typed, made ready.

use plugin_api::prelude::*;

use crate::typed::{numbers, percentage, replace, truths};

/// Turns the rating of companies into a share and their approval into a truth value.
#[node(outputs = ["preprocessed_companies"])]
pub fn preprocess_companies(companies: Table) -> Result<Table> {
    let rating = numbers(&companies, "company_rating", "a percentage such as 90%", percentage)?;
    let approved = truths(&companies, "iata_approved")?;
    replace(&companies, [("company_rating", rating), ("iata_approved", approved)])
}
