//! CSV text to record batches, piece by piece.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{Schema, SchemaRef};

use super::cell::Cell;
use super::column::{Column, column};
use super::kind::Kind;
use super::layout::{Layout, Peek, peek};
use super::options::Options;
use super::page::Page;
use super::token::{Cursor, Found, Malformed, Record};
use crate::problem::{Problem, Result};
use crate::source::Pieces;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A batch is given out at this many rows: few enough that text offsets of 32 bits suffice, many enough that most files
/// make one batch, which later nodes can use whole.
const BATCH_ROWS: usize = 1 << 20;
/// … or at this many bytes of text, whatever comes first.
const BATCH_BYTES: usize = 1 << 30;

/// After one record that is not plain so many are taken one by one: others like it are likely to follow.
const ONE_BY_ONE: usize = 32;

/// Reads a CSV file from its pieces (in order, of any size) and gives the table batch by batch: at least one,
/// which is empty if the file has no rows.
pub struct Batches {
    pieces: Pieces,
    /// What was read and not yet used.
    text: Vec<u8>,
    is_last: bool,
    cursor: Cursor,
    rows: Rows,
    has_given: bool,
    is_done: bool,
}

impl Batches {
    /// Reads as much as tells the columns and their types.
    pub fn new(mut pieces: Pieces, options: Options) -> Result<Self> {
        let (mut text, mut is_last) = (Vec::new(), false);
        let (layout, cursor) = loop {
            is_last |= !pieces.extend(&mut text, 0)?;
            if text.starts_with(BYTE_ORDER_MARK) {
                text.drain(..BYTE_ORDER_MARK.len());
            }
            if let Peek::Layout(layout, cursor) = peek(&text, is_last, &options)? {
                break (layout, cursor);
            }
        };
        let rows = Rows::new(layout, options);
        Ok(Self { pieces, text, is_last, cursor, rows, has_given: false, is_done: false })
    }

    fn batch(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if self.rows.push(&self.text, self.is_last, &mut self.cursor)? {
                return self.rows.finish().map(Some);
            }
            if self.is_last {
                self.is_done = true;
                let is_wanted = self.rows.count > 0 || !self.has_given;
                return if is_wanted { self.rows.finish().map(Some) } else { Ok(None) };
            }
            self.is_last = !self.pieces.extend(&mut self.text, std::mem::take(&mut self.cursor.position))?;
        }
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        let batch = self.batch().transpose();
        self.has_given = true;
        self.is_done |= matches!(batch, Some(Err(_)));
        batch
    }
}

/// The rows being collected.
struct Rows {
    layout: Layout,
    options: Options,
    schema: SchemaRef,
    columns: Vec<Box<dyn Column>>,
    record: Record,
    page: Page,
    count: usize,
    bytes: usize,
}

impl Rows {
    fn new(layout: Layout, options: Options) -> Self {
        let columns = layout.wanted.iter().map(|&(_, kind)| column(kind)).collect();
        let schema: Arc<Schema> = Arc::new(layout.schema());
        Self { layout, options, schema, columns, record: Record::default(), page: Page::default(), count: 0, bytes: 0 }
    }

    /// Takes all whole records of `text`; true if the batch is full before that.
    fn push(&mut self, text: &[u8], is_last: bool, cursor: &mut Cursor) -> Result<bool> {
        let mut one_by_one = 0;
        while self.count < BATCH_ROWS && self.bytes < BATCH_BYTES {
            let start = cursor.position;
            if one_by_one == 0 {
                let (width, rows_max) = (self.layout.names.len(), BATCH_ROWS - self.count);
                let end = self.page.cut(text, start, self.options.dialect, width, rows_max);
                self.push_page(&text[start..end], cursor.line)?;
                self.count += self.page.rows();
                self.bytes += end - start;
                cursor.position = end;
                cursor.line += self.page.rows() as u64;
                if self.page.rows() == 0 {
                    one_by_one = ONE_BY_ONE;
                }
                continue;
            }
            one_by_one -= 1;
            if cursor.next(text, is_last, self.options.dialect, &mut self.record)? != Found::Record {
                return Ok(false);
            }
            self.push_record(text)?;
            self.count += 1;
            self.bytes += cursor.position - start;
        }
        Ok(true)
    }

    /// Takes the records of the page, column by column. Of several mistakes the first in the text is told.
    fn push_page(&mut self, text: &[u8], line: u64) -> Result<()> {
        let Self { page, layout, columns, options, .. } = self;
        let mut mistake: Option<(usize, usize, Kind)> = None;
        for (column, &(place, kind)) in columns.iter_mut().zip(&layout.wanted) {
            let rows = mistake.map_or(page.rows(), |(row, ..)| row);
            if let Err(row) = column.push_page(page.cells(text, place, rows), options) {
                mistake = Some((row, place, kind));
            }
        }
        let Some((row, place, kind)) = mistake else { return Ok(()) };
        let value = page.cells(text, place, page.rows()).iter().nth(row).map_or(&[][..], Cell::bytes);
        Err(mistyped(line + row as u64, &layout.names[place], kind, value, layout, options))
    }

    fn push_record(&mut self, text: &[u8]) -> Result<()> {
        let Self { record, layout, columns, options, .. } = self;
        if record.fields.len() != layout.names.len() {
            return Err(ragged(record, layout, options));
        }
        for (column, &(place, kind)) in columns.iter_mut().zip(&layout.wanted) {
            let field = record.fields[place];
            let value = record.bytes(text, field);
            if !field.quoted && options.is_missing(value) {
                column.push_missing();
            } else if !column.push(value) {
                return Err(mistyped(record.line, &layout.names[place], kind, value, layout, options));
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<RecordBatch> {
        let arrays: Vec<ArrayRef> = self.columns.iter_mut().map(|column| column.finish()).collect();
        let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(self.count));
        (self.count, self.bytes) = (0, 0);
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options)
            .map_err(|error| Problem::new("the columns do not make a table").cause(error))
    }
}

fn ragged(record: &Record, layout: &Layout, options: &Options) -> Problem {
    let plural = |count: usize| format!("{count} field{}", if count == 1 { "" } else { "s" });
    let place = if options.has_header { "the header" } else { "the first line" };
    Problem::new(format!(
        "line {}: {} where {place} has {}",
        record.line,
        plural(record.fields.len()),
        layout.names.len()
    ))
    .hint(format!(
        "correct the line, or set `delimiter` or `quote` if the file is written with others than `{}` and `{}`",
        char::from(options.dialect.delimiter),
        char::from(options.dialect.quote)
    ))
}

fn mistyped(line: u64, name: &str, kind: Kind, value: &[u8], layout: &Layout, options: &Options) -> Problem {
    if std::str::from_utf8(value).is_err() {
        return Problem::new(format!("line {line}, column `{name}`: the text is not UTF-8"));
    }
    let shown: String = String::from_utf8_lossy(value).chars().take(80).collect();
    let problem = Problem::new(format!("line {line}, column `{name}`: {shown:?} is no {}", kind.name()));
    if layout.is_guessed && !options.types.contains_key(name) {
        problem.hint(format!(
            "the type was guessed from the first {} rows: declare it, as in `types = {{ {name} = \"string\" }}`, \
             or add the value to `null_values` if it stands for a missing one",
            options.infer_rows
        ))
    } else {
        problem.hint("correct the line, declare another type in `types`, or add the value to `null_values`")
    }
}

impl From<Malformed> for Problem {
    fn from(malformed: Malformed) -> Self {
        Self::new(format!("line {}: {}", malformed.line, malformed.message))
    }
}
