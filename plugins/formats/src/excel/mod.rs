//! Excel workbooks as tables: one sheet a dataset. Reads xlsx, xlsm, xlsb, xls and ods; writes none.

mod cell;

use std::collections::BTreeMap;
use std::path::Path;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::{Field, Schema};
use calamine::{Data, Range, Reader};
use plugin_api::Table;
use plugin_api::dataset::{Dataset, LoadRequest, SaveRequest};
use plugin_api::manifest::OptionManifest;
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;

use self::cell::{Guess, Shown, address, shown};
use crate::csv::{Kind, column};
use crate::problem::{Problem, Result};
use crate::source;

/// A sheet of a workbook.
#[derive(Default)]
pub struct Excel;

impl Dataset for Excel {
    const NAME: &'static str = "excel";
    const DOC: &'static str =
        "A sheet of an Excel or OpenDocument workbook (xlsx, xlsm, xlsb, xls, ods), to load only.";
    const LOADS: &'static [&'static str] = &["table"];
    const SAVES: &'static [&'static str] = &[];

    fn options() -> Vec<OptionManifest> {
        vec![
            OptionManifest::new("sheet", "the first", "the sheet's name, or its number from 1"),
            OptionManifest::new("header", "true", "whether a row names the columns"),
            OptionManifest::new(
                "header_row",
                "1",
                "the row that names the columns, as the sheet numbers its rows; rows above are skipped",
            ),
            OptionManifest::new(
                "null_values",
                "[\"\", \"NA\"]",
                "texts that stand for a missing value, as empty cells and #N/A do",
            ),
            OptionManifest::new("columns", "all", "the columns to load, in this order"),
            OptionManifest::new(
                "types",
                "{}",
                &format!("column types, the others follow from the cells: {}", Kind::names()),
            ),
        ]
    }

    fn load(&self, request: &LoadRequest) -> plugin_api::Result<()> {
        let batch = load(request.path()?, &request.options()?).map_err(Problem::into_error)?;
        request.give(Table::from(batch))
    }

    fn save(&self, request: &SaveRequest) -> plugin_api::Result<()> {
        let problem = Problem::new(format!("the dataset `{}` is a workbook, and these are only read", request.name()));
        Err(problem.hint("save it as csv, which Excel opens, or as parquet").into_error())
    }
}

/// The `options` of a workbook.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    sheet: Option<Sheet>,
    header: bool,
    header_row: u32,
    null_values: Vec<String>,
    columns: Option<Vec<String>>,
    types: BTreeMap<String, String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            sheet: None,
            header: true,
            header_row: 1,
            null_values: vec![String::new(), "NA".to_owned()],
            columns: None,
            types: BTreeMap::new(),
        }
    }
}

/// Which sheet.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Sheet {
    Number(usize),
    Name(String),
}

/// Reads one sheet of the workbook at `path`.
pub fn load(path: &Path, options: &Value) -> Result<RecordBatch> {
    let options: Options = crate::options::parse("excel", options)?;
    if options.header && options.header_row == 0 {
        return Err(Problem::new("excel options: `header_row` counts from 1, as the sheet does"));
    }
    // For the reason in words, where there is no such file.
    drop(source::open(path)?);
    let cells = cells(path, &options).map_err(|problem| problem.while_reading(path))?;
    table(&cells, &options).map_err(|problem| problem.while_reading(path))
}

fn cells(path: &Path, options: &Options) -> Result<Range<Data>> {
    let broken = |error: calamine::Error| {
        Problem::new("it is no workbook that can be read")
            .cause(error)
            .hint("the path's suffix tells what kind it is: xlsx, xlsm, xlsb, xls or ods")
    };
    let mut workbook = calamine::open_workbook_auto(path).map_err(broken)?;
    let names = workbook.sheet_names();
    let name = match &options.sheet {
        None => names.first(),
        Some(Sheet::Number(number)) => number.checked_sub(1).and_then(|index| names.get(index)),
        Some(Sheet::Name(name)) => names.iter().find(|known| *known == name),
    };
    let name = name.cloned().ok_or_else(|| {
        let wanted = match &options.sheet {
            None => "the workbook has no sheet at all".to_owned(),
            Some(Sheet::Number(number)) => format!("there is no sheet number {number}"),
            Some(Sheet::Name(name)) => format!("there is no sheet `{name}`"),
        };
        Problem::new(wanted).hint(format!("its sheets are {}", names.join(", ")))
    })?;
    workbook.worksheet_range(&name).map_err(broken)
}

