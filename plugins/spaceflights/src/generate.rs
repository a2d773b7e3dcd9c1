//! Raw data like the tutorial's, made up: the same columns, typed as people type them, with values missing here and there.

use std::sync::Arc;

use fastrand::Rng;
use plugin_api::arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray};
use plugin_api::prelude::*;
use rust_xlsxwriter::Workbook;

const PLACES: &[&str] = &["Niue", "Anguilla", "Russian Federation", "Barbados", "Sao Tome and Principe", "Uzbekistan"];
const TYPES: &[&str] = &["Type V5", "Type F5", "Type C2", "Type S4"];
const ENGINES: &[&str] = &["Quantum", "Plasma", "Nuclear"];
const VENDORS: &[&str] = &["ThetaBase Services", "Banks, Wood and Phillips", "Jones-Mcdonald"];
const POLICIES: &[&str] = &["strict", "moderate", "flexible"];

/// How much to make up.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(crate = "plugin_api::serde", deny_unknown_fields)]
#[schemars(crate = "plugin_api::schemars")]
pub struct Generation {
    /// Shuttles, each with its reviews; every third of them has a company of its own.
    pub shuttles: u32,
    /// Which of the many; the same number gives the same data.
    pub seed: u64,
}

/// Makes up companies, reviews, and shuttles as a workbook of one sheet.
#[node(outputs = ["companies", "reviews", "shuttles"])]
pub fn generate(generation: Params<Generation>) -> Result<(Table, Table, Bytes)> {
    let mut rng = Rng::with_seed(generation.seed);
    let companies: Vec<Company> = (0..generation.shuttles.div_ceil(3)).map(|_| Company::new(&mut rng)).collect();
    let shuttles: Vec<Shuttle> = (0..generation.shuttles).map(|_| Shuttle::new(&mut rng, &companies)).collect();
    Ok((companies_table(&companies)?, reviews_table(&shuttles, &mut rng)?, workbook(&shuttles)?))
}

struct Company {
    rating_percent: Option<u32>,
    location: &'static str,
    fleet_count: u32,
    approved: bool,
}

impl Company {
    fn new(rng: &mut Rng) -> Self {
        Self {
            rating_percent: present(rng).then(|| rng.u32(20..=100)),
            location: one_of(rng, PLACES),
            fleet_count: rng.u32(1..=20),
            approved: rng.bool(),
        }
    }
}

struct Shuttle {
    location: &'static str,
    kind: &'static str,
    engine: &'static str,
    vendor: &'static str,
    engines: u32,
    passengers: u32,
    policy: &'static str,
    crew: u32,
    d_check: bool,
    clearance: bool,
    price: f64,
    company: usize,
    rating: u32,
}

impl Shuttle {
    fn new(rng: &mut Rng, companies: &[Company]) -> Self {
        let [engines, passengers, crew] = [rng.u32(1..=6), rng.u32(1..=20), rng.u32(1..=8)];
        let [d_check, clearance, company, rating] =
            [rng.usize(0..2), rng.usize(0..2), rng.usize(0..companies.len()), rng.usize(20..=100)];
        // What it costs does follow from what it is, so that there is something to learn; the rest is luck.
        let approved = f64::from(u8::from(companies[company].approved));
        let comfort = 120.0 * f64::from(passengers) + 310.0 * f64::from(engines) + 95.0 * f64::from(crew);
        let luck: f64 = (0..4).map(|_| rng.f64() - 0.5).sum::<f64>() * 700.0;
        let price = 800.0 + comfort + 250.0 * approved + 400.0 * d_check as f64 + 6.0 * rating as f64 + luck;
        Self {
            location: one_of(rng, PLACES),
            kind: one_of(rng, TYPES),
            engine: one_of(rng, ENGINES),
            vendor: one_of(rng, VENDORS),
            engines,
            passengers,
            policy: one_of(rng, POLICIES),
            crew,
            d_check: d_check == 1,
            clearance: clearance == 1,
            price: price.max(100.0).round(),
            company,
            rating: rating as u32,
        }
    }
}

