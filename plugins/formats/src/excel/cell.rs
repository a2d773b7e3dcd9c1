//! One cell: as text for the column it goes into, and what it says about that column's type.

use arrow_schema::TimeUnit;
use calamine::{CellErrorType, Data, ExcelDateTime, Range};

use crate::csv::Kind;

/// A cell as a column takes it.
pub enum Shown {
    /// Nothing is there.
    Missing,
    /// A value, in the words that CSV has for it.
    Text(String),
    /// A formula failed.
    Error(CellErrorType),
}

/// Shows a cell for a column of this type.
pub fn shown(cell: &Data, kind: Kind) -> Shown {
    Shown::Text(match cell {
        Data::Empty | Data::Error(CellErrorType::NA) => return Shown::Missing,
        Data::Error(error) => return Shown::Error(error.clone()),
        Data::Int(number) => number.to_string(),
        // Workbooks keep every number as a float; `{}` writes whole ones without a fraction.
        Data::Float(number) => number.to_string(),
        Data::Bool(value) => value.to_string(),
        Data::String(text) | Data::DateTimeIso(text) | Data::DurationIso(text) => text.clone(),
        Data::DateTime(moment) if moment.is_duration() => moment.as_f64().to_string(),
        Data::DateTime(moment) => told(moment, kind),
    })
}

/// A day, or a moment where the column has moments or the time of day matters.
fn told(moment: &ExcelDateTime, kind: Kind) -> String {
    let (year, month, day, hour, minute, second, milli) = moment.to_ymd_hms_milli();
    let date = format!("{year:04}-{month:02}-{day:02}");
    let has_time = (hour, minute, second, milli) != (0, 0, 0, 0);
    match kind {
        Kind::Date if !has_time => date,
        Kind::Text | Kind::Dictionary if !has_time => date,
        _ => format!("{date}T{hour:02}:{minute:02}:{second:02}.{milli:03}"),
    }
}

/// Where a cell stands, as people call it: `B3`.
pub fn address(cells: &Range<Data>, row: u32, place: usize) -> String {
    let mut column = cells.start().map_or(0, |(_, left)| left as usize) + place + 1;
    let mut letters = Vec::new();
    while column > 0 {
        column -= 1;
        letters.push(char::from(b'A' + u8::try_from(column % 26).unwrap_or(0)));
        column /= 26;
    }
    let letters: String = letters.into_iter().rev().collect();
    format!("{letters}{}", row + 1)
}

/// Narrows down the type of a column, cell by cell.
#[derive(Clone, Copy, Debug, Default)]
pub struct Guess {
    boolean: bool,
    whole: bool,
    fraction: bool,
    day: bool,
    moment: bool,
    text: bool,
}

impl Guess {
    /// Takes one cell into account.
    pub fn see(&mut self, cell: &Data) {
        /// Beyond this a float does not hold every whole number.
        const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
        match cell {
            Data::Empty | Data::Error(_) => {}
            Data::Bool(_) => self.boolean = true,
            Data::Int(_) => self.whole = true,
            Data::Float(number) if number.fract() == 0.0 && number.abs() <= WHOLE_MAX => self.whole = true,
            Data::Float(_) => self.fraction = true,
            Data::DateTime(moment) if moment.is_duration() => self.fraction = true,
            Data::DateTime(moment) => {
                let (_, _, _, hour, minute, second, milli) = moment.to_ymd_hms_milli();
                match (hour, minute, second, milli) {
                    (0, 0, 0, 0) => self.day = true,
                    _ => self.moment = true,
                }
            }
            Data::DateTimeIso(text) if text.len() == "2013-01-01".len() => self.day = true,
            Data::DateTimeIso(_) => self.moment = true,
            Data::String(_) | Data::DurationIso(_) => self.text = true,
        }
    }

    /// The narrowest type that holds all cells seen; text where there was none or they disagree.
    pub fn kind(self) -> Kind {
        let Self { boolean, whole, fraction, day, moment, text } = self;
        match (text, boolean, whole || fraction, day || moment) {
            (false, true, false, false) => Kind::Boolean,
            (false, false, true, false) if fraction => Kind::Float64,
            (false, false, true, false) => Kind::Int64,
            (false, false, false, true) if moment => Kind::Timestamp(TimeUnit::Microsecond),
            (false, false, false, true) => Kind::Date,
            _ => Kind::Text,
        }
    }
}