fn table(cells: &Range<Data>, options: &Options) -> Result<RecordBatch> {
    let skipped = if options.header { options.header_row - 1 } else { 0 };
    let (names, first) = match (options.header, cells.start()) {
        (true, Some((top, _))) if top <= skipped && skipped < top + row_count(cells) => {
            (header(cells, skipped)?, skipped + 1)
        }
        (true, _) => {
            return Err(Problem::new(format!(
                "row {} is empty, where the column names were expected",
                options.header_row
            ))
            .hint("say in which row they stand: `header_row = 3`, or set `header = false`"));
        }
        (false, start) => {
            let columns = (1..=cells.width()).map(|number| format!("column_{number}")).collect();
            (columns, start.map_or(0, |(top, _)| top))
        }
    };
    let place = |wanted: &String| {
        names.iter().position(|name| name == wanted).ok_or_else(|| {
            Problem::new(format!("there is no column `{wanted}`")).hint(format!("the columns are {}", names.join(", ")))
        })
    };
    options.types.keys().try_for_each(|declared| place(declared).map(drop))?;
    let places = match &options.columns {
        Some(columns) => columns.iter().map(place).collect::<Result<Vec<_>>>()?,
        None => (0..names.len()).collect(),
    };
    let (mut fields, mut arrays) = (Vec::new(), Vec::new());
    let rows = cells.end().map_or(0, |(bottom, _)| (bottom + 1).saturating_sub(first));
    for place in places {
        let name = &names[place];
        let kind = match options.types.get(name) {
            Some(declared) => Kind::named(declared).ok_or_else(|| {
                Problem::new(format!("excel options: column `{name}` has the unknown type `{declared}`"))
                    .hint(format!("the types are {}", Kind::names()))
            })?,
            None => guess(cells, first, place, options),
        };
        fields.push(Field::new(name, kind.data_type(), true));
        let mut values = column(kind);
        for (row, cell) in column_cells(cells, first, place) {
            match shown(cell, kind) {
                Shown::Missing => values.push_missing(),
                Shown::Text(text) if options.null_values.contains(&text) => values.push_missing(),
                Shown::Text(text) if values.push(text.as_bytes()) => {}
                Shown::Text(text) => {
                    let cell = address(cells, row, place);
                    return Err(Problem::new(format!("cell {cell}, column `{name}`: {text:?} is no {}", kind.name()))
                        .hint("correct the cell, or declare the column's type in `types`"));
                }
                Shown::Error(error) => {
                    let cell = address(cells, row, place);
                    return Err(Problem::new(format!("cell {cell}, column `{name}` holds {error}"))
                        .hint("correct the formula; #N/A stands for a missing value"));
                }
            }
        }
        arrays.push(values.finish());
    }
    let count = RecordBatchOptions::new().with_row_count(Some(rows as usize));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &count)
        .map_err(|error| Problem::new("its columns are not of one length").cause(error))
}

fn row_count(cells: &Range<Data>) -> u32 {
    u32::try_from(cells.height()).unwrap_or(u32::MAX)
}

/// The column names in a row; a column without one has none of its cells left out, but a name made up for it.
fn header(cells: &Range<Data>, row: u32) -> Result<Vec<String>> {
    let left = cells.start().map_or(0, |(_, left)| left);
    let mut names: Vec<String> = Vec::with_capacity(cells.width());
    for place in 0..cells.width() {
        let cell = cells.get_value((row, left + place as u32)).unwrap_or(&Data::Empty);
        let name = match shown(cell, Kind::Text) {
            Shown::Text(name) if !name.trim().is_empty() => name.trim().to_owned(),
            _ => format!("column_{}", place + 1),
        };
        if names.contains(&name) {
            return Err(Problem::new(format!("cell {}: two columns are named `{name}`", address(cells, row, place))));
        }
        names.push(name);
    }
    Ok(names)
}

fn column_cells(cells: &Range<Data>, first: u32, place: usize) -> impl Iterator<Item = (u32, &Data)> {
    let left = cells.start().map_or(0, |(_, left)| left);
    let end = cells.end().map_or(first, |(bottom, _)| bottom + 1);
    (first..end).map(move |row| (row, cells.get_value((row, left + place as u32)).unwrap_or(&Data::Empty)))
}

fn guess(cells: &Range<Data>, first: u32, place: usize, options: &Options) -> Kind {
    let mut guess = Guess::default();
    for (_, cell) in column_cells(cells, first, place) {
        let is_missing = matches!(cell, Data::String(text) if options.null_values.contains(text));
        if !is_missing {
            guess.see(cell);
        }
    }
    guess.kind()
}

#[cfg(test)]
mod tests;