fn one_of(rng: &mut Rng, names: &[&'static str]) -> &'static str {
    names[rng.usize(0..names.len())]
}

/// Now and then a value is missing.
fn present(rng: &mut Rng) -> bool {
    rng.u32(0..20) != 0
}

fn companies_table(companies: &[Company]) -> Result<Table> {
    let texts = |text: fn(&Company) -> Option<String>| Arc::new(companies.iter().map(text).collect::<StringArray>());
    Table::from_columns([
        ("id", Arc::new(Int64Array::from_iter_values(1..=companies.len() as i64)) as ArrayRef),
        ("company_rating", texts(|company| company.rating_percent.map(|percent| format!("{percent}%")))),
        ("company_location", texts(|company| Some(company.location.to_owned()))),
        (
            "total_fleet_count",
            Arc::new(companies.iter().map(|company| Some(i64::from(company.fleet_count))).collect::<Int64Array>()),
        ),
        ("iata_approved", texts(|company| Some(letter(company.approved).to_owned()))),
    ])
}

fn reviews_table(shuttles: &[Shuttle], rng: &mut Rng) -> Result<Table> {
    const SCORES: &[&str] = &["comfort", "amenities", "trip", "crew", "location", "price"];
    let mut columns: Vec<(String, ArrayRef)> = vec![
        ("shuttle_id".into(), Arc::new(Int64Array::from_iter_values(1..=shuttles.len() as i64))),
        (
            "review_scores_rating".into(),
            Arc::new(column(shuttles, |shuttle| present(rng).then(|| f64::from(shuttle.rating)))),
        ),
    ];
    for score in SCORES {
        let scores = column(shuttles, |_| present(rng).then(|| f64::from(rng.u32(2..=10))));
        columns.push((format!("review_scores_{score}"), Arc::new(scores)));
    }
    let counts: Int64Array = shuttles.iter().map(|_| Some(rng.i64(0..400))).collect();
    columns.push(("number_of_reviews".into(), Arc::new(counts)));
    columns
        .push(("reviews_per_month".into(), Arc::new(column(shuttles, |_| Some(f64::from(rng.u32(1..800)) / 100.0)))));
    Table::from_columns(columns)
}

fn column(shuttles: &[Shuttle], value: impl FnMut(&Shuttle) -> Option<f64>) -> Float64Array {
    shuttles.iter().map(value).collect()
}

/// The shuttles as a file of the kind that is sent around by mail.
fn workbook(shuttles: &[Shuttle]) -> Result<Bytes> {
    const COLUMNS: [&str; 13] = [
        "id",
        "shuttle_location",
        "shuttle_type",
        "engine_type",
        "engine_vendor",
        "engines",
        "passenger_capacity",
        "cancellation_policy",
        "crew",
        "d_check_complete",
        "moon_clearance_complete",
        "price",
        "company_id",
    ];
    let mut workbook = Workbook::new();
    let sheet = workbook.add_worksheet().set_name("shuttles")?;
    sheet.write_row(0, 0, COLUMNS)?;
    for (row, shuttle) in (1..).zip(shuttles) {
        let numbers = [
            (0, row),
            (5, shuttle.engines),
            (6, shuttle.passengers),
            (8, shuttle.crew),
            (12, shuttle.company as u32 + 1),
        ];
        for (column, number) in numbers {
            sheet.write_number(row, column, number)?;
        }
        let texts = [
            (1, shuttle.location),
            (2, shuttle.kind),
            (3, shuttle.engine),
            (4, shuttle.vendor),
            (7, shuttle.policy),
            (9, letter(shuttle.d_check)),
            (10, letter(shuttle.clearance)),
            (11, &dollars(shuttle.price)),
        ];
        for (column, text) in texts {
            sheet.write_string(row, column, text)?;
        }
    }
    Ok(Bytes::from(workbook.save_to_buffer()?))
}

fn letter(truth: bool) -> &'static str {
    if truth { "t" } else { "f" }
}

/// `$1,325.0`
fn dollars(price: f64) -> String {
    let thousands = (price / 1000.0) as u32;
    match thousands {
        0 => format!("${price:.1}"),
        _ => format!("${thousands},{:05.1}", price - f64::from(thousands) * 1000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_written_as_people_write_them() {
        assert_eq!([dollars(1325.0), dollars(980.0), dollars(12004.0)], ["$1,325.0", "$980.0", "$12,004.0"]);
    }
}
