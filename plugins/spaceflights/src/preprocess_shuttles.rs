//! Shuttles as typed, made ready.

use plugin_api::prelude::*;

use crate::typed::{numbers, price, replace, truths};

/// Turns the price of shuttles into a number and the checks they passed into truth values.
#[node(outputs = ["preprocessed_shuttles"])]
pub fn preprocess_shuttles(shuttles: Table) -> Result<Table> {
    let d_check = truths(&shuttles, "d_check_complete")?;
    let clearance = truths(&shuttles, "moon_clearance_complete")?;
    let price = numbers(&shuttles, "price", "a price such as $1,325.0", price)?;
    let replaced = [("d_check_complete", d_check), ("moon_clearance_complete", clearance), ("price", price)];
    replace(&shuttles, replaced)
}
