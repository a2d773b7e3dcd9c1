//! Which columns of a file make the table: names from the header, types declared or guessed.

use arrow_schema::{Field, Schema};

use super::kind::{Guess, Kind};
use super::options::Options;
use super::token::{Cursor, Found, Record};
use crate::problem::{Problem, Result};

/// The shape of a file and what is wanted of it.
#[derive(Debug)]
pub struct Layout {
    /// The names of all columns of the file.
    pub names: Vec<String>,
    /// The wanted columns: place in the file and type, in the table's order.
    pub wanted: Vec<(usize, Kind)>,
    /// Whether types were guessed.
    pub is_guessed: bool,
}

impl Layout {
    /// The table's schema.
    pub fn schema(&self) -> Schema {
        let field = |&(index, kind): &(usize, Kind)| Field::new(&self.names[index], kind.data_type(), true);
        Schema::new(self.wanted.iter().map(field).collect::<Vec<_>>())
    }
}

/// What a look at the beginning of a file gave.
#[derive(Debug)]
pub enum Peek {
    /// More of the file has to be read first.
    Incomplete,
    /// The layout, and the cursor behind the header.
    Layout(Layout, Cursor),
}

/// Finds the layout from the beginning of a file; `is_last` says that `text` is all of it.
pub fn peek(text: &[u8], is_last: bool, options: &Options) -> Result<Peek> {
    let mut cursor = Cursor { position: 0, line: 1 };
    let mut record = Record::default();
    let ahead = |cursor: &mut Cursor, record: &mut Record| {
        cursor.next(text, is_last, options.dialect, record).map_err(Problem::from)
    };
    let first = cursor;
    let names = match ahead(&mut cursor, &mut record)? {
        Found::Incomplete => return Ok(Peek::Incomplete),
        Found::End if options.has_header => {
            return Err(Problem::new("the file is empty, where a header line was expected")
                .hint("write the column names into the first line, or set `header = false`"));
        }
        Found::Record if options.has_header => header(text, &record)?,
        Found::End | Found::Record => {
            cursor = first;
            (1..=record.fields.len()).map(|number| format!("column_{number}")).collect()
        }
    };
    let body = cursor;
    let places = places(&names, options)?;
    let mut kinds: Vec<Option<Kind>> = places.iter().map(|&place| options.types.get(&names[place]).copied()).collect();
    let is_guessed = kinds.contains(&None);
    if is_guessed {
        let mut guesses = vec![Guess::default(); places.len()];
        for _ in 0..options.infer_rows {
            match ahead(&mut cursor, &mut record)? {
                Found::Incomplete => return Ok(Peek::Incomplete),
                Found::End => break,
                Found::Record => {}
            }
            for (guess, &place) in guesses.iter_mut().zip(&places) {
                // A record with too few fields is reported when the rows are read.
                let Some(&field) = record.fields.get(place) else { continue };
                let value = record.bytes(text, field);
                if field.quoted || !options.is_missing(value) {
                    guess.see(value);
                }
            }
        }
        for (kind, guess) in kinds.iter_mut().zip(guesses) {
            kind.get_or_insert(guess.kind());
        }
    }
    let wanted = places.into_iter().zip(kinds.into_iter().flatten()).collect();
    Ok(Peek::Layout(Layout { names, wanted, is_guessed }, body))
}

fn header(text: &[u8], record: &Record) -> Result<Vec<String>> {
    let mut names: Vec<String> = Vec::with_capacity(record.fields.len());
    for &field in &record.fields {
        let name = std::str::from_utf8(record.bytes(text, field))
            .map_err(|_| Problem::new(format!("line {}: a column name is not UTF-8", record.line)))?;
        if names.iter().any(|known| known == name) {
            return Err(Problem::new(format!("line {}: two columns are named `{name}`", record.line)));
        }
        names.push(name.to_owned());
    }
    Ok(names)
}

fn places(names: &[String], options: &Options) -> Result<Vec<usize>> {
    let place = |wanted: &String| {
        names.iter().position(|name| name == wanted).ok_or_else(|| {
            Problem::new(format!("there is no column `{wanted}`")).hint(format!("the columns are {}", names.join(", ")))
        })
    };
    for declared in options.types.keys() {
        place(declared)?;
    }
    match &options.columns {
        Some(columns) => columns.iter().map(place).collect(),
        None => Ok((0..names.len()).collect()),
    }
}
